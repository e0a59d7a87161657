//! Starting and removing a local cluster.
//!
//! Cancellation: [`Local::boot`] may be dropped at any point; [`Local::remove`] then removes
//! whatever there is. It must be called in every case, since only it may wait.

use std::collections::VecDeque;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::inside::Running;
use super::services::{NODE_IP, NODE_NAME};
use super::state::{MARKER, Record, StateDir};
use super::{cgroups, control, files};
use crate::components;
use crate::packages;
use crate::process::ProcessId;
use crate::programs;
use crate::report::{elapsed, say};

/// A healthy machine needs seconds; a busy one may need more.
const STEP_WITHIN: Duration = Duration::from_secs(120);
const SAY_EVERY: Duration = Duration::from_secs(10);
const NODE_ENDS_WITHIN: Duration = Duration::from_secs(5);

/// A local cluster of this program's, from the first directory to the last.
pub(crate) struct Local {
    state: StateDir,
    record: Record,
    /// Ends when its standard input closes, or when this is dropped.
    node: Option<Child>,
}

impl Local {
    /// Takes the name `name`, after removing what a killed run left of it.
    pub(crate) async fn claim(name: &str) -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            bail!(
                "a cluster on this machine needs root; run this as root, or start Docker and install kind, \
                 or set KUBECONFIG to a cluster of yours"
            );
        }
        let state = StateDir::of(name);
        let record = state.claim().await?;
        Ok(Self { state, record, node: None })
    }

    /// Starts everything, in order, and waits until pods can run.
    pub(crate) async fn boot(&mut self) -> Result<Running> {
        packages::install_absent().await?;
        let components = components::ensure(&components::ALL).await?;
        let start = Instant::now();
        say(format_args!("starting Kubernetes on this machine"));
        files::write(&self.state)?;
        cgroups::make(&self.state.cgroup())?;
        let pause = files::pause_image(&self.state.join("etc")).await?;
        let running = self.start_node(&components).await?;
        let kubectl = components::kubectl(&components);
        if let Err(error) = start_services(&running, &self.state, &kubectl, &pause).await {
            self.show_logs();
            return Err(error);
        }
        say(format_args!("ready after {}", elapsed(start.elapsed())));
        Ok(running)
    }

    async fn start_node(&mut self, components: &Path) -> Result<Running> {
        let mut unshare = Command::new("unshare");
        unshare
            .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"])
            .arg(std::env::current_exe().context("This program does not know its own file")?)
            .arg("node")
            .arg("--state")
            .arg(self.state.path())
            .arg("--components")
            .arg(components)
            .env("PATH", programs::search_path())
            .env(MARKER, &self.record.instance)
            // Only the record's environment variable marks the node; it has no cluster of its own.
            .env_remove("KUBECONFIG")
            // Ctrl-C is for this program, which ends the node after the command.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(std::io::stderr())
            .kill_on_drop(true);
        let child = unshare.spawn().context("unshare cannot be run; install util-linux")?;
        let node = child.id().and_then(ProcessId::of).context("The node ended at once")?;
        self.node = Some(child);
        self.record.node = Some(node.clone());
        self.state.update(&self.record)?;

        let socket = self.state.join(control::SOCKET);
        let listening = async || match socket.exists() {
            true => Ok(()),
            false if !node.is_alive() => bail!(GONE),
            false => bail!("it does not listen yet"),
        };
        until("the node's first process", listening).await?;
        Ok(Running::new(self.state.clone(), self.record.instance.clone(), node))
    }

    /// Ends every process of the cluster and removes what it left. Logs are kept in `logs`.
    pub(crate) async fn remove(mut self, logs: Option<&Path>) -> Result<()> {
        if let Some(mut node) = self.node.take() {
            drop(node.stdin.take());
            // The kernel ends everything else in the node before process 1 is reaped.
            let _ = timeout(NODE_ENDS_WITHIN, node.wait()).await;
        }
        if let Some(logs) = logs {
            keep_logs(&self.state.join("log"), logs);
        }
        self.state.remove(Some(&self.record)).await
    }

    /// Shows the last lines of each log: after a failed start they are all there is.
    fn show_logs(&self) {
        let Ok(entries) = fs::read_dir(self.state.join("log")) else { return };
        for entry in entries.flatten().filter(|entry| entry.path().is_file()) {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            let mut last: VecDeque<&str> = VecDeque::new();
            for line in text.lines() {
                last.push_back(line);
                if last.len() > 5 {
                    last.pop_front();
                }
            }
            say(format_args!("the end of {}:", entry.file_name().to_string_lossy()));
            for line in last {
                say(format_args!("  {line}"));
            }
        }
    }
}

const GONE: &str = "it ended; its message is above";

async fn start_services(running: &Running, state: &StateDir, kubectl: &Path, pause: &Path) -> Result<()> {
    let kubectl =
        async |arguments: &[&str]| programs::output(running.enter(kubectl).args(arguments)).await.map(drop);
    for service in ["etcd", "containerd", "kube-apiserver"] {
        running.component("start", service).await?;
    }
    // Before the first pod, which needs it.
    until("containerd", async || running.load_image(pause).await).await?;
    until("the API server", async || kubectl(&["get", "--raw=/readyz"]).await).await?;
    // Before CoreDNS, which would wait for seconds when it may not read Services yet.
    let addons = state.join("etc/addons.yaml");
    let addons = addons.to_string_lossy();
    until("the DNS Service", async || kubectl(&["apply", "-f", &addons]).await).await?;
    for service in ["kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "coredns"] {
        running.component("start", service).await?;
    }
    let node = format!("node/{NODE_NAME}");
    until("the node", async || kubectl(&["wait", "--for=condition=Ready", "--timeout=2s", &node]).await)
        .await?;
    let account = ["get", "--namespace=default", "serviceaccount", "default"];
    until("service accounts", async || kubectl(&account).await).await?;
    let dns: SocketAddr = format!("{NODE_IP}:8181").parse()?;
    until("CoreDNS", async || running.http_ok(dns, "/ready")).await
}

/// Repeats `attempt` until it succeeds.
async fn until(what: &str, mut attempt: impl AsyncFnMut() -> Result<()>) -> Result<()> {
    let start = Instant::now();
    let mut next_line = SAY_EVERY;
    loop {
        let Err(error) = attempt().await else { return Ok(()) };
        if start.elapsed() > STEP_WITHIN || error.to_string() == GONE {
            return Err(error.context(format!("{what} did not come up")));
        }
        if start.elapsed() > next_line {
            say(format_args!("waiting for {what} ({})", elapsed(start.elapsed())));
            next_line += SAY_EVERY;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Copies the components' logs. What cannot be copied is said: logs are no reason to fail.
fn keep_logs(from: &Path, to: &Path) {
    let copied = fs::create_dir_all(to).and_then(|()| fs::read_dir(from)).and_then(|entries| {
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                fs::copy(entry.path(), to.join(entry.file_name()))?;
            }
        }
        Ok(())
    });
    match copied {
        Ok(()) => say(format_args!("the components' logs are in {}", to.display())),
        Err(error) => say(format_args!("the components' logs cannot be kept: {error}")),
    }
}
