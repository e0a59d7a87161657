//! One measurement: a subject, a kind of work, a warm-up, and a while in which it counts.
//!
//! # What the numbers are
//! - CPU time is what the subject's processes had of the scheduler while it counted, divided by the
//!   answers seen in that time. Kernel work on their behalf is in it, and so holds on a busy machine.
//! - The kernel's part of it is how often the kernel's clock found it at work there: some hundred times in
//!   a measurement, so it is exact to a few hundredths.
//! - A capacity is the answers a second of a closed loop. It is one only where the subject had its core
//!   nearly for itself and used it up ([`Sample::counts`]); else something else was the limit.
//! - A latency counts from when its request was due ([`crate::rig::schedule`]).

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::interrupt;
use crate::procfs::core_ticks;
use crate::rig::Rig;
use crate::rig::clients::{Clients, Pace};
use crate::sessions::Sessions;
use crate::stats::{Spread, percentile};
use crate::subject::{Running, Subject};
use crate::wire::text::{self, Size};
use crate::work::{Cell, Loop};

/// The part of its core's time that a subject must have used for its capacity to count.
const BUSY: f64 = 0.9;

/// How long each part takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// Does not count.
    pub warm_up: Duration,
    /// Counts.
    pub counted: Duration,
}

/// What one measurement has shown.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// Answers a second.
    pub rate: f64,
    /// The subject's CPU time for each, in microseconds; none without a proxy.
    pub cpu_us: Option<f64>,
    /// The part of the subject's CPU time that the kernel had, at work for it.
    #[serde(default)]
    pub kernel: Option<f64>,
    /// The subject's CPU time, as a part of the time that passed.
    pub used: f64,
    /// The part of its core's time that was spent on anything.
    pub core_busy: f64,
    /// The part that the hypervisor kept.
    pub core_stolen: f64,
    /// Latencies in microseconds, of an open loop.
    pub p50_us: Option<f64>,
    pub p99_us: Option<f64>,
}

impl Sample {
    /// Of each number the median of those that these have: what a round is represented by.
    pub(crate) fn median(of: &[Self]) -> Self {
        let some = |value: fn(&Self) -> Option<f64>| {
            Spread::of(of.iter().filter_map(value)).map(|spread| spread.median)
        };
        let all = |value: fn(&Self) -> Option<f64>| some(value).unwrap_or(f64::NAN);
        Self {
            rate: all(|sample| Some(sample.rate)),
            cpu_us: some(|sample| sample.cpu_us),
            kernel: some(|sample| sample.kernel),
            used: all(|sample| Some(sample.used)),
            core_busy: all(|sample| Some(sample.core_busy)),
            core_stolen: all(|sample| Some(sample.core_stolen)),
            p50_us: some(|sample| sample.p50_us),
            p99_us: some(|sample| sample.p99_us),
        }
    }

    /// The answers a second, where they are the subject's capacity.
    pub(crate) fn counts(&self) -> Option<f64> {
        (self.used >= BUSY).then_some(self.rate)
    }
}

/// Measures `running` at `cell`, an open loop with `rate` a second.
pub(crate) fn measure(
    rig: &mut Rig,
    running: &Running,
    sessions: &Sessions,
    cell: Cell,
    rate: u32,
    core: usize,
    times: Times,
) -> Result<Sample> {
    let host = running.entry.to_string();
    let script = cell.work.script(&host, &sessions.sids);
    let pace = match cell.offered {
        Loop::Closed => Pace::Closed,
        Loop::Open => Pace::Open(rate),
    };
    let mut clients = Clients::new(running.entry, script, cell.clients(), pace);
    clients.with_slow(rig, cell.slow_readers(), &text::poll(&host, sessions.first(), Size::Large))?;

    let result = count(rig, running, &mut clients, cell, core, times);
    drop(clients);
    // Their ends are noticed before the next ones begin.
    rig.rest(Duration::from_millis(50))?;
    result.map_err(|error| if interrupt::check().is_err() { error } else { running.explain(error) })
}

fn count(
    rig: &mut Rig,
    running: &Running,
    clients: &mut Clients,
    cell: Cell,
    core: usize,
    times: Times,
) -> Result<Sample> {
    rig.drive(clients, Instant::now() + times.warm_up, |_| false)?;
    clients.count_anew(Instant::now(), false);
    let (began, cpu, ticks) = (Instant::now(), running.cpu_time()?, core_ticks(core)?);
    let (owner, found) = (owner_time(running)?, running.ticks()?);
    rig.drive(clients, began + times.counted, |_| false)?;
    let (passed, cpu, after) = (began.elapsed().as_secs_f64(), running.cpu_time()? - cpu, core_ticks(core)?);
    let found_after = running.ticks()?;
    let mut tally = clients.count_anew(Instant::now(), cell.offered == Loop::Open);
    if tally.completed == 0 {
        bail!("nothing was answered while it counted");
    }
    if running.subject == Subject::Forwarded && owner_time(running)? == owner {
        bail!("nothing was forwarded: the owner's sidecar has had no CPU time");
    }

    tally.latencies.sort_unstable();
    let latency = |percent| percentile(&tally.latencies, percent).map(|nanos| nanos as f64 / 1000.0);
    let all = (after.all - ticks.all).max(1) as f64;
    let proxied = !running.processes.is_empty();
    Ok(Sample {
        rate: tally.completed as f64 / passed,
        cpu_us: proxied.then(|| cpu.as_secs_f64() * 1e6 / tally.completed as f64),
        kernel: part((found_after.kernel - found.kernel) as f64, (found_after.own - found.own) as f64),
        used: cpu.as_secs_f64() / passed,
        core_busy: 1.0 - after.idle.saturating_sub(ticks.idle) as f64 / all,
        core_stolen: after.stolen.saturating_sub(ticks.stolen) as f64 / all,
        p50_us: latency(50),
        p99_us: latency(99),
    })
}

/// The part that `this` is of both.
fn part(this: f64, other: f64) -> Option<f64> {
    (this + other > 0.0).then(|| this / (this + other))
}

/// The CPU time of the sidecar that owns the sessions, where there are two.
fn owner_time(running: &Running) -> Result<Option<Duration>> {
    let owner = running.processes.get(1);
    Ok(owner.map(|owner| crate::procfs::cpu_time(owner.pid())).transpose()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(used: f64) -> Sample {
        Sample {
            rate: 1000.0,
            cpu_us: None,
            kernel: None,
            used,
            core_busy: 1.0,
            core_stolen: 0.0,
            p50_us: None,
            p99_us: None,
        }
    }

    #[test]
    fn a_capacity_counts_only_where_the_core_was_used_up() {
        assert_eq!(sample(0.95).counts(), Some(1000.0));
        assert_eq!(sample(0.5).counts(), None);
    }

    #[test]
    fn one_disturbed_turn_does_not_represent_its_round() {
        let turns = [0.97, 0.95, 0.1, 0.96].map(|used| Sample { cpu_us: Some(1.0 / used), ..sample(used) });
        let round = Sample::median(&turns);
        assert!((0.95..0.97).contains(&round.used), "{round:?}");
        assert!(round.cpu_us.is_some_and(|cpu| cpu < 1.1) && round.p99_us.is_none(), "{round:?}");
    }
}
