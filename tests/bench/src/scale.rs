//! Whether a sidecar costs more among 300 than among 3.
//!
//! A sidecar is told of no other one: it learns of an owner from the tag in a sid, and keeps connections to
//! those that it has forwarded to. So what may grow is what those connections hold, up to a bound, and what
//! finding the right one takes. Both are looked at, in two worlds of real sidecars that run at once.
//!
//! One sidecar of each world is looked at. It has the proxies' core for itself; the others share that of
//! the load, so that 299 programs in turn on one core, which is no cluster's way, do not spoil its caches.
//!
//! | step | is |
//! | --- | --- |
//! | at rest | before any client |
//! | used | after a warm-up and local hits, so that connections alone are what comes next |
//! | local hits, forwarded hits | one request at a time, so that the load is the same for both; forwarded ones to one owner, and to the next one each time, so that none finds its connection in the caches |
//! | connected | a session of every other one was forwarded, and every other one has forwarded a session of this one's |
//! | a crowd | [`CROWD`] polls of all other owners wait at the same time, and are answered |
//! | left alone | for longer than connections are kept |

mod look;
mod world;

use std::time::{Duration, Instant};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::rig::Rig;
use crate::subject::Ground;
use crate::warm_up::warm_up;
pub(crate) use look::Look;
pub(crate) use world::Running;

/// How many polls wait at the same time.
pub(crate) const CROWD: usize = 1200;
/// Longer than a sidecar keeps connections to others.
pub(crate) const LEFT_ALONE: Duration = Duration::from_secs(50);

/// One of the worlds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum World {
    Few,
    Many,
}

impl World {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Few, Self::Many];

    /// As it is named on the command line and in files.
    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::Few => "sidecars-3",
            Self::Many => "sidecars-300",
        }
    }

    /// As readers see it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Few => "among 3",
            Self::Many => "among 300",
        }
    }

    /// How many sidecars there are.
    pub(crate) fn count(self) -> usize {
        match self {
            Self::Few => 3,
            Self::Many => 300,
        }
    }
}

/// What was seen of one world.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct WorldSample {
    /// Threads of the sidecar.
    pub threads: usize,
    /// CPU time of a local hit, in microseconds, each time that it was measured.
    pub local_us: Vec<f64>,
    /// Of a forwarded hit, without the owner's, where all are of one owner.
    pub one_owner_us: Vec<f64>,
    /// Likewise, where each is of the next owner.
    pub each_owner_us: Vec<f64>,
    /// What it holds after each step.
    pub at_rest: Look,
    pub used: Look,
    pub connected: Look,
    pub waiting: Look,
    pub crowded: Look,
    pub left_alone: Look,
}

/// Looks at these worlds, `rounds` times at what takes CPU time.
pub(crate) fn look(
    rig: &mut Rig,
    ground: &Ground,
    worlds: &[World],
    rounds: usize,
    counted: Duration,
    mut step: impl FnMut(&str),
) -> Result<Vec<(World, WorldSample)>> {
    let mut samples = Vec::new();
    let mut running = Vec::new();
    for world in worlds {
        step(&format!("starting {} sidecars", world.count()));
        running.push(Running::start(rig, ground, *world)?);
    }
    rig.rest(Duration::from_secs(1))?;
    let mut resting = Vec::new();
    for world in &running {
        resting.push((world.threads()?, world.look(rig)?));
    }
    warm_up(rig, &running.iter().map(Running::cold).collect::<Result<Vec<_>>>()?)?;
    for (world, (threads, at_rest)) in running.iter().zip(resting) {
        world.local(rig, counted)?;
        let used = world.look(rig)?;
        // What is not looked at yet is filled in below; nothing is returned unless all is.
        samples.push(WorldSample {
            threads,
            local_us: Vec::new(),
            one_owner_us: Vec::new(),
            each_owner_us: Vec::new(),
            at_rest,
            used,
            connected: used,
            waiting: used,
            crowded: used,
            left_alone: used,
        });
    }
    for round in 0..rounds {
        step(&format!("CPU time, {} of {rounds}", round + 1));
        let mut both: Vec<_> = running.iter().zip(&mut samples).collect();
        // Another one first each time, as in rounds.
        let others = round.checked_rem(both.len()).unwrap_or_default();
        both.rotate_left(others);
        for (world, sample) in both {
            sample.local_us.push(world.local(rig, counted)?);
            sample.one_owner_us.push(world.forwarded_to_one(rig, counted)?);
            sample.each_owner_us.push(world.forwarded_to_each(rig, counted)?);
        }
    }
    for (world, sample) in running.iter().zip(&mut samples) {
        step(&format!("connections of one {}", world.world.title()));
        world.connect(rig)?;
        sample.connected = world.look(rig)?;
        sample.waiting = world.crowd(rig)?;
        sample.crowded = world.look(rig)?;
    }
    step(&format!("leaving both alone for {} s", LEFT_ALONE.as_secs()));
    let until = Instant::now() + LEFT_ALONE;
    while Instant::now() < until {
        rig.rest(Duration::from_millis(100))?;
    }
    for (world, sample) in running.iter().zip(&mut samples) {
        sample.left_alone = world.look(rig)?;
    }
    Ok(running.iter().map(|running| running.world).zip(samples).collect())
}
