//! The peer port: for sidecars of this cluster, for sessions that are held here, and for nothing else.

use support::harness::peer::dial;
use support::harness::{Config, NodeServer, Place, Polling, Recorder, Sidecar, Wire, get};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn only_a_certificate_of_this_cluster_is_let_in() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let app = Recorder::start(place.app(), OK).await;
    let sidecar = Sidecar::start(&config, &place).await;
    let other_ca = Config::new("enforce").await;
    let request = get(&format!("/socket.io/?sid={}", config.tagged("abc", &place.owner())));

    let mut plain = Wire::connect(place.peers()).await;
    plain.send(&request).await;
    let answered = plain.rest().await;
    assert!(!answered.starts_with(b"HTTP"), "plain HTTP: {answered:?}");

    let no_certificate = dial(&place, &config, None, &request).await;
    assert!(no_certificate.is_err(), "without a certificate");
    let foreign = dial(&place, &config, Some(&other_ca), &request).await;
    assert!(foreign.is_err(), "with a certificate of another CA");
    let elsewhere = dial(&place.reused(), &config, Some(&config), &request).await;
    assert!(elsewhere.is_err(), "for another pod at this address");
    assert_eq!(app.connections(), 0);
    assert_eq!(sidecar.metric("failures_total", &["cause=\"peer_tls\""]).await, 4);

    let mut peer = dial(&place, &config, Some(&config), &request).await.unwrap();
    assert_eq!(peer.answer().await.text(), "ok");
}

#[tokio::test]
async fn what_is_not_held_here_is_refused_and_never_forwarded() {
    let (config, place, elsewhere) = (Config::new("enforce").await, Place::new(), Place::new());
    let (app, other_app) =
        (Recorder::start(place.app(), OK).await, Recorder::start(elsewhere.app(), OK).await);
    let sidecar = Sidecar::start(&config, &place).await;
    let other = Sidecar::start(&config, &elsewhere).await;
    let targets = [
        format!("/socket.io/?EIO=4&transport=polling&sid={}", config.tagged("abc", &elsewhere.owner())),
        format!("/socket.io/?EIO=4&transport=polling&sid={}", config.tagged("abc", &place.reused().owner())),
        "/socket.io/?EIO=4&transport=polling&sid=abc".to_owned(),
        "/socket.io/?EIO=4&transport=polling".to_owned(),
        "/any/page".to_owned(),
    ];
    for target in &targets {
        let mut peer = dial(&place, &config, Some(&config), &get(target)).await.unwrap();
        let answer = peer.answer().await;
        assert!(answer.is_unknown_session(), "{target}: {answer:?}");
        peer.ended().await;
    }
    assert_eq!(sidecar.metric("failures_total", &["cause=\"not_owner\""]).await, 5);
    assert_eq!(other.metric("requests_total", &[]).await, 0, "no loops");
    assert_eq!((app.connections(), other_app.connections()), (0, 0));
}

#[tokio::test]
async fn one_connection_between_two_sidecars_carries_many_requests() {
    let (config, owner, other) = (Config::new("enforce").await, Place::new(), Place::new());
    let _server = NodeServer::start("v4", owner.app(), &[]).await;
    let owner = Sidecar::start(&config, &owner).await;
    let other = Sidecar::start(&config, &other).await;
    let session = Polling::join(owner.place.clients()).await;
    for _ in 0..20 {
        assert_eq!(session.post(other.place.clients(), "3").await.text(), "ok");
    }
    assert_eq!(other.forwarded().await, 20);
    let metrics = other.metrics().await;
    assert!(metrics.contains("\nsocketio_sidecar_owner_connect_seconds_count 1\n"), "{metrics}");
}
