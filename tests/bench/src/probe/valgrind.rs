//! Instructions and allocations per request, under valgrind: the same on every run, whatever else the
//! machine does, and without hardware counters.
//!
//! A subject is run twice, with few and with more requests; the difference belongs to the requests alone,
//! not to the start. Instructions are those of user space; what the kernel does is not seen. Allocations
//! are calls of malloc and its like, as the profile has them: a program with an allocator of its own that takes pages from the
//! kernel shows none, so 0 is not always praise.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::programs::in_path;
use crate::rig::Rig;
use crate::rig::clients::{Clients, Pace};
use crate::sessions::Sessions;
use crate::subject::{Ground, Subject};
use crate::warm_up::warm_up;
use crate::work::Work;

const FEW: u64 = 500;
const MORE: u64 = 2500;
/// How long a run may take; a program is some fifty times slower under valgrind.
const RUN: Duration = Duration::from_secs(120);

/// What was counted, per request.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Counted {
    /// Instructions in user space.
    pub instructions: f64,
    /// Allocations.
    pub allocations: f64,
}

/// What is missing for it.
pub(crate) fn missing() -> Option<&'static str> {
    in_path("valgrind").is_none().then_some("instructions: valgrind is missing; `apt-get install valgrind`")
}

/// Counts for `subject` at `work`, with one client. The profiles of the longer run are kept in `profiles`.
pub(crate) fn count(
    rig: &mut Rig,
    ground: &Ground,
    subject: Subject,
    work: Work,
    profiles: Option<&Path>,
) -> Result<Counted> {
    let few = run(rig, ground, subject, work, FEW, None)?;
    let more = run(rig, ground, subject, work, MORE, profiles)?;
    let each = |few: u64, more: u64| more.saturating_sub(few) as f64 / (MORE - FEW) as f64;
    Ok(Counted {
        instructions: each(few.instructions, more.instructions),
        allocations: each(few.allocations, more.allocations),
    })
}

/// What a whole run has taken.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Totals {
    instructions: u64,
    allocations: u64,
}

fn run(
    rig: &mut Rig,
    ground: &Ground,
    subject: Subject,
    work: Work,
    requests: u64,
    keep: Option<&Path>,
) -> Result<Totals> {
    let directory = tempfile::tempdir()?;
    let profiles = directory.path().join("callgrind.%p");
    let mut wrapper: Vec<OsString> = vec![
        in_path("valgrind").context("valgrind is missing")?.into(),
        "--tool=callgrind".into(),
        format!("--callgrind-out-file={}", profiles.display()).into(),
    ];
    if let Subject::Peer(peer) = subject
        && let Some((_, program)) = ground.peers.iter().find(|(of, _)| *of == peer)
        && let Some(symbols) = &program.symbols
    {
        wrapper.push(format!("--extra-debuginfo-path={}", symbols.display()).into());
    }
    let mut running = ground.start(subject, &wrapper)?;
    let sessions = Sessions::open(rig, &running)?;
    if work != Work::EchoSmall {
        // A WebSocket takes a new connection to the application in any case.
        warm_up(rig, running.cold(&sessions).as_slice())?;
    }
    let script = work.script(&running.entry.to_string(), &sessions.sids);
    let mut clients = Clients::new(running.entry, script, 1, Pace::Closed);
    rig.drive(&mut clients, Instant::now() + RUN, |clients| clients.completed() >= requests)?;
    if clients.completed() < requests {
        bail!("{requests} requests were not answered within {} s", RUN.as_secs());
    }
    drop(clients);
    rig.rest(Duration::from_millis(100))?;
    for process in &mut running.processes {
        process.end(Duration::from_secs(40))?;
    }
    // Of two sidecars, each has written its own.
    let mut totals = Totals::default();
    for file in fs::read_dir(directory.path())? {
        let file = file?;
        if let Some(keep) = keep {
            fs::create_dir_all(keep)?;
            let name = format!("{}-{}-{}", subject.id(), work.id(), file.file_name().display());
            fs::copy(file.path(), keep.join(name)).context("the profile cannot be kept")?;
        }
        let one = parse(&fs::read_to_string(file.path())?).context("callgrind has written no totals")?;
        totals.instructions += one.instructions;
        totals.allocations += one.allocations;
    }
    Ok(totals)
}

/// What allocates, under all the names that libc has for it.
const ALLOCATES: [&str; 8] = [
    "malloc",
    "calloc",
    "realloc",
    "posix_memalign",
    "aligned_alloc",
    "memalign",
    "__libc_malloc",
    "__libc_memalign",
];

/// Reads callgrind's profile: `totals:` at its end, and in front of each `calls=<count> …` whom they call,
/// as `cfn=(<id>) <name>`, or without the name from the second time on.
fn parse(profile: &str) -> Option<Totals> {
    let mut allocating = Vec::new();
    let (mut called, mut allocations, mut instructions) = ("", 0, None);
    for line in profile.lines() {
        if let Some(function) = line.strip_prefix("fn=").or_else(|| line.strip_prefix("cfn=")) {
            let (id, name) = function.split_once(' ').unwrap_or((function, ""));
            if ALLOCATES.contains(&name) {
                allocating.push(id);
            }
            called = id;
        } else if let Some(calls) = line.strip_prefix("calls=") {
            if allocating.contains(&called) {
                allocations += calls.split(' ').next()?.parse::<u64>().ok()?;
            }
        } else if let Some(totals) = line.strip_prefix("totals:") {
            instructions = totals.trim().parse().ok();
        }
    }
    Some(Totals { instructions: instructions?, allocations })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_has_its_total_and_the_calls_that_allocate() {
        let profile = "events: Ir\nfn=(1) main\n1 5\ncfn=(2) malloc\ncalls=3 10\n2 30\ncfn=(3) free\ncalls=9 1\n\n\
                       fn=(2)\n7 7\n\nfn=(4) other\ncfn=(2)\ncalls=4 10\n1 1\ntotals: 12345\n";
        assert_eq!(parse(profile), Some(Totals { instructions: 12345, allocations: 7 }));
        assert_eq!(parse("events: Ir\n"), None);
    }
}
