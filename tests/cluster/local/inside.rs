//! A local cluster that runs, used from outside the node: by the program that started it, and
//! by any other that knows its name.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::process::Command;

use super::state::{MARKER, StateDir};
use super::{control, files};
use crate::process::ProcessId;
use crate::programs;

const HTTP_WITHIN: Duration = Duration::from_secs(1);

/// A running local cluster.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    state: StateDir,
    instance: String,
    node: ProcessId,
}

impl Running {
    /// The cluster `name`, if it runs and its node is up.
    pub(crate) fn find(name: &str) -> Option<Self> {
        let state = StateDir::of(name);
        let record = state.record().filter(|record| record.starter.is_alive())?;
        let node = record.node.filter(ProcessId::is_alive)?;
        Some(Self { state, instance: record.instance, node })
    }

    pub(super) fn new(state: StateDir, instance: String, node: ProcessId) -> Self {
        Self { state, instance, node }
    }

    /// The administrator's kubeconfig. Its server can be reached in the cluster's network only.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        files::kubeconfig(&self.state)
    }

    /// `program` in the cluster's network, marked as belonging to the cluster.
    ///
    /// `nsenter` replaces itself by the program: its process is the program's.
    pub(crate) fn enter(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = programs::command("nsenter");
        command.arg(format!("--net={}", self.network().display())).arg("--").arg(program);
        command.env("KUBECONFIG", self.kubeconfig()).env(MARKER, &self.instance);
        command
    }

    /// Puts the images of a docker-archive on the node.
    pub(crate) async fn load_image(&self, archive: &Path) -> Result<()> {
        let mut ctr = programs::command("ctr");
        ctr.arg("--address").arg(self.state.join("containerd.sock"));
        ctr.args(["--namespace", "k8s.io", "images", "import"]).arg(archive);
        programs::output(&mut ctr).await.map(drop)
    }

    /// Stops or starts a component.
    pub(crate) async fn component(&self, action: &str, name: &str) -> Result<()> {
        control::ask(&self.state, &format!("{action} {name}")).await
    }

    /// Whether a plain HTTP request in the cluster's network is answered by 200.
    pub(crate) fn http_ok(&self, address: SocketAddr, path: &str) -> Result<()> {
        let network = File::open(self.network()).context("The node is gone")?;
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        // A namespace belongs to a thread: this one enters, asks, and ends.
        let asking = thread::spawn(move || -> Result<()> {
            move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network))?;
            let mut stream = TcpStream::connect_timeout(&address, HTTP_WITHIN)?;
            stream.set_read_timeout(Some(HTTP_WITHIN))?;
            stream.write_all(request.as_bytes())?;
            let mut answer = [0; 12];
            stream.read_exact(&mut answer)?;
            if !answer.ends_with(b" 200") {
                bail!("the answer is {:?}", String::from_utf8_lossy(&answer));
            }
            Ok(())
        });
        asking.join().unwrap_or_else(|_| bail!("the request could not be made"))
    }

    fn network(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/ns/net", self.node.pid()))
    }
}
