//! What is looked at after the rounds.

use std::path::Path;

use anyhow::Result;

use super::Plan;
use crate::interrupt;
use crate::probe::{memory, syscalls, valgrind};
use crate::progress::Progress;
use crate::results::Results;
use crate::rig::Rig;
use crate::sessions::Sessions;
use crate::subject::{Ground, Subject};
use crate::warm_up::warm_up;
use crate::work::Work;

/// What a busy proxy does most.
const WORKS: [Work; 2] = [Work::PollSmall, Work::EchoSmall];
/// How many clients there are while system calls are counted.
const CLIENTS: [usize; 2] = [1, 32];
/// How often memory is looked at, and a sidecar among few and many: they hardly vary.
const LOOKS: usize = 3;

/// Looks at all of it, and with `callgrind` at instructions too, whose profiles it may name a place for.
pub(super) fn go(
    rig: &mut Rig,
    ground: &Ground,
    plan: &Plan,
    callgrind: Option<Option<&Path>>,
    results: &mut Results,
) -> Result<()> {
    let subjects: Vec<Subject> =
        plan.subjects.iter().copied().filter(|subject| *subject != Subject::Direct).collect();
    let looks = if results.quick { 1 } else { LOOKS };
    let strace = match syscalls::missing() {
        None => WORKS.len() * CLIENTS.len(),
        Some(missing) => skip(results, missing),
    };
    let instructions = match valgrind::missing() {
        _ if callgrind.is_none() => skip(results, "instructions and allocations: asked for with --callgrind"),
        None => WORKS.len(),
        Some(missing) => skip(results, missing),
    };
    let mut progress = Progress::new(subjects.len() * (looks + strace + instructions));

    progress.say(format_args!("memory at rest and of idle WebSockets"));
    for look in 0..looks {
        for subject in &subjects {
            progress.step(format_args!("memory, {}, {} of {looks}", subject.title(), look + 1));
            match memory::look(rig, ground, *subject) {
                Ok(footprint) => match results.memory.iter_mut().find(|(id, _)| id == subject.id()) {
                    Some((_, looks)) => looks.push(footprint),
                    None => results.memory.push((subject.id().to_owned(), vec![footprint])),
                },
                Err(error) => missed(results, &progress, "memory", *subject, &error)?,
            }
        }
    }

    if strace > 0 {
        progress.say(format_args!("system calls per request, by strace"));
        for subject in &subjects {
            let running = ground.start(*subject, &[])?;
            let sessions = Sessions::open(rig, &running)?;
            warm_up(rig, running.cold(&sessions).as_slice())?;
            for (work, clients) in WORKS.iter().flat_map(|work| CLIENTS.map(|clients| (*work, clients))) {
                progress.step(format_args!("system calls, {}, {}", work.title(), subject.title()));
                match syscalls::count(rig, &running, &sessions, work, clients) {
                    Ok(calls) => {
                        let of = (subject.id().to_owned(), work.title().to_owned(), calls);
                        results.calls.push(of);
                    }
                    Err(error) => missed(results, &progress, "system calls", *subject, &error)?,
                }
            }
        }
    }

    if instructions > 0 {
        progress.say(format_args!("instructions and allocations, by valgrind: slow"));
        for subject in &subjects {
            for work in WORKS {
                progress.step(format_args!("instructions, {}, {}", work.title(), subject.title()));
                match valgrind::count(rig, ground, *subject, work, callgrind.flatten()) {
                    Ok(counted) => {
                        let of = (subject.id().to_owned(), work.title().to_owned(), counted);
                        results.counted_by_valgrind.push(of);
                    }
                    Err(error) => missed(results, &progress, "instructions", *subject, &error)?,
                }
            }
        }
    }
    Ok(())
}

/// Looks at what a sidecar costs among few and among many.
pub(super) fn scale(rig: &mut Rig, ground: &Ground, plan: &Plan, results: &mut Results) -> Result<()> {
    if plan.worlds.is_empty() {
        return Ok(());
    }
    let looks = if results.quick { 1 } else { LOOKS };
    let mut progress = Progress::new(plan.worlds.len() * 2 + looks + 1);
    progress.say(format_args!("a sidecar among 3 and among 300"));
    let step = |what: &str| progress.step(format_args!("{what}"));
    match crate::scale::look(rig, ground, &plan.worlds, looks, plan.times.counted / 2, step) {
        Ok(samples) => {
            results.scale = samples.into_iter().map(|(world, it)| (world.id().to_owned(), it)).collect();
        }
        Err(error) => {
            interrupt::check()?;
            let why = format!("a sidecar among 3 and among 300: {error:#}");
            progress.say(format_args!("not measured: {why}"));
            results.missing.push(why);
        }
    }
    Ok(())
}

/// Leaves it out, saying so.
fn skip(results: &mut Results, missing: &str) -> usize {
    results.missing.push(missing.to_owned());
    0
}

/// Goes on without it, unless the run was interrupted.
fn missed(
    results: &mut Results,
    progress: &Progress,
    what: &str,
    subject: Subject,
    error: &anyhow::Error,
) -> Result<()> {
    interrupt::check()?;
    let why = format!("{what} of {}: {error:#}", subject.title());
    progress.say(format_args!("not measured: {why}"));
    results.missing.push(why);
    Ok(())
}
