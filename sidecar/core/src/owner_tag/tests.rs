use super::*;
use proptest::prelude::*;

const KEY_A: [u8; 32] = [1; 32];
const KEY_B: [u8; 32] = [2; 32];
const SID: &str = "MnhRJWLdKT_sGkDsAAAA";

fn ring(cluster: &str, seal_with: u8, keys: &[(u8, &[u8])]) -> KeyRing {
    KeyRing::new(cluster, seal_with, keys.iter().copied()).unwrap()
}

fn owner(ip: &str) -> Owner {
    Owner { ip: ip.parse().unwrap(), pod: PodDigest::of_uid("pod-1"), app_port: 3000 }
}

#[test]
fn what_was_sealed_opens_and_is_short_and_unreserved() {
    let ring = ring("cluster-1", 3, &[(3, &KEY_A)]);
    for (ip, length) in [("10.244.1.7", 42), ("fd00::7", 58)] {
        let tag = ring.seal(SID, &owner(ip)).unwrap();
        assert_eq!(tag.len(), length);
        assert!(
            tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'),
            "{tag}"
        );
        assert_eq!(ring.open(SID, &tag), Some(owner(ip)));
    }
}

#[test]
fn a_mapped_ipv4_address_is_an_ipv4_address() {
    let ring = ring("c", 0, &[(0, &KEY_A)]);
    let tag = ring.seal(SID, &owner("::ffff:10.0.0.1")).unwrap();
    assert_eq!(ring.open(SID, &tag), Some(owner("10.0.0.1")));
}

#[test]
fn a_tag_is_worth_nothing_elsewhere() {
    let here = ring("cluster-1", 1, &[(1, &KEY_A)]);
    let tag = here.seal(SID, &owner("10.0.0.1")).unwrap();
    assert_eq!(here.open("anotherSid", &tag), None, "with another sid");
    assert_eq!(ring("cluster-2", 1, &[(1, &KEY_A)]).open(SID, &tag), None, "in another cluster");
    assert_eq!(ring("cluster-1", 1, &[(1, &KEY_B)]).open(SID, &tag), None, "under another key");
    assert_eq!(ring("cluster-1", 2, &[(2, &KEY_A)]).open(SID, &tag), None, "under another key id");
}

#[test]
fn the_cluster_and_the_sid_cannot_be_shifted_into_each_other() {
    let tag = ring("ab", 1, &[(1, &KEY_A)]).seal("cd", &owner("10.0.0.1")).unwrap();
    assert_eq!(ring("a", 1, &[(1, &KEY_A)]).open("bcd", &tag), None);
    assert_eq!(ring("abc", 1, &[(1, &KEY_A)]).open("d", &tag), None);
}

#[test]
fn keys_rotate_without_losing_a_session() {
    let before = ring("c", 1, &[(1, &KEY_A)]);
    let accepts_new = ring("c", 1, &[(1, &KEY_A), (2, &KEY_B)]);
    let seals_new = ring("c", 2, &[(1, &KEY_A), (2, &KEY_B)]);
    let retired = ring("c", 2, &[(2, &KEY_B)]);
    let old_tag = before.seal(SID, &owner("10.0.0.1")).unwrap();
    let new_tag = seals_new.seal(SID, &owner("10.0.0.1")).unwrap();
    for ring in [&accepts_new, &seals_new] {
        assert!(ring.open(SID, &old_tag).is_some() && ring.open(SID, &new_tag).is_some());
    }
    assert_eq!(retired.open(SID, &old_tag), None);
    assert!(retired.open(SID, &new_tag).is_some());
}

#[test]
fn a_key_ring_that_cannot_work_is_refused() {
    let make = |cluster: &str, seal: u8, keys: &[(u8, &[u8])]| {
        KeyRing::new(cluster, seal, keys.iter().copied()).unwrap_err()
    };
    assert_eq!(make("c", 16, &[(16, &KEY_A)]), KeyRingRefusal::KeyId(16));
    assert_eq!(make("c", 1, &[(1, &KEY_A), (1, &KEY_B)]), KeyRingRefusal::Repeated(1));
    assert_eq!(make("c", 1, &[(1, &KEY_A[..16])]), KeyRingRefusal::Length(1));
    assert_eq!(make("c", 2, &[(1, &KEY_A)]), KeyRingRefusal::NoSealingKey(2));
    assert_eq!(make("", 1, &[(1, &KEY_A)]), KeyRingRefusal::NoCluster);
}

#[test]
fn the_format_stays_what_released_sidecars_read() {
    let tag = ring("cluster-1", 1, &[(1, &KEY_A)]).seal(SID, &owner("10.244.1.7")).unwrap();
    assert_eq!(tag, "EasTQuxUjx1E_b0MrTGEkSQYfaotmdoTh-AaFuevNA");
}

proptest! {
    #[test]
    fn every_owner_comes_back(
        sid in "\\PC{0,80}", ip in any::<[u8; 16]>(), four in any::<bool>(), pod in any::<[u8; 8]>(), app_port in any::<u16>()
    ) {
        let ring = ring("c", 0, &[(0, &KEY_A)]);
        let ip = if four { IpAddr::V4(Ipv4Addr::new(ip[0], ip[1], ip[2], ip[3])) } else { IpAddr::V6(ip.into()) };
        let owner = Owner { ip: ip.to_canonical(), pod: PodDigest(pod), app_port };
        let tag = ring.seal(&sid, &owner).unwrap();
        prop_assert_eq!(ring.open(&sid, &tag), Some(owner));
    }

    #[test]
    fn every_length_of_sid_and_cluster_comes_back(sid in 0usize..300, cluster in 1usize..300) {
        let (ring, sid) = (ring(&"c".repeat(cluster), 0, &[(0, &KEY_A)]), "s".repeat(sid));
        let tag = ring.seal(&sid, &owner("10.0.0.1")).unwrap();
        prop_assert_eq!(ring.open(&sid, &tag), Some(owner("10.0.0.1")));
        prop_assert_eq!(ring.open(&format!("{sid}s"), &tag), None);
    }

    #[test]
    fn a_changed_shortened_or_lengthened_tag_never_opens(at in 0usize..42, with in "[A-Za-z0-9_=.+/ -]", keep in 0usize..42) {
        let ring = ring("c", 0, &[(0, &KEY_A)]);
        let tag = ring.seal(SID, &owner("10.0.0.1")).unwrap();
        prop_assert_eq!(ring.open(SID, &tag[..keep]), None);
        prop_assert_eq!(ring.open(SID, &format!("{tag}{with}")), None);
        let changed = [&tag[..at], &with, &tag[at + 1..]].concat();
        // The last character holds two bits only: other spellings of them must be refused as well.
        prop_assert_eq!(ring.open(SID, &changed).is_some(), changed == tag);
    }

    #[test]
    fn no_text_makes_opening_fail_otherwise(tag in "\\PC{0,200}") {
        prop_assert_eq!(ring("c", 0, &[(0, &KEY_A)]).open(SID, &tag), None);
    }
}
