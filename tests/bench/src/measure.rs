//! One measurement: a subject, a kind of work, a warm-up, and a while in which it counts. It is made in
//! turns, between those of others, and its numbers are of all its turns together.
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
use crate::procfs::{CoreTicks, Ticks, core_ticks};
use crate::rig::Rig;
use crate::rig::clients::{Clients, Pace};
use crate::sessions::Sessions;
use crate::stats::percentile;
use crate::subject::{Running, Subject};
use crate::wire::text::{self, Size};
use crate::work::{Cell, Loop};

/// The part of its core's time that a subject must have used for its capacity to count.
pub(crate) const BUSY: f64 = 0.9;

/// How long each part of a turn takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// Does not count.
    pub warm_up: Duration,
    /// Counts.
    pub counted: Duration,
}

/// What was counted in one turn.
#[derive(Debug)]
pub(crate) struct Turn {
    passed: Duration,
    completed: u64,
    /// None without a proxy.
    cpu: Option<Duration>,
    found: Ticks,
    core: CoreTicks,
    latencies: Vec<u64>,
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
    /// What these turns have shown together.
    pub(crate) fn of(turns: Vec<Turn>) -> Self {
        let sum = |value: fn(&Turn) -> f64| turns.iter().map(value).sum::<f64>();
        let passed = sum(|turn| turn.passed.as_secs_f64());
        let completed = sum(|turn| turn.completed as f64);
        let cpu: Option<f64> = turns.iter().map(|turn| turn.cpu.map(|cpu| cpu.as_secs_f64())).sum();
        let core = sum(|turn| turn.core.all as f64).max(1.0);
        let (own, kernel) = (sum(|turn| turn.found.own as f64), sum(|turn| turn.found.kernel as f64));
        let (idle, stolen) = (sum(|turn| turn.core.idle as f64), sum(|turn| turn.core.stolen as f64));
        let mut latencies: Vec<u64> = turns.into_iter().flat_map(|turn| turn.latencies).collect();
        latencies.sort_unstable();
        let latency = |percent| percentile(&latencies, percent).map(|nanos| nanos as f64 / 1000.0);
        Self {
            rate: completed / passed,
            cpu_us: cpu.map(|cpu| cpu * 1e6 / completed),
            kernel: (own + kernel > 0.0).then(|| kernel / (own + kernel)),
            used: cpu.unwrap_or_default() / passed,
            core_busy: 1.0 - idle / core,
            core_stolen: stolen / core,
            p50_us: latency(50),
            p99_us: latency(99),
        }
    }

    /// The answers a second, where they are the subject's capacity.
    pub(crate) fn counts(&self) -> Option<f64> {
        (self.used >= BUSY).then_some(self.rate)
    }
}

/// Lets `running` have a turn at `cell`, an open loop with `rate` a second.
pub(crate) fn measure(
    rig: &mut Rig,
    running: &Running,
    sessions: &Sessions,
    cell: Cell,
    rate: u32,
    core: usize,
    times: Times,
) -> Result<Turn> {
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
) -> Result<Turn> {
    clients.stay_awake();
    rig.drive(clients, Instant::now() + times.warm_up, |_| false)?;
    clients.count_anew(Instant::now(), false);
    let (began, cpu, found, ticks) =
        (Instant::now(), running.cpu_time()?, running.ticks()?, core_ticks(core)?);
    let owner = owner_time(running)?;
    rig.drive(clients, began + times.counted, |_| false)?;
    let (passed, cpu, found_after, after) =
        (began.elapsed(), running.cpu_time()? - cpu, running.ticks()?, core_ticks(core)?);
    let tally = clients.count_anew(Instant::now(), cell.offered == Loop::Open);
    if tally.completed == 0 {
        bail!("nothing was answered while it counted");
    }
    if running.subject == Subject::Forwarded && owner_time(running)? == owner {
        bail!("nothing was forwarded: the owner's sidecar has had no CPU time");
    }
    Ok(Turn {
        passed,
        completed: tally.completed,
        cpu: (!running.processes.is_empty()).then_some(cpu),
        found: Ticks { own: found_after.own - found.own, kernel: found_after.kernel - found.kernel },
        core: CoreTicks {
            idle: after.idle.saturating_sub(ticks.idle),
            stolen: after.stolen.saturating_sub(ticks.stolen),
            all: after.all - ticks.all,
        },
        latencies: tally.latencies,
    })
}

/// The CPU time of the sidecar that owns the sessions, where there are two.
fn owner_time(running: &Running) -> Result<Option<Duration>> {
    let owner = running.processes.get(1);
    Ok(owner.map(|owner| crate::procfs::cpu_time(owner.pid())).transpose()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(cpu_millis: u64, completed: u64, latencies: &[u64]) -> Turn {
        Turn {
            passed: Duration::from_millis(500),
            completed,
            cpu: Some(Duration::from_millis(cpu_millis)),
            found: Ticks { own: 10, kernel: cpu_millis / 10 },
            core: CoreTicks { idle: 5, stolen: 0, all: 50 },
            latencies: latencies.to_vec(),
        }
    }

    #[test]
    fn a_capacity_counts_only_where_the_core_was_used_up() {
        assert_eq!(Sample::of(vec![turn(475, 500, &[])]).counts(), Some(1000.0));
        assert_eq!(Sample::of(vec![turn(250, 500, &[])]).counts(), None);
    }

    #[test]
    fn the_numbers_are_of_all_turns_together() {
        let slow: Vec<u64> = vec![9_000_000; 4];
        let sample = Sample::of(vec![turn(500, 400, &[1000; 96]), turn(400, 500, &slow)]);
        assert_eq!((sample.rate, sample.used), (900.0, 0.9));
        assert_eq!((sample.cpu_us, sample.kernel), (Some(1000.0), Some(90.0 / 110.0)));
        assert_eq!(
            (sample.p50_us, sample.p99_us),
            (Some(1.0), Some(9000.0)),
            "what one turn saw is not lost"
        );
    }

    #[test]
    fn no_proxy_has_no_cpu_time() {
        let none = Turn { cpu: None, found: Ticks::default(), ..turn(0, 500, &[]) };
        let sample = Sample::of(vec![none]);
        assert_eq!((sample.cpu_us, sample.kernel, sample.p99_us), (None, None, None));
    }
}
