//! The operator's process. It ends with what holds it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use socketio_affinity_bench::procfs::cpu_time;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::fleet::SYSTEM;

const ADMIN: &str = "127.0.0.1:18080";
/// Longest wait for its end, and for its metrics.
const SOON: Duration = Duration::from_secs(15);

/// A running operator.
pub(crate) struct Operator {
    child: Child,
    pid: i32,
}

/// What the kernel says of its memory, in KiB.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// Resident now.
    pub(crate) resident: u64,
    /// The most that ever was.
    pub(crate) peak: u64,
}

impl Operator {
    /// What the program says of its version.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn version(program: &Path) -> Result<String> {
        let output = std::process::Command::new(program).arg("--version").output();
        let output = output.with_context(|| format!("{} cannot be started", program.display()))?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Starts it over all namespaces.
    ///
    /// # Errors
    /// It cannot be started.
    pub(crate) fn start(program: &Path) -> Result<Self> {
        let child = Command::new(program)
            .args(["run", "--namespace", SYSTEM, "--identity", "bench", "--sidecar-image", "none"])
            .args(["--admin-listen", ADMIN, "--log", "error"])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| {
                format!("{} cannot be started; build it with `make bench-operator`", program.display())
            })?;
        let pid = child.id().context("the operator ended at once")?;
        Ok(Self { child, pid: i32::try_from(pid)? })
    }

    /// Waits for `work`, which needs the operator.
    ///
    /// # Errors
    /// Those of `work`, or that the operator has ended before.
    pub(crate) async fn during<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            done = work => done,
            status = self.child.wait() => bail!("the operator ended by itself with {}", status?),
        }
    }

    /// Tells it to stop, and waits.
    ///
    /// # Errors
    /// It does not.
    pub(crate) async fn stop(mut self) -> Result<()> {
        let pid = Pid::from_raw(self.pid).context("no process has that number")?;
        kill_process(pid, Signal::TERM)?;
        let status = timeout(SOON, self.child.wait()).await.context("the operator does not stop")??;
        ensure!(status.success(), "the operator ended with {status}");
        Ok(())
    }

    /// One of its counters, summed over labels that contain `label`; 0 before it is counted.
    ///
    /// # Errors
    /// It has ended, or does not answer.
    pub(crate) async fn counter(&mut self, name: &str, label: &str) -> Result<f64> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the operator ended by itself with {status}");
        }
        let Ok(text) = timeout(SOON, metrics()).await.context("the operator's metrics do not come")? else {
            // It does not listen yet.
            return Ok(0.0);
        };
        Ok(sum(&text, name, label))
    }

    /// Its memory.
    ///
    /// # Errors
    /// It has ended.
    pub(crate) fn memory(&self) -> Result<Memory> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let field = |name: &str| {
            let line =
                status.lines().find_map(|line| line.strip_prefix(name)).context("a line is missing")?;
            let number = line.trim_start_matches(':').trim().trim_end_matches("kB").trim();
            Ok::<u64, anyhow::Error>(number.parse()?)
        };
        Ok(Memory { resident: field("VmRSS")?, peak: field("VmHWM")? })
    }

    /// CPU time that it has used.
    ///
    /// # Errors
    /// It has ended.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        Ok(cpu_time(u32::try_from(self.pid)?)?)
    }
}

fn sum(text: &str, name: &str, label: &str) -> f64 {
    let lines = text.lines().filter_map(|line| line.strip_prefix("socketio_operator_")?.strip_prefix(name));
    let lines = lines.filter(|rest| rest.starts_with([' ', '{']) && rest.contains(label));
    lines.filter_map(|rest| rest.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
}

async fn metrics() -> Result<String> {
    let mut stream = TcpStream::connect(ADMIN).await?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: operator\r\nConnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_summed_over_labels_and_not_over_names() {
        let text = "socketio_operator_reconciles_total{result=\"ok\"} 3\n\
            socketio_operator_reconciles_total{result=\"conflict\"} 2\n\
            socketio_operator_reconciles_total_other 9\nsocketio_operator_leader 1\n";
        assert!((sum(text, "reconciles_total", "") - 5.0).abs() < f64::EPSILON);
        assert!((sum(text, "reconciles_total", "ok") - 3.0).abs() < f64::EPSILON);
        assert!((sum(text, "leader", "") - 1.0).abs() < f64::EPSILON);
    }
}
