//! Stopping parts of the local cluster.

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
