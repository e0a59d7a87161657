//! Sockets of a sidecar that meets every forgery: all connections in its network namespace are accounted for.
//!
//! Every address is local in that namespace, so that any `connect` sends a SYN, and the kernel counts it (`ActiveOpens` in
//! `/proc/net/snmp`). The count must be the sum of the connections that clients opened and of those that the application
//! and the owners accepted.

#[path = "../../../sidecar/core/src/ownership/forgery/spellings.rs"]
mod spellings;

use std::fs;
use std::net::IpAddr;
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use socketio_sidecar_core::config::TAG_KEYS_FILE;
use socketio_sidecar_core::owner_tag::KeyRing;
use support::harness::config::CLUSTER;
use support::harness::peer::{Impostor, own_leaf};
use support::harness::{Config, Place, Recorder, Sidecar, Wire, eventually, sidecar};
use support::network::ip;

const THIS_TEST: &str = "foreign_tags::sockets::whatever_a_client_sends_the_sidecar_connects_to_its_application_and_to_named_owners_alone";
const IN_NAMESPACE: &str = "SOCKETIO_TEST_IN_NAMESPACE";
const KEYS: [(u8, [u8; 32]); 2] = [(1, [1; 32]), (2, [2; 32])];
const UNKNOWN_SESSION: &str =
    "HTTP/1.1 400 Bad Request\r\nContent-Length: 41\r\n\r\n{\"code\":1,\"message\":\"Session ID unknown\"}";

#[tokio::test]
async fn whatever_a_client_sends_the_sidecar_connects_to_its_application_and_to_named_owners_alone() {
    if std::env::var_os(IN_NAMESPACE).is_none() {
        return run_in_namespace();
    }
    make_every_address_local();
    let (config, place) = (Config::new("enforce").await, Place::new());
    let keys: Vec<_> = KEYS.map(|(id, key)| json!({"id": id, "key": STANDARD.encode(key)})).into();
    config.write(TAG_KEYS_FILE, &json!({"sealWith": 1, "keys": keys}).to_string());
    let app = Recorder::start(place.app(), UNKNOWN_SESSION).await;
    let named = [("MnhRJWLdKT_sGkDsAAAA", 1, "10.0.0.2"), ("a.b", 1, "fd00::2"), ("other", 2, "10.0.0.3")];
    let mut owners = Vec::new();
    let mut targets = other_addresses();
    for (sid, key, ip) in named {
        let owner = owner_at(ip);
        owners.push(Impostor::start(&owner, Some(&own_leaf(&config))).await);
        let tag = ring(CLUSTER, key, KEYS[usize::from(key) - 1].1).seal(sid, &owner.owner()).unwrap();
        let given = format!("{sid}.{tag}");
        targets.push(spellings::target(&given));
        targets.extend(spellings::changed(&given));
        let anywhere = owner_at("192.0.2.1").owner();
        let forged = spellings::sealed_elsewhere(&given, CLUSTER, KEYS, |cluster, id, key| {
            ring(cluster, id, key).seal(sid, &anywhere).unwrap()
        });
        targets.extend(forged.iter().map(|sid| spellings::target(sid)));
    }
    assert!(targets.len() > 3338, "{}", targets.len());

    let sidecar = Sidecar::start(&config, &place).await;
    let (opened_before, accepted_before) = (active_opens(), app.connections());
    let accepted = || app.connections() + owners.iter().map(Impostor::accepted).sum::<usize>();
    let mut of_clients = 0;
    for targets in targets.chunks(50) {
        for target in targets {
            let mut client = Wire::connect(place.clients()).await;
            client
                .send(format!("GET {target} HTTP/1.1\r\nHost: 10.9.9.9\r\nConnection: close\r\n\r\n"))
                .await;
            assert!(client.rest().await.starts_with(b"HTTP/1.1 "), "no answer to {target}");
        }
        of_clients += targets.len();
        eventually(&format!("each connection is accounted for after {targets:#?}"), async || {
            active_opens() - opened_before == of_clients + accepted() - accepted_before
        })
        .await;
    }
    for owner in &owners {
        // A character of a good tag may be percent-encoded, and the tag is still good.
        assert!(owner.accepted() > 20, "an owner that a tag names was asked {} times", owner.accepted());
    }
    assert_eq!(sent_datagrams(), 0);
    drop(sidecar);

    // The control: a connection that nobody accepts is counted.
    let before = active_opens();
    std::net::TcpStream::connect("10.9.9.9:7901").unwrap_err();
    assert_eq!(active_opens(), before + 1);
}

/// Targets that name an address otherwise.
fn other_addresses() -> Vec<String> {
    let address = "10.9.9.9:7901";
    vec![
        format!("http://{address}/socket.io/?EIO=4&transport=polling"),
        format!("https://{address}/socket.io/?EIO=4&transport=polling&sid=a.b"),
        format!("//{address}/socket.io/?EIO=4&transport=polling"),
        format!("/socket.io/?EIO=4&transport=polling&sid=a.{address}"),
        format!("/socket.io/?EIO=4&transport=polling&sid={address}"),
        address.to_owned(),
    ]
}

fn owner_at(ip: &str) -> Place {
    let ip: IpAddr = ip.parse().unwrap();
    Place { ip, uid: format!("uid-of-{ip}") }
}

fn ring(cluster: &str, id: u8, key: [u8; 32]) -> KeyRing {
    KeyRing::new(cluster, id, [(id, &key[..])]).unwrap()
}

/// Runs this test again, alone in a network namespace.
fn run_in_namespace() {
    // Without root, the namespace belongs to a user namespace.
    let unprivileged: &[&str] =
        if rustix::process::geteuid().is_root() { &[] } else { &["--user", "--map-root-user"] };
    let output = Command::new("unshare")
        .args(unprivileged)
        .args(["--net", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", THIS_TEST, "--nocapture"])
        .env(IN_NAMESPACE, "1")
        .env("RUST_BACKTRACE", "0")
        .env("SOCKETIO_SIDECAR_PROGRAM", sidecar::program())
        .output()
        .expect("unshare cannot be run; install util-linux");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}\nWhere unshare is refused: run this test as root, or allow user namespaces."
    );
}

/// Brings up the loopback device, and routes every address to it.
fn make_every_address_local() {
    for arguments in [
        "link set lo up",
        "route add local default dev lo",
        "-6 route add local default dev lo",
        // Only an address of its own can be bound in IPv6.
        "-6 address add fd00::2/128 dev lo",
    ] {
        ip(arguments).unwrap();
    }
}

/// Number of TCP connections that were opened in this namespace, refused ones included.
fn active_opens() -> usize {
    counter("Tcp: ", "ActiveOpens")
}

/// Number of UDP datagrams that were sent in this namespace. Looking up a name sends one.
fn sent_datagrams() -> usize {
    let ipv6 = fs::read_to_string("/proc/net/snmp6").unwrap();
    let of_ipv6 = ipv6.lines().find_map(|line| line.strip_prefix("Udp6OutDatagrams")).unwrap();
    counter("Udp: ", "OutDatagrams") + of_ipv6.trim().parse::<usize>().unwrap()
}

/// A counter of `/proc/net/snmp`, whose TCP counters are those of both IP versions.
fn counter(protocol: &str, name: &str) -> usize {
    let counters = fs::read_to_string("/proc/net/snmp").unwrap();
    let mut lines = counters.lines().filter_map(|line| line.strip_prefix(protocol));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let at = names.split(' ').position(|each| each == name).unwrap();
    values.split(' ').nth(at).unwrap().parse().unwrap()
}
