//! Connections to the application are used again only while it keeps them, and no POST is sent twice.

mod gaps;

use std::time::Duration;

use socket2::SockRef;
use support::harness::{
    Config, NodeServer, Place, Polling, Scripted, Sidecar, Wire, ask, eventually, get, post,
};

/// A sidecar that trusts, learns or uses no connection again, in front of a scripted application.
async fn start(keep_alive: &str) -> (Sidecar, Scripted) {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let app = Scripted::bind(place.app()).await;
    (Sidecar::start_with(&config, &place, &["--app-keep-alive", keep_alive]).await, app)
}

/// Sends a request that the application answers with `answer`, over a connection that it accepts now or over `at_app`.
async fn exchange(
    client: &mut Wire,
    request: &str,
    app: &Scripted,
    at_app: Option<Wire>,
    answer: &str,
) -> Wire {
    client.send(request).await;
    let mut at_app = match at_app {
        Some(at_app) => at_app,
        None => app.accept().await,
    };
    let head = at_app.head().await;
    at_app.body(&head).await;
    at_app.send(answer).await;
    assert_eq!(client.answer().await.text(), "ok", "{request}");
    at_app
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn a_connection_is_kept_for_less_long_than_the_application_says() {
    let (sidecar, app) = start("always").await;
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
    let (sidecar, app) = start("always").await;
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
    let (sidecar, app) = start("auto").await;
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
async fn an_application_must_be_seen_to_keep_a_connection_before_it_carries_another_request() {
    let (sidecar, app) = start("auto").await;
    let mut client = Wire::connect(sidecar.place.clients()).await;
    let first = exchange(&mut client, &get("/x"), &app, None, OK).await;
    let second = exchange(&mut client, &get("/x"), &app, None, OK).await;
    eventually("one answer is survived", async || sidecar.metric("app_reuse_answers", &[]).await == 1).await;
    // Idle for longer than is proven to be safe, or barely: a fresh one shows which is used.
    let third = exchange(&mut client, &get("/x"), &app, None, OK).await;
    let mut third = exchange(&mut client, &post("/x", "abc"), &app, Some(third), OK).await;
    // Its second answer is not proven to be survived.
    let _fourth = exchange(&mut client, &get("/x"), &app, None, OK).await;
    third.is_silent(Duration::from_millis(10)).await;
    drop((first, second, third));
    eventually("the closes are seen", async || sidecar.metric("app_early_closes_total", &[]).await == 3)
        .await;
    assert_eq!(sidecar.metric("failures_total", &[]).await, 0);
}

#[tokio::test]
async fn without_keep_alive_each_request_takes_a_new_connection() {
    let (sidecar, app) = start("never").await;
    let mut client = Wire::connect(sidecar.place.clients()).await;
    for _ in 0..3 {
        exchange(&mut client, &get("/x"), &app, None, OK).await.ended().await;
    }
}

#[tokio::test]
async fn a_post_that_was_sent_is_never_sent_again() {
    let (sidecar, app) = start("always").await;
    for reused in [false, true] {
        let mut client = Wire::connect(sidecar.place.clients()).await;
        let before =
            if reused { Some(exchange(&mut client, &get("/before"), &app, None, OK).await) } else { None };
        client.send(post("/x", "abc")).await;
        let mut at_app = match before {
            Some(at_app) => at_app,
            None => app.accept().await,
        };
        let head = at_app.head().await;
        at_app.body(&head).await;
        drop(at_app);
        assert_eq!(client.answer().await.status, 502, "reused: {reused}");
        client.ended().await;
        app.nobody_came().await;
    }
    assert_eq!(sidecar.metric("retries_total", &[]).await, 0);
}

#[tokio::test]
async fn a_get_that_meets_a_closing_connection_is_sent_once_more() {
    let (sidecar, app) = start("always").await;
    let mut client = Wire::connect(sidecar.place.clients()).await;
    let mut at_app = exchange(&mut client, &get("/before"), &app, None, OK).await;
    client.send(get("/x")).await;
    let head = at_app.head().await;
    drop(at_app);
    let mut again = app.accept().await;
    assert_eq!(again.head().await, head);
    again.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok");
    assert_eq!(sidecar.metric("retries_total", &["reason=\"unanswered\""]).await, 1);

    // Not when a byte of an answer came, and not a second time.
    client.send(get("/x")).await;
    again.head().await;
    again.send("HTTP/1.1 200 O").await;
    drop(again);
    assert_eq!(client.answer().await.status, 502);
    let mut client = Wire::connect(sidecar.place.clients()).await;
    let mut at_app = exchange(&mut client, &get("/before"), &app, None, OK).await;
    client.send(get("/x")).await;
    at_app.head().await;
    drop(at_app);
    app.accept().await.head().await;
    assert_eq!(client.answer().await.status, 502);
    app.nobody_came().await;
    assert_eq!(sidecar.metric("retries_total", &[]).await, 2);
}

#[tokio::test]
async fn a_get_that_the_application_gives_up_on_is_not_sent_again_and_ends_no_reuse() {
    let (sidecar, app) = start("auto").await;
    let mut client = Wire::connect(sidecar.place.clients()).await;
    let _kept = exchange(&mut client, &get("/x"), &app, None, OK).await;
    eventually("one answer is survived", async || sidecar.metric("app_reuse_answers", &[]).await == 1).await;
    let at_app = exchange(&mut client, &get("/x"), &app, None, OK).await;
    client.send(get("/slow")).await;
    let mut at_app = at_app;
    assert!(at_app.head().await.starts_with("GET /slow "), "on the same connection");
    tokio::time::sleep(Duration::from_millis(700)).await;
    drop(at_app);
    assert_eq!(client.answer().await.status, 502);
    app.nobody_came().await;
    assert_eq!(sidecar.metric("retries_total", &[]).await, 0);
    assert_eq!(sidecar.metric("app_early_closes_total", &[]).await, 0);
    assert_eq!(sidecar.metric("app_reuse_answers", &[]).await, 1);
}

#[tokio::test]
async fn a_get_with_a_long_head_is_not_kept_to_be_sent_again() {
    let (sidecar, app) = start("always").await;
    let mut client = Wire::connect(sidecar.place.clients()).await;
    let mut at_app = exchange(&mut client, &get("/before"), &app, None, OK).await;
    client.send(format!("GET /x HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(4096))).await;
    at_app.head().await;
    drop(at_app);
    assert_eq!(client.answer().await.status, 502);
    app.nobody_came().await;
}

#[tokio::test]
async fn a_get_on_a_new_connection_is_not_sent_again() {
    let (sidecar, app) = start("always").await;
    let mut client = Wire::connect(sidecar.place.clients()).await;
    client.send(get("/x")).await;
    app.accept().await.head().await;
    assert_eq!(client.answer().await.status, 502);
    app.nobody_came().await;
    assert_eq!(sidecar.metric("retries_total", &[]).await, 0);
}

#[tokio::test]
async fn a_connection_whose_exchange_the_application_may_end_otherwise_is_not_used_again() {
    let (sidecar, app) = start("always").await;
    let chunked =
        |body: &str| format!("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    for (request, is_reused) in [
        (get("/x"), true),
        (post("/x", "abc"), true),
        (chunked("1\r\nx\r\n0\r\n\r\n"), true),
        ("GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".to_owned(), false),
        ("GET /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n".to_owned(), false),
        ("GET /x HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n".to_owned(), false),
        (chunked("1;a=(b)\r\nx\r\n0\r\n\r\n"), false),
        (chunked("1\r\nx\r\n0\r\nContent-Length: 5\r\n\r\n"), false),
    ] {
        let mut client = Wire::connect(sidecar.place.clients()).await;
        let mut at_app = exchange(&mut client, &request, &app, None, OK).await;
        if is_reused {
            exchange(&mut client, &get("/next"), &app, Some(at_app), OK).await;
        } else {
            exchange(&mut Wire::connect(sidecar.place.clients()).await, &get("/next"), &app, None, OK).await;
            at_app.ended().await;
        }
        // The next one begins without a pooled connection.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Nor when the answer began before the request was sent.
    let mut client = Wire::connect(sidecar.place.clients()).await;
    client.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc").await;
    let mut at_app = app.accept().await;
    at_app.head().await;
    at_app.expect("abc").await;
    at_app.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n").await;
    client.head().await;
    client.send("def").await;
    at_app.expect("def").await;
    at_app.send("ok").await;
    client.expect("ok").await;
    at_app.ended().await;
}

#[tokio::test]
async fn a_reset_after_the_request_is_answered_502_and_not_repeated() {
    let (sidecar, app) = start("auto").await;
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

#[tokio::test]
async fn no_request_beside_a_hanging_poll_waits_for_a_connection_to_the_owner() {
    let (config, owner, other) = (Config::new("enforce").await, Place::new(), Place::new());
    let _server = NodeServer::start("v4", owner.app(), &[]).await;
    let _owner = Sidecar::start(&config, &owner).await;
    let sidecar = Sidecar::start(&config, &other).await;
    let session = Polling::join(owner.clients()).await;
    let ahead = async || sidecar.metric("owner_connects_ahead_total", &[]).await;
    let waited = async || sidecar.metric("owner_connect_seconds_count", &[]).await;
    let mut poll = session.hang(other.clients()).await;
    eventually("another connection is made", async || ahead().await == 1).await;
    for pause in [0, 50, 1_200, 0] {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        assert_eq!(session.post(other.clients(), r#"420["echo","x"]"#).await.text(), "ok");
        assert_eq!(poll.answer().await.text(), r#"430["x"]"#);
        poll = session.hang(other.clients()).await;
    }
    assert_eq!(waited().await, 1, "the first poll alone waited");
    // One beside those in use at once, not one for each request.
    assert!(ahead().await <= 2, "{}", ahead().await);
}

#[tokio::test]
async fn a_connection_made_ahead_is_kept_for_longer_than_a_head_may_take() {
    let (config, owner, other) = (Config::new("enforce").await, Place::new(), Place::new());
    let _server = NodeServer::start("v4", owner.app(), &[]).await;
    let _owner = Sidecar::start_with(&config, &owner, &["--head-timeout", "1"]).await;
    let sidecar = Sidecar::start(&config, &other).await;
    let session = Polling::join(owner.clients()).await;
    let _poll = session.hang(other.clients()).await;
    let ahead = async || sidecar.metric("owner_connects_ahead_total", &[]).await;
    eventually("another connection is made", async || ahead().await == 1).await;
    tokio::time::sleep(Duration::from_millis(1_800)).await;
    assert_eq!(session.post(other.clients(), r#"420["echo","x"]"#).await.text(), "ok");
    let waited = sidecar.metric("owner_connect_seconds_count", &[]).await;
    assert_eq!(waited, 1, "the poll alone waited for a connection");
}
