//! Stopping parts of the local cluster, and killing processes in its pods.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Components that are stopped for as long as this lives.
pub(crate) struct Stopped(&'static [&'static str]);

impl Stopped {
    pub(crate) fn stop(names: &'static [&'static str]) -> Self {
        let stopped = Self(names);
        for name in names {
            component("stop", name);
        }
        stopped
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        for name in self.0 {
            component("start", name);
        }
    }
}

fn component(verb: &str, name: &str) {
    let done = Command::new(env!("CARGO_BIN_EXE_cluster")).args(["component", verb, name]).status();
    let done = done.is_ok_and(|status| status.success());
    // A test that has failed already says why; this would hide it.
    assert!(
        done || std::thread::panicking(),
        "`cluster component {verb} {name}` failed; only the local cluster can"
    );
}

/// Kills `program` in the pod of that UID, from the machine that the node runs on: the container has no shell.
pub(crate) fn kill(program: &str, uid: &str) {
    let in_cgroup = uid.replace('-', "_");
    let is_it = |directory: &Path| {
        let read = |file: &str| fs::read_to_string(directory.join(file)).unwrap_or_default();
        let cgroup = read("cgroup");
        read("cmdline").contains(program) && (cgroup.contains(uid) || cgroup.contains(&in_cgroup))
    };
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    let found: Vec<_> = processes.filter(|directory| is_it(directory)).collect();
    let [process] = &found[..] else {
        panic!(
            "{program} of pod {uid} is not a process of this machine ({found:?}); run this where the node runs"
        )
    };
    let pid = process.file_name().unwrap().to_str().unwrap();
    let killed = Command::new("kill").args(["-KILL", pid]).status().unwrap();
    assert!(killed.success());
}
