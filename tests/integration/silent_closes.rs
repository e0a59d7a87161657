//! Sessions survive servers that close connections without announcing it: a request that meets a closing connection
//! would end its session.

use std::time::Duration;

use support::harness::node::{kept_their_sessions, returning_clients};
use support::harness::{Config, NodeServer, Place, RoundRobin, Sidecar};
use tokio::time::sleep;

/// Least number of messages that each client has sent and got acknowledged.
const LEAST_ACKED: u64 = 20;

/// Three servers with these arguments, a sidecar beside each, and a round-robin proxy before the sidecars.
struct Cluster {
    servers: Vec<(Place, NodeServer)>,
    sidecars: Vec<Sidecar>,
    proxy: Place,
    _config: Config,
}

impl Cluster {
    async fn start(arguments: &[&str]) -> Self {
        let (config, proxy) = (Config::new("enforce").await, Place::new());
        let (mut servers, mut sidecars) = (Vec::new(), Vec::new());
        for place in [Place::new(), Place::new(), Place::new()] {
            servers.push((place.clone(), NodeServer::start("v4", place.app(), arguments).await));
            sidecars.push(Sidecar::start(&config, &place).await);
        }
        let clients = sidecars.iter().map(|sidecar| sidecar.place.clients()).collect();
        RoundRobin::start(proxy.clients(), clients).await;
        Self { servers, sidecars, proxy, _config: config }
    }

    /// The sum of a metric over the sidecars.
    async fn metric(&self, name: &str, labels: &[&str]) -> u64 {
        Sidecar::metric_of_all(&self.sidecars, name, labels).await
    }
}

async fn every_session_survives(arguments: &[&str]) -> Cluster {
    let cluster = Cluster::start(arguments).await;
    let (control, one, three) =
        (cluster.servers[0].0.app(), cluster.servers[0].0.clients(), cluster.proxy.clients());
    let (control, one, three, upgraded) = tokio::join!(
        returning_clients("v4", "polling", control, 2),
        returning_clients("v4", "polling", one, 8),
        returning_clients("v4", "polling", three, 8),
        returning_clients("v4", "default", three, 4),
    );
    sleep(Duration::from_secs(4)).await;
    kept_their_sessions(control, LEAST_ACKED, "without a sidecar").await;
    kept_their_sessions(one, LEAST_ACKED, "through one sidecar").await;
    kept_their_sessions(three, LEAST_ACKED, "through three sidecars").await;
    kept_their_sessions(upgraded, LEAST_ACKED, "upgraded, through three sidecars").await;
    cluster
}

#[tokio::test]
async fn sessions_survive_a_server_that_closes_after_every_answer() {
    for delay in ["0", "1", "5", "50"] {
        let cluster = every_session_survives(&["--close-delay", delay]).await;
        assert_eq!(cluster.metric("app_reuse_answers", &[]).await, 0);
        assert!(cluster.metric("app_early_closes_total", &[]).await > 100);
    }
}

#[tokio::test]
async fn sessions_survive_a_server_that_closes_after_every_fifth_answer() {
    let cluster = every_session_survives(&["--close-delay", "0", "--close-after", "5"]).await;
    assert!(cluster.metric("app_reuse_answers", &[]).await <= 3 * 4);
}

#[tokio::test]
async fn sessions_survive_a_server_that_closes_after_a_short_silence() {
    let _cluster = every_session_survives(&["--close-idle", "900"]).await;
}

#[tokio::test]
async fn a_server_that_keeps_its_connections_is_soon_trusted() {
    let cluster = every_session_survives(&[]).await;
    assert!(cluster.metric("app_reuse_answers", &[]).await >= 3 * 4);
    assert_eq!(cluster.metric("app_early_closes_total", &[]).await, 0);
}
