//! Three applications and three sidecars behind a proxy that knows nothing of sessions.
//!
//! The second test runs the commands of `docs/standalone.md` as they stand there, on addresses of its
//! own, with the proxy of this harness in the place of HAProxy.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use support::harness::sidecar::program;
use support::harness::{
    Config, NodeServer, Place, RoundRobin, Sidecar, ask, client, eventually, get, repository,
};
use tokio::process::Command;

#[tokio::test]
async fn three_sidecars_behind_a_round_robin_proxy_serve_every_transport_and_without_them_polling_fails() {
    let (config, edge, straight) = (Config::new("enforce").await, Place::new(), Place::new());
    let places = [Place::new(), Place::new(), Place::new()];
    let _servers = tokio::join!(
        NodeServer::start("v4", places[0].app(), &[]),
        NodeServer::start("v4", places[1].app(), &[]),
        NodeServer::start("v4", places[2].app(), &[]),
    );
    let mut sidecars = Vec::new();
    for place in &places {
        sidecars.push(Sidecar::start(&config, place).await);
    }
    RoundRobin::start(edge.clients(), places.iter().map(Place::clients).collect()).await;
    RoundRobin::start(straight.clients(), places.iter().map(Place::app).collect()).await;

    // The control: without it, the rest would prove nothing.
    let result = client("v4", "polling", straight.clients(), &[]).await;
    assert_eq!(result["ok"], false, "{result}");
    assert!(result["errors"][0].as_str().unwrap().ends_with("400 Session ID unknown"), "{result}");

    for transport in ["polling", "default", "websocket"] {
        let (first, second) = tokio::join!(
            client("v4", transport, edge.clients(), &["--binary", "2000"]),
            client("v4", transport, edge.clients(), &["--messages", "40"]),
        );
        for result in [first, second] {
            assert_eq!(result["ok"], true, "{transport}: {result}");
            let at_end = if transport == "polling" { "polling" } else { "websocket" };
            assert_eq!(result["transport_at_end"], at_end, "{transport}: {result}");
            assert_eq!(result["upgrade_errors"].as_array().map(Vec::len), Some(0), "{result}");
        }
    }
    let mut forwarded = 0;
    for sidecar in &sidecars {
        forwarded += sidecar.forwarded().await;
        assert_eq!(
            sidecar.metric("failures_total", &[]).await,
            sidecar.aborted().await,
            "{}",
            sidecar.metrics().await
        );
        assert_eq!(sidecar.metric("owner_gone_total", &[]).await, 0);
    }
    assert!(forwarded > 0, "the proxy did misroute");
}

#[tokio::test]
async fn the_commands_in_the_documentation_do_what_it_says() {
    let text = fs::read_to_string(repository().join("docs/standalone.md")).unwrap();
    let script = shell_blocks(&text);
    assert!(script.contains("socketio-sidecar init cluster"), "{script}");

    // Addresses of our own in place of 127.0.0.1, .2 and .3.
    let places = [Place::new(), Place::new(), Place::new()];
    let script = places.iter().enumerate().fold(script, |script, (at, place)| {
        script.replace(&format!("127.0.0.{}", at + 1), &place.ip.to_string())
    });
    assert!(!script.contains("127.0.0."), "{script}");
    let edge = |port| std::net::SocketAddr::new(places[0].ip, port);
    RoundRobin::start(edge(8080), places.iter().map(Place::clients).collect()).await;
    RoundRobin::start(edge(8081), places.iter().map(Place::app).collect()).await;

    // A directory like the repository's root and the documented PATH. What is started in the background
    // is waited for, which a person who pastes the commands does by pausing.
    let root = tempfile::tempdir().unwrap();
    for link in ["examples", "tests"] {
        std::os::unix::fs::symlink(repository().join(link), root.path().join(link)).unwrap();
    }
    let bin = root.path().join("bin");
    fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(program(), bin.join("socketio-sidecar")).unwrap();
    let (start, run) = script.split_once("node tests/load/load.js").unwrap();
    let ready: String = places
        .iter()
        .map(|place| format!("until curl -sf http://{}/readyz; do sleep 0.1; done\n", place.admin()))
        .collect();
    let script = format!("{start}\n{ready}\nnode tests/load/load.js{run}");
    let output = shell(root.path(), &bin, &script).await;
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");

    let (without, with) = said.split_once("failed, as expected").unwrap_or_else(|| panic!("{said}"));
    assert!(without.contains("Session ID unknown"), "{said}");
    assert!(!with.contains("Session ID unknown") && !with.contains("Failed"), "{said}");
    let forwarded = with.lines().find(|line| line.contains("decision=\"forward\",from=\"client\"")).unwrap();
    assert!(!forwarded.ends_with(" 0"), "{said}");
    let shown = with.lines().find(|line| line.starts_with("{\"closing\"")).unwrap();
    assert_eq!(serde_json::from_str::<Value>(shown).unwrap()["mode"], "Enforce");
    eventually("everything has ended", async || {
        tokio::net::TcpStream::connect(places[2].clients()).await.is_err()
    })
    .await;
}

/// The contents of all blocks marked `sh`.
fn shell_blocks(markdown: &str) -> String {
    let blocks =
        markdown.split("\n```sh\n").skip(1).map(|rest| rest.split("\n```").next().unwrap_or_default());
    blocks.collect::<Vec<_>>().join("\n")
}

async fn shell(directory: &Path, bin: &Path, script: &str) -> std::process::Output {
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let run = Command::new("bash")
        // Whatever happens, nothing of it stays.
        .args(["-e", "-c", &format!("trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{script}")])
        .current_dir(directory)
        .env("PATH", path)
        .stdin(Stdio::null())
        .output();
    tokio::time::timeout(Duration::from_secs(60), run).await.expect("it ends").unwrap()
}

#[tokio::test]
async fn the_documentations_proxies_and_options_are_the_ones_there_are() {
    let text = fs::read_to_string(repository().join("docs/standalone.md")).unwrap();
    let help = Command::new(program()).arg("--help").output().await.unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for option in text.split('`').filter(|word| word.starts_with("--")) {
        assert!(help.contains(option), "{option}");
    }
    // Every metric it names exists.
    let (config, place) = (Config::new("enforce").await, Place::new());
    let _server = NodeServer::start("v4", place.app(), &[]).await;
    let sidecar = Sidecar::start(&config, &place).await;
    client("v4", "polling", place.clients(), &[]).await;
    let metrics = ask(sidecar.place.admin(), &get("/metrics")).await.text();
    for metric in text.split('`').filter_map(|word| word.strip_prefix("socketio_sidecar_")) {
        let name = metric.split('{').next().unwrap_or_default();
        if name != "owner_gone_total" {
            assert!(metrics.contains(&format!("socketio_sidecar_{name}")), "{name} in\n{metrics}");
        }
    }
}
