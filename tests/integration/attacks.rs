//! No client can harm another client's request, whatever it sends.
//!
//! Attackers repeat each attack of [`support::hostile`] at full speed, beside honest clients of the same
//! sidecar. Real Socket.IO clients keep their polling sessions throughout. Without a sidecar no honest
//! client is ever hurt, since each connection to Node is one client's. So the tests accept no fault at all.
//!
//! `ATTACKS` is how often each attack is sent; `make soak` sets it.

mod honest;
mod hostile;

use std::net::SocketAddr;

use support::harness::node::{kept_their_sessions, returning_clients};
use support::harness::polling::HANDSHAKE;
use support::harness::{Config, NodeServer, Place, Polling, RoundRobin, Sidecar, get, post};
use support::hostile::{Attack, corpus};

use honest::Honest;

/// Number of times that each attack is sent, unless `ATTACKS` names another.
const ATTACKS: usize = 50;
/// Least number of honest requests beside each attack, however often it is sent.
const MIN_HONEST_REQUESTS: usize = 50;
/// Honest clients beside the attackers.
const HONEST: usize = 4;
/// Longer than a test runs, so that sessions which do not poll live on.
const NO_PINGS: [&str; 2] = ["--ping-interval", "600000"];

fn times() -> usize {
    let asked = std::env::var("ATTACKS").ok();
    asked.map_or(ATTACKS, |asked| asked.parse().expect("ATTACKS is a number"))
}

/// Runs every attack beside the honest requests, and returns what went wrong, by attack.
async fn under_attack(attacks: Vec<(Attack, SocketAddr)>, honest: &[(SocketAddr, String)]) -> Vec<String> {
    let (times, mut faults) = (times(), Vec::new());
    for (attack, at) in attacks {
        let clients = Honest::start(honest.to_vec());
        let sent = hostile::repeat(&attack, at, times).await;
        let seen = clients.end(MIN_HONEST_REQUESTS).await;
        assert!(sent > 0, "{} was never sent", attack.name);
        if let Some(first) = seen.faults.first() {
            let (count, asked) = (seen.faults.len(), seen.asked);
            faults.push(format!("{} × {sent}: {count} faults in {asked}, first: {first}", attack.name));
        }
    }
    faults
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_spelling_of_a_request_reaches_another_clients_request() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let _server = NodeServer::start("v4", place.app(), &NO_PINGS).await;
    let _sidecar = Sidecar::start(&config, &place).await;
    let at = place.clients();
    let clients = returning_clients("v4", "polling", at, 4).await;

    // Node and Socket.IO each answer these before they read a body.
    let unknown = format!("{HANDSHAKE}&sid=unknown");
    let attacks = corpus("/at-once").into_iter().chain(corpus(&unknown)).map(|attack| (attack, at));
    let honest = vec![(at, get("/healthz")); HONEST];
    let faults = under_attack(attacks.collect(), &honest).await;

    assert!(faults.is_empty(), "{faults:#?}");
    kept_their_sessions(clients, 1, "under attack").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_spelling_of_a_forwarded_request_reaches_another_clients_request() {
    let (config, balancer) = (Config::new("enforce").await, Place::new());
    let (entry, owner) = (Place::new(), Place::new());
    let _servers = (
        NodeServer::start("v4", entry.app(), &NO_PINGS).await,
        NodeServer::start("v4", owner.app(), &NO_PINGS).await,
    );
    let (first, _second) = (Sidecar::start(&config, &entry).await, Sidecar::start(&config, &owner).await);
    RoundRobin::start(balancer.clients(), vec![entry.clients(), owner.clients()]).await;
    let clients = returning_clients("v4", "polling", balancer.clients(), 4).await;

    // Socket.IO answers a method that it does not know before it reads a body.
    let attackers = Polling::join(owner.clients()).await;
    let attacks = corpus(&attackers.target()).into_iter().map(|mut attack| {
        let head = String::from_utf8(attack.head).expect("heads are text");
        attack.head = head.replacen("POST", "PUT", 1).into_bytes();
        (attack, entry.clients())
    });
    let mut honest = vec![(owner.clients(), get("/healthz")), (entry.clients(), get("/healthz"))];
    for _ in honest.len()..HONEST {
        let session = Polling::join(owner.clients()).await;
        honest.push((entry.clients(), post(&session.target(), "3")));
    }
    let before = first.forwarded().await;
    let faults = under_attack(attacks.collect(), &honest).await;

    assert!(faults.is_empty(), "{faults:#?}");
    assert!(first.forwarded().await > before, "the attacks were not forwarded");
    kept_their_sessions(clients, 1, "under attack").await;
}
