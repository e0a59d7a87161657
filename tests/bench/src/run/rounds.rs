//! The rounds: in each, everything is started afresh and measured in turn, several times.
//!
//! Turns go forwards and backwards through the subjects, and begin with another one each time, so that none
//! always follows the same one. The open loops have one rate for all subjects and rounds: half of what a core
//! bears with the reference.

use std::time::Duration;

use anyhow::{Context, Result};

use super::{PACER, Plan, systems};
use crate::interrupt;
use crate::measure::{Sample, Times, Turn, measure};
use crate::programs::Peer;
use crate::progress::{Progress, say};
use crate::results::Results;
use crate::rig::Rig;
use crate::sessions::Sessions;
use crate::subject::{Ground, Running, Subject};
use crate::warm_up::warm_up;
use crate::work::{Cell, Loop, Work};

/// Whose capacity the rates are half of: the first of these that is measured.
const REFERENCES: [Subject; 3] = [Subject::Peer(Peer::Haproxy), Subject::Peer(Peer::Nginx), Subject::Local];
const REFERENCE_TIMES: Times =
    Times { warm_up: Duration::from_millis(200), counted: Duration::from_millis(500) };

/// How often in a round each is measured at the same cell, in turn: what disturbs a machine for some
/// seconds then disturbs all of them.
pub(super) const TURNS: usize = 4;

/// Goes through all rounds.
pub(super) fn go(rig: &mut Rig, ground: &Ground, plan: &Plan, results: &mut Results) -> Result<()> {
    let rates = rates(rig, ground, plan)?;
    results.rates = rates.iter().map(|(work, rate)| (work.title().to_owned(), *rate)).collect();

    let measured = |cell: Cell| plan.subjects.iter().copied().filter(move |subject| cell.concerns(*subject));
    let cells = plan.cells.iter().map(|cell| measured(*cell).count()).sum::<usize>();
    let steps = plan.rounds * (cells * TURNS + plan.systems.len());
    let mut progress = Progress::new(steps);
    if steps == 0 {
        return Ok(());
    }
    for round in 0..plan.rounds {
        progress.say(format_args!("round {} of {}", round + 1, plan.rounds));
        let mut running = Vec::new();
        for subject in &plan.subjects {
            let started = ground.start(*subject, &[])?;
            let sessions = Sessions::open(rig, &started)?;
            running.push((started, sessions));
        }
        let cold: Vec<_> = running.iter().filter_map(|(started, sessions)| started.cold(sessions)).collect();
        warm_up(rig, &cold)?;
        let first = round % running.len().max(1);
        running.rotate_left(first);
        for cell in &plan.cells {
            let rate =
                rates.iter().find(|(work, _)| *work == cell.work.paced_by()).map_or(1000, |(_, rate)| *rate);
            let mut turns: Vec<(Subject, Result<Vec<Turn>, String>)> =
                measured(*cell).map(|subject| (subject, Ok(Vec::new()))).collect();
            for turn in 0..TURNS {
                running.reverse();
                let others = usize::from(turn % 2 == 0 && !running.is_empty());
                running.rotate_left(others);
                for (running, sessions) in &mut running {
                    let subject = running.subject;
                    let Some((_, counted)) = turns.iter_mut().find(|(of, _)| *of == subject) else {
                        continue;
                    };
                    let what = format!("{}, {}", describe(*cell, rate), subject.title());
                    progress.step(format_args!("{what}"));
                    let Ok(so_far) = counted else { continue };
                    match measure(rig, running, sessions, *cell, rate, ground.cores.proxy, plan.times) {
                        Err(error) if interrupt::check().is_err() => return Err(error),
                        Err(error) => {
                            progress.say(format_args!("{what}: {error:#}"));
                            restart(rig, ground, running, sessions)?;
                            *counted = Err(format!("{error:#}"));
                        }
                        Ok(turn) => so_far.push(turn),
                    }
                }
            }
            for (subject, counted) in turns {
                results.add(*cell, subject, counted.map(Sample::of));
            }
        }
        // Ended, so that they are not beside what follows.
        drop(running);
        systems::go(ground, plan, round, &mut progress, results)?;
    }
    Ok(())
}

/// After a failure nothing is known of the subject's state.
fn restart(rig: &mut Rig, ground: &Ground, running: &mut Running, sessions: &mut Sessions) -> Result<()> {
    let subject = running.subject;
    for process in &mut running.processes {
        // The address must be free before another takes it.
        process.kill();
    }
    rig.rest(Duration::from_millis(200))?;
    *running =
        ground.start(subject, &[]).with_context(|| format!("{} does not start again", subject.title()))?;
    *sessions = Sessions::open(rig, running)?;
    warm_up(rig, running.cold(sessions).as_slice())
}

fn describe(cell: Cell, rate: u32) -> String {
    match cell.offered {
        Loop::Closed => format!("{}, as many as it bears", cell.work.title()),
        Loop::Open => format!("{}, {rate} per second", cell.work.title()),
    }
}

/// The rate of each open loop.
fn rates(rig: &mut Rig, ground: &Ground, plan: &Plan) -> Result<Vec<(Work, u32)>> {
    let mut works: Vec<Work> = Vec::new();
    for cell in plan.cells.iter().filter(|cell| cell.offered == Loop::Open) {
        if !works.contains(&cell.work.paced_by()) {
            works.push(cell.work.paced_by());
        }
    }
    let Some(reference) = REFERENCES.into_iter().find(|reference| plan.subjects.contains(reference)) else {
        return Ok(works.into_iter().map(|work| (work, 1000)).collect());
    };
    let running = ground.start(reference, &[])?;
    let sessions = Sessions::open(rig, &running)?;
    warm_up(rig, running.cold(&sessions).as_slice())?;
    let mut rates = Vec::new();
    for work in works {
        let cell = Cell { work, offered: PACER };
        let turn = measure(rig, &running, &sessions, cell, 0, ground.cores.proxy, REFERENCE_TIMES)?;
        let sample = Sample::of(vec![turn]);
        // By what each costs it, since the clients, or others on the machine, may have been the limit.
        let capacity = sample.cpu_us.map_or(sample.rate, |micros| 1e6 / micros);
        let rate = half(capacity);
        say(format_args!(
            "{}: a core bears {capacity:.0} per second with {}, so latency is measured at {rate}",
            work.title(),
            reference.title()
        ));
        rates.push((work, rate));
    }
    Ok(rates)
}

/// Half of it, in hundreds.
fn half(rate: f64) -> u32 {
    let hundreds = (1..=100_000).take_while(|hundreds| f64::from(*hundreds) * 200.0 <= rate).last();
    hundreds.unwrap_or(1) * 100
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_is_told_in_hundreds() {
        assert_eq!(half(24_567.0), 12_200);
        assert_eq!(half(0.0), 100);
    }
}
