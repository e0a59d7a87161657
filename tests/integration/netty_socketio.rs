//! Sessions of netty-socketio survive, though it closes each connection after an answer that says keep-alive.
//!
//! Needs Java, and the jars that `make netty-socketio` copies. `NETTY_SECONDS` is how long clients send (10).

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use support::harness::node::{result_of, returning_clients};
use support::harness::{Config, Place, Process, RoundRobin, Sidecar, repository};
use tokio::process::Command;

/// The directory of the jars, as the Makefile has it.
fn jars() -> PathBuf {
    let pom = std::fs::read_to_string(repository().join("tests/integration/java/pom.xml")).unwrap();
    let (_, dependency) = pom.split_once("<artifactId>netty-socketio</artifactId>").unwrap();
    let (_, version) = dependency.split_once("<version>").unwrap();
    let (version, _) = version.split_once('<').unwrap();
    let caches = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let caches = caches.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"));
    let jars = caches.join("socketio-affinity/netty-socketio").join(version);
    assert!(
        jars.is_dir(),
        "{} is missing: run `make netty-socketio`, or `make test`, which does",
        jars.display()
    );
    jars
}

async fn start_server(place: &Place) -> Process {
    let mut command = Command::new("java");
    // The server is small: its first answer matters more than its speed.
    command.args(["-XX:TieredStopAtLevel=1", "-cp"]).arg(jars().join("*"));
    command.arg(repository().join("tests/integration/java/Server.java"));
    command.args([place.app().ip().to_string(), place.app().port().to_string()]);
    let mut server = Process::start("netty-socketio", &mut command);
    server.line_with("{\"port\":").await;
    server
}

/// Clients whose session has ended, or that have heard little. The server repeats and reorders messages itself, so they
/// are not judged.
fn unwell(result: &Value) -> Vec<&Value> {
    let none = |client: &Value, list: &str| client[list].as_array().is_some_and(Vec::is_empty);
    let is_well = |client: &&Value| {
        client["connects"] == 1
            && none(client, "disconnects")
            && none(client, "errors")
            && client["acked"].as_u64() > Some(20)
    };
    result["clients"].as_array().unwrap().iter().filter(|client| !is_well(client)).collect()
}

#[tokio::test]
async fn no_session_of_netty_socketio_ends() {
    let seconds = std::env::var("NETTY_SECONDS").map_or(10, |text| text.parse().unwrap());
    let (config, proxy) = (Config::new("enforce").await, Place::new());
    let places = [Place::new(), Place::new(), Place::new()];
    let (_one, _two, _three) =
        tokio::join!(start_server(&places[0]), start_server(&places[1]), start_server(&places[2]));
    let mut sidecars = Vec::new();
    for place in &places {
        sidecars.push(Sidecar::start(&config, place).await);
    }
    RoundRobin::start(proxy.clients(), places.iter().map(Place::clients).collect()).await;
    for attempt in 1.. {
        if all_sessions_live(&places, proxy.clients(), seconds).await {
            break;
        }
        assert!(attempt < 3, "the server ends sessions without a sidecar, too");
    }
    for sidecar in &sidecars {
        assert_eq!(sidecar.metric("app_reuse_answers", &[]).await, 0);
        assert!(sidecar.metric("app_early_closes_total", &[]).await > 20);
    }
}

/// Asserts that no session ends through sidecars. False: one ended without a sidecar, so that nothing can be said. The
/// server does so now and then.
async fn all_sessions_live(places: &[Place], proxy: SocketAddr, seconds: u64) -> bool {
    let (control, one, three, upgraded) = tokio::join!(
        returning_clients("v4", "polling", places[0].app(), 2),
        returning_clients("v4", "polling", places[0].clients(), 4),
        returning_clients("v4", "polling", proxy, 4),
        returning_clients("v4", "default", proxy, 4),
    );
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let control = result_of(control).await;
    if !unwell(&control).is_empty() {
        println!("without a sidecar: {:?}", unwell(&control));
        return false;
    }
    for (clients, what) in
        [(one, "one sidecar"), (three, "three sidecars"), (upgraded, "three sidecars, upgraded")]
    {
        let result = result_of(clients).await;
        assert_eq!(unwell(&result), Vec::<&Value>::new(), "through {what}");
    }
    true
}
