//! System calls per request, counted by strace on a subject that works.
//!
//! With one client a proxy makes all of them for each request; with many, one wait serves several. strace
//! slows a proxy down, so that events gather: the second number is the kinder one.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use crate::procfs::tracer;
use crate::programs::in_path;
use crate::rig::clients::{Clients, Pace};
use crate::rig::{PATIENCE, Rig};
use crate::sessions::Sessions;
use crate::subject::Running;
use crate::work::Work;

/// How many requests are counted over.
const REQUESTS: u64 = 2000;

/// What was counted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Calls {
    /// How many clients there were.
    pub clients: usize,
    /// Each call, and how often it was made per request, those made most first.
    pub each: Vec<(String, f64)>,
}

impl Calls {
    /// All calls per request.
    pub(crate) fn total(&self) -> f64 {
        self.each.iter().map(|(_, count)| count).sum()
    }
}

/// What is missing for it.
pub(crate) fn missing() -> Option<&'static str> {
    in_path("strace").is_none().then_some("system calls: strace is missing; `apt-get install strace`")
}

/// Counts the calls of `running` for `work` by so many clients.
pub(crate) fn count(
    rig: &mut Rig,
    running: &Running,
    sessions: &Sessions,
    work: Work,
    clients: usize,
) -> Result<Calls> {
    let script = work.script(&running.entry.to_string(), &sessions.sids);
    let mut active = Clients::new(running.entry, script, clients, Pace::Closed);
    // Connections are open and buffers have grown before it counts.
    rig.drive(&mut active, Instant::now() + 2 * PATIENCE, |clients| clients.completed() >= 500)?;

    let directory = tempfile::tempdir()?;
    let file = directory.path().join("calls");
    let mut strace = Strace::attach(running, &file, rig, &mut active)?;
    active.count_anew(Instant::now(), false);
    rig.drive(&mut active, Instant::now() + 6 * PATIENCE, |clients| clients.completed() >= REQUESTS)?;
    let completed = active.completed();
    strace.detach()?;
    if completed < REQUESTS {
        bail!("only {completed} requests were answered under strace");
    }
    let mut each: Vec<_> = parse(&fs::read_to_string(&file)?)
        .into_iter()
        .map(|(name, count)| (name, count as f64 / completed as f64))
        .collect();
    each.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    // What is done now and then, and not for a request.
    each.retain(|(_, count)| *count >= 0.05);
    Ok(Calls { clients, each })
}

#[derive(Debug)]
struct Strace(Child);

impl Strace {
    fn attach(running: &Running, file: &Path, rig: &mut Rig, clients: &mut Clients) -> Result<Self> {
        let mut command = Command::new("strace");
        command.args(["--follow-forks", "--summary-only", "--quiet=all", "--output"]).arg(file);
        for process in &running.processes {
            command.arg("--attach").arg(process.pid().to_string());
        }
        let strace = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut strace = Self(strace.context("strace cannot be run")?);
        let until = Instant::now() + PATIENCE;
        for process in &running.processes {
            while tracer(process.pid())?.is_none() {
                if Instant::now() > until || strace.0.try_wait()?.is_some() {
                    bail!("strace may not trace other processes here; it needs root, or CAP_SYS_PTRACE");
                }
                rig.drive(clients, Instant::now() + Duration::from_millis(5), |_| false)?;
            }
        }
        Ok(strace)
    }

    fn detach(&mut self) -> Result<()> {
        let pid = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw).context("a pid is positive")?;
        kill_process(pid, Signal::INT)?;
        let until = Instant::now() + PATIENCE;
        while self.0.try_wait()?.is_none() {
            if Instant::now() > until {
                bail!("strace does not end");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The calls and their numbers, of strace's table: `% time, seconds, usecs/call, calls, [errors,] syscall`.
fn parse(table: &str) -> BTreeMap<String, u64> {
    let rows = table.lines().filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.first()?.parse::<f64>().ok()?;
        let name = *words.last()?;
        (name != "total").then_some(())?;
        Some((name.to_owned(), words.get(3)?.parse().ok()?))
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn straces_table_is_read() {
        let table = "% time     seconds  usecs/call     calls    errors syscall\n\
                     ------ ----------- ----------- --------- --------- ----------------\n \
                     60.00    0.100000          50      2000           sendto\n \
                     40.00    0.066000          16      4000       100 recvfrom\n\
                     ------ ----------- ----------- --------- --------- ----------------\n\
                     100.00    0.166000          27      6000       100 total\n";
        let expected = [("recvfrom".to_owned(), 4000), ("sendto".to_owned(), 2000)];
        assert_eq!(parse(table), BTreeMap::from(expected));
    }
}
