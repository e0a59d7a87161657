//! Measures an attack.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use socketio_affinity_bench::interrupt;
use tokio::runtime::Builder;
use tokio::task::LocalSet;

use crate::attacks::{Attack, Target};
use crate::honest::{Honest, Seen};
use crate::network::Network;
use crate::sockets::Sampler;
use crate::world::{Sessions, World};

/// Time for which the honest clients are watched before the attack.
const REST: Duration = Duration::from_secs(3);
/// Longest wait for them to see what they saw before.
const RECOVERY: Duration = Duration::from_secs(15);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// Memory limit that the operator gives a sidecar.
pub(crate) const LIMIT: u64 = 256 << 20;

/// Results of an attack.
#[derive(Debug)]
pub(crate) struct Row {
    pub attack: Attack,
    pub with: Outcome,
    pub control: Option<Outcome>,
}

/// Results of an attack on one world.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Counts of the attackers' actions.
    pub note: String,
    /// Honest round trips before and during the attack.
    pub rest: Seen,
    pub during: Seen,
    /// Readiness probes during the attack.
    pub probes: Seen,
    /// Peak of resident memory, in bytes. None without a sidecar, or when the programs have not all lived.
    pub peak: Option<u64>,
    /// Peak of the memory of sockets, in bytes.
    pub sockets: u64,
    /// None: not within 15 s.
    pub recovery: Option<Duration>,
    pub sessions: Sessions,
    /// Every program still ran at the end.
    pub alive: bool,
}

impl Row {
    /// Reports whether no session was lost, and the sidecar lives and would live in a pod.
    pub(crate) fn is_good(&self) -> bool {
        let memory = self.with.peak.map(|peak| peak + self.with.sockets);
        self.with.sessions.lost == 0 && self.with.alive && memory.is_some_and(|memory| memory <= LIMIT)
    }
}

/// Runs one attack on a sidecar, and where it can be done on an application alone.
pub(crate) fn measure(
    network: &Network,
    sidecar: &Path,
    attack: &Attack,
    length: Duration,
    with_control: bool,
) -> Result<Row> {
    let with = run(network, Some(sidecar), attack, length)?;
    let control = (with_control && attack.has_control).then(|| run(network, None, attack, length));
    Ok(Row { attack: *attack, with, control: control.transpose()? })
}

fn run(network: &Network, sidecar: Option<&Path>, attack: &Attack, length: Duration) -> Result<Outcome> {
    let mut world = World::start(network, sidecar, attack.descriptors)?;
    let honest = Honest::start(world.asks.clone(), sidecar.map(|_| World::admin_door()));
    let rested = Instant::now();
    pause_until(rested + REST)?;

    world.reset_peak()?;
    let sampler = Sampler::start(network);
    let began = Instant::now();
    let target = Target { door: world.door(), until: began + length };
    let run = attack.run;
    let attackers = thread::spawn(move || -> Result<String> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(LocalSet::new().block_on(&runtime, run(target)))
    });
    while !attackers.is_finished() {
        interrupt::check()?;
        thread::sleep(LOOK);
    }
    let note = attackers.join().map_err(|_| anyhow!("the attackers failed"))??;
    let (ended, alive) = (Instant::now(), world.lives());
    let (sockets, peak) = (sampler.end()?, if alive { world.peak()? } else { None });

    let (rest, during) = (honest.seen(rested, began), honest.seen(began, ended));
    let probes = honest.probed(began, ended);
    let before = rest.p99.context("nobody asked anything before the attack")?;
    let bound = before * 2 + Duration::from_millis(10);
    let mut recovery = None;
    while recovery.is_none() && ended.elapsed() < RECOVERY {
        pause_until(Instant::now() + LOOK)?;
        recovery = honest.recovered(ended, bound);
    }
    drop(honest);
    let alive = alive && world.lives();
    Ok(Outcome { note, rest, during, probes, peak, sockets, recovery, sessions: world.end()?, alive })
}

fn pause_until(until: Instant) -> Result<()> {
    while Instant::now() < until {
        interrupt::check()?;
        thread::sleep(LOOK.min(until.saturating_duration_since(Instant::now())));
    }
    Ok(())
}
