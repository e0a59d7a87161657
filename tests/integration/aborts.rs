//! Whoever goes away, the other side learns of it at once, over one hop or two.

use std::time::{Duration, Instant};

use support::harness::node::result_of;
use support::harness::{
    Config, NodeServer, Place, Polling, Scripted, Sidecar, Wire, client, eventually, get, start_client,
};

/// An owner with its server, and another sidecar to come through.
struct Two {
    server: NodeServer,
    owner: Sidecar,
    other: Sidecar,
}

impl Two {
    async fn new() -> Self {
        let (config, owner, other) = (Config::new("enforce").await, Place::new(), Place::new());
        let server = NodeServer::start("v4", owner.app(), &[]).await;
        let owner = Sidecar::start(&config, &owner).await;
        let other = Sidecar::start(&config, &other).await;
        Self { server, owner, other }
    }

    /// A session, and a poll of it that hangs in the server.
    async fn hanging(&self, through: &Sidecar) -> (Polling, Wire) {
        let session = Polling::join(self.owner.place.clients()).await;
        let poll = session.hang(through.place.clients()).await;
        self.has_poll(through).await;
        (session, poll)
    }

    async fn has_poll(&self, through: &Sidecar) {
        // The poll is at the server once a second one would collide; what is seen from outside is that
        // it was decided and that nothing comes back.
        let from = if through.place.ip == self.owner.place.ip { "client" } else { "peer" };
        eventually("the poll is at its owner", async || {
            let owned = self
                .owner
                .metric("requests_total", &["decision=\"owned\"", &format!("from=\"{from}\"")])
                .await;
            owned >= if from == "client" { 3 } else { 1 }
        })
        .await;
    }
}

#[tokio::test]
async fn a_poll_that_its_client_aborts_is_aborted_at_the_owners_application() {
    let two = Two::new().await;
    for (through, ended) in [(&two.owner, 1), (&two.other, 2)] {
        let (_session, mut poll) = two.hanging(through).await;
        poll.is_silent(Duration::from_millis(200)).await;
        drop(poll);
        eventually("the server sees the abort", async || two.server.transport_ends().await == ended).await;
    }
    assert_eq!(two.server.stats().await["alive"], 0);
    assert_eq!(two.server.stats().await["requests"]["aborted"], 2);
    assert_eq!(two.owner.metric("failures_total", &["cause=\"client_gone\""]).await, 2);
    assert_eq!(two.other.metric("failures_total", &["cause=\"client_gone\""]).await, 1);
}

#[tokio::test]
async fn a_poll_breaks_when_the_application_dies() {
    let mut two = Two::new().await;
    let (_one, mut local) = two.hanging(&two.owner).await;
    let (_other, mut forwarded) = two.hanging(&two.other).await;
    two.server.process.kill().await;
    assert_eq!(local.answer().await.status, 502);
    local.ended().await;
    // Here the 502 is the owner's answer like any other, so this connection goes on.
    assert_eq!(forwarded.answer().await.status, 502);
}

#[tokio::test]
async fn a_forwarded_poll_breaks_when_the_owners_sidecar_dies() {
    let mut two = Two::new().await;
    let (session, mut poll) = two.hanging(&two.other).await;
    let started = Instant::now();
    two.owner.process.kill().await;
    assert_eq!(poll.answer().await.status, 502);
    poll.ended().await;
    // And what comes next does not hang either.
    assert_eq!(session.poll(two.other.place.clients()).await.status, 503, "no application here");
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    eventually("the server sees the abort", async || two.server.transport_ends().await == 1).await;
}

#[tokio::test]
async fn a_websocket_ends_on_both_sides_when_either_ends() {
    let mut two = Two::new().await;
    let hold = ["--messages", "1", "--hold", "60000"];

    let mut lost = start_client("v4", "websocket", two.owner.place.clients(), &hold);
    lost.line_with("connected").await;
    lost.kill().await;
    eventually("the server sees the client's end", async || two.server.transport_ends().await == 1).await;

    let mut cut = start_client("v4", "websocket", two.owner.place.clients(), &hold);
    cut.line_with("connected").await;
    assert_eq!(two.owner.metric("tunnels_open", &["to=\"app\""]).await, 1);
    two.server.process.kill().await;
    let result = result_of(cut).await;
    assert_eq!(result["disconnects"][0], "transport close", "{result}");
    eventually("no tunnel is left", async || two.owner.metric("tunnels_open", &[]).await == 0).await;
}

#[tokio::test]
async fn an_upgrade_through_another_pod_reaches_the_owner_and_ends_with_it() {
    let two = Two::new().await;
    let session = Polling::join(two.owner.place.clients()).await;
    let target = session.target().replace("polling", "websocket");
    let seen = support::harness::node::websocket(
        two.other.place.clients(),
        &target,
        &["--send", "2probe", "--wait", "1500"],
    )
    .await;
    assert_eq!((&seen["status"], &seen["frames"][0]), (&101.into(), &"3probe".into()), "{seen}");
    eventually("no tunnel is left", async || {
        two.owner.metric("tunnels_open", &[]).await + two.other.metric("tunnels_open", &[]).await == 0
    })
    .await;

    // The session itself goes on by polling, and a real client upgrades through a single sidecar.
    assert_eq!(session.post(two.other.place.clients(), "3").await.text(), "ok");
    let result = client("v4", "default", two.owner.place.clients(), &[]).await;
    assert_eq!((&result["ok"], &result["transport_at_end"]), (&true.into(), &"websocket".into()), "{result}");
}

#[tokio::test]
async fn a_client_that_sends_ever_more_behind_a_hanging_request_is_let_go() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let app = Scripted::bind(place.app()).await;
    let sidecar = Sidecar::start(&config, &place).await;
    let mut client = Wire::connect(place.clients()).await;
    client.send(get("/hang")).await;
    let mut at_app = app.accept().await;
    at_app.head().await;
    // More than the longest head: it could no longer be seen that the client goes away.
    client.send(vec![b'x'; 40_000]).await;
    at_app.ended().await;
    client.ended().await;
    assert_eq!(sidecar.metric("failures_total", &["cause=\"flooded\""]).await, 1);
}
