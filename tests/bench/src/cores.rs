//! Two cores: one for the proxy alone, another for the load and the application.
//!
//! A child inherits the cores of the thread that starts it, so nothing of a proxy ever runs elsewhere.

use std::fs;

use anyhow::{Context, Result, bail};
use rustix::process::setpriority_process;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Core {
    /// What is measured.
    Proxy,
    /// What it is measured with.
    Load,
}

/// The two cores of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cores {
    /// The proxy's.
    pub proxy: usize,
    /// The load's and the application's.
    pub load: usize,
}

impl Cores {
    /// The last two that this process may use: interrupts tend to be served by the first. The calling
    /// thread stays on the load's.
    pub(crate) fn take() -> Result<Self> {
        let allowed = sched_getaffinity(None).context("this process' cores cannot be read")?;
        let mut allowed = (0..CpuSet::MAX_CPU).rev().filter(|core| allowed.is_set(*core));
        let (Some(proxy), Some(load)) = (allowed.next(), allowed.next()) else {
            bail!(
                "two cores are needed, one for the proxy and one for the load; this process may use one only"
            );
        };
        stay_on(load)?;
        Ok(Self { proxy, load })
    }

    /// Has `start` start a process on `core`.
    pub(crate) fn on<T>(self, core: Core, start: impl FnOnce() -> T) -> Result<T> {
        stay_on(match core {
            Core::Proxy => self.proxy,
            Core::Load => self.load,
        })?;
        let started = start();
        stay_on(self.load)?;
        Ok(started)
    }
}

fn stay_on(core: usize) -> Result<()> {
    let mut only = CpuSet::new();
    only.set(core);
    sched_setaffinity(None, &only).with_context(|| format!("this thread cannot be bound to core {core}"))
}

/// While it lives, this process and all that it starts go before others, as far as they may: what others
/// do disturbs less then.
#[derive(Debug)]
pub(crate) struct Hurry {
    group: Option<String>,
}

impl Hurry {
    /// Begins. Without the right to it, all stays as it was.
    pub(crate) fn begin() -> Self {
        let _ = setpriority_process(None, MOST_URGENT);
        // Where the kernel groups processes by session, a priority counts within the group only, and the
        // group has one of its own. Reads as `/autogroup-42 nice 0`.
        let group = fs::read_to_string(AUTOGROUP).ok();
        let group = group.and_then(|group| Some(group.trim().rsplit_once(' ')?.1.to_owned()));
        if group.is_some() {
            let _ = fs::write(AUTOGROUP, MOST_URGENT.to_string());
        }
        Self { group }
    }
}

impl Drop for Hurry {
    fn drop(&mut self) {
        // The group is also that of the shell that this program was started from.
        if let Some(group) = &self.group {
            let _ = fs::write(AUTOGROUP, group);
        }
    }
}

const MOST_URGENT: i32 = -20;
const AUTOGROUP: &str = "/proc/self/autogroup";

/// What the machine is, for readers of the results.
pub(crate) fn machine() -> String {
    let model = fs::read_to_string("/proc/cpuinfo").ok().and_then(|info| {
        let line = info.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let virtual_machine = fs::read_to_string("/proc/cpuinfo").is_ok_and(|info| info.contains(" hypervisor "));
    // BBR paces what others send at once.
    let congestion = fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control").unwrap_or_default();
    format!(
        "{}, {cores} cores{}, Linux {}, TCP with {}",
        model.as_deref().unwrap_or("an unknown processor"),
        if virtual_machine { " of a virtual machine" } else { "" },
        kernel.trim(),
        congestion.trim()
    )
}
