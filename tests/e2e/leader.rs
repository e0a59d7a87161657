//! Leader election between real processes of the operator, on the real API server: killed, told to stop,
//! paused, and cut off.
//!
//! What holds for every interleaving of lost and late messages is tested in simulated time, beside the code.

use std::fs::File;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use support::deployment::{Kubectl, wait_for};
use tempfile::NamedTempFile;

use crate::api::Installed;
use crate::component::Stopped;

const NAMESPACE: &str = "leader-test";

/// A process of the operator, which ends with the test.
pub(crate) struct Operator {
    name: &'static str,
    child: Child,
    log: NamedTempFile,
}

impl Operator {
    pub(crate) fn start(name: &'static str, namespace: &str) -> Self {
        let log = NamedTempFile::new().unwrap();
        let child = Command::new(support::operator::program())
            .args(["run", "--namespace", namespace, "--watch-namespace", namespace, "--identity", name])
            .args(["--sidecar-image", "none", "--admin-listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(log.path()).unwrap())
            .spawn()
            .unwrap();
        Self { name, child, log }
    }

    /// Starts one that is not the leader, and has seen who is.
    fn start_second(name: &'static str) -> Self {
        let mut second = Self::start(name, NAMESPACE);
        second.says("is the leader", 5);
        second
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap()
    }

    fn says(&mut self, text: &str, seconds: u64) {
        let what = format!("{} to say {text:?}", self.name);
        let said = wait_for(&what, Duration::from_secs(seconds), || {
            Ok((self.log().contains(text) || self.child.try_wait()?.is_some()).then_some(()))
        });
        assert!(said.is_ok() && self.log().contains(text), "{said:?}: {}", self.log());
    }

    fn leads_within(&mut self, seconds: u64) {
        self.says(" leading ", seconds);
        assert_eq!(lease().0, self.name);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn ends_within(&mut self, seconds: u64) -> ExitStatus {
        let what = format!("{} to end", self.name);
        let ended = wait_for(&what, Duration::from_secs(seconds), || Ok(self.child.try_wait()?));
        ended.unwrap_or_else(|error| panic!("{error}: {}", self.log()))
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn kubectl(args: &[&str]) -> anyhow::Result<String> {
    Kubectl::run(&[&["--namespace", NAMESPACE], args].concat())
}

/// Returns the holder of the Lease, and how often the Lease has changed hands.
fn lease() -> (String, u64) {
    let lease = kubectl(&["get", "lease", "socketio-operator", "--output=json"]).unwrap();
    let lease: Value = serde_json::from_str(&lease).unwrap();
    let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
    // A random part follows.
    let name = holder.rsplit_once('_').map_or(holder, |(name, _)| name);
    (name.to_owned(), lease["spec"]["leaseTransitions"].as_u64().unwrap_or_default())
}

#[test]
fn one_process_leads_and_another_takes_over_when_it_is_killed_stopped_paused_or_cut_off() {
    let _api = Installed::new();
    Kubectl::run(&["delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=60s"]).unwrap();
    Kubectl::run(&["create", "namespace", NAMESPACE]).unwrap();

    let mut killed = Operator::start("killed", NAMESPACE);
    killed.leads_within(5);
    let mut told = Operator::start_second("told");
    killed.signal(Signal::KILL);
    killed.ends_within(1);
    told.leads_within(20);

    let mut paused = Operator::start_second("paused");
    told.signal(Signal::TERM);
    paused.leads_within(3);
    assert!(told.ends_within(3).success(), "{}", told.log());

    let mut last = Operator::start_second("last");
    paused.signal(Signal::STOP);
    last.leads_within(20);
    let before = lease();
    paused.signal(Signal::CONT);
    assert_eq!(paused.ends_within(3).code(), Some(1), "{}", paused.log());
    assert!(paused.log().contains("this process ends"), "{}", paused.log());
    assert_eq!(lease(), before, "it has not touched the Lease again");

    let stopped = Stopped::stop(&["kube-apiserver"]);
    let cut = Instant::now();
    assert_eq!(last.ends_within(15).code(), Some(1), "{}", last.log());
    assert!(last.log().contains("could not be renewed for 10 s"), "{}", last.log());
    // It holds on for a while: a restart of the API server is no reason to stop.
    assert!(cut.elapsed() > Duration::from_secs(3), "{}", last.log());
    drop(stopped);
    wait_for("the API server to be back", Duration::from_secs(60), || {
        Ok(Kubectl::run(&["get", "--raw", "/readyz"]).ok())
    })
    .unwrap();
    kubectl(&["delete", "namespace", NAMESPACE, "--wait=false"]).unwrap();
}
