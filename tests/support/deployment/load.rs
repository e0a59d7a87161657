//! The load program in a pod of its own: real clients, and what they saw.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::json;

use super::{Kubectl, NAMESPACE, say, wait_for};

/// Settings of a run of the load program.
#[derive(Debug, Clone)]
pub struct Load {
    /// Against which address.
    pub url: String,
    /// `--transport …` or `--mix`.
    pub transport: &'static [&'static str],
    /// Number of clients.
    pub clients: u32,
    /// Seconds of load after the ramp.
    pub seconds: u32,
}

/// A load program that runs or has run.
#[derive(Debug)]
pub struct LoadRun {
    pod: String,
    clients: u32,
    limit: Duration,
}

/// The program's last line.
#[derive(Debug, Clone, Deserialize)]
pub struct Summary {
    /// Nothing failed.
    pub ok: bool,
    /// All clients together.
    #[serde(flatten)]
    pub total: ModeSummary,
    /// By `polling`, `default` and `websocket`.
    pub by_mode: BTreeMap<String, ModeSummary>,
    /// With `--rooms`.
    #[serde(default)]
    pub rooms: Option<Rooms>,
    /// With `--handshakes`.
    #[serde(default)]
    pub handshakes: Handshakes,
}

/// Results of handshakes, each on a connection of its own.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Handshakes {
    /// Number of attempts.
    pub sent: u64,
    /// Number of attempts that were answered with a session.
    pub good: u64,
    /// Errors of the other attempts.
    pub refused_kinds: BTreeMap<String, u64>,
}

/// Results of messages to rooms.
#[derive(Debug, Clone, Deserialize)]
pub struct Rooms {
    /// All rooms together.
    #[serde(flatten)]
    pub total: RoomSummary,
    /// Each room, by its name.
    pub by_room: BTreeMap<String, RoomSummary>,
}

/// Results of messages to some rooms. A delivery is one message to one member.
#[derive(Debug, Clone, Deserialize)]
pub struct RoomSummary {
    /// Messages sent.
    pub sent: u64,
    /// Messages that the server acknowledged.
    pub confirmed: u64,
    /// Messages that it did not, although their session went on.
    pub unanswered: u64,
    /// Deliveries that had to be.
    pub due: u64,
    /// Deliveries that are missing.
    pub missing: u64,
    /// Missing deliveries from one pod to another.
    pub missing_across_pods: u64,
    /// Deliveries from one pod to another.
    pub across_pods: u64,
    /// Deliveries to a member that had the message already.
    pub duplicated: u64,
    /// Deliveries after that of a later message of the same sender.
    pub reordered: u64,
    /// Deliveries to whom the message was not for.
    pub astray: u64,
    /// On how many pods members were. Counted for each room.
    #[serde(default)]
    pub pods: u64,
}

/// Results of some of the clients.
#[derive(Debug, Clone, Deserialize)]
pub struct ModeSummary {
    /// Number of clients.
    pub clients: u64,
    /// Number of clients that were connected when the sending ended.
    pub connected_at_end: u64,
    /// Number of clients that were never connected.
    pub never_connected: u64,
    /// Sessions in all.
    pub connects: u64,
    /// Failed attempts to connect.
    pub connect_errors: u64,
    /// Sessions that ended without being asked to.
    pub disconnects: u64,
    /// Failed transport upgrades.
    pub upgrade_errors: u64,
    /// Errors of attempts to connect.
    pub connect_error_kinds: BTreeMap<String, u64>,
    /// Reasons for which sessions ended.
    pub disconnect_kinds: BTreeMap<String, u64>,
    /// Messages sent.
    pub sent: u64,
    /// Messages acknowledged.
    pub acked: u64,
    /// Messages never answered although their session went on.
    pub lost: u64,
    /// Duplicates, gaps, and messages out of order.
    pub violation_count: u64,
    /// Everything that should not be.
    pub faults: u64,
    /// Round trips.
    pub rtt_ms: Percentiles,
}

/// Times in milliseconds.
#[derive(Debug, Clone, Deserialize)]
pub struct Percentiles {
    /// The median, if there is one.
    pub p50: Option<f64>,
    /// The 99th percentile, if there is one.
    pub p99: Option<f64>,
}

/// A line of the program about one event.
#[derive(Debug, Clone, Deserialize)]
pub struct Event {
    /// `connect`, `disconnect`, `connect_error`, `progress`, …
    pub event: String,
    /// Time of the event, in RFC 3339.
    #[serde(default)]
    pub t: String,
    /// Number of the client.
    #[serde(default)]
    pub client: u64,
    /// `polling`, `default` or `websocket`.
    #[serde(default)]
    pub mode: String,
    /// The session's transport then, which is `polling` in mode `default` too until it is upgraded.
    #[serde(default)]
    pub transport: String,
    /// Pod that held the session.
    #[serde(default)]
    pub pod: Option<String>,
    /// The hash of the session's sid.
    #[serde(default)]
    pub sid: Option<String>,
    /// Kind of the error.
    #[serde(default)]
    pub kind: Option<String>,
    /// In `progress`: clients connected now.
    #[serde(default)]
    pub connected: u32,
}

/// Longest wait for a pod's log to be complete after the pod's end.
const LOG_FOLLOWS: Duration = Duration::from_secs(10);

static RUNS: AtomicU32 = AtomicU32::new(0);

impl Load {
    /// Starts it.
    ///
    /// # Errors
    /// What `kubectl` said.
    pub fn start(&self) -> Result<LoadRun> {
        self.start_with(&[])
    }

    /// Starts it with further options.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(&self, options: &[&str]) -> Result<LoadRun> {
        let pod = format!("load-{}-{}", std::process::id(), RUNS.fetch_add(1, Ordering::Relaxed));
        say(&format!("{} clients connect, and send for {} s", self.clients, self.seconds));
        let (clients, duration) = (self.clients.to_string(), format!("{}s", self.seconds));
        let mut args = vec!["--json", "--url", &self.url, "--clients", &clients, "--duration", &duration];
        args.extend(self.transport);
        args.extend(options);
        Kubectl::apply(&json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": pod, "namespace": NAMESPACE, "labels": {"app.kubernetes.io/name": "load"}},
            "spec": {
                "restartPolicy": "Never",
                "automountServiceAccountToken": false,
                "enableServiceLinks": false,
                // For its summary, when it is told to stop.
                "terminationGracePeriodSeconds": 20,
                "securityContext": {
                    "runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [{
                    "name": "load",
                    "image": "socketio-affinity/load:dev",
                    "imagePullPolicy": "IfNotPresent",
                    "args": args,
                    "securityContext": {
                        "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }],
            },
        }))?;
        // The program bounds its ramp and its end to some seconds each.
        Ok(LoadRun { pod, clients: self.clients, limit: Duration::from_secs(u64::from(self.seconds) + 90) })
    }

    /// Starts it and waits for its end.
    ///
    /// # Errors
    /// As [`Self::start`] and [`LoadRun::finish`].
    pub fn run(&self) -> Result<(Summary, Vec<Event>)> {
        self.start()?.finish()
    }
}

impl Drop for LoadRun {
    fn drop(&mut self) {
        // One that a failed test leaves would be a load on the next ones, too.
        let _ = Kubectl::run(&["delete", "pod", &self.pod, "--ignore-not-found", "--wait=false"]);
    }
}

impl LoadRun {
    /// Waits until all clients are connected.
    ///
    /// # Errors
    /// What was waited for in vain.
    pub fn wait_until_connected(&self) -> Result<()> {
        wait_for("all clients to be connected", self.limit, || {
            let Ok(tail) = Kubectl::run(&["logs", &self.pod, "--tail=20"]) else { return Ok(None) };
            let mut events = tail.lines().rev().filter_map(|line| serde_json::from_str::<Event>(line).ok());
            let latest = events.find(|event| event.event == "progress");
            Ok(latest.filter(|progress| progress.connected == self.clients).map(drop))
        })
    }

    /// Waits for the program's end, and returns what it saw. Its pod is removed.
    ///
    /// # Errors
    /// What was waited for in vain, or what the program said in place of a summary.
    pub fn finish(self) -> Result<(Summary, Vec<Event>)> {
        wait_for("the load program to end", self.limit, || {
            let phase = Kubectl::run(&["get", "pod", &self.pod, "--output=jsonpath={.status.phase}"])?;
            Ok(matches!(phase.as_str(), "Succeeded" | "Failed").then_some(()))
        })?;
        // A busy node may end the pod before it has all of its log.
        let last_read = Instant::now() + LOG_FOLLOWS;
        loop {
            let read = Self::read(&Kubectl::run(&["logs", &self.pod])?);
            if read.is_ok() || Instant::now() > last_read {
                return read;
            }
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    /// Ends the sending before its time, and returns what the program saw. Its pod is removed.
    ///
    /// # Errors
    /// As [`Self::finish`].
    pub fn stop(self) -> Result<(Summary, Vec<Event>)> {
        // Its image has no shell.
        let told = ["/nodejs/bin/node", "-e", "process.kill(1, 'SIGTERM')"];
        Kubectl::run(&[&["exec", &self.pod, "--"], &told[..]].concat())?;
        self.finish()
    }

    fn read(log: &str) -> Result<(Summary, Vec<Event>)> {
        #[derive(Deserialize)]
        struct LastLine {
            summary: Summary,
        }
        let last = log.lines().last().context("the load program printed nothing")?;
        let Ok(LastLine { summary }) = serde_json::from_str(last) else {
            bail!("the load program ended with: {last}");
        };
        let events = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        Ok((summary, events))
    }
}
