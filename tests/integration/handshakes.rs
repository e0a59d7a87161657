//! The answer to a polling handshake gets its tag, in every shape it comes in, and nothing else changes.

use serde_json::Value;
use support::harness::polling::HANDSHAKE;
use support::harness::{
    Config, NodeServer, Place, Polling, Recorder, Scripted, Sidecar, Wire, ask, eventually, get, post,
};

#[tokio::test]
async fn the_sid_of_a_polling_handshake_carries_this_pods_tag_and_nothing_else_changes() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let server = NodeServer::start("v4", place.app(), &["--cookie", "--cors", "http://page.example"]).await;
    let _sidecar = Sidecar::start(&config, &place).await;
    let request =
        format!("GET {HANDSHAKE} HTTP/1.1\r\nHost: chat.example\r\nOrigin: http://page.example\r\n\r\n");
    let (straight, through) = (ask(place.app(), &request).await, ask(place.clients(), &request).await);
    assert_eq!(through.status, 200);

    let open = |text: &str| serde_json::from_str::<Value>(&text[1..]).unwrap();
    let (mut plain, mut tagged) = (open(&straight.text()), open(&through.text()));
    let sids = (plain["sid"].take(), tagged["sid"].take());
    assert_eq!(plain, tagged, "all but the sid is the same");
    let (sid, tag) = sids.1.as_str().unwrap().rsplit_once('.').unwrap();
    assert_eq!(config.keys().open(sid, tag), Some(place.owner()));
    assert_eq!(server.stats().await["sids"][1], sid, "the application knows its own sid");

    // The cookie keeps the application's own sid, as do all other fields but the length.
    assert!(through.header("set-cookie").unwrap().contains(sid), "{}", through.head);
    for field in ["access-control-allow-origin", "access-control-allow-credentials", "content-type"] {
        assert_eq!(through.header(field), straight.header(field), "{field}");
    }
    assert_eq!(through.header("content-length"), Some(through.body.len().to_string().as_str()));
}

#[tokio::test]
async fn a_jsonp_handshake_is_tagged() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let _server = NodeServer::start("v4", place.app(), &[]).await;
    let _sidecar = Sidecar::start(&config, &place).await;
    let answer = ask(place.clients(), &get(&format!("{HANDSHAKE}&j=7"))).await;
    assert_eq!(answer.status, 200);
    let text = answer.text();
    let payload = text.strip_prefix("___eio[7](").and_then(|text| text.strip_suffix(");")).unwrap();
    let payload: String = serde_json::from_str(payload).unwrap();
    let open: Value = serde_json::from_str(&payload[1..]).unwrap();
    let (sid, tag) = open["sid"].as_str().unwrap().rsplit_once('.').unwrap();
    assert_eq!(config.keys().open(sid, tag), Some(place.owner()));

    // And the tagged sid serves the session.
    let session = Polling { sid: open["sid"].as_str().unwrap().to_owned() };
    assert_eq!(session.post(place.clients(), "40").await.text(), "ok");
}

#[tokio::test]
async fn a_handshake_with_an_initial_packet_behind_it_is_tagged_and_the_packet_stays() {
    for size in [40_000, 300_000] {
        let (config, place) = (Config::new("enforce").await, Place::new());
        let server = NodeServer::start("v4", place.app(), &["--initial-packet", &size.to_string()]).await;
        let sidecar = Sidecar::start(&config, &place).await;
        let mut client = Wire::connect(place.clients()).await;
        client.send(get(HANDSHAKE)).await;
        let answer = client.answer().await.text();
        let (open, packet) = answer.split_once('\x1e').unwrap();
        let open: Value = serde_json::from_str(&open[1..]).unwrap();
        let (sid, tag) = open["sid"].as_str().unwrap().rsplit_once('.').unwrap();
        assert_eq!(config.keys().open(sid, tag), Some(place.owner()));
        assert_eq!(server.stats().await["sids"][0], sid);
        assert_eq!(packet, format!(r#"42/filler,["filler","{}"]"#, "i".repeat(size)));
        assert_eq!(sidecar.metric("handshakes_tagged_total", &[]).await, 1);

        // The announced length was the right one: the connection carries the next request.
        let target = format!("{HANDSHAKE}&sid={sid}.{tag}");
        client.send(post(&target, "40")).await;
        assert_eq!(client.answer().await.text(), "ok");
    }
}

#[tokio::test]
async fn no_more_of_an_answer_is_held_than_an_open_packet_can_take() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let app = Scripted::bind(place.app()).await;
    let sidecar = Sidecar::start(&config, &place).await;
    let body = format!("0{{\"sid\":\"{}", "x".repeat(100_000));
    for framing in ["Content-Length: 1000000", "Transfer-Encoding: chunked"] {
        let mut client = Wire::connect(place.clients()).await;
        client.send(get(HANDSHAKE)).await;
        let mut server = app.accept().await;
        server.head().await;
        server.send(format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n{framing}\r\n\r\n")).await;
        let chunk =
            if framing.starts_with('T') { format!("{:x}\r\n{body}\r\n", body.len()) } else { body.clone() };
        server.send(&chunk).await;
        // The answer is far from complete, and what came of it is passed as it is.
        assert!(client.head().await.contains(framing));
        assert_eq!(client.exactly(chunk.len()).await, chunk.as_bytes());
        let rest = if framing.starts_with('T') {
            "0\r\n\r\n".to_owned()
        } else {
            "x".repeat(1_000_000 - body.len())
        };
        server.send(&rest).await;
        client.expect(&rest).await;
    }
    let untagged = async || sidecar.metric("handshakes_untagged_total", &["reason=\"too_long\""]).await;
    eventually("both are counted", async || untagged().await == 2).await;
}

#[tokio::test]
async fn files_below_the_path_are_streamed() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let app = Scripted::bind(place.app()).await;
    let sidecar = Sidecar::start(&config, &place).await;
    let mut client = Wire::connect(place.clients()).await;
    client.send(get("/socket.io/socket.io.js?EIO=4&transport=polling")).await;
    let mut server = app.accept().await;
    server.head().await;
    server.send("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\n0{\"sid\"").await;
    client.head().await;
    client.expect("0{\"sid\"").await;
    assert_eq!(sidecar.metric("handshakes_total", &[]).await, 0);
}

#[tokio::test]
async fn only_a_handshake_that_will_be_tagged_asks_for_an_answer_that_is_not_compressed() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let app = Recorder::start(place.app(), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let _sidecar = Sidecar::start(&config, &place).await;
    for target in [HANDSHAKE, "/socket.io/?EIO=4&transport=polling&sid=abc", "/page"] {
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: a.example:8080\r\nAccept-Encoding: gzip, br\r\nX-Own: b\r\n\r\n"
        );
        assert_eq!(ask(place.clients(), &request).await.text(), "ok");
    }
    let heads = app.heads();
    assert!(
        heads[0].contains("\r\nAccept-Encoding: identity\r\n") && !heads[0].contains("gzip"),
        "{heads:?}"
    );
    for head in &heads[1..] {
        assert!(head.contains("\r\nAccept-Encoding: gzip, br\r\n"), "{head}");
    }
    for head in &heads {
        assert!(head.contains("\r\nHost: a.example:8080\r\n"), "Host stays as it is: {head}");
        assert!(head.contains("\r\nX-Own: b\r\n"), "{head}");
    }
}

#[tokio::test]
async fn an_answer_that_is_no_open_packet_passes_as_it_is() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let answer = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 12\r\n\r\n<p>{\"sid\":1}";
    let _app = Recorder::start(place.app(), answer).await;
    let sidecar = Sidecar::start(&config, &place).await;
    assert_eq!(ask(place.clients(), &get(HANDSHAKE)).await.text(), "<p>{\"sid\":1}");
    assert_eq!(sidecar.metric("handshakes_total", &[]).await, 1);
    assert_eq!(sidecar.metric("handshakes_tagged_total", &[]).await, 0);
    assert_eq!(sidecar.metric("handshakes_untagged_total", &["reason=\"content_type\""]).await, 1);
}
