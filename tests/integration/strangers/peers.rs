//! The port for peers: strangers take no peer's place, and end no session.

use std::net::SocketAddr;
use std::time::Duration;

use support::harness::{Config, NodeServer, Place, Polling, Sidecar, eventually};
use tokio::task::JoinHandle;

use super::{alone, raise_descriptor_limit, stranger};

const SESSIONS: usize = 20;

/// Keeps `count` silent connections open, and opens each again that is closed.
fn flood(to: SocketAddr, count: usize) -> Vec<JoinHandle<()>> {
    let flooder = |n: usize| async move {
        loop {
            if let Some(stream) = stranger(to, n).await {
                // Until the sidecar closes it.
                let _ = stream.readable().await;
            }
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
    };
    (0..count).map(|n| tokio::spawn(flooder(n))).collect()
}

async fn evicted(owner: &Sidecar) -> u64 {
    owner.metric("connections_evicted_total", &["limit=\"handshake\""]).await
}

async fn no_session_ends(strangers: usize, arguments: &[&str]) {
    let _alone = alone().await;
    raise_descriptor_limit();
    let (config, owner, other) = (Config::new("enforce").await, Place::new(), Place::new());
    let _server = NodeServer::start("v4", owner.app(), &[]).await;
    let owner = Sidecar::start_with(&config, &owner, arguments).await;
    let other = Sidecar::start(&config, &other).await;
    let mut sessions = Vec::new();
    for _ in 0..SESSIONS {
        sessions.push(Polling::join(owner.place.clients()).await);
    }
    let flood = flood(owner.place.peers(), strangers);
    eventually("strangers close each other's connections", async || evicted(&owner).await > 0).await;
    let at = other.place.clients();
    for round in 0..5 {
        // All at once, so that connections have to be made while strangers make theirs.
        let echoes = sessions.iter().map(|session| {
            let session = session.clone();
            tokio::spawn(async move { session.echo(at, "x").await })
        });
        for echo in echoes.collect::<Vec<_>>() {
            assert_eq!(echo.await.unwrap(), r#"["x"]"#, "round {round}");
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert_eq!(other.metric("owner_gone_total", &[]).await, 0);
    assert_eq!(other.metric("failures_total", &["cause=\"busy\""]).await, 0);
    assert!(other.forwarded().await >= 10 * SESSIONS as u64);
    for flooder in flood {
        flooder.abort();
    }
}

#[tokio::test]
async fn no_session_ends_while_6000_connections_to_its_owner_are_silent() {
    no_session_ends(6000, &[]).await;
}

#[tokio::test]
async fn no_session_ends_while_400_connections_to_a_small_owner_are_silent() {
    no_session_ends(400, &["--max-connections", "64"]).await;
}
