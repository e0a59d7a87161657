//! The limit of open connections.

use std::time::Duration;

use support::harness::{Config, Place, Recorder, Sidecar, Wire, eventually, get};

#[tokio::test]
async fn the_limit_of_connections_holds_and_what_waits_is_served_when_there_is_room() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let _app = Recorder::start(place.app(), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let sidecar = Sidecar::start_with(&config, &place, &["--max-connections", "5"]).await;
    let mut open = Vec::new();
    for _ in 0..5 {
        let mut client = Wire::connect(place.clients()).await;
        client.send(get("/x")).await;
        assert_eq!(client.answer().await.status, 200);
        open.push(client);
    }
    let mut waiting = Wire::connect(place.clients()).await;
    waiting.send(get("/x")).await;
    waiting.is_silent(Duration::from_millis(300)).await;
    assert_eq!(sidecar.metric("connections_open", &["from=\"client\""]).await, 5);
    assert_eq!(sidecar.metric("connection_limit_total", &["from=\"client\""]).await, 1);
    // Whoever is in goes on, and the admin port is not touched by the limit.
    open[4].send(get("/y")).await;
    assert_eq!(open[4].answer().await.status, 200);
    open.pop();
    assert_eq!(waiting.answer().await.status, 200);

    drop((open, waiting));
    eventually("all are closed", async || sidecar.metric("connections_open", &[]).await == 0).await;
    let mut client = Wire::connect(place.clients()).await;
    client.send(get("/x")).await;
    assert_eq!(client.answer().await.status, 200);
}
