//! A pod vanishes without a word: its packets are dropped, while sessions are under way. The pods are network namespaces.

pub(crate) mod network;

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::harness::{
    Config, NodeServer, Place, Polling, Process, Sidecar, Wire, eventually, get, start_client,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

use network::{Network, Pod};

/// Longest time until everybody is told.
const TOLD: Duration = Duration::from_secs(5);
const SESSIONS: usize = 20;

/// Two pods, each with a sidecar and a server. Sessions are the owner's, and their requests come here.
struct Pods {
    // Dropped first, since the programs need no network to be killed.
    here: Sidecar,
    owner: Sidecar,
    _server: NodeServer,
    owner_server: NodeServer,
    _config: Config,
    network: Network,
}

impl Pods {
    async fn new() -> Self {
        let (config, network) = (Config::new("enforce").await, Network::new());
        network.enter(Pod::Owner);
        let place = Pod::Owner.place();
        let owner_server = NodeServer::start("v4", place.app(), &[]).await;
        let owner = Sidecar::start(&config, &place).await;
        network.enter(Pod::Here);
        let place = Pod::Here.place();
        let server = NodeServer::start("v4", place.app(), &[]).await;
        let here = Sidecar::start(&config, &place).await;
        Self { here, owner, _server: server, owner_server, _config: config, network }
    }

    /// A session with a poll that hangs here.
    async fn hanging(&self) -> (Polling, Wire) {
        let session = Polling::join(self.owner.place.clients()).await;
        let poll = session.hang(self.here.place.clients()).await;
        (session, poll)
    }

    async fn all_hanging(&self) -> Vec<(Polling, Wire)> {
        let mut hanging = Vec::new();
        for _ in 0..SESSIONS {
            hanging.push(self.hanging().await);
        }
        // So that all have reached the owner, and the watch is there.
        sleep(Duration::from_millis(1500)).await;
        hanging
    }

    /// Sessions that the owner's application has.
    async fn alive(&self) -> u64 {
        self.network.enter(Pod::Owner);
        let stats = self.owner_server.stats().await;
        self.network.enter(Pod::Here);
        stats["alive"].as_u64().unwrap()
    }

    async fn lost(&self) -> u64 {
        self.here.metric("peer_connections_lost_total", &[]).await
            + self.here.metric("owner_gone_total", &[]).await
    }

    /// Ends each poll by a message, and sees it answered.
    async fn all_answer(&self, hanging: Vec<(Polling, Wire)>) {
        let at = self.here.place.clients();
        for (session, mut poll) in hanging {
            assert_eq!(session.post(at, r#"420["echo","x"]"#).await.text(), "ok");
            let mut seen = poll.answer().await;
            while !seen.text().contains(r#"430["x"]"#) {
                // A ping came first.
                assert_eq!(seen.status, 200, "{seen:?}");
                poll.send(get(&session.target())).await;
                seen = poll.answer().await;
            }
        }
    }
}

/// Sends the first request of a session to its owner, and the others here.
async fn balance(at: SocketAddr, owner: Place, here: Place) {
    let listener = TcpListener::bind(at).await.unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(pass(client, owner.clone(), here.clone()));
        }
    });
}

async fn pass(mut client: TcpStream, owner: Place, here: Place) -> io::Result<()> {
    let mut head = vec![0; 8192];
    let read = client.read(&mut head).await?;
    let has_sid = head[..read].windows(4).any(|bytes| bytes == b"sid=");
    let mut onward = TcpStream::connect(if has_sid { here.clients() } else { owner.clients() }).await?;
    onward.write_all(&head[..read]).await?;
    copy_bidirectional(&mut client, &mut onward).await?;
    Ok(())
}

/// Real clients: polling, and upgraded to WebSocket.
async fn clients(pods: &Pods) -> Vec<Process> {
    let at = SocketAddr::new(pods.here.place.ip, 8000);
    balance(at, pods.owner.place.clone(), pods.here.place.clone()).await;
    let mut clients = Vec::new();
    for transport in ["polling", "polling", "default", "default", "default"] {
        clients.push(start_client("v4", transport, at, &["--messages", "2", "--hold", "120000"]));
    }
    for client in &mut clients {
        client.line_with("connected").await;
    }
    eventually("three clients are upgraded", async || {
        pods.here.metric("tunnels_open", &["to=\"owner\""]).await == 3
    })
    .await;
    clients
}

#[tokio::test]
async fn all_sessions_of_a_pod_that_vanishes_are_told_within_5_s() {
    let pods = Pods::new().await;
    let at = pods.here.place.clients();
    let mut clients = clients(&pods).await;
    let mut hanging = pods.all_hanging().await;
    let begun = Polling::join(pods.owner.place.clients()).await;
    let mut big = Wire::connect(at).await;
    big.send(format!("POST {} HTTP/1.1\r\nHost: test\r\nContent-Length: 900000\r\n\r\n", begun.target()))
        .await;
    big.send(vec![b'4'; 300_000]).await;
    sleep(Duration::from_millis(300)).await;
    assert_eq!(pods.alive().await, (SESSIONS + 5 + 1) as u64);

    pods.network.cut();
    let cut = Instant::now();
    let mut told = Vec::new();
    // On connections that are idle, and on new ones.
    let posts = hanging.iter().take(10).map(|(session, _)| {
        let session = session.clone();
        tokio::spawn(async move { session.post(at, "42[\"x\"]").await })
    });
    let posts: Vec<_> = posts.collect();
    big.send(vec![b'4'; 300_000]).await;
    for (_, poll) in &mut hanging {
        told.push((poll.answer().await, cut.elapsed()));
    }
    for post in posts {
        told.push((post.await.unwrap(), cut.elapsed()));
    }
    told.push((big.answer().await, cut.elapsed()));
    for (answer, after) in &told {
        assert!(answer.is_unknown_session(), "{answer:?}");
        assert!(*after < TOLD, "{after:?}");
    }
    assert_eq!(told.len(), SESSIONS + 10 + 1);
    for client in &mut clients {
        let line = timeout(TOLD.saturating_sub(cut.elapsed()), client.line_with("\"result\"")).await;
        let line = line.expect("every client is told within 5 s");
        assert!(line.contains("transport close") || line.contains("transport error"), "{line}");
    }
    let all_told = cut.elapsed();
    assert!(all_told < TOLD, "{all_told:?}");
    assert!(pods.here.metric("owner_gone_total", &["reason=\"vanished\""]).await > SESSIONS as u64);

    // The owner finds out by itself that the other pod has vanished, and closes the sessions.
    while pods.alive().await > 1 {
        assert!(cut.elapsed() < TOLD + Duration::from_secs(1), "{} sessions linger", pods.alive().await);
        sleep(Duration::from_millis(50)).await;
    }
    println!("all told after {all_told:?}; closed at the owner after {:?}", cut.elapsed());
}

#[tokio::test]
async fn a_loss_of_packets_for_2_s_ends_no_session() {
    let pods = Pods::new().await;
    let hanging = pods.all_hanging().await;
    for phase in [0, 300, 700] {
        sleep(Duration::from_millis(phase)).await;
        pods.network.cut();
        sleep(Duration::from_secs(2)).await;
        pods.network.mend();
        sleep(Duration::from_secs(3)).await;
    }
    assert_eq!(pods.lost().await, 0);
    pods.all_answer(hanging).await;
}

#[tokio::test]
async fn a_pod_whose_sidecar_is_stopped_for_a_while_is_not_gone() {
    let pods = Pods::new().await;
    let hanging = pods.all_hanging().await;
    for sidecar in [&pods.owner, &pods.here] {
        sidecar.signal(Signal::STOP);
        sleep(Duration::from_secs(7)).await;
        sidecar.signal(Signal::CONT);
        sleep(Duration::from_secs(2)).await;
    }
    assert_eq!(pods.lost().await, 0);
    assert_eq!(pods.alive().await, SESSIONS as u64);
    pods.all_answer(hanging).await;
}

#[tokio::test]
async fn a_pod_that_is_heard_and_accepts_no_connection_is_busy_not_gone() {
    let pods = Pods::new().await;
    let at = pods.here.place.clients();
    let (heard, silent) = (pods.hanging().await, Polling::join(pods.owner.place.clients()).await);
    sleep(Duration::from_millis(1500)).await;
    pods.network.drop_new_connections();
    // Two requests cannot share the idle connection.
    let _poll = silent.hang(at).await;
    sleep(Duration::from_millis(200)).await;
    let (session, mut poll) = heard;
    let post = tokio::spawn(async move { silent.post(at, "42[\"x\"]").await });
    while !post.is_finished() {
        // At the owner itself: what it says comes here on the connection of the poll.
        session.post(pods.owner.place.clients(), r#"420["echo","x"]"#).await;
        let answer = poll.answer().await;
        assert_eq!(answer.status, 200, "{answer:?}");
        poll.send(get(&session.target())).await;
        sleep(Duration::from_millis(200)).await;
    }
    let answer = post.await.unwrap();
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(pods.here.metric("failures_total", &["cause=\"busy\""]).await > 0);
    assert_eq!(pods.lost().await, 0);
}
