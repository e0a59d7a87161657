//! Passing the parts of HTTP/1.1 that are not simple.

use std::time::Duration;

use support::harness::{Config, NodeServer, Place, Polling, Scripted, Sidecar, Wire, ask, get};

/// A sidecar in front of a scripted application.
async fn start() -> (Sidecar, Scripted) {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let app = Scripted::bind(place.app()).await;
    // So that one connection at the application shows how each request ends.
    (Sidecar::start_with(&config, &place, &["--app-keep-alive", "always"]).await, app)
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_over_one_connection() {
    let (sidecar, app) = start().await;
    let mut client = Wire::connect(sidecar.place.clients()).await;
    let post = "POST /two HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";
    client.send(format!("{}{post}{}", get("/one"), get("/three"))).await;
    let mut at_app = app.accept().await;
    for (line, body) in [("GET /one ", ""), ("POST /two ", "abc"), ("GET /three ", "")] {
        let head = at_app.head().await;
        assert!(head.starts_with(line), "{head}");
        assert_eq!(at_app.body(&head).await, body.as_bytes());
        // The next request is not sent before this answer.
        at_app.is_silent(Duration::from_millis(50)).await;
        at_app.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{line}", line.len())).await;
    }
    for line in ["GET /one ", "POST /two ", "GET /three "] {
        assert_eq!(client.answer().await.text(), line);
    }
}

#[tokio::test]
async fn answers_without_a_body_leave_the_connection_in_step() {
    let (sidecar, app) = start().await;
    let mut client = Wire::connect(sidecar.place.clients()).await;
    client.send("HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut at_app = app.accept().await;
    assert!(at_app.head().await.starts_with("HEAD "));
    at_app.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n").await;
    assert_eq!(client.answer_to_head().await.header("content-length"), Some("1000"));
    for (status, fields) in [(204, ""), (304, "Content-Length: 1000\r\nETag: \"x\"\r\n"), (304, "")] {
        client.send(get("/x")).await;
        at_app.head().await;
        at_app.send(format!("HTTP/1.1 {status} Fine\r\n{fields}\r\n")).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.body.len()), (status, 0));
        assert!(answer.head.contains(fields));
    }
    client.send(get("/last")).await;
    at_app.head().await;
    at_app.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlast").await;
    assert_eq!(client.answer().await.text(), "last");
}

#[tokio::test]
async fn a_client_that_waits_for_100_continue_gets_it_from_the_application() {
    let (sidecar, app) = start().await;
    let mut client = Wire::connect(sidecar.place.clients()).await;
    client.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n").await;
    let mut at_app = app.accept().await;
    assert!(at_app.head().await.contains("Expect: 100-continue\r\n"));
    at_app.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 100);
    assert_eq!(client.answer().await.header("link"), Some("</a>"));
    client.send("abc").await;
    at_app.expect("abc").await;
    at_app.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nthen").await;
    assert_eq!(client.answer().await.text(), "then");
}

#[tokio::test]
async fn an_http_1_0_client_keeps_its_connection_when_it_asks_to() {
    let (sidecar, app) = start().await;
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let mut client = Wire::connect(sidecar.place.clients()).await;
    for asks in [true, true, false] {
        let connection = if asks { "Connection: keep-alive\r\n" } else { "" };
        client.send(format!("GET /x HTTP/1.0\r\n{connection}\r\n")).await;
        // The application may close as HTTP/1.0 asks, whatever its answer says.
        let mut at_app = app.accept().await;
        at_app.head().await;
        at_app.send(ok).await;
        let answer = client.answer().await;
        assert_eq!(answer.header("connection"), Some(if asks { "keep-alive" } else { "close" }));
    }
    client.ended().await;
}

#[tokio::test]
async fn an_http_1_0_client_gets_no_interim_answer() {
    let (sidecar, app) = start().await;
    let mut client = Wire::connect(sidecar.place.clients()).await;
    client.send("GET /x HTTP/1.0\r\n\r\n").await;
    let mut at_app = app.accept().await;
    at_app.head().await;
    at_app.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n").await;
    at_app.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
}

#[tokio::test]
async fn a_body_until_close_ends_both_connections() {
    let (sidecar, app) = start().await;
    let mut client = Wire::connect(sidecar.place.clients()).await;
    client.send(get("/x")).await;
    let mut at_app = app.accept().await;
    at_app.head().await;
    at_app.send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil").await;
    at_app.send(" the end").await;
    drop(at_app);
    let answer = client.answer().await;
    assert_eq!((answer.header("connection"), answer.text().as_str()), (Some("close"), "until the end"));
}

#[tokio::test]
async fn fields_that_concern_one_hop_do_not_pass_and_framing_cannot_be_taken_away() {
    let (sidecar, app) = start().await;
    let mut client = Wire::connect(sidecar.place.clients()).await;
    client
        .send(
            "POST /x HTTP/1.1\r\nHost: a\r\nConnection: content-length, hop, x-end\r\nKeep-Alive: 5\r\nHop: 1\r\n\
             X-End: 2\r\nProxy-Connection: close\r\nTE: trailers\r\nUpgrade: h2c\r\nContent-Length: 28\r\n\r\n\
             GET /a HTTP/1.1\r\nHost: a\r\n\r\n",
        )
        .await;
    let mut at_app = app.accept().await;
    let head = at_app.head().await;
    assert_eq!(head, "POST /x HTTP/1.1\r\nHost: a\r\nX-End: 2\r\nContent-Length: 28\r\n\r\n");
    // A body, no request.
    at_app.expect("GET /a HTTP/1.1\r\nHost: a\r\n\r\n").await;
    at_app
        .send("HTTP/1.1 200 OK\r\nConnection: hop\r\nHop: 1\r\nX-End: 2\r\nContent-Length: 0\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.head, "HTTP/1.1 200 OK\r\nX-End: 2\r\nContent-Length: 0\r\n\r\n");
}

#[tokio::test]
async fn what_follows_an_upgrade_at_once_passes_and_nothing_of_its_head_does_again() {
    let (sidecar, app) = start().await;
    let mut client = Wire::connect(sidecar.place.clients()).await;
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    client.send(format!("GET /x HTTP/1.1\r\nHost: a\r\nX-Once: 1\r\n{upgrade}a frame")).await;
    let mut at_app = app.accept().await;
    assert!(at_app.head().await.contains("X-Once: 1"));
    // Nothing is said to the application before it has agreed.
    at_app.is_silent(Duration::from_millis(200)).await;
    at_app.send(format!("HTTP/1.1 101 Switching Protocols\r\n{upgrade}another")).await;
    at_app.expect("a frame").await;
    assert!(client.head().await.starts_with("HTTP/1.1 101 "));
    client.expect("another").await;
    client.send(", and more").await;
    at_app.expect(", and more").await;
}

/// Request for a WebSocket of an nginx with the fields of its documentation, but without `proxy_http_version 1.1`.
#[tokio::test]
async fn a_websocket_asked_for_in_http_1_0_opens_here_and_forwarded() {
    let (config, owner, other) = (Config::new("enforce").await, Place::new(), Place::new());
    let _server = NodeServer::start("v4", owner.app(), &[]).await;
    let _sidecars = (Sidecar::start(&config, &owner).await, Sidecar::start(&config, &other).await);
    for at in [owner.clients(), other.clients()] {
        let session = Polling::join(owner.clients()).await;
        let target = session.target().replace("polling", "websocket");
        let mut client = Wire::connect(at).await;
        let fields = "Host: app\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\n\
                      Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        client.send(format!("GET {target} HTTP/1.0\r\n{fields}\r\n")).await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        assert!(head.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), "{head}");
        client.send(b"\x81\x86\0\0\0\x002probe").await;
        assert_eq!(client.exactly(8).await, b"\x81\x063probe");
    }
}

#[tokio::test]
async fn a_websocket_asked_for_in_http_1_0_is_not_refused_in_chunks() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let app = Scripted::bind(place.app()).await;
    let _sidecar = Sidecar::start(&config, &place).await;
    let mut client = Wire::connect(place.clients()).await;
    let fields = "Host: app\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\n\
                  Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    client.send(format!("GET /x HTTP/1.0\r\n{fields}\r\n")).await;
    let mut at_app = app.accept().await;
    at_app.head().await;
    at_app.send("HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.header("transfer-encoding")), (502, None));
}

#[tokio::test]
async fn a_target_may_name_the_default_port_of_its_scheme() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let _server = NodeServer::start("v4", place.app(), &[]).await;
    let _sidecar = Sidecar::start(&config, &place).await;
    for (target, host) in [("http://host:80/x", "host"), ("https://host/x", "host:443")] {
        let answer = ask(place.clients(), &format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        assert_eq!(answer.status, 200, "{target} {host}");
    }
}
