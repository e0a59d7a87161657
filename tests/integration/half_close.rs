//! A client that says it will send no more still gets its answer, unless its request is a poll.

use std::time::Duration;

use support::harness::polling::HANDSHAKE;
use support::harness::{Config, NodeServer, Place, Polling, Scripted, Sidecar, Wire, eventually, get, post};

#[tokio::test]
async fn a_request_is_answered_after_a_half_close_here_and_forwarded() {
    let (config, place, other) = (Config::new("enforce").await, Place::new(), Place::new());
    let _server = NodeServer::start("v4", place.app(), &[]).await;
    let _sidecar = Sidecar::start(&config, &place).await;
    let _other = Sidecar::start(&config, &other).await;
    let session = Polling::open(place.clients()).await;
    for (to, request) in [
        (&place, get("/x")),
        (&place, get(HANDSHAKE)),
        (&place, post("/x", "body")),
        (&place, post(&session.target(), "40")),
        (&other, post(&session.target(), "41")),
    ] {
        let mut client = Wire::connect(to.clients()).await;
        client.send(&request).await;
        client.finish().await;
        assert_eq!(client.answer().await.status, 200, "{request}");
        client.ended().await;
    }
}

#[tokio::test]
async fn pipelined_requests_are_all_answered_after_a_half_close() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let app = Scripted::bind(place.app()).await;
    let _sidecar = Sidecar::start(&config, &place).await;
    let mut client = Wire::connect(place.clients()).await;
    client.send(get("/1") + &get("/2")).await;
    client.finish().await;
    for at in ["/1", "/2"] {
        let mut server = app.accept().await;
        assert!(server.head().await.starts_with(&format!("GET {at} ")));
        // Long after the half-close, and with a body longer than one write.
        tokio::time::sleep(Duration::from_millis(200)).await;
        server
            .send(format!("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{}", "x".repeat(100_000)))
            .await;
        assert_eq!(client.answer().await.body.len(), 100_000);
    }
    client.ended().await;
}

#[tokio::test]
async fn a_poll_ends_with_a_half_close() {
    let (config, place, other) = (Config::new("enforce").await, Place::new(), Place::new());
    let server = NodeServer::start("v4", place.app(), &[]).await;
    let sidecar = Sidecar::start(&config, &place).await;
    let _other = Sidecar::start(&config, &other).await;
    for (ended, through) in [(1, &place), (2, &other)] {
        let session = Polling::join(place.clients()).await;
        let mut poll = session.hang(through.clients()).await;
        poll.is_silent(Duration::from_millis(300)).await;
        poll.finish().await;
        eventually("the server sees the abort", async || server.transport_ends().await == ended).await;
    }
    assert_eq!(sidecar.metric("failures_total", &["cause=\"client_gone\""]).await, 2);
}

#[tokio::test]
async fn a_half_closed_client_waits_no_longer_than_the_stall_timeout() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let app = Scripted::bind(place.app()).await;
    let sidecar = Sidecar::start_with(&config, &place, &["--stall-timeout", "1"]).await;
    // One has gone for good, which looks the same until something is written to it.
    for gone in [false, true] {
        let mut client = Wire::connect(place.clients()).await;
        client.send(get("/hang")).await;
        let mut server = app.accept().await;
        server.head().await;
        client.finish().await;
        if gone {
            drop(client);
        } else {
            assert_eq!(client.answer().await.status, 504);
        }
        server.ended().await;
    }
    assert!(sidecar.metric("failures_total", &["cause=\"answer_stalled\""]).await >= 1);

    // Written to, it is noticed at once.
    let mut client = Wire::connect(place.clients()).await;
    client.send(get("/stream")).await;
    let mut server = app.accept().await;
    server.head().await;
    drop(client);
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let _ = server.try_send("x").await;
    server.ended().await;
    let gone = async || sidecar.metric("failures_total", &["cause=\"client_gone\""]).await;
    eventually("it is counted", async || gone().await >= 1).await;
}
