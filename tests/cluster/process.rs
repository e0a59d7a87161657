//! Which process is meant: a process id and the moment it started.
//!
//! The kernel gives ids out again, so an id alone may later mean a stranger. Together with the
//! start time and the boot it is unique; signals go through a pidfd that is opened before the
//! identity is checked, so that they cannot reach a process which got the id in between.

use std::collections::HashSet;
use std::fs;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// A process that ran or runs on this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessId {
    pid: u32,
    /// In clock ticks since the machine started.
    started: u64,
    /// Which start of the machine.
    boot: String,
}

impl ProcessId {
    /// The process that has `pid` now.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some(Self { pid, started: start_time(&stat)?, boot: boot()? })
    }

    /// This program.
    pub(crate) fn current() -> Option<Self> {
        Self::of(std::process::id())
    }

    /// The number, for paths below `/proc`. Only valid while the process lives.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether exactly this process still runs. One that waits to be reaped does not.
    pub(crate) fn is_alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    /// Sends `signal` to exactly this process; false when it is gone.
    pub(crate) fn signal(&self, signal: Signal) -> bool {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else { return false };
        let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { return false };
        self.is_alive() && pidfd_send_signal(&pidfd, signal).is_ok()
    }
}

/// The processes whose environment has `marker` (`NAME=VALUE`), without this one and those
/// above it.
pub(crate) fn marked_with(marker: &str) -> Vec<ProcessId> {
    let own = ancestry();
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|pid| !own.contains(pid))
        .filter_map(|pid| {
            // The identity first: what is read afterwards belongs to it or to nobody.
            let process = ProcessId::of(pid)?;
            let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
            has_variable(&environment, marker).then_some(process)
        })
        .collect()
}

/// This process and those above it.
fn ancestry() -> HashSet<u32> {
    let mut ancestry = HashSet::new();
    let mut pid = std::process::id();
    while pid != 0 && ancestry.insert(pid) {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        pid = field(&stat, 4).and_then(|parent| parent.parse().ok()).unwrap_or(0);
    }
    ancestry
}

fn has_variable(environment: &[u8], marker: &str) -> bool {
    environment.split(|byte| *byte == 0).any(|variable| variable == marker.as_bytes())
}

/// The start time from `/proc/PID/stat`; none for a process that ended (state Z or X).
fn start_time(stat: &str) -> Option<u64> {
    match field(stat, 3)? {
        "Z" | "X" => None,
        _ => field(stat, 22)?.parse().ok(),
    }
}

/// A field of `/proc/PID/stat`, counted as in proc(5). The second, the program's name, may
/// itself hold spaces and brackets.
fn field(stat: &str, number: usize) -> Option<&str> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(number.checked_sub(3)?)
}

fn boot() -> Option<String> {
    Some(fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const STAT: &str = "42 (a ) (b) S 7 42 42 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 98765 1 1";

    #[test]
    fn a_programs_name_with_brackets_does_not_confuse_the_reader() {
        assert_eq!(start_time(STAT), Some(98765));
        assert_eq!(field(STAT, 4), Some("7"));
    }

    #[test]
    fn a_process_that_waits_to_be_reaped_is_gone() {
        assert_eq!(start_time(&STAT.replace(" S ", " Z ")), None);
    }

    #[test]
    fn a_recycled_process_id_is_a_stranger_and_gets_no_signal() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let process = ProcessId::of(child.id()).unwrap();
        let earlier = ProcessId { started: process.started - 1, ..process.clone() };
        assert!(!earlier.signal(Signal::KILL));
        let other_boot = ProcessId { boot: "another".into(), ..earlier };
        let other_boot = ProcessId { started: process.started, ..other_boot };
        assert!(!other_boot.signal(Signal::KILL));
        assert!(process.is_alive());

        assert!(process.signal(Signal::KILL));
        child.wait().unwrap();
        assert!(!process.is_alive());
    }

    #[test]
    fn marked_processes_are_found_by_the_whole_variable() {
        assert!(has_variable(b"A=b\0CLUSTER=1\0", "CLUSTER=1"));
        assert!(!has_variable(b"A=b\0CLUSTER=12\0", "CLUSTER=1"));

        let marker = format!("MARKED_BY_TEST={}", std::process::id());
        let (name, value) = marker.split_once('=').unwrap();
        let mut child = Command::new("sleep").arg("60").env(name, value).spawn().unwrap();
        let found = marked_with(&marker);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found.iter().map(ProcessId::pid).collect::<Vec<_>>(), [child.id()]);
    }
}
