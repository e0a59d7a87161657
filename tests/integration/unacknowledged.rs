//! Clients that take what they are sent, and do not acknowledge it. Their network drops the packets that would.

use std::time::Duration;

use support::harness::{Config, Recorder, Sidecar, Wire, eventually, get};

use crate::vanished::network::{Network, Pod};

/// Idle connections that make the free share of each less than an answer.
const IDLE: usize = 20;
const LENGTH: usize = 30_000;

/// A sidecar behind a network that can drop what its clients acknowledge.
struct World {
    client: Wire,
    sidecar: Sidecar,
    _idle: Vec<Wire>,
    _app: Recorder,
    _config: Config,
    network: Network,
}

impl World {
    async fn new(idle_count: usize) -> Self {
        let (config, network) = (Config::new("enforce").await, Network::new());
        network.enter(Pod::Owner);
        let place = Pod::Owner.place();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n");
        let app = Recorder::start(place.app(), (head + &"x".repeat(LENGTH)).leak()).await;
        let sidecar = Sidecar::start_with(&config, &place, &["--max-buffered", "1"]).await;
        network.enter(Pod::Here);
        let mut idle = Vec::new();
        for _ in 0..idle_count {
            idle.push(Wire::connect(place.clients()).await);
        }
        let client = Wire::connect(place.clients()).await;
        let mut world = Self { client, sidecar, _idle: idle, _app: app, _config: config, network };
        // Until TCP sends an answer whole at once.
        for _ in 0..5 {
            world.ask().await;
        }
        world
    }

    async fn ask(&mut self) {
        self.client.send(get("/x")).await;
        assert_eq!(self.client.answer().await.body.len(), LENGTH);
    }

    async fn held(&self) -> u64 {
        self.sidecar.metric("buffered_bytes", &[]).await
    }
}

#[tokio::test]
async fn what_a_client_does_not_acknowledge_is_charged_until_it_does() {
    let mut world = World::new(IDLE).await;
    eventually("what is acknowledged is not charged", async || world.held().await == 0).await;
    world.network.drop_acknowledgements();
    world.ask().await;
    eventually("the rest is charged", async || world.held().await > LENGTH as u64).await;
    world.network.pass_acknowledgements();
    eventually("what is acknowledged is not charged", async || world.held().await == 0).await;
    world.ask().await;
}

#[tokio::test]
async fn what_is_not_charged_is_not_held_for_long_after_the_connection() {
    let mut world = World::new(0).await;
    world.network.drop_acknowledgements();
    world.client.send(get("/x")).await;
    world.client.finish().await;
    assert_eq!(world.client.answer().await.body.len(), LENGTH);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(world.network.unacknowledged(Pod::Owner) >= LENGTH, "the client may acknowledge later");
    assert_eq!(world.held().await, 0);
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(world.network.unacknowledged(Pod::Owner), 0);
}
