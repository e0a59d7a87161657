//! Whole systems: real Socket.IO servers for Node, and real clients of them.
//!
//! | system | is |
//! | --- | --- |
//! | one pod | one server, to which all clients go: what is to be approached |
//! | 3 pods, perfect affinity | three servers; each client keeps to one of them, as behind an edge that never errs |
//! | 3 pods, round robin | three servers with a sidecar before each; each request goes to the next sidecar |
//!
//! Without sidecars, round robin is no system: nearly every session fails.
//!
//! All servers and sidecars share one core, the clients have the other. Three servers on one core are in
//! each other's way, which is the machine's doing: what the sidecars cost is best seen beside perfect
//! affinity, what users get beside one pod.
//!
//! # The edge
//! There is none but the clients' HTTP agent, which keeps connections and picks the target of each request
//! (`node/edge.js`). A proxy in its place would add the same time to each system, and so flatter the ratio
//! of their round trips.

mod clients;
pub(crate) mod measure;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::cores::Core;
use crate::metrics::Metrics;
use crate::procfs::cpu_time;
use crate::programs::in_path;
use crate::subject::ours::{Pod, init};
use crate::subject::{Ground, Process, wait_until_they_listen};
use clients::{NodeClients, Way};

/// The third byte of the first system's addresses.
const NETWORK: u8 = 16;
/// Where a pod's server listens.
const SERVER: u16 = 3000;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum System {
    OnePod,
    ThreePods,
    RoundRobin,
}

impl System {
    /// All, in the order of tables.
    pub(crate) const ALL: [Self; 3] = [Self::OnePod, Self::ThreePods, Self::RoundRobin];

    /// As it is named on the command line and in files.
    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::OnePod => "one-pod",
            Self::ThreePods => "three-pods",
            Self::RoundRobin => "round-robin",
        }
    }

    /// As readers see it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::OnePod => "one pod",
            Self::ThreePods => "3 pods, perfect affinity",
            Self::RoundRobin => "3 pods, round robin, sidecars",
        }
    }

    /// As readers see it where there is little room.
    pub(crate) fn short(self) -> &'static str {
        match self {
            Self::OnePod => "one pod",
            Self::ThreePods => "perfect affinity",
            Self::RoundRobin => "round robin",
        }
    }

    fn pods(self, ground: &Ground) -> Vec<Pod> {
        let (third, count) = match self {
            Self::OnePod => (NETWORK, 1),
            Self::ThreePods => (NETWORK + 1, 3),
            Self::RoundRobin => (NETWORK + 2, 3),
        };
        let pod = |fourth| {
            let ip = ground.ip(third, fourth);
            Pod { ip, app: (ip, SERVER).into() }
        };
        (1..=count).map(pod).collect()
    }
}

/// The folder of the programs for Node.
fn scripts() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/node"))
}

/// What is missing for it.
pub(crate) fn missing() -> Option<&'static str> {
    if in_path("node").is_none() {
        Some("whole systems: Node.js is missing; install version 20 or a newer one")
    } else if !scripts().join("node_modules/socket.io-client/package.json").is_file() {
        Some(
            "whole systems: Socket.IO is not installed for them; `npm ci --prefix tests/bench/node` does it, and so does `make bench`",
        )
    } else {
        None
    }
}

/// What runs in them, with versions and from where it is.
pub(crate) fn programs() -> Result<Vec<(String, String, String)>> {
    let version = Command::new("node").arg("--version").output().context("node cannot be run")?;
    let version = String::from_utf8_lossy(&version.stdout).trim().trim_start_matches('v').to_owned();
    let package = fs::read(scripts().join("node_modules/socket.io/package.json"))?;
    let package: serde_json::Value = serde_json::from_slice(&package)?;
    let socketio = package["version"].as_str().unwrap_or("unknown").to_owned();
    Ok(vec![
        ("socket.io".to_owned(), socketio, "npm".to_owned()),
        ("Node.js".to_owned(), version, "installed".to_owned()),
    ])
}

/// A system that runs. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Running {
    /// What it is.
    pub system: System,
    pods: Vec<Pod>,
    servers: Vec<Process>,
    sidecars: Vec<Process>,
    clients: NodeClients,
    // The last field: what is in it is used by the others.
    _directory: TempDir,
}

/// CPU time since the start.
#[derive(Debug, Clone, Copy)]
struct CpuTimes {
    servers: Duration,
    sidecars: Duration,
    clients: Duration,
}

impl Running {
    /// Starts `system` and waits until it takes connections.
    pub(crate) fn start(ground: &Ground, system: System) -> Result<Self> {
        let directory = TempDir::with_prefix("socketio-affinity-bench-")?;
        let path = directory.path();
        let pods = system.pods(ground);
        let (mut servers, mut sidecars) = (Vec::new(), Vec::new());
        for (number, pod) in pods.iter().enumerate() {
            let command: [OsString; 4] = [
                "node".into(),
                scripts().join("server.js").into(),
                pod.app.ip().to_string().into(),
                pod.app.port().to_string().into(),
            ];
            let name = format!("server {}", number + 1);
            servers.push(Process::start(name, ground.cores, Core::Proxy, path, command)?);
        }
        if system == System::RoundRobin {
            let config = init(ground, "enforce", path)?;
            for (number, pod) in pods.iter().enumerate() {
                let (name, command) = (format!("sidecar {}", number + 1), pod.sidecar(ground, &config));
                sidecars.push(Process::start(name, ground.cores, Core::Proxy, path, command)?);
            }
        }
        let apps: Vec<_> = pods.iter().map(|pod| pod.app).collect();
        wait_until_they_listen(&apps, &mut servers)?;
        let (way, targets) = match system {
            System::RoundRobin => (Way::RoundRobin, pods.iter().map(|pod| pod.clients()).collect()),
            System::OnePod | System::ThreePods => (Way::Affine, apps),
        };
        if way == Way::RoundRobin {
            wait_until_they_listen(&targets, &mut sidecars)?;
        }
        let clients = NodeClients::start(ground, path, &program(), way, &targets)?;
        Ok(Self { system, pods, servers, sidecars, clients, _directory: directory })
    }

    fn cpu_times(&self) -> Result<CpuTimes> {
        let sum = |processes: &[Process]| -> Result<Duration> {
            let times = processes
                .iter()
                .map(|process| cpu_time(process.pid()).map_err(|error| process.explain(&error.into())));
            times.sum()
        };
        Ok(CpuTimes {
            servers: sum(&self.servers)?,
            sidecars: sum(&self.sidecars)?,
            clients: cpu_time(self.clients.pid())?,
        })
    }

    /// Requests that the sidecars have had from clients: those that were forwarded, and all.
    fn requests(&self) -> Result<(f64, f64)> {
        let (mut forwarded, mut all) = (0.0, 0.0);
        for pod in self.pods.iter().take(self.sidecars.len()) {
            let metrics = Metrics::read(pod.admin())?;
            forwarded += metrics.sum("requests_total", &["from=\"client\"", "decision=\"forward\""]);
            all += metrics.sum("requests_total", &["from=\"client\""]);
        }
        Ok((forwarded, all))
    }
}

fn program() -> PathBuf {
    scripts().join("clients.js")
}
