//! Messages that two parsers could read differently: refused and closed, and no byte of them reaches the application.

use std::time::{Duration, Instant};

use support::harness::{Config, Place, Recorder, Scripted, Sidecar, Wire, get};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn ambiguous_requests_are_refused_and_nothing_reaches_the_application() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let app = Recorder::start(place.app(), OK).await;
    let sidecar = Sidecar::start(&config, &place).await;
    // Behind each, a request that a laxer parser would find.
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let post = "POST /x HTTP/1.1\r\nHost: a\r\n";
    let table = [
        format!("{post}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("{post}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"),
        format!("{post}Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd"),
        format!("{post}Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd"),
        format!("{post}Content-Length: 4, 4\r\n\r\nabcd"),
        format!("{post}Content-Length: +4\r\n\r\nabcd"),
        format!("{post}Content-Length: 0x4\r\n\r\nabcd"),
        format!("{post}Content-Length: -1\r\n\r\n"),
        format!("{post}Content-Length:\r\n\r\n"),
        format!("{post}Content-Length: 99999999999999999999\r\n\r\n"),
        format!("{post}Content-Length : 4\r\n\r\nabcd"),
        format!("{post}Transfer-Encoding: identity\r\n\r\n"),
        format!("{post}Transfer-Encoding: gzip, chunked\r\n\r\n"),
        format!("{post}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
        format!("{post}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("{post}Transfer-Encoding: xchunked\r\n\r\n"),
        format!("{post}Transfer-Encoding: \x0bchunked\r\n\r\n"),
        "POST /x HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
        "GET /x HTTP/1.1\r\n\r\n".to_owned(),
        "GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(),
        "GET /x HTTP/1.1\r\nHost: a\r\nX: one\r\n two\r\n\r\n".to_owned(),
        "GET /x HTTP/1.1\r\nHost: a\r\nX: one\r\n\ttwo\r\n\r\n".to_owned(),
        "GET /x HTTP/1.1\r\nHost: a\r\nX: on\re\r\n\r\n".to_owned(),
        "GET /x HTTP/1.1\nHost: a\n\n".to_owned(),
        "GET /x HTTP/1.1\r\nHost: a\nX: b\r\n\r\n".to_owned(),
        "GET /x HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n".to_owned(),
        "GET /x HTTP/1.1\r\nHost: a\r\nX\0: b\r\n\r\n".to_owned(),
        "GET /x HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n".to_owned(),
        "GET /x HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n".to_owned(),
        "GET /x y HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET /x HTTP/2.0\r\nHost: a\r\n\r\n".to_owned(),
        "GET /x HTTP/0.9\r\nHost: a\r\n\r\n".to_owned(),
        "GET /x\r\n\r\n".to_owned(),
        "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n".to_owned(),
        format!("GET /x HTTP/1.1\r\nHost: a\r\nConnection: {}\r\n\r\n", "x,".repeat(33)),
        " GET /x HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "\x16\x03\x01\x02\r\n\r\n".to_owned(),
    ];
    for request in &table {
        let mut client = Wire::connect(place.clients()).await;
        client.send(format!("{request}{smuggled}")).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 400, "{request:?} {answer:?}");
        assert_eq!(answer.header("connection"), Some("close"), "{request:?}");
        client.ended().await;
    }
    assert_eq!(app.heads(), [""; 0]);
    assert_eq!(app.connections(), 0);
    assert_eq!(sidecar.metric("malformed_total", &["from=\"client\""]).await, table.len() as u64);
}

#[tokio::test]
async fn http_2_without_negotiation_is_refused_with_a_sentence_that_says_what_to_change() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let mut sidecar = Sidecar::start(&config, &place).await;
    for _ in 0..2 {
        let mut client = Wire::connect(place.clients()).await;
        // The preface and an empty SETTINGS frame.
        client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 400);
        assert!(answer.text().contains("appProtocol"), "{answer:?}");
        client.ended().await;
    }
    assert_eq!(sidecar.metric("failures_total", &["cause=\"http2\""]).await, 2);
    let line = sidecar.process.line_with("appProtocol").await;
    assert!(line.contains("WARN"), "{line}");
}

#[tokio::test]
async fn a_malformed_chunk_is_refused_where_it_stands() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let app = Scripted::bind(place.app()).await;
    let _sidecar = Sidecar::start(&config, &place).await;
    let long_extension = format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(9000));
    let table = [
        "ffffffffffffffff1\r\n",
        "10000000000000000\r\n",
        "-1\r\n",
        "+1\r\n",
        "0x1\r\n",
        " 1\r\n",
        "1 \r\n",
        "\r\n",
        "g\r\n",
        "1\na\r\n",
        "1\r\nab\r\n",
        "1\r\na\n",
        "0\r\nX\r\n\r\n",
        "0\r\n folded\r\n\r\n",
        "1;a\rb\r\n",
        &long_extension,
    ];
    for chunks in table {
        let mut client = Wire::connect(place.clients()).await;
        // The head first, so that the application has it; what is malformed comes afterwards.
        client.send("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        let mut at_app = app.accept().await;
        at_app.head().await;
        client.send(chunks).await;
        let answer = client.answer().await;
        assert_eq!(answer.status, 400, "{chunks:?}");
        client.ended().await;
        let passed = at_app.rest().await;
        assert!(passed.is_empty(), "{chunks:?}: {passed:?} was passed on");
    }
}

#[tokio::test]
async fn a_head_that_takes_too_long_is_answered_408_and_silence_is_closed() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let app = Scripted::bind(place.app()).await;
    let _sidecar = Sidecar::start_with(&config, &place, &["--head-timeout", "1"]).await;
    let mut slow = Wire::connect(place.clients()).await;
    let mut silent = Wire::connect(place.clients()).await;
    for piece in ["GET /x HTTP/1.1\r\n", "Host: a\r\n"] {
        slow.send(piece).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert_eq!(slow.answer().await.status, 408);
    slow.ended().await;
    silent.ended().await;
    app.nobody_came().await;
}

#[tokio::test]
async fn between_requests_silence_may_last_longer_than_a_head_and_a_head_may_not() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let _app = Recorder::start(place.app(), OK).await;
    let _sidecar = Sidecar::start_with(&config, &place, &["--head-timeout", "1"]).await;
    let request = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut client = Wire::connect(place.clients()).await;
    for silence in [0, 1500] {
        tokio::time::sleep(Duration::from_millis(silence)).await;
        client.send(request).await;
        assert_eq!(client.answer().await.status, 200, "after {silence} ms");
    }
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let begun = Instant::now();
    client.send(&request[..20]).await;
    assert_eq!(client.answer().await.status, 408);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_head_may_come_byte_by_byte() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let app = Recorder::start(place.app(), OK).await;
    let _sidecar = Sidecar::start(&config, &place).await;
    let mut client = Wire::connect(place.clients()).await;
    for byte in "\r\nPOST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc".bytes() {
        client.send([byte]).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(client.answer().await.text(), "ok");
    assert!(app.heads()[0].starts_with("POST /slow HTTP/1.1\r\n"));
    assert_eq!(app.bodies(), [b"abc"]);
}

#[tokio::test]
async fn an_ambiguous_answer_of_the_application_becomes_502() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let app = Scripted::bind(place.app()).await;
    let sidecar = Sidecar::start(&config, &place).await;
    let table = [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok",
        "HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        "HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
        "HTTP/1.1 99 No\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "no HTTP at all\r\n\r\n",
        // A switch of protocols that nobody asked for.
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        // And one that ends too early.
        "HTTP/1.1 200 OK\r\nContent-",
        "",
    ];
    for answer in table {
        let mut client = Wire::connect(place.clients()).await;
        client.send(get("/x")).await;
        let mut at_app = app.accept().await;
        at_app.head().await;
        at_app.send(answer).await;
        if answer.is_empty() || answer.ends_with('-') {
            drop(at_app);
        }
        let seen = client.answer().await;
        assert_eq!(seen.status, 502, "{answer:?}");
        client.ended().await;
    }
    assert_eq!(sidecar.metric("failures_total", &["cause=\"bad_gateway\""]).await, table.len() as u64);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_completed_for_the_client() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let app = Scripted::bind(place.app()).await;
    let _sidecar = Sidecar::start(&config, &place).await;
    for (head, part, then) in [
        ("Content-Length: 10", "abc", ""),
        ("Transfer-Encoding: chunked", "3\r\nabc\r\n", ""),
        ("Transfer-Encoding: chunked", "3\r\nabc\r\n", "x\r\n"),
    ] {
        let mut client = Wire::connect(place.clients()).await;
        client.send(get("/x")).await;
        let mut at_app = app.accept().await;
        at_app.head().await;
        at_app.send(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{part}")).await;
        client.head().await;
        client.expect(part).await;
        at_app.send(then).await;
        drop(at_app);
        client.ended().await;
    }
}
