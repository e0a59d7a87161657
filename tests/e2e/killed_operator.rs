//! The operator is killed at every single write of a cutover and of a deletion, alternately before the API
//! server has got it and after it has answered. Each life of it gets at most one write done.
//!
//! Writes to its Lease do not count: else none of its lives would get to do anything. In place of
//! waiting until the Lease of the dead one is over, it is deleted.

mod relay;

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;
use support::deployment::{Chat, Operator, SocketIoCluster, Variant};
use tempfile::NamedTempFile;

use crate::cutover::{CUTOVER, assert_works, carried_load, refusals};
use crate::given_back::Before;
use relay::Relay;

/// Ends a process with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(kubeconfig: &std::path::Path, log: &File) -> Running {
    let child = Command::new(support::operator::program())
        .args(["run", "--namespace", Operator::NAMESPACE, "--identity", "killed"])
        .args(["--sidecar-image", "socketio-affinity/sidecar:dev", "--admin-listen", "127.0.0.1:0"])
        .env("KUBECONFIG", kubeconfig)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log.try_clone().unwrap())
        .spawn();
    Running(child.unwrap())
}

/// An operator that is killed and started again for as long as this lives.
struct Killed {
    relay: Arc<Relay>,
    log: NamedTempFile,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Killed {
    fn over_and_over() -> Self {
        let (relay, over) = (Arc::new(Relay::start()), Arc::new(AtomicBool::new(false)));
        let log = NamedTempFile::new().unwrap();
        let (its_relay, its_log, is_over) = (relay.clone(), log.reopen().unwrap(), over.clone());
        let thread = std::thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                live(&its_relay, &its_log, &is_over);
            }
        });
        Self { relay, log, over, thread: Some(thread) }
    }
}

/// Runs the operator until it is killed or done.
fn live(relay: &Relay, log: &File, over: &AtomicBool) {
    let mut operator = start(relay.kubeconfig(), log);
    relay.has_to_kill(&operator.0);
    while !over.load(Ordering::Relaxed) {
        if let Some(ended) = operator.0.try_wait().unwrap() {
            assert!(relay.has_killed(), "the operator ended by itself: {ended}");
            let _ = Operator::kubectl(&["delete", "lease", "socketio-operator", "--ignore-not-found"]);
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map(JoinHandle::join);
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.log.path()).unwrap_or_default();
            let end = log.lines().rev().take(10).collect::<Vec<_>>();
            let end = end.into_iter().rev().collect::<Vec<_>>().join("\n");
            let writes = self.relay.take_writes();
            let last = &writes[writes.len().saturating_sub(20)..];
            eprintln!(
                "killed {} times, at last at {last:#?}\nThe operator said at last:\n{end}",
                writes.len()
            );
        } else {
            assert!(ended.is_some_and(|ended| ended.is_ok()), "see above");
        }
    }
}

#[test]
#[ignore = "takes long; `make soak` runs it"]
fn an_operator_that_is_killed_at_every_write_resumes_and_traffic_always_has_somewhere_to_go() {
    let chat = Chat::deploy(Variant::Without).unwrap();
    chat.scale(2).unwrap();
    chat.wait_until_ready().unwrap();
    let before = Before::of(&chat);
    // The definition and the namespace; the operator is a process of this test's.
    let _chart = Operator::install(&["--set=replicas=0"]).unwrap();
    let killed = Killed::over_and_over();

    let load = carried_load(&chat, &["--transport", "websocket"]);
    let soon = json!({"drain": {"deadlineSeconds": 2, "windowSeconds": 2}});
    let cluster = SocketIoCluster::apply("chat", &SocketIoCluster::spec(&chat, &soon)).unwrap();
    cluster.wait_until_ready(CUTOVER).unwrap();
    let cutover = killed.relay.take_writes();
    chat.wait_until_ready().unwrap();
    before.assert_taken();
    assert_works(&chat, 5);

    cluster.delete().unwrap();
    cluster.wait_until_gone(CUTOVER).unwrap();
    chat.wait_until_ready().unwrap();
    let deletion = killed.relay.take_writes();
    let (summary, _) = load.stop().unwrap();

    for (what, writes) in [("cutover", &cutover), ("deletion", &deletion)] {
        eprintln!("    the {what} needed {} lives of the operator", writes.len());
        for step in ["/services/chat", "/deployments/chat", "/socketioclusters/chat/status"] {
            for when in ["before", "after"] {
                let found = writes.iter().any(|write| write.ends_with(step) && write.starts_with(when));
                assert!(found, "in the {what} it was not killed {when} a write to {step}: {writes:#?}");
            }
        }
    }
    assert_eq!(refusals(&summary), [], "{summary:?}");
    before.assert_given_back();
}
