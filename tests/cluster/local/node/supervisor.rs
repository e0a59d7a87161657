//! Runs the node's services as process 1 must: whatever ends is reaped, and a service that
//! ends without having been stopped is started again, as an init system would.
//!
//! Invariant: a service's process id stands in `running` from its start until it is reaped,
//! both under the lock, so a signal never meets another process.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitOptions, kill_process, wait, waitid};

use super::services::Service;
use super::warn;
use crate::programs;

/// How long a service may take to end by itself.
const GRACE: Duration = Duration::from_secs(5);
const RESTART_AFTER: Duration = Duration::from_secs(1);

pub(super) struct Supervisor {
    services: Vec<Service>,
    logs: PathBuf,
    /// The same directory as a person outside of the node sees it.
    logs_outside: PathBuf,
    state: Mutex<State>,
    /// Notified when a service was reaped.
    reaped: Condvar,
}

#[derive(Default)]
struct State {
    running: HashMap<&'static str, Pid>,
    wanted: HashSet<&'static str>,
}

impl Supervisor {
    /// Services write to `logs`, which is `logs_outside` on the machine.
    pub(super) fn new(services: Vec<Service>, logs: &Path, logs_outside: &Path) -> Self {
        let (logs, logs_outside) = (logs.to_path_buf(), logs_outside.to_path_buf());
        Self { services, logs, logs_outside, state: Mutex::default(), reaped: Condvar::new() }
    }

    /// Starts a service; one that runs is left as it is.
    pub(super) fn start(&self, name: &str) -> Result<()> {
        let service = self.service(name)?;
        let mut state = self.lock();
        state.wanted.insert(service.name);
        if !state.running.contains_key(service.name) {
            let pid = self.spawn(service)?;
            state.running.insert(service.name, pid);
        }
        Ok(())
    }

    /// Stops a service and waits for its end.
    pub(super) fn stop(&self, name: &str) -> Result<()> {
        let service = self.service(name)?;
        let mut state = self.lock();
        state.wanted.remove(service.name);
        for signal in [Signal::TERM, Signal::KILL] {
            let Some(pid) = state.running.get(service.name) else { return Ok(()) };
            kill_process(*pid, signal).with_context(|| format!("{name} cannot be stopped"))?;
            (state, _) = self
                .reaped
                .wait_timeout_while(state, GRACE, |state| state.running.contains_key(service.name))
                .unwrap_or_else(PoisonError::into_inner);
        }
        if state.running.contains_key(service.name) {
            bail!("{name} does not end");
        }
        Ok(())
    }

    /// Reaps whatever ends, for ever.
    pub(super) fn reap(self: &Arc<Self>) -> ! {
        loop {
            // Waiting without reaping: the process keeps its id until the lock is held.
            match waitid(WaitId::All, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
                Ok(_) => self.reap_one(),
                Err(Errno::INTR) => {}
                // No child yet.
                Err(_) => thread::sleep(Duration::from_millis(50)),
            }
        }
    }

    fn reap_one(self: &Arc<Self>) {
        let mut state = self.lock();
        // Of any process group: containers' shims lead their own, and come here when orphaned.
        let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) else { return };
        let Some(name) = state.running.iter().find(|(_, running)| **running == pid).map(|(name, _)| *name)
        else {
            return;
        };
        state.running.remove(name);
        self.reaped.notify_all();
        if state.wanted.contains(name) {
            let how = match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => format!("with exit code {code}"),
                (None, Some(signal)) => format!("by signal {signal}"),
                (None, None) => "somehow".to_owned(),
            };
            warn(format_args!(
                "{name} ended {how}; starting it again (its log: {})",
                log_in(&self.logs_outside, name).display()
            ));
            let supervisor = Arc::clone(self);
            thread::spawn(move || supervisor.start_again(name));
        }
    }

    fn start_again(&self, name: &str) {
        thread::sleep(RESTART_AFTER);
        let still_wanted = self.lock().wanted.contains(name);
        if still_wanted && let Err(error) = self.start(name) {
            warn(format_args!("{error:#}"));
        }
    }

    fn spawn(&self, service: &Service) -> Result<Pid> {
        let log = log_in(&self.logs, service.name);
        let output = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("{} cannot be written", log.display()))?;
        let child = Command::new(&service.program)
            .args(&service.args)
            .env("PATH", programs::search_path())
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("{} cannot be started", service.name))?;
        i32::try_from(child.id()).ok().and_then(Pid::from_raw).context("a process without an id")
    }

    fn service(&self, name: &str) -> Result<&Service> {
        self.services.iter().find(|service| service.name == name).with_context(|| {
            let names: Vec<&str> = self.services.iter().map(|service| service.name).collect();
            format!("there is no component {name:?}; there are {}", names.join(", "))
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn log_in(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}.log"))
}

#[cfg(test)]
mod tests;
