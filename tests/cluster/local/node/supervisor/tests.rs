//! A supervisor reaps every child of its process, so each of these tests runs in a process of
//! its own, which takes process 1's place for what it starts.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use rustix::process::{getpid, set_child_subreaper};

use super::*;

const INSIDE: &str = "SUPERVISOR_TEST";

/// Runs the test `name` again in a process of its own; true there.
fn alone(name: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        set_child_subreaper(Some(getpid())).unwrap();
        return true;
    }
    let test = format!("local::node::supervisor::tests::{name}");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", &test])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    false
}

fn supervise(script: &str) -> (Arc<Supervisor>, tempfile::TempDir) {
    let logs = tempfile::tempdir().unwrap();
    let service = Service {
        name: "service",
        program: PathBuf::from("/bin/sh"),
        args: vec!["-c".to_owned(), script.to_owned()],
    };
    let supervisor = Arc::new(Supervisor::new(vec![service], logs.path(), logs.path()));
    let reaping = Arc::clone(&supervisor);
    thread::spawn(move || reaping.reap());
    (supervisor, logs)
}

fn log(logs: &tempfile::TempDir) -> String {
    fs::read_to_string(logs.path().join("service.log")).unwrap_or_default()
}

#[track_caller]
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(10), "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn an_orphan_of_another_process_group_is_reaped() {
    if !alone("an_orphan_of_another_process_group_is_reaped") {
        return;
    }
    let (supervisor, logs) = supervise("(setsid sh -c 'echo $$' &); exec sleep 60");
    supervisor.start("service").unwrap();
    eventually("the orphan writes its id", || log(&logs).ends_with('\n'));
    let orphan = PathBuf::from("/proc").join(log(&logs).trim());
    eventually("the orphan is reaped", || !orphan.exists());
    supervisor.stop("service").unwrap();
}

#[test]
fn a_service_that_ends_by_itself_is_started_again() {
    if !alone("a_service_that_ends_by_itself_is_started_again") {
        return;
    }
    let (supervisor, logs) = supervise("echo started");
    supervisor.start("service").unwrap();
    eventually("the second start", || log(&logs).lines().count() >= 2);
}

#[test]
fn a_stopped_service_has_ended_and_stays_so() {
    if !alone("a_stopped_service_has_ended_and_stays_so") {
        return;
    }
    // It ignores the polite request.
    let (supervisor, logs) = supervise("trap '' TERM; echo $$; while :; do sleep 1; done");
    supervisor.start("service").unwrap();
    eventually("the service runs", || log(&logs).ends_with('\n'));
    let process = PathBuf::from("/proc").join(log(&logs).trim());
    assert!(process.exists());
    supervisor.stop("service").unwrap();
    assert!(!process.exists());
    thread::sleep(RESTART_AFTER * 2);
    assert_eq!(log(&logs).lines().count(), 1);
    supervisor.start("service").unwrap();
    eventually("the new start", || log(&logs).lines().count() == 2);
    supervisor.stop("service").unwrap();
}

#[test]
fn an_unknown_service_is_answered_with_those_that_there_are() {
    let supervisor = Supervisor::new(Vec::new(), Path::new("/"), Path::new("/"));
    let error = supervisor.start("nonsense").unwrap_err();
    assert!(error.to_string().contains("no component \"nonsense\""), "{error}");
}
