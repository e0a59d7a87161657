//! No request is lost to a server that closes an idle connection just as the request arrives, directly and through another
//! sidecar.

use super::*;

/// A server with the arguments `server`, its sidecar, and the sidecar of another pod.
struct Two {
    owner: Sidecar,
    other: Sidecar,
    _server: NodeServer,
    _config: Config,
}

impl Two {
    async fn start(server: &[&str]) -> Self {
        let (config, owner, other) = (Config::new("enforce").await, Place::new(), Place::new());
        let server = NodeServer::start("v4", owner.app(), server).await;
        let (owner, other) = (Sidecar::start(&config, &owner).await, Sidecar::start(&config, &other).await);
        Self { owner, other, _server: server, _config: config }
    }

    async fn failures(&self) -> u64 {
        self.owner.metric("failures_total", &[]).await + self.other.metric("failures_total", &[]).await
    }
}

#[tokio::test]
async fn no_request_is_lost_over_idle_gaps_around_nodes_own_five_seconds() {
    let two = Two::start(&[]).await;
    let owner = two.owner.place.clients();
    let gaps = [3_950, 4_000, 4_950, 5_000, 5_050, 5_900, 6_000, 6_050];
    let mut sessions = Vec::new();
    for at in [owner, two.other.place.clients()] {
        for gap in gaps {
            sessions.push(tokio::spawn(async move {
                // One connection from the client throughout, as browsers have it.
                let session = Polling::join(owner).await;
                let mut client = Wire::connect(at).await;
                for gap in [0, gap] {
                    tokio::time::sleep(Duration::from_millis(gap)).await;
                    client.send(post(&session.target(), "3")).await;
                    let answer = client.answer().await;
                    assert_eq!(
                        (answer.status, answer.text().as_str()),
                        (200, "ok"),
                        "after a gap of {gap} ms"
                    );
                }
            }));
        }
    }
    for session in sessions {
        session.await.unwrap();
    }
    assert_eq!(two.failures().await, 0);
}

/// Sends POSTs of 8 sessions in step, over connections that have been idle for each of `gaps` (in ms). POSTs are never
/// sent again, so each of them must find a connection that stays open. `reuses` tells whether any is used again.
async fn no_post_is_lost(server: &[&str], gaps: &[u64], reuses: bool) {
    let two = Two::start(server).await;
    let owner = two.owner.place.clients();
    let mut sessions = Vec::new();
    for at in [owner, two.other.place.clients()].repeat(4) {
        sessions.push((Polling::join(owner).await, Wire::connect(at).await));
    }
    // With these the limits of reuse are learned.
    let learn = [400; 4];
    for gap in learn.iter().chain(gaps) {
        tokio::time::sleep(Duration::from_millis(*gap)).await;
        for (session, client) in &mut sessions {
            client.send(post(&session.target(), "3")).await;
        }
        for (_, client) in &mut sessions {
            let answer = client.answer().await;
            let seen = (answer.status, answer.text());
            assert_eq!(seen, (200, "ok".to_owned()), "{server:?}, after a gap of {gap} ms");
        }
    }
    assert_eq!(two.owner.metric("app_reuse_answers", &[]).await > 0, reuses, "{server:?}");
    assert_eq!(two.failures().await, 0, "{server:?}");
}

/// Moments around a close, in ms.
fn around(close: u64) -> Vec<u64> {
    [-50, -20, -5, -1, 0, 1, 5, 20, 50].map(|offset| close.saturating_add_signed(offset)).to_vec()
}

#[tokio::test]
async fn no_post_is_lost_at_the_moment_of_a_close_after_1000_and_1500_ms() {
    // Half of what a connection was seen to survive bounds reuse, and is tried too.
    let at_1000 = [around(1_000), around(500), around(1_000)].concat();
    let at_1500 = [around(1_500), around(750)].concat();
    tokio::join!(
        // Node announces 1 s for both, and reuse ends one second before an announced close.
        no_post_is_lost(&["--keep-alive", "1000"], &at_1000, false),
        no_post_is_lost(&["--keep-alive", "1500"], &at_1500, false),
        no_post_is_lost(&["--close-idle", "1000"], &at_1000, true),
        no_post_is_lost(&["--close-idle", "1500"], &at_1500, true),
    );
}
