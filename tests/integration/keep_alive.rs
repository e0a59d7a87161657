//! Connections to the application are used again only while it keeps them, and no request is sent twice.

use std::time::Duration;

use socket2::SockRef;
use support::harness::{
    Config, NodeServer, Place, Polling, Scripted, Sidecar, Wire, ask, eventually, get, post,
};

async fn start() -> (Sidecar, Scripted) {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let app = Scripted::bind(place.app()).await;
    (Sidecar::start(&config, &place).await, app)
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn no_request_is_lost_over_idle_gaps_around_nodes_own_five_seconds() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let _server = NodeServer::start("v4", place.app(), &[]).await;
    let sidecar = Sidecar::start(&config, &place).await;
    let clients = place.clients();
    let gaps = [3_950, 4_000, 4_950, 5_000, 5_050, 5_900, 6_000, 6_050];
    let sessions = gaps.map(|gap| {
        tokio::spawn(async move {
            // One connection from the client throughout, as browsers have it.
            let session = Polling::join(clients).await;
            let mut client = Wire::connect(clients).await;
            for gap in [0, gap] {
                tokio::time::sleep(Duration::from_millis(gap)).await;
                client.send(post(&session.target(), "3")).await;
                let answer = client.answer().await;
                assert_eq!((answer.status, answer.text().as_str()), (200, "ok"), "after a gap of {gap} ms");
            }
        })
    });
    for session in sessions {
        session.await.unwrap();
    }
    assert_eq!(sidecar.metric("failures_total", &[]).await, 0);
}

#[tokio::test]
async fn a_connection_is_kept_for_less_long_than_the_application_says() {
    let (sidecar, app) = start().await;
    let said =
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\nKeep-Alive: timeout=2\r\n\r\nok";
    let mut client = Wire::connect(sidecar.place.clients()).await;
    client.send(get("/one")).await;
    let mut first = app.accept().await;
    first.head().await;
    first.send(said).await;
    client.answer().await;
    // At once, it is used again; for the client none of this shows.
    client.send(get("/two")).await;
    first.head().await;
    first.send(said).await;
    assert!(!client.answer().await.head.contains("Keep-Alive"), "that is for this hop");
    // It said 2 s; after 1 s we leave it alone, though it is still open.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    client.send(get("/three")).await;
    assert!(app.accept().await.head().await.starts_with("GET /three "));
    first.ended().await;
}

#[tokio::test]
async fn a_connection_that_the_application_closed_while_it_was_idle_is_not_used() {
    let (sidecar, app) = start().await;
    let mut client = Wire::connect(sidecar.place.clients()).await;
    for n in 0..20 {
        client.send(if n % 2 == 0 { get("/x") } else { post("/x", "abc") }).await;
        let mut at_app = app.accept().await;
        let head = at_app.head().await;
        at_app.body(&head).await;
        at_app.send(OK).await;
        assert_eq!(client.answer().await.text(), "ok", "request {n}");
        drop(at_app);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(sidecar.metric("failures_total", &[]).await, 0);
}

#[tokio::test]
async fn an_application_that_says_close_is_taken_at_its_word() {
    let (sidecar, app) = start().await;
    let mut client = Wire::connect(sidecar.place.clients()).await;
    for _ in 0..3 {
        client.send(get("/x")).await;
        let mut at_app = app.accept().await;
        at_app.head().await;
        at_app.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok").await;
        let answer = client.answer().await;
        assert_eq!((answer.text().as_str(), answer.header("connection")), ("ok", None), "for this hop only");
        at_app.ended().await;
    }
}

#[tokio::test]
async fn a_request_that_was_sent_is_never_sent_again() {
    let (sidecar, app) = start().await;
    for request in [get("/x"), post("/x", "abc")] {
        for reused in [false, true] {
            let mut client = Wire::connect(sidecar.place.clients()).await;
            let at_app = if reused {
                // The connection has served one request, and serves this one right after it.
                client.send(get("/before")).await;
                let mut at_app = app.accept().await;
                at_app.head().await;
                at_app.send(OK).await;
                client.answer().await;
                client.send(&request).await;
                at_app
            } else {
                client.send(&request).await;
                app.accept().await
            };
            let mut at_app = at_app;
            let head = at_app.head().await;
            at_app.body(&head).await;
            drop(at_app);
            assert_eq!(client.answer().await.status, 502, "{request:?}, reused: {reused}");
            client.ended().await;
            app.nobody_came().await;
        }
    }
    assert_eq!(sidecar.metric("retries_total", &[]).await, 0);
}

#[tokio::test]
async fn a_reset_after_the_request_is_answered_502_and_not_repeated() {
    let (sidecar, app) = start().await;
    let mut client = Wire::connect(sidecar.place.clients()).await;
    client.send(post("/x", "abc")).await;
    let stream = app.accept_stream().await;
    // It has arrived.
    stream.peek(&mut [0]).await.unwrap();
    // Unread data and no linger: the kernel sends a reset.
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
    assert_eq!(client.answer().await.status, 502);
    app.nobody_came().await;
}

#[tokio::test]
async fn an_application_that_does_not_listen_is_answered_503_and_readiness_says_so() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let sidecar = Sidecar::start(&config, &place).await;
    let answer = ask(place.clients(), &get("/x")).await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (503, "the application does not accept connections\n")
    );
    assert_eq!(ask(place.admin(), &get("/livez")).await.status, 200);
    assert_eq!(ask(place.admin(), &get("/readyz")).await.status, 503);
    let _app = Scripted::bind(place.app()).await;
    assert_eq!(ask(place.admin(), &get("/readyz")).await.status, 200);
    eventually("it is counted", async || {
        sidecar.metric("failures_total", &["cause=\"app_unreachable\""]).await == 1
    })
    .await;
}
