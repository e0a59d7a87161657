//! Bodies that trickle make room for other clients. Bodies that are complete or recent, and those of peers, are not cut.

use std::time::{Duration, Instant};

use support::harness::peer::dial;
use support::harness::{Config, Place, Scripted, Sidecar, Wire, get};

use super::alone;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";
const TICK: Duration = Duration::from_millis(500);
/// Longer than a body can keep a place against newcomers.
const OLD: Duration = Duration::from_millis(10_500);

/// Sends the head of a request with a body of `length`. Returns the client's side and the application's.
async fn begin(place: &Place, app: &Scripted, length: usize, field: &str) -> (Wire, Wire) {
    let mut client = Wire::connect(place.clients()).await;
    client.send(format!("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n{field}\r\n")).await;
    let mut at_app = app.accept().await;
    at_app.head().await;
    (client, at_app)
}

async fn finish(mut client: Wire, mut at_app: Wire, rest: &str, length: usize) {
    client.send(rest).await;
    at_app.exactly(length).await;
    at_app.send(OK).await;
    assert_eq!(client.answer().await.text(), "ok", "it was never cut");
}

#[tokio::test]
async fn bodies_that_trickle_make_room_and_no_other_request_is_cut() {
    let _alone = alone().await;
    let (config, place) = (Config::new("enforce").await, Place::new());
    let app = Scripted::bind(place.app()).await;
    let sidecar = Sidecar::start_with(&config, &place, &["--max-connections", "6"]).await;

    let (mut answered, mut answers) = begin(&place, &app, 4, "").await;
    answers.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no").await;
    assert!(answered.head().await.contains("200 OK"));
    let (mut complete, at_app) = begin(&place, &app, 4, "").await;
    complete.send("body").await;
    let complete = (complete, at_app);
    let started = Instant::now();
    let mut trickling = Vec::new();
    for field in ["Expect: 100-continue\r\n", "", ""] {
        let (client, at_app) = begin(&place, &app, 1000, field).await;
        trickling.push((client, at_app));
    }
    // The interim answer is not the answer.
    trickling[0].1.send(CONTINUE).await;
    assert_eq!(trickling[0].0.answer().await.status, 100);
    let (mut upload, mut sent) = (None, 0);
    while started.elapsed() < OLD {
        for (client, _) in &mut trickling {
            client.send("x").await;
        }
        if upload.is_none() && started.elapsed() > OLD / 2 {
            upload = Some(begin(&place, &app, 100_000, "").await);
        }
        if let Some((client, _)) = &mut upload {
            client.send("x".repeat(2000)).await;
            sent += 2000;
        }
        tokio::time::sleep(TICK).await;
    }

    let mut hanging = Vec::new();
    for (n, (mut client, _at_app)) in trickling.into_iter().enumerate() {
        let started = Instant::now();
        let mut newcomer = Wire::connect(place.clients()).await;
        newcomer.send(get("/poll")).await;
        let mut at_app = app.accept().await;
        assert!(at_app.head().await.contains("/poll"));
        assert!(started.elapsed() < Duration::from_secs(2), "newcomer {n}: {:?}", started.elapsed());
        hanging.push((newcomer, at_app));
        if n > 0 {
            assert_eq!(client.answer().await.status, 408);
        }
        client.ended().await;
    }
    let evicted = async || sidecar.metric("connections_evicted_total", &["limit=\"client\""]).await;
    let mut waiting = Wire::connect(place.clients()).await;
    waiting.send(get("/poll")).await;
    waiting.is_silent(2 * TICK).await;
    assert_eq!(evicted().await, 3);
    assert_eq!(sidecar.metric("failures_total", &["cause=\"body_timeout\""]).await, 3);

    let (client, at_app) = upload.unwrap();
    finish(client, at_app, &"x".repeat(100_000 - sent), 100_000).await;
    finish(complete.0, complete.1, "", 4).await;
    answered.send("body").await;
    answers.expect("body").await;
    answers.send("k").await;
    answered.expect("ok").await;
}

#[tokio::test]
async fn bodies_that_peers_forward_are_not_cut_for_another_peer() {
    let _alone = alone().await;
    let (config, place) = (Config::new("enforce").await, Place::new());
    let app = Scripted::bind(place.app()).await;
    let sidecar = Sidecar::start_with(&config, &place, &["--max-connections", "2"]).await;
    let target = format!("/socket.io/?sid={}", config.tagged("abc", &place.owner()));
    let fields = "Host: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n";
    let request = format!("POST {target} HTTP/1.1\r\n{fields}\r\nb");
    let mut forwarded = Vec::new();
    for _ in 0..2 {
        let (peer, at_app) = tokio::join!(dial(&place, &config, Some(&config), &request), async {
            let mut at_app = app.accept().await;
            at_app.head().await;
            // `dial` waits for the first byte of an answer.
            at_app.send(CONTINUE).await;
            at_app
        });
        let mut peer = peer.unwrap();
        assert_eq!(peer.answer().await.status, 100);
        forwarded.push((peer, at_app));
    }
    tokio::time::sleep(OLD).await;
    let newcomer = dial(&place, &config, Some(&config), &get(&target)).await;
    assert!(newcomer.is_err(), "no place is free for it");
    assert_eq!(sidecar.metric("connections_refused_total", &["limit=\"peer_limit\""]).await, 1);
    assert_eq!(sidecar.metric("connections_evicted_total", &["limit=\"peer\""]).await, 0);
    for (peer, at_app) in forwarded {
        finish(peer, at_app, "ody", 4).await;
    }
}
