//! No text opens as a tag but the one that sealing makes, and every owner comes back from its tag.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;

use socketio_sidecar_core::owner_tag::{KeyRing, Owner, PodDigest};

static KEYS: LazyLock<KeyRing> =
    LazyLock::new(|| KeyRing::new("cluster", 1, [(1, &[9; 32][..]), (2, &[8; 32][..])]).expect("a key ring"));

/// Checks one input: 27 bytes of an owner, then a sid, a line end and a tag.
pub fn check(bytes: &[u8]) {
    let Some((owner, text)) = bytes.split_first_chunk::<27>() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let (sid, tag) = text.split_once('\n').unwrap_or((text, ""));
    if let Some(owner) = KEYS.open(sid, tag) {
        assert_eq!(KEYS.seal(sid, &owner).as_deref(), Some(tag), "one tag has one spelling");
    }
    let owner = owner_of(owner);
    let sealed = KEYS.seal(sid, &owner).expect("it can be sealed");
    assert_eq!(KEYS.open(sid, &sealed), Some(owner));
    assert_eq!(KEYS.open(&format!("{sid}x"), &sealed), None);
    assert_eq!(KEYS.open(sid, &format!("{sealed}{tag}")).is_some(), tag.is_empty());
}

fn owner_of(bytes: &[u8; 27]) -> Owner {
    let [kind, ip @ ..] = bytes;
    let (ip, rest) = ip.split_first_chunk::<16>().expect("26 bytes");
    let (pod, port) = rest.split_first_chunk::<8>().expect("10 bytes");
    let ip = if kind % 2 == 0 {
        IpAddr::V4(Ipv4Addr::new(ip[0], ip[1], ip[2], ip[3]))
    } else {
        IpAddr::V6(Ipv6Addr::from(*ip)).to_canonical()
    };
    Owner { ip, pod: PodDigest(*pod), app_port: u16::from_be_bytes([port[0], port[1]]) }
}
