//! Limits for each source, where an edge stands between: the source is who the edge names.

use serde_json::{Value, json};
use std::net::IpAddr;
use std::time::Instant;
use support::harness::{Config, Place, Scripted, Sidecar, Wire, eventually};

use super::*;

/// The edge that is trusted, and a client that comes past it.
const EDGE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 77);
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 78);
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// A sidecar that allows 2 connections to a source, and its application.
struct Limited {
    sidecar: Sidecar,
    app: Scripted,
}

impl Limited {
    async fn start(settings: &Value) -> Self {
        let (config, place) = (Config::new("enforce").await, Place::new());
        let _ = config.change(|config| {
            config["trustedProxies"] = json!([format!("{EDGE}/32")]);
            for (key, value) in settings.as_object().unwrap() {
                config[key] = value.clone();
            }
        });
        let app = Scripted::bind(place.app()).await;
        let arguments = ["--max-connections-per-source", "2", "--app-keep-alive", "never"];
        Self { sidecar: Sidecar::start_with(&config, &place, &arguments).await, app }
    }

    async fn connect(&self, from: Ipv4Addr) -> Wire {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(IpAddr::V4(from), 0)).unwrap();
        Wire::new(socket.connect(self.sidecar.place.clients()).await.unwrap())
    }

    /// Sends `request` from `from`. It reaches the application, whose end is the second.
    async fn passes(&self, from: Ipv4Addr, request: &str) -> (Wire, Wire) {
        let mut wire = self.connect(from).await;
        wire.send(request).await;
        let mut at_app = self.app.accept().await;
        at_app.head().await;
        (wire, at_app)
    }

    /// Sends `request` from [`EDGE`] until it passes. A client may read an answer just before its request ceases to count.
    async fn passes_soon(&self, request: &str) -> (Wire, Wire) {
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(3) {
            let mut wire = self.connect(EDGE).await;
            wire.send(request).await;
            tokio::select! {
                mut at_app = self.app.accept() => {
                    at_app.head().await;
                    return (wire, at_app);
                }
                answer = wire.answer() => assert_eq!(answer.status, 429),
            }
        }
        panic!("the source still has as many requests as it may");
    }

    /// The status of the answer to `request` from [`EDGE`], which never reaches the application.
    async fn refused(&self, request: &str) -> u16 {
        let mut wire = self.connect(EDGE).await;
        wire.send(request).await;
        let status = wire.answer().await.status;
        wire.ended().await;
        self.app.nobody_came().await;
        status
    }
}

fn request(forwarded_for: &str) -> String {
    format!("GET /x HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {forwarded_for}\r\n\r\n")
}

fn upgrade(forwarded_for: &str) -> String {
    let fields = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                  Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    format!("GET /x HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {forwarded_for}\r\n{fields}\r\n")
}

#[tokio::test]
async fn the_source_in_a_proxy_header_has_the_limit() {
    let limited = Limited::start(&json!({"proxyProtocol": true})).await;
    let header = |source: &str| format!("PROXY TCP4 {source} 10.0.0.1 1 443\r\n{}", request("6.6.6.6"));
    let first = limited.passes(EDGE, &header("192.0.2.1")).await;
    let _second = limited.passes(EDGE, &header("192.0.2.1")).await;
    let mut third = limited.connect(EDGE).await;
    third.send(header("192.0.2.1")).await;
    third.ended().await;
    limited.app.nobody_came().await;
    // Other sources are not concerned; nor is the load balancer, where it names nobody.
    let _other = limited.passes(EDGE, &header("192.0.2.2")).await;
    let unnamed = format!("PROXY UNKNOWN\r\n{}", request("6.6.6.6"));
    let _unnamed = (
        limited.passes(EDGE, &unnamed).await,
        limited.passes(EDGE, &unnamed).await,
        limited.passes(EDGE, &unnamed).await,
    );
    let refused =
        async || limited.sidecar.metric("connections_refused_total", &["limit=\"source_limit\""]).await;
    assert_eq!(refused().await, 1);
    // It counts as long as the connection is open, answered or not.
    let (mut client, mut at_app) = first;
    at_app.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");
    let mut third = limited.connect(EDGE).await;
    third.send(header("192.0.2.1")).await;
    third.ended().await;
    drop(client);
    let open = async || limited.sidecar.metric("connections_open", &["from=\"client\""]).await;
    eventually("its place is free again", async || open().await == 5).await;
    let _again = limited.passes(EDGE, &header("192.0.2.1")).await;
    assert_eq!(refused().await, 2);
}

#[tokio::test]
async fn the_client_that_a_trusted_proxy_names_has_the_limit() {
    let limited = Limited::start(&json!({})).await;
    let (mut edge, mut at_app) = limited.passes(EDGE, &request("6.6.6.6, 192.0.2.1")).await;
    let (mut websocket, mut upgraded) = limited.passes(EDGE, &upgrade("192.0.2.1")).await;
    upgraded
        .send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        .await;
    assert!(websocket.head().await.starts_with("HTTP/1.1 101 "));
    assert_eq!(limited.refused(&request("192.0.2.1")).await, 429);
    assert_eq!(limited.refused(&upgrade("192.0.2.1, 127.0.0.77")).await, 429);
    assert_eq!(limited.sidecar.metric("failures_total", &["cause=\"source_limit\""]).await, 2);
    // An answered request does not count, and the next one on the same connection is another client's.
    at_app.send(OK).await;
    assert_eq!(edge.answer().await.text(), "ok");
    let (_again, _at_app) = limited.passes_soon(&request("192.0.2.1")).await;
    assert_eq!(limited.refused(&request("192.0.2.1")).await, 429);
    edge.send(request("192.0.2.2")).await;
    let mut other = limited.app.accept().await;
    other.head().await;
    // The end of the WebSocket makes room.
    drop((websocket, upgraded));
    eventually("the WebSocket has ended", async || {
        limited.sidecar.metric("websockets_open", &["from=\"client\""]).await == 0
    })
    .await;
    let _more = limited.passes(EDGE, &request("192.0.2.1")).await;
}

#[tokio::test]
async fn a_connection_that_lingers_after_its_answer_does_not_count() {
    let limited = Limited::start(&json!({})).await;
    let http_1_0 = request("192.0.2.1").replace("HTTP/1.1", "HTTP/1.0");
    let mut open = Vec::new();
    for _ in 0..2 {
        let (mut edge, mut at_app) = limited.passes(EDGE, &http_1_0).await;
        at_app.send(OK).await;
        let answer = edge.answer().await;
        assert_eq!((answer.header("connection"), answer.text().as_str()), (Some("close"), "ok"));
        open.push(edge);
    }
    // The edge leaves these connections open.
    let _next = (limited.passes_soon(&http_1_0).await, limited.passes_soon(&http_1_0).await);
    assert_eq!(limited.refused(&http_1_0).await, 429);
}

#[tokio::test]
async fn a_trusted_proxy_that_names_nobody_has_no_limit_and_a_stranger_that_names_others_has() {
    let limited = Limited::start(&json!({})).await;
    let mut open = Vec::new();
    for _ in 0..4 {
        open.push(limited.passes(EDGE, "GET /x HTTP/1.1\r\nHost: a\r\n\r\n").await);
        open.push(limited.passes(EDGE, &request("unknown")).await);
    }
    open.push(limited.passes(STRANGER, &request("192.0.2.1")).await);
    open.push(limited.passes(STRANGER, &request("192.0.2.2")).await);
    limited.connect(STRANGER).await.ended().await;
    let refused = limited.sidecar.metric("connections_refused_total", &["limit=\"source_limit\""]).await;
    assert_eq!(refused, 1);
}
