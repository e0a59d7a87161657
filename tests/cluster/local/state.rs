//! What is remembered of a local cluster, so that it can be found and removed.
//!
//! ```text
//! /var/lib/socketio-affinity-cluster/NAME/
//!   record.json     who started it, and the node's process
//!   kubeconfig      for the cluster's administrator
//!   control.sock    stops and starts components
//!   etc/            configuration and certificates   (/run/cluster/etc in the node)
//!   lib/, log/      /var/lib and /var/log of the node
//! ```
//!
//! Invariants: the directory appears with its record in it, by rename, so that of two starts
//! one wins; a cluster whose starter no longer runs is stale, whatever else is left of it; no
//! process is ended unless its start time or its environment says that it is ours.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::cgroups;
use crate::process::{ProcessId, marked_with};
use crate::report::say;

const BASE: &str = "/var/lib/socketio-affinity-cluster";
const REMOVED_WITHIN: Duration = Duration::from_secs(20);

/// The environment variable that marks every process of a cluster.
pub(crate) const MARKER: &str = "CLUSTER_INSTANCE";

/// Where a cluster's state is.
#[derive(Clone, Debug)]
pub(crate) struct StateDir {
    name: String,
    path: PathBuf,
}

/// What `record.json` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The value of [`MARKER`], different for each start.
    pub(crate) instance: String,
    /// The program that started the cluster, and removes it when it ends.
    pub(crate) starter: ProcessId,
    /// `unshare`, which is in the node's namespaces and whose end is the node's.
    pub(crate) node: Option<ProcessId>,
}

impl StateDir {
    /// The directory of the cluster `name`, which need not exist.
    pub(crate) fn of(name: &str) -> Self {
        Self { name: name.to_owned(), path: Path::new(BASE).join(name) }
    }

    /// A place in it.
    pub(crate) fn join(&self, place: &str) -> PathBuf {
        self.path.join(place)
    }

    /// The directory itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The cgroup below which all pods are, from the root of each hierarchy.
    pub(crate) fn cgroup(&self) -> String {
        format!("/socketio-affinity-{}", self.name)
    }

    /// The record of the cluster, if there is one.
    pub(crate) fn record(&self) -> Option<Record> {
        serde_json::from_slice(&fs::read(self.join("record.json")).ok()?).ok()
    }

    /// Makes the directory for a new cluster. What a killed run left there is removed first.
    pub(crate) async fn claim(&self) -> Result<Record> {
        if self.record().is_some_and(|record| record.starter.is_alive()) {
            return Err(self.occupied());
        }
        self.remove_stale().await?;
        let instance = fs::read_to_string("/proc/sys/kernel/random/uuid")?.trim().to_owned();
        let starter = ProcessId::current().context("/proc does not show this program; mount it")?;
        let record = Record { instance, starter, node: None };
        let prepared = Path::new(BASE).join(format!(".{}-{}", self.name, record.instance));
        fs::create_dir_all(&prepared)
            .with_context(|| format!("The directory {} cannot be made", prepared.display()))?;
        write_record(&prepared, &record)?;
        if let Err(error) = fs::rename(&prepared, &self.path) {
            let _ = fs::remove_dir_all(&prepared);
            return match error.kind() {
                ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists => Err(self.occupied()),
                _ => Err(error).with_context(|| format!("{} cannot be made", self.path.display())),
            };
        }
        Ok(record)
    }

    /// Keeps a changed record.
    pub(crate) fn update(&self, record: &Record) -> Result<()> {
        write_record(&self.path, record)
    }

    fn occupied(&self) -> anyhow::Error {
        anyhow::anyhow!(
            "the cluster {0:?} already runs; use it with `cluster --name {0} exec`, end it with \
             `cluster --name {0} down`, or give this one another --name",
            self.name
        )
    }

    /// Removes what a killed run left behind, saying so. Not for a cluster whose starter runs.
    pub(crate) async fn remove_stale(&self) -> Result<bool> {
        if !self.path.exists() && !cgroups::exist(&self.cgroup()) {
            return Ok(false);
        }
        say(format_args!("removing what an earlier cluster {:?} left behind", self.name));
        self.remove(self.record().as_ref()).await?;
        Ok(true)
    }

    /// Ends every process of the cluster, then removes its cgroups and its directory.
    pub(crate) async fn remove(&self, record: Option<&Record>) -> Result<()> {
        let start = Instant::now();
        loop {
            match self.try_remove(record) {
                Ok(()) => break,
                // Processes take a moment to end, and hold their cgroups until then.
                Err(_) if start.elapsed() < REMOVED_WITHIN => sleep(Duration::from_millis(50)).await,
                Err(error) => return Err(error.context("The cluster cannot be removed wholly")),
            }
        }
        // Gone with the last cluster; not empty while there is another.
        let _ = fs::remove_dir(BASE);
        Ok(())
    }

    fn try_remove(&self, record: Option<&Record>) -> Result<()> {
        if let Some(record) = record {
            let mut processes = marked_with(&format!("{MARKER}={}", record.instance));
            processes.extend(record.node.clone().filter(ProcessId::is_alive));
            if !processes.is_empty() {
                for process in &processes {
                    process.signal(Signal::KILL);
                }
                let pids: Vec<u32> = processes.iter().map(ProcessId::pid).collect();
                bail!("these processes do not end: {pids:?}");
            }
        }
        cgroups::remove(&self.cgroup())?;
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("{} cannot be removed", self.path.display()))
            }
            _ => Ok(()),
        }
    }
}

/// Replaces the record at once: who reads it sees the old one or the new one.
fn write_record(directory: &Path, record: &Record) -> Result<()> {
    let new = directory.join("record.json.new");
    fs::write(&new, serde_json::to_vec_pretty(record)?)
        .and_then(|()| fs::rename(&new, directory.join("record.json")))
        .with_context(|| format!("The record in {} cannot be written", directory.display()))
}
