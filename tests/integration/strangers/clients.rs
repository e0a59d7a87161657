//! The port for clients: those that are idle make room, those that work are never cut.

use std::time::{Duration, Instant};

use support::harness::{Config, Place, Recorder, Scripted, Sidecar, Wire, ask, eventually, get};

use super::{alone, raise_descriptor_limit, stranger};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\n";

async fn request(place: &Place) -> Wire {
    let mut client = Wire::connect(place.clients()).await;
    client.send(get("/x")).await;
    assert_eq!(client.answer().await.status, 200);
    client
}

#[tokio::test]
async fn at_the_limit_the_longest_idle_connection_makes_room() {
    let _alone = alone().await;
    let (config, place) = (Config::new("enforce").await, Place::new());
    let _app = Recorder::start(place.app(), OK).await;
    let mut sidecar = Sidecar::start_with(&config, &place, &["--max-connections", "5"]).await;
    let mut open = Vec::new();
    for _ in 0..5 {
        open.push(request(&place).await);
    }
    // The first one is used again, so that the second one has been idle longest.
    open[0].send(get("/y")).await;
    assert_eq!(open[0].answer().await.status, 200);
    let started = Instant::now();
    open.push(request(&place).await);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    open.remove(1).ended().await;
    for client in &mut open {
        client.send(get("/z")).await;
        assert_eq!(client.answer().await.status, 200, "nobody else was closed");
    }
    assert_eq!(sidecar.metric("connections_open", &["from=\"client\""]).await, 5);
    assert_eq!(sidecar.metric("connection_limit_total", &["from=\"client\""]).await, 1);
    assert_eq!(sidecar.metric("connections_evicted_total", &["limit=\"client\""]).await, 1);
    let line = sidecar.process.line_with("connection limit reached").await;
    assert!(line.contains("--max-connections") && line.contains("sidecar.maxConnections"), "{line}");

    drop(open);
    eventually("all are closed", async || sidecar.metric("connections_open", &[]).await == 0).await;
    request(&place).await;
}

#[tokio::test]
async fn requests_under_way_are_never_cut_and_readiness_says_that_the_pod_is_full() {
    let _alone = alone().await;
    let (config, place) = (Config::new("enforce").await, Place::new());
    let app = Scripted::bind(place.app()).await;
    let _sidecar = Sidecar::start_with(&config, &place, &["--max-connections", "2"]).await;
    let mut hanging = Vec::new();
    for _ in 0..2 {
        let mut client = Wire::connect(place.clients()).await;
        client.send(get("/poll")).await;
        let mut at_app = app.accept().await;
        at_app.head().await;
        hanging.push((client, at_app));
    }
    let mut waiting = Wire::connect(place.clients()).await;
    waiting.send(get("/x")).await;
    waiting.is_silent(Duration::from_millis(1200)).await;
    // `/readyz` connects to the application, which this test accepts.
    let readyz = async || ask(place.admin(), &get("/readyz")).await;
    eventually("readiness tells the truth", async || {
        let answer = readyz().await;
        answer.status == 503 && answer.text().contains("--max-connections")
    })
    .await;
    let (mut client, mut at_app) = hanging.pop().unwrap();
    at_app.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");
    // Its connection is idle now, and makes room.
    client.ended().await;
    eventually("the pod is ready again", async || readyz().await.status == 200).await;
    let (mut client, mut at_app) = hanging.pop().unwrap();
    at_app.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok", "it was never cut");
}

#[tokio::test]
async fn thousands_of_idle_connections_lock_nobody_out() {
    let _alone = alone().await;
    raise_descriptor_limit();
    let (config, place) = (Config::new("enforce").await, Place::new());
    let _app = Recorder::start(place.app(), OK).await;
    let _sidecar = Sidecar::start_with(&config, &place, &["--max-connections", "1000"]).await;
    let mut idle = Vec::new();
    for n in 0..1000 {
        // Half of them have sent a request, and half of them nothing.
        if n % 2 == 0 {
            idle.push(request(&place).await);
        } else {
            idle.extend(stranger(place.clients(), n).await.map(Wire::new));
        }
    }
    for n in 0..50 {
        let started = Instant::now();
        idle.push(request(&place).await);
        assert!(started.elapsed() < Duration::from_secs(5), "newcomer {n}: {:?}", started.elapsed());
    }
}

async fn upgrade(place: &Place) -> Wire {
    let mut client = Wire::connect(place.clients()).await;
    let target = "/socket.io/?EIO=4&transport=websocket";
    client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n{UPGRADE}\r\n")).await;
    client
}

#[tokio::test]
async fn websockets_have_a_limit_of_their_own_and_take_no_place_of_requests() {
    let _alone = alone().await;
    let (config, place) = (Config::new("enforce").await, Place::new());
    let app = Scripted::bind(place.app()).await;
    let limits = ["--max-connections", "1", "--max-websockets", "2"];
    let sidecar = Sidecar::start_with(&config, &place, &limits).await;
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut client = upgrade(&place).await;
        let mut at_app = app.accept().await;
        at_app.head().await;
        at_app.send(format!("HTTP/1.1 101 Switching Protocols\r\n{UPGRADE}\r\n")).await;
        assert_eq!(client.answer().await.status, 101);
        open.push((client, at_app));
    }
    let mut refused = upgrade(&place).await;
    assert_eq!(refused.answer().await.status, 503);
    refused.ended().await;
    drop(refused);
    assert_eq!(sidecar.metric("failures_total", &["cause=\"websocket_limit\""]).await, 1);
    assert_eq!(sidecar.metric("websockets_open", &["from=\"client\""]).await, 2);

    let mut client = Wire::connect(place.clients()).await;
    client.send(get("/x")).await;
    let mut at_app = app.accept().await;
    at_app.head().await;
    at_app.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok", "a request finds a place");
    drop((client, at_app, open.pop()));
    eventually("its end is seen", async || {
        sidecar.metric("websockets_open", &["from=\"client\""]).await == 1
    })
    .await;
    let _again = upgrade(&place).await;
    app.accept().await.head().await;
}

#[tokio::test]
async fn a_source_with_a_limit_does_not_get_more() {
    let _alone = alone().await;
    let (config, place) = (Config::new("enforce").await, Place::new());
    let _app = Recorder::start(place.app(), OK).await;
    let sidecar = Sidecar::start_with(&config, &place, &["--max-connections-per-source", "2"]).await;
    let (first, _second) = (request(&place).await, request(&place).await);
    Wire::connect(place.clients()).await.ended().await;
    assert_eq!(sidecar.metric("connections_refused_total", &["limit=\"source_limit\""]).await, 1);
    // Another source is not concerned.
    let mut other = Wire::new(stranger(place.clients(), 1).await.unwrap());
    other.send(get("/x")).await;
    assert_eq!(other.answer().await.status, 200);
    drop(first);
    eventually("its place is free again", async || {
        sidecar.metric("connections_open", &["from=\"client\""]).await == 2
    })
    .await;
    request(&place).await;
}
