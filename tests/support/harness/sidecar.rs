//! The real sidecar program.
//!
//! `SOCKETIO_SIDECAR_PROGRAM` names one that is built; without it, cargo builds it, once.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::process::Signal;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::process::Command;

use super::{Config, Place, Process, ask, eventually, get, repository};

/// A running sidecar.
#[derive(Debug)]
pub struct Sidecar {
    /// Place where the sidecar runs.
    pub place: Place,
    /// The program.
    pub process: Process,
}

impl Sidecar {
    /// Starts one and waits until it serves.
    pub async fn start(config: &Config, place: &Place) -> Self {
        Self::start_with(config, place, &[]).await
    }

    /// Starts one like [`Self::start`], with further arguments.
    pub async fn start_with(config: &Config, place: &Place, arguments: &[&str]) -> Self {
        let mut command = command(config, place);
        command.args(arguments);
        Self::run(place, &mut command).await
    }

    /// Starts one like [`Self::start_with`], with so many descriptors at most.
    pub async fn start_with_descriptors(
        config: &Config,
        place: &Place,
        descriptors: u32,
        arguments: &[&str],
    ) -> Self {
        let sidecar = command(config, place);
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("ulimit -n {descriptors}; exec \"$@\"")).arg("sh");
        shell.arg(sidecar.as_std().get_program()).args(sidecar.as_std().get_args()).args(arguments);
        Self::run(place, &mut shell).await
    }

    async fn run(place: &Place, command: &mut Command) -> Self {
        let process = Process::start(&format!("the sidecar on {}", place.ip), command);
        let mut sidecar = Self { place: place.clone(), process };
        sidecar.process.line_with("serving").await;
        eventually("the admin port answers", async || TcpStream::connect(place.admin()).await.is_ok()).await;
        sidecar
    }

    /// Text of `/metrics`.
    pub async fn metrics(&self) -> String {
        ask(self.place.admin(), &get("/metrics")).await.text()
    }

    /// The sum of the samples named `socketio_sidecar_<name>` that have all of these labels.
    pub async fn metric(&self, name: &str, labels: &[&str]) -> u64 {
        let name = format!("socketio_sidecar_{name}");
        let metrics = self.metrics().await;
        let samples = metrics.lines().filter_map(|line| {
            let (sample, value) = line.rsplit_once(' ')?;
            let (sample_name, sample_labels) = sample.split_once('{').unwrap_or((sample, ""));
            let counts = sample_name == name && labels.iter().all(|label| sample_labels.contains(label));
            counts.then(|| value.parse::<u64>().expect("counters are whole numbers"))
        });
        samples.sum()
    }

    /// The sum of [`Self::metric`] over sidecars.
    pub async fn metric_of_all(sidecars: &[Self], name: &str, labels: &[&str]) -> u64 {
        let mut sum = 0;
        for sidecar in sidecars {
            sum += sidecar.metric(name, labels).await;
        }
        sum
    }

    /// Number of requests that the sidecar has forwarded to their owners.
    pub async fn forwarded(&self) -> u64 {
        self.metric("requests_total", &["decision=\"forward\"", "from=\"client\""]).await
    }

    /// Number of requests that ended because their client went away, as Engine.IO's do at every upgrade and end.
    pub async fn aborted(&self) -> u64 {
        self.metric("failures_total", &["cause=\"client_gone\""]).await
    }

    /// Waits until it has applied this revision.
    pub async fn applies(&self, revision: &str) {
        let what = format!("revision {revision} is applied");
        eventually(&what, async || self.shown_config().await["revision"] == revision).await;
    }

    /// Content of `/config`.
    pub async fn shown_config(&self) -> Value {
        let shown = ask(self.place.admin(), &get("/config")).await.text();
        serde_json::from_str(&shown).expect("/config is JSON")
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// The memory that it has in use, in bytes.
    #[must_use]
    pub fn resident(&self) -> u64 {
        let status = format!("/proc/{}/status", self.process.pid().as_raw_nonzero());
        let status = std::fs::read_to_string(status).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("it is a number") * 1024
    }
}

/// The program to test.
#[must_use]
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| match std::env::var_os("SOCKETIO_SIDECAR_PROGRAM") {
        Some(named) => named.into(),
        None => build("socketio-sidecar"),
    })
}

/// The command that starts a sidecar of `config` in `place`.
#[must_use]
pub fn command(config: &Config, place: &Place) -> Command {
    let mut command = Command::new(program());
    command
        .arg("--app")
        .arg(place.app().to_string())
        .arg("--pod-ip")
        .arg(place.ip.to_string())
        .arg("--pod-uid")
        .arg(&place.uid)
        .arg("--config-dir")
        .arg(config.path())
        .arg("--listen")
        .arg(place.clients().to_string())
        .arg("--admin-listen")
        .arg(place.admin().to_string());
    command
}

/// Has cargo build the program of this package, into the directory that this test was built in.
pub(crate) fn build(package: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    // <target>/<profile>/deps/<test>
    let target = test.ancestors().nth(3).expect("cargo puts tests into target/<profile>/deps");
    let built = std::process::Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(repository())
        .args(["build", "--quiet", "--package", package, "--target-dir"])
        .arg(target)
        .status()
        .expect("cargo runs");
    assert!(built.success(), "`cargo build --package {package}` says why it does not build");
    target.join("debug").join(package)
}
