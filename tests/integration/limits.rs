//! Limits of the memory and the time that one client can take up.

use std::time::{Duration, Instant};

use support::harness::{Config, Place, Recorder, Scripted, Sidecar, Wire, eventually, get};
use tokio::net::TcpSocket;

#[tokio::test]
async fn a_client_that_always_leaves_something_behind_does_not_make_the_sidecar_grow() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let _app = Recorder::start(place.app(), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let sidecar = Sidecar::start(&config, &place).await;
    let mut client = Wire::connect(place.clients()).await;
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(12_000));
    let (start, rest) = request.split_at(20);
    client.send(start).await;
    let before = sidecar.resident();
    for _ in 0..1000 {
        client.send(format!("{rest}{start}")).await;
        assert_eq!(client.answer().await.status, 200);
    }
    let grown = sidecar.resident().saturating_sub(before);
    assert!(grown < 4 << 20, "1000 requests of 12 KB left {grown} bytes behind");
}

#[tokio::test]
async fn empty_lines_do_not_keep_a_connection() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let _sidecar = Sidecar::start_with(&config, &place, &["--head-timeout", "2"]).await;
    let mut client = Wire::connect(place.clients()).await;
    client.send("\r\n").await;
    assert_eq!(client.answer().await.status, 408, "one may come before a request, which must then come");
    let mut client = Wire::connect(place.clients()).await;
    client.send("\r\n\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 400);
}

#[tokio::test]
async fn a_body_that_trickles_ends_and_an_answer_that_trickles_goes_on() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let app = Scripted::bind(place.app()).await;
    let sidecar = Sidecar::start_with(&config, &place, &["--body-timeout", "2"]).await;
    let mut client = Wire::connect(place.clients()).await;
    let mut started = Instant::now();
    client.send("POST /x HTTP/1.1\r\nHost: test\r\nContent-Length: 1000\r\n\r\n").await;
    let mut server = app.accept().await;
    server.head().await;
    while started.elapsed() < Duration::from_millis(1_500) {
        client.send("x").await;
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    assert_eq!(client.answer().await.status, 408);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert_eq!(sidecar.metric("failures_total", &["cause=\"body_timeout\""]).await, 1);

    let mut client = Wire::connect(place.clients()).await;
    client.send(get("/events")).await;
    let mut server = app.accept().await;
    server.head().await;
    server.send("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n").await;
    started = Instant::now();
    for _ in 0..12 {
        server.send("x").await;
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    assert_eq!(client.answer().await.text(), "x".repeat(12));
    assert!(started.elapsed() > Duration::from_secs(2));
}

#[tokio::test]
async fn clients_that_do_not_read_end_when_the_budget_runs_short_and_others_are_served() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 8000000\r\n\r\n{}", "x".repeat(8_000_000));
    let _app = Recorder::start(place.app(), answer.leak()).await;
    let sidecar = Sidecar::start_with(&config, &place, &["--max-buffered", "4"]).await;
    let mut silent = Vec::new();
    for _ in 0..40 {
        let mut client = Wire::connect(place.clients()).await;
        client.send(get("/x")).await;
        silent.push(client);
    }
    // Far sooner than the stall timeout of 60 s.
    let ended = async || sidecar.metric("buffered_ended_total", &[]).await;
    eventually("silent clients end", async || ended().await > 10).await;
    let held = async || sidecar.metric("buffered_bytes", &[]).await;
    eventually("half of the budget is left", async || held().await <= 2 << 20).await;
    let mut client = Wire::connect(place.clients()).await;
    client.send(get("/y")).await;
    assert_eq!(client.answer().await.body.len(), 8_000_000);
    drop(silent);
    eventually("nothing is held", async || held().await == 0).await;
}

#[tokio::test]
async fn heads_that_stay_incomplete_share_the_budget_and_others_are_served() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let _app = Recorder::start(place.app(), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let sidecar = Sidecar::start_with(&config, &place, &["--max-buffered", "1"]).await;
    let before = sidecar.resident();
    let started = Instant::now();
    let mut incomplete = Vec::new();
    for _ in 0..400 {
        let mut client = Wire::connect(place.clients()).await;
        client.send(format!("GET /x HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(30_000))).await;
        incomplete.push(client);
    }
    let held = async || sidecar.metric("buffered_bytes", &[]).await;
    let refused = async || sidecar.metric("failures_total", &["cause=\"budget\""]).await;
    eventually("all but a few heads are refused", async || refused().await > 350).await;
    // Those that were refused have not closed yet.
    let grown = sidecar.resident().saturating_sub(before);
    assert!(grown < 8 << 20, "400 heads of 30 KB take {grown} bytes");
    eventually("half of the budget is left", async || held().await <= 512 << 10).await;
    assert!(
        started.elapsed() < Duration::from_secs(14),
        "the head timeout ends none: {:?}",
        started.elapsed()
    );
    let mut client = Wire::connect(place.clients()).await;
    client.send(get("/y")).await;
    assert_eq!(client.answer().await.text(), "ok");
    drop(incomplete);
    eventually("nothing is held", async || held().await == 0).await;
}

#[tokio::test]
async fn requests_that_wait_for_a_connection_share_the_budget() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    // An application that accepts nothing. Its queue has room for one connection.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(place.app()).unwrap();
    let app = socket.listen(0).unwrap();
    let _first = Wire::connect(place.app()).await;
    let sidecar = Sidecar::start_with(&config, &place, &["--max-buffered", "4"]).await;
    let mut waiting = Vec::new();
    for _ in 0..40 {
        let mut client = Wire::connect(place.clients()).await;
        client.send(format!("GET /x HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(30_000))).await;
        waiting.push(client);
    }
    let refused = async || sidecar.metric("failures_total", &["cause=\"budget\""]).await;
    eventually("the budget ends some of them", async || refused().await > 10).await;
    assert_eq!(waiting.remove(39).answer().await.status, 503);
    drop((waiting, app));
    eventually("nothing is held", async || sidecar.metric("buffered_bytes", &[]).await == 0).await;
}

/// A client with a small receive buffer.
async fn small_client(place: &Place) -> Wire {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    Wire::new(socket.connect(place.clients()).await.unwrap())
}

#[tokio::test]
async fn answers_that_the_kernel_takes_whole_are_charged_until_their_clients_read_them() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n{}", "x".repeat(70_000));
    let _app = Recorder::start(place.app(), answer.leak()).await;
    let sidecar = Sidecar::start_with(&config, &place, &["--max-buffered", "1"]).await;
    let held = async || sidecar.metric("buffered_bytes", &[]).await;
    let mut first = small_client(&place).await;
    first.send(get("/x")).await;
    eventually("a client that does not read is charged", async || held().await > 70_000).await;
    assert!(held().await < 80_000, "{}", held().await);
    let complete = async || sidecar.metric("local_request_seconds_count", &[]).await;
    eventually("the answer is complete for the application", async || complete().await == 1).await;
    let mut second = small_client(&place).await;
    second.send(get("/x")).await;
    eventually("a second one is charged", async || held().await > 140_000).await;
    first.send(get(&format!("/{}", "x".repeat(6000)))).await;
    eventually("what waits to be read is charged", async || held().await > 250_000).await;
    for client in [&mut first, &mut second] {
        assert_eq!(client.answer().await.body.len(), 70_000);
    }
    // The next request on the connection is served.
    assert_eq!(first.answer().await.body.len(), 70_000);
    eventually("clients that have read are not charged", async || held().await == 0).await;

    let mut silent = Vec::new();
    for _ in 0..40 {
        let mut client = small_client(&place).await;
        client.send(get("/x")).await;
        silent.push(client);
    }
    let ended = async || sidecar.metric("buffered_ended_total", &[]).await;
    eventually("silent clients end", async || ended().await > 10).await;
    eventually("a quarter of the budget is left", async || held().await <= 3 << 18).await;
    first.send(get("/x")).await;
    assert_eq!(first.answer().await.body.len(), 70_000);
    drop(silent);
    eventually("nothing is held", async || held().await == 0).await;
}

#[tokio::test]
async fn messages_that_the_kernel_takes_whole_are_charged_until_their_client_reads_them() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let app = Scripted::bind(place.app()).await;
    let sidecar = Sidecar::start(&config, &place).await;
    let mut client = small_client(&place).await;
    client
        .send(
            "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        .await;
    let mut server = app.accept().await;
    server.head().await;
    server
        .send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        .await;
    assert!(client.head().await.starts_with("HTTP/1.1 101 "));
    // None of them is much alone.
    let message = [&[0x82, 126, 0x13, 0x88][..], &[b'x'; 5000]].concat();
    for _ in 0..12 {
        server.send(&message).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let held = async || sidecar.metric("buffered_bytes", &[]).await;
    eventually("a client that does not read is charged", async || held().await > 60_000).await;
    client.exactly(12 * message.len()).await;
    eventually("a client that has read is not", async || held().await == 0).await;
    server.send(&message).await;
    client.exactly(message.len()).await;
}

#[tokio::test]
async fn an_answer_that_is_not_complete_yet_is_not_charged() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let app = Scripted::bind(place.app()).await;
    let sidecar = Sidecar::start(&config, &place).await;
    let mut client = Wire::connect(place.clients()).await;
    client.send(get("/socket.io/?EIO=4&transport=polling")).await;
    let mut server = app.accept().await;
    server.head().await;
    let packet = r#"0{"sid":"abc","upgrades":[],"pingInterval":1,"pingTimeout":1}"#;
    let length = packet.len();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n0");
    server.send(head).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(sidecar.metric("buffered_bytes", &[]).await, 0);
    server.send(&packet[1..]).await;
    assert!(client.answer().await.text().starts_with("0{"));
}

#[tokio::test]
async fn a_request_that_waits_holds_little() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let app = Scripted::bind(place.app()).await;
    let sidecar = Sidecar::start_with(&config, &place, &["--stall-timeout", "1"]).await;
    let head = format!("GET /hang HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(30_000));
    let mut open = Vec::new();
    let mut before = 0;
    for count in 0..220 {
        if count == 20 {
            before = sidecar.resident();
        }
        let mut client = Wire::connect(place.clients()).await;
        // The beginning of another request comes with it.
        client.send(format!("{head}GET /")).await;
        let mut server = app.accept().await;
        server.head().await;
        open.push((client, server));
    }
    let grown = sidecar.resident().saturating_sub(before);
    assert!(grown < 4 << 20, "200 requests hold {grown} bytes");

    // A client that sends more than 16 KiB ahead is charged for it, and let go after the stall timeout.
    let (mut client, mut server) = open.pop().unwrap();
    client.send("x".repeat(17_000)).await;
    eventually("it is charged", async || sidecar.metric("buffered_bytes", &[]).await > 0).await;
    server.ended().await;
}
