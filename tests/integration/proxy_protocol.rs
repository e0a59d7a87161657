//! The PROXY protocol: required of the load balancers that are to send it, and taken from nobody else.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde_json::{Value, json};
use support::harness::wire::header;
use support::harness::{Config, Place, Recorder, Sidecar, Wire, get};
use tokio::net::TcpSocket;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
/// The load balancer, and somebody else.
const BALANCER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 77));
const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 78));
const REQUEST: &str =
    "GET /page HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n\r\n";

/// A sidecar that requires the header of [`BALANCER`], and its application.
struct Proxied {
    sidecar: Sidecar,
    app: Recorder,
}

async fn start() -> Proxied {
    start_with(json!({"proxyProtocol": true, "trustedProxies": ["127.0.0.77/32", "203.0.113.0/24"]})).await
}

async fn start_with(change: Value) -> Proxied {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let _ = config.change(|config| merge(config, &change));
    let app = Recorder::start(place.app(), OK).await;
    Proxied { sidecar: Sidecar::start_with(&config, &place, &["--head-timeout", "1"]).await, app }
}

fn merge(config: &mut Value, change: &Value) {
    for (key, value) in change.as_object().unwrap() {
        config[key] = value.clone();
    }
}

async fn connect(from: IpAddr, to: SocketAddr) -> Wire {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from, 0)).unwrap();
    Wire::new(socket.connect(to).await.unwrap())
}

impl Proxied {
    async fn connect(&self, from: IpAddr) -> Wire {
        connect(from, self.sidecar.place.clients()).await
    }

    /// The fields that name the client, of the last request.
    fn seen(&self) -> [Option<String>; 3] {
        let head = self.app.heads().pop().unwrap();
        ["x-forwarded-for", "x-real-ip", "x-forwarded-proto"]
            .map(|name| header(&head, name).map(str::to_owned))
    }

    async fn refused(&self) -> u64 {
        self.sidecar.metric("failures_total", &["cause=\"proxy_protocol\""]).await
    }
}

fn v2(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[0x20 | command, family][..], &length, payload].concat()
}

fn client(address: &str) -> [Option<String>; 3] {
    [Some(address.to_owned()), Some(address.to_owned()), None]
}

#[tokio::test]
async fn the_application_sees_the_client_that_the_header_names() {
    let proxied = start().await;
    let v6 = [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[1], &[0; 16], &[0x10, 0, 0, 80]].concat();
    for (named, address) in [
        (b"PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\n".to_vec(), "192.0.2.1"),
        (b"PROXY TCP6 2001:db8::1 2001:db8::2 4124 80\r\n".to_vec(), "2001:db8::1"),
        (v2(1, 0x11, &[192, 0, 2, 9, 10, 0, 0, 1, 0x10, 0, 0, 80, 4, 0, 1, 0]), "192.0.2.9"),
        (v2(1, 0x21, &v6), "2001:db8::1"),
        // Nobody is named: the load balancer's own address, and the client is not believed.
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.77"),
        (v2(0, 0, &[]), "127.0.0.77"),
    ] {
        let mut wire = proxied.connect(BALANCER).await;
        wire.send([&named[..], REQUEST.as_bytes()].concat()).await;
        assert_eq!(wire.answer().await.text(), "ok");
        assert_eq!(proxied.seen(), client(address));
        // The whole connection is the client's.
        wire.send(REQUEST).await;
        assert_eq!(wire.answer().await.text(), "ok");
        assert_eq!(proxied.seen(), client(address));
    }
    assert_eq!(proxied.refused().await, 0);
}

#[tokio::test]
async fn a_header_may_arrive_byte_by_byte() {
    let proxied = start().await;
    let mut wire = proxied.connect(BALANCER).await;
    for byte in v2(1, 0x11, &[192, 0, 2, 9, 10, 0, 0, 1, 0x10, 0, 0, 80]) {
        wire.send([byte]).await;
        tokio::task::yield_now().await;
    }
    wire.send(REQUEST).await;
    assert_eq!(wire.answer().await.text(), "ok");
    assert_eq!(proxied.seen(), client("192.0.2.9"));
}

#[tokio::test]
async fn a_trusted_proxy_behind_the_load_balancer_is_believed() {
    let proxied = start().await;
    let mut wire = proxied.connect(BALANCER).await;
    wire.send(format!("PROXY TCP4 203.0.113.5 10.0.0.1 1 443\r\n{REQUEST}")).await;
    assert_eq!(wire.answer().await.text(), "ok");
    assert_eq!(proxied.seen(), [Some("6.6.6.6".to_owned()), None, Some("https".to_owned())]);
}

#[tokio::test]
async fn a_connection_of_the_load_balancer_without_a_whole_header_is_refused() {
    let proxied = start().await;
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(100));
    let oversized = [&v2(1, 0x11, &[])[..14], &[0xff, 0xff]].concat();
    let bad: [&[u8]; 6] = [
        REQUEST.as_bytes(),
        b"PROXY TCP4 192.0.2.256 10.0.0.1 1 443\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        long.as_bytes(),
        b"PROXY TCP4 192.0.2.1 10.0.0.1 1 443\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        &oversized,
        // It never ends.
        b"PROXY TCP4 192.0.2.1",
    ];
    for (count, bytes) in bad.iter().enumerate() {
        let mut wire = proxied.connect(BALANCER).await;
        wire.send(bytes).await;
        wire.ended().await;
        assert_eq!(proxied.refused().await, count as u64 + 1, "{:?}", String::from_utf8_lossy(bytes));
    }
    // A health check that only connects, and one that is silent, are no failures.
    drop(proxied.connect(BALANCER).await);
    proxied.connect(BALANCER).await.ended().await;
    assert_eq!((proxied.refused().await, proxied.app.connections()), (6, 0));
    let lines = proxied.sidecar.process.lines();
    let said = lines.iter().filter(|line| line.contains("let it send PROXY protocol headers")).count();
    assert_eq!(said, 1, "once a minute: {lines:#?}");
}

#[tokio::test]
async fn nobody_else_may_send_a_header() {
    let header = "PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\n";
    let proxied = start().await;
    let mut plain = proxied.connect(STRANGER).await;
    plain.send(REQUEST).await;
    assert_eq!(plain.answer().await.text(), "ok");
    assert_eq!(proxied.seen(), client("127.0.0.78"));
    let mut forged = proxied.connect(STRANGER).await;
    forged.send(format!("{header}{REQUEST}")).await;
    assert_eq!(forged.answer().await.status, 400);

    // Nor is it looked for where it was not asked for.
    let off = start_with(json!({"trustedProxies": ["127.0.0.77/32"]})).await;
    let mut wire = off.connect(BALANCER).await;
    wire.send(format!("{header}{REQUEST}")).await;
    assert_eq!(wire.answer().await.status, 400);
    assert_eq!((proxied.app.heads().len(), off.app.heads().len()), (1, 0));
}

#[tokio::test]
async fn a_peer_port_takes_no_header() {
    let proxied = start().await;
    let mut wire = connect(BALANCER, proxied.sidecar.place.peers()).await;
    wire.send(format!("PROXY TCP4 192.0.2.1 10.0.0.1 1 443\r\n{}", get("/"))).await;
    assert!(!wire.rest().await.starts_with(b"HTTP"));
    assert_eq!(proxied.sidecar.metric("failures_total", &["cause=\"peer_tls\""]).await, 1);
    assert_eq!(proxied.app.connections(), 0);
}

#[tokio::test]
async fn a_forwarded_request_names_the_client_of_the_header() {
    let (config, here, owner) = (Config::new("enforce").await, Place::new(), Place::new());
    let _ = config.change(|config| {
        merge(config, &json!({"proxyProtocol": true, "trustedProxies": ["127.0.0.77/32"]}));
    });
    let app = Recorder::start(owner.app(), OK).await;
    let _sidecars = (Sidecar::start(&config, &here).await, Sidecar::start(&config, &owner).await);
    let target = format!("/socket.io/?EIO=4&transport=polling&sid={}", config.tagged("abc", &owner.owner()));
    let mut wire = connect(BALANCER, here.clients()).await;
    wire.send(format!("PROXY TCP4 192.0.2.1 10.0.0.1 1 443\r\n{}", get(&target))).await;
    assert_eq!(wire.answer().await.text(), "ok");
    let head = app.heads().remove(0);
    assert_eq!(header(&head, "x-forwarded-for"), Some("192.0.2.1"));
}

#[tokio::test]
async fn the_header_is_required_from_the_moment_that_the_setting_is_applied() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let app = Recorder::start(place.app(), OK).await;
    let sidecar = Sidecar::start(&config, &place).await;
    let mut before = connect(BALANCER, place.clients()).await;
    before.send(REQUEST).await;
    assert_eq!(before.answer().await.text(), "ok");
    let revision = config.change(|config| {
        merge(config, &json!({"proxyProtocol": true, "trustedProxies": ["127.0.0.77/32"]}));
    });
    sidecar.applies(&revision).await;
    // A connection that is open goes on.
    before.send(REQUEST).await;
    assert_eq!(before.answer().await.text(), "ok");
    let mut after = connect(BALANCER, place.clients()).await;
    after.send(REQUEST).await;
    after.ended().await;
    assert_eq!(app.heads().len(), 2);
}
