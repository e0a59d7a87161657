//! Whoever cannot prove to be a sidecar of this cluster is refused on both sides of a connection between peers.

use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, KeyPair};
use socketio_sidecar_core::certificates::{CertificateAuthority, Leaf};
use socketio_sidecar_core::config::{CA_FILE, CERTIFICATE_FILE, KEY_FILE, peer_domain};
use support::harness::config::CLUSTER;
use support::harness::peer::{Impostor, dial_as};
use support::harness::{Config, Place, Recorder, Sidecar, Wire, eventually, get};

const DAY: Duration = Duration::from_secs(86_400);
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nlocal";
const CA_NAME: &str = "socketio-affinity peers CA";

/// A cluster whose CA can still sign.
struct Cluster {
    config: Config,
    authority: CertificateAuthority,
}

impl Cluster {
    async fn new() -> Self {
        let (config, authority) =
            (Config::new("enforce").await, CertificateAuthority::generate(CA_NAME).unwrap());
        config.write(CA_FILE, &authority.certificate(SystemTime::now(), DAY).unwrap());
        let cluster = Self { config, authority };
        let leaf = cluster.leaf(CLUSTER, SystemTime::now());
        cluster.config.write(CERTIFICATE_FILE, &leaf.certificate);
        cluster.config.write(KEY_FILE, &leaf.key);
        cluster
    }

    /// A certificate of its CA that is valid for a day.
    fn leaf(&self, cluster: &str, from: SystemTime) -> Leaf {
        self.authority.issue(cluster, from, DAY).unwrap()
    }

    /// Certificates that strangers can show.
    fn wrong(&self) -> Vec<(&'static str, Leaf)> {
        let now = SystemTime::now();
        let namesake = CertificateAuthority::generate(CA_NAME).unwrap();
        vec![
            ("expired", self.leaf(CLUSTER, now - DAY * 2)),
            ("not valid yet", self.leaf(CLUSTER, now + DAY)),
            ("self-signed", self_signed()),
            ("of another CA with the same name", namesake.issue(CLUSTER, now, DAY).unwrap()),
            ("of another cluster under the same CA", self.leaf("another", now)),
            // The operator names a cluster by the UID of its SocketIoCluster, and gives each a CA of its own.
            (
                "of another SocketIoCluster",
                namesake.issue("4b2f0a52-6d0e-4f6a-9f43-0d8a2f1c9e77", now, DAY).unwrap(),
            ),
        ]
    }
}

fn self_signed() -> Leaf {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![format!("*.{}", peer_domain(CLUSTER))]).unwrap();
    Leaf { certificate: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
}

/// The ClientHello of a client that knows nothing newer than TLS 1.2 (RFC 5246 section 7.4.1.2).
fn tls_1_2_hello() -> Vec<u8> {
    let extensions = [
        &[0x00, 0x0a, 0x00, 0x06, 0x00, 0x04, 0x00, 0x1d, 0x00, 0x17][..], // supported_groups: x25519, secp256r1
        &[0x00, 0x0d, 0x00, 0x06, 0x00, 0x04, 0x04, 0x03, 0x08, 0x07], // signature_algorithms: P-256, Ed25519
        &[0x00, 0x0b, 0x00, 0x02, 0x01, 0x00],                         // ec_point_formats: uncompressed
    ]
    .concat();
    let mut body = vec![0x03, 0x03];
    body.extend([7; 32]);
    body.push(0);
    body.extend([0x00, 0x04, 0xc0, 0x2b, 0xc0, 0x2c]);
    body.extend([0x01, 0x00]);
    body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    body.extend(extensions);
    let mut message = vec![0x01, 0x00];
    message.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
    message.extend(body);
    let mut record = vec![0x16, 0x03, 0x01];
    record.extend(u16::try_from(message.len()).unwrap().to_be_bytes());
    record.extend(message);
    record
}

#[tokio::test]
async fn the_peer_port_refuses_and_counts_every_stranger() {
    let (cluster, place) = (Cluster::new().await, Place::new());
    let app = Recorder::start(place.app(), OK).await;
    let sidecar = Sidecar::start(&cluster.config, &place).await;
    let refused = async |count: u64| {
        eventually("they are counted", async || {
            sidecar.metric("failures_total", &["cause=\"peer_tls\""]).await == count
        })
        .await;
    };
    let request = get(&format!("/socket.io/?sid={}", cluster.config.tagged("abc", &place.owner())));

    let strangers = cluster.wrong();
    for (count, (what, leaf)) in (1..).zip(&strangers) {
        let dialled = dial_as(&place, &cluster.config, Some(leaf), &request).await;
        assert!(dialled.is_err(), "a certificate {what}");
        refused(count).await;
    }
    let nothing = dial_as(&place, &cluster.config, None, &request).await;
    assert!(nothing.is_err(), "no certificate");
    let mut old = Wire::connect(place.peers()).await;
    old.send(tls_1_2_hello()).await;
    let alert = old.rest().await;
    assert_eq!(alert.get(..1), Some(&[0x15][..]), "an alert for TLS 1.2: {alert:?}");
    assert_eq!(alert.last(), Some(&70), "protocol_version (RFC 8446 section 6.2): {alert:?}");
    let mut plain = Wire::connect(place.peers()).await;
    plain.send(&request).await;
    assert!(!plain.rest().await.starts_with(b"HTTP"), "plain HTTP");
    refused(strangers.len() as u64 + 3).await;
    assert_eq!(app.connections(), 0);

    let own = cluster.leaf(CLUSTER, SystemTime::now());
    let mut peer = dial_as(&place, &cluster.config, Some(&own), &request).await.unwrap();
    assert_eq!(peer.answer().await.text(), "local", "the control");
}

#[tokio::test]
async fn whoever_stands_at_the_owners_address_with_a_wrong_certificate_gets_nothing() {
    let (cluster, place) = (Cluster::new().await, Place::new());
    let _app = Recorder::start(place.app(), OK).await;
    let sidecar = Sidecar::start(&cluster.config, &place).await;
    let ask = async |owner: &Place| {
        let sid = cluster.config.tagged("abc", &owner.owner());
        let target = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
        support::harness::ask(place.clients(), &get(&target)).await.text()
    };
    let mut strangers: Vec<_> = cluster.wrong().into_iter().map(|(what, leaf)| (what, Some(leaf))).collect();
    strangers.push(("none, and no TLS", None));
    for (count, (what, leaf)) in strangers.iter().enumerate() {
        let owner = Place::new();
        let impostor = Impostor::start(&owner, leaf.as_ref()).await;
        assert_eq!(ask(&owner).await, "local", "a certificate {what}");
        let told = impostor.told();
        assert!(!told.contains("HTTP") && !told.contains("abc"), "a certificate {what}: {told:?}");
        assert_eq!(
            sidecar.metric("owner_gone_total", &["reason=\"identity\""]).await,
            count as u64 + 1,
            "{what}"
        );
    }
    let owner = Place::new();
    let impostor = Impostor::start(&owner, Some(&cluster.leaf(CLUSTER, SystemTime::now()))).await;
    assert_eq!(ask(&owner).await, "impostor", "the control");
    assert!(impostor.told().contains("sid=abc."));
}
