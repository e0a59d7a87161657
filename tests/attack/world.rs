//! Everything that is attacked: Socket.IO servers, their sidecars and real clients.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;
use socketio_affinity_bench::procfs;
use support::harness::repository;
use tempfile::TempDir;

use crate::honest::{Ask, get};
use crate::network::{Network, PODS};
use crate::process::Process;
use crate::{balancer, session};

const APP: u16 = 3000;
const CLIENTS: u16 = 7900;
const PEERS: u16 = 7901;
const ADMIN: u16 = 7902;

/// Real Socket.IO clients: as many as keep a small machine half idle.
const REAL_CLIENTS: &str = "24";
/// Longest wait for the clients' last answers.
const SETTLE: Duration = Duration::from_secs(20);

/// Two pods, a load balancer and clients.
#[derive(Debug)]
pub(crate) struct World {
    clients: Process,
    sidecars: Vec<Process>,
    servers: Vec<Process>,
    /// Requests of the honest clients that measure.
    pub asks: Vec<Ask>,
    with_sidecars: bool,
    // The last field: the programs write into it.
    _directory: TempDir,
}

/// Sessions and messages of the real clients.
#[derive(Debug, Clone)]
pub(crate) struct Sessions {
    /// Sessions that ended though their clients wanted them.
    pub lost: u64,
    /// Lines of clients and sidecars about lost sessions. Empty where none was lost.
    pub reports: Vec<String>,
    /// Messages that were sent and answered.
    pub answered: u64,
}

impl World {
    /// Starts all of it. `descriptors` limits those of the first sidecar.
    pub(crate) fn start(network: &Network, sidecar: Option<&Path>, descriptors: Option<u32>) -> Result<Self> {
        let directory = TempDir::with_prefix("sio-attack-")?;
        let mut servers = Vec::new();
        for pod in PODS {
            servers.push(start_server(network, directory.path(), &pod.to_string())?);
        }
        for server in &mut servers {
            server.wait_for("{\"port\":")?;
        }
        let mut sidecars = Vec::new();
        if let Some(program) = sidecar {
            let config = init(program, directory.path())?;
            for (number, pod) in PODS.iter().enumerate() {
                let limit = descriptors.filter(|_| number == 0);
                let pod = pod.to_string();
                sidecars.push(start_sidecar(network, program, directory.path(), &config, &pod, limit)?);
            }
        }
        for sidecar in &mut sidecars {
            sidecar.wait_for("serving")?;
        }
        let port = if sidecar.is_some() { CLIENTS } else { APP };
        let [first, second] = PODS.map(|pod| SocketAddr::new(pod, port));
        let owner = if sidecar.is_some() { second } else { first };
        let asks = asks(first, owner)?;
        // Without sidecars a session has to stay with one pod, as with perfect affinity.
        let balancer = balancer::start(vec![first, owner])?;
        let mut clients = start_clients(directory.path(), balancer)?;
        clients.wait_for("\"event\":\"progress\"")?;
        let with_sidecars = sidecar.is_some();
        Ok(Self { clients, sidecars, servers, asks, with_sidecars, _directory: directory })
    }

    /// Address of the first pod for clients.
    pub(crate) fn door(&self) -> SocketAddr {
        SocketAddr::new(PODS[0], if self.with_sidecars { CLIENTS } else { APP })
    }

    /// Address of the second pod's sidecar for clients.
    pub(crate) fn owner_door() -> SocketAddr {
        SocketAddr::new(PODS[1], CLIENTS)
    }

    /// Peer port of the first sidecar.
    pub(crate) fn peer_door() -> SocketAddr {
        SocketAddr::new(PODS[0], PEERS)
    }

    /// Admin port of the first sidecar.
    pub(crate) fn admin_door() -> SocketAddr {
        SocketAddr::new(PODS[0], ADMIN)
    }

    /// Sets the peak of the attacked sidecar's memory back to what it has now.
    pub(crate) fn reset_peak(&self) -> Result<()> {
        let Some(sidecar) = self.sidecars.first() else { return Ok(()) };
        // proc_pid_clear_refs(5): 5 resets VmHWM.
        std::fs::write(format!("/proc/{}/clear_refs", sidecar.pid()), "5").context("the peak can be reset")
    }

    /// Peak of the attacked sidecar's resident memory, in bytes, if it runs.
    pub(crate) fn peak(&self) -> Result<Option<u64>> {
        let peak = self.sidecars.first().map(|sidecar| procfs::peak_memory(sidecar.pid()));
        peak.transpose().context("the peak of the attacked sidecar's memory cannot be read")
    }

    /// Reports whether every program still runs.
    pub(crate) fn lives(&mut self) -> bool {
        self.sidecars.iter_mut().chain(&mut self.servers).all(Process::runs)
    }

    /// Ends the real clients and says what became of their sessions.
    pub(crate) fn end(self) -> Result<Sessions> {
        let printed = self.clients.end(Signal::INT, SETTLE)?;
        let last = printed.lines().last().context("the clients print a summary")?;
        let line: Value = serde_json::from_str(last).context("a summary is JSON")?;
        let count = |name: &str| line["summary"][name].as_u64();
        let summary = count("disconnects").zip(count("connect_errors")).zip(count("acked"));
        let ((lost, refused), answered) = summary.with_context(|| format!("no summary: {last}"))?;
        let lost = lost + refused;
        let mut reports = Vec::new();
        if lost > 0 {
            reports
                .extend(lines_with(&printed, &["\"event\":\"disconnect\"", "\"event\":\"connect_error\""]));
            for sidecar in self.sidecars {
                reports.extend(lines_with(&sidecar.end(Signal::KILL, SETTLE)?, &[" WARN ", "broke"]));
            }
        }
        Ok(Sessions { lost, reports, answered })
    }
}

/// Lines of `text` that have one of `parts`, as many as a person reads.
fn lines_with(text: &str, parts: &[&str]) -> Vec<String> {
    let lines = text.lines().filter(|line| parts.iter().any(|part| line.contains(part)));
    lines.take(20).map(str::to_owned).collect()
}

/// Honest requests: on a kept connection, on a new one each time, and to a session of the other pod.
fn asks(first: SocketAddr, owner: SocketAddr) -> Result<Vec<Ask>> {
    let session = session::open(owner)?;
    Ok(vec![
        Ask { at: first, request: get("/healthz"), keeps: true },
        Ask { at: first, request: get("/healthz"), keeps: false },
        Ask { at: first, request: session::pong(&session), keeps: true },
    ])
}

/// The default in a container with the operator's memory limit, in MiB.
const MAX_BUFFERED: &str = "102";

/// The servers take every head that a sidecar lets through.
const LARGE_HEADS: &str = "--max-http-header-size=65536";

fn start_server(network: &Network, directory: &Path, pod: &str) -> Result<Process> {
    let script = repository().join("tests/integration/node/server.js");
    let script = script.to_string_lossy();
    let options = ["--host", pod, "--port", "3000", "--name", pod, "--ping-interval", "600000"];
    let words = [&network.among_pods()[..], &["node", LARGE_HEADS, &script], &options].concat();
    Process::start(&format!("server-{pod}"), directory, &words)
}

fn init(program: &Path, directory: &Path) -> Result<String> {
    let config = directory.join("config");
    let made = Command::new(program).args(["init", "--cluster", "attack"]).arg(&config).output();
    ensure!(
        made.with_context(|| format!("{} cannot be run", program.display()))?.status.success(),
        "init fails"
    );
    Ok(config.to_string_lossy().into_owned())
}

fn start_sidecar(
    network: &Network,
    program: &Path,
    directory: &Path,
    config: &str,
    pod: &str,
    descriptors: Option<u32>,
) -> Result<Process> {
    let limit = descriptors.map(|most| format!("--nofile={most}:{most}"));
    let limited: Vec<&str> = limit.iter().flat_map(|limit| ["prlimit", limit, "--"]).collect();
    let (program, app) = (program.to_string_lossy(), format!("{pod}:{APP}"));
    let (listen, admin) = (format!("{pod}:{CLIENTS}"), format!("{pod}:{ADMIN}"));
    let options = [
        "--app",
        &app,
        "--pod-ip",
        pod,
        "--pod-uid",
        pod,
        "--config-dir",
        config,
        "--listen",
        &listen,
        "--admin-listen",
        &admin,
        "--max-buffered",
        MAX_BUFFERED,
    ];
    let words = [&network.among_pods()[..], &limited, &[&program], &options].concat();
    Process::start(&format!("sidecar-{pod}"), directory, &words)
}

fn start_clients(directory: &Path, at: SocketAddr) -> Result<Process> {
    let script = repository().join("tests/load/load.js");
    let (script, url) = (script.to_string_lossy(), format!("http://{at}"));
    let words = [
        "node",
        &script,
        "--url",
        &url,
        "--clients",
        REAL_CLIENTS,
        "--mix",
        "--json",
        "--ramp",
        "1s",
        "--interval",
        "500ms",
        "--duration",
        "10m",
        "--settle",
        "5s",
    ];
    Process::start("clients", directory, &words)
}
