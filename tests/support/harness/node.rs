//! Real Socket.IO servers and clients (`tests/integration/node`).

use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::Value;
use tokio::process::Command;

use super::{Process, ask, get, repository};

/// Node, about to run `script`, a path from the repository's root.
///
/// # Panics
/// When the script's packages are not installed.
#[must_use]
pub fn node(script: &str) -> Command {
    let script = require_packages(script);
    let mut command = Command::new("node");
    command.arg(script);
    command
}

/// The script's path, once it is certain that its packages are installed.
fn require_packages(script: &str) -> PathBuf {
    let script = repository().join(script);
    let directory = script.parent().expect("a script is in a directory");
    assert!(
        directory.join("node_modules").is_dir(),
        "the packages of {0} are not installed: run `npm ci --prefix {0}`, or `make test`, which does",
        directory.strip_prefix(repository()).expect("it is in the repository").display()
    );
    script
}

/// A Socket.IO server.
#[derive(Debug)]
pub struct NodeServer {
    at: SocketAddr,
    /// The program.
    pub process: Process,
}

impl NodeServer {
    /// Starts one of `engine`, v4 or v2, and waits until it listens.
    pub async fn start(engine: &str, at: SocketAddr, arguments: &[&str]) -> Self {
        let (host, port) = (at.ip().to_string(), at.port().to_string());
        let mut command = node("tests/integration/node/server.js");
        command.args(["--engine", engine, "--host", &host, "--port", &port, "--name", &host]).args(arguments);
        let mut process = Process::start(&format!("the server on {at}"), &mut command);
        process.line_with("{\"port\":").await;
        Self { at, process }
    }

    /// Counts that the server shows under `/stats`.
    pub async fn stats(&self) -> Value {
        serde_json::from_str(&ask(self.at, &get("/stats")).await.text()).expect("/stats is JSON")
    }

    /// Number of sessions that ended as when a poll is aborted or a connection breaks.
    pub async fn transport_ends(&self) -> u64 {
        let closes = &self.stats().await["closes"];
        ["transport error", "transport close"].iter().filter_map(|reason| closes[reason].as_u64()).sum()
    }
}

/// Starts a client of `engine` over `transport` (polling, websocket or default).
#[must_use]
pub fn start_client(engine: &str, transport: &str, to: SocketAddr, arguments: &[&str]) -> Process {
    let mut command = node("tests/integration/node/client.js");
    let url = format!("http://{to}");
    command.args(["--engine", engine, "--transport", transport, "--url", &url]).args(arguments);
    Process::start("the client", &mut command)
}

/// Starts so many clients of `engine` that reconnect, and waits until all are connected.
pub async fn returning_clients(engine: &str, transport: &str, to: SocketAddr, clients: usize) -> Process {
    let mut command = node("tests/integration/node/returning.js");
    let (url, clients) = (format!("http://{to}"), clients.to_string());
    command.args(["--engine", engine, "--transport", transport, "--url", &url, "--clients", &clients]);
    let mut process = Process::start(&format!("the {engine} clients over {transport}"), &mut command);
    process.line_with("all connected").await;
    process
}

/// Runs a client to its end and returns its result.
pub async fn client(engine: &str, transport: &str, to: SocketAddr, arguments: &[&str]) -> Value {
    result_of(start_client(engine, transport, to, arguments)).await
}

/// Waits for a client's end and returns its result.
pub async fn result_of(mut client: Process) -> Value {
    let lines = client.output().await;
    let result = lines.last().and_then(|line| serde_json::from_str::<Value>(line).ok());
    match result {
        Some(result) if result["result"].is_object() => result["result"].clone(),
        _ => panic!("the client gave no result but {lines:#?}"),
    }
}

/// Ends [`returning_clients`], and asserts that no session ended, no message was lost, and at least `acked` messages of each
/// client were acknowledged.
///
/// # Panics
/// A client has lost something.
pub async fn kept_their_sessions(clients: Process, acked: u64, what: &str) {
    let result = result_of(clients).await;
    for client in result["clients"].as_array().expect("one entry per client") {
        let none = |list: &str| client[list].as_array().is_some_and(Vec::is_empty);
        let kept = client["connects"] == 1
            && client["acked"].as_u64() >= Some(acked)
            && client["lost"] == 0
            && ["disconnects", "errors", "violations"].into_iter().all(none);
        assert!(kept, "{what}: {client}");
    }
}

/// Asks `tests/integration/node/websocket.js` what a server answers to a WebSocket handshake.
pub async fn websocket(to: SocketAddr, target: &str, arguments: &[&str]) -> Value {
    let mut command = node("tests/integration/node/websocket.js");
    command.args(["--url", &format!("ws://{to}{target}")]).args(arguments);
    let lines = Process::start("the bare WebSocket", &mut command).output().await;
    lines.last().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_else(|| panic!("{lines:#?}"))
}
