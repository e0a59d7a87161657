//! Memory: at rest, and for each idle WebSocket.
//!
//! At rest is a second after the start, before any client. Then WebSockets are opened, each of which has
//! carried one message, and left alone. What they cost is the growth of the pages that are the process'
//! alone, divided by their number; the kernel's memory for sockets is nobody's merit and not in it.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::procfs::{Memory, memory};
use crate::rig::Rig;
use crate::rig::clients::{Clients, Pace};
use crate::sessions::Sessions;
use crate::subject::{Ground, Running, Subject};
use crate::work::Work;

/// How long memory is left alone before it is looked at.
const SETTLE: Duration = Duration::from_secs(1);
/// How long the WebSockets may take to open.
const OPENING: Duration = Duration::from_secs(120);

/// What one subject takes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Footprint {
    /// Resident memory at rest, in bytes, of all its processes.
    pub resting: u64,
    /// For each number of idle WebSockets, the bytes of memory of its own for each.
    pub idle: Vec<(usize, f64)>,
}

/// Looks at `subject`.
pub(crate) fn look(rig: &mut Rig, ground: &Ground, subject: Subject) -> Result<Footprint> {
    let running = ground.start(subject, &[])?;
    rig.rest(SETTLE)?;
    let resting = total(&running)?.resident;

    let sessions = Sessions::open(rig, &running)?;
    let script = Work::EchoSmall.script(&running.entry.to_string(), &sessions.sids);
    let mut clients = Clients::new(running.entry, script, 0, Pace::Once);
    rig.rest(SETTLE)?;
    let before = total(&running)?.private;
    let idle = idle(rig, ground, &running, &mut clients, before).map_err(|error| running.explain(error))?;
    drop(clients);
    drop(running);
    // Thousands of connections end at once; the next subject should not wait for that.
    let until = Instant::now() + crate::rig::PATIENCE;
    while rig.connections() > 0 && Instant::now() < until {
        rig.rest(Duration::from_millis(20))?;
    }
    Ok(Footprint { resting, idle })
}

fn idle(
    rig: &mut Rig,
    ground: &Ground,
    running: &Running,
    clients: &mut Clients,
    before: u64,
) -> Result<Vec<(usize, f64)>> {
    let mut idle = Vec::new();
    for count in ground.websockets(running.subject) {
        clients.want(count);
        rig.drive(clients, Instant::now() + OPENING, |clients| clients.completed() >= count as u64)?;
        if clients.completed() < count as u64 {
            bail!("{} of {count} WebSockets were open after {} s", clients.open(), OPENING.as_secs());
        }
        rig.drive(clients, Instant::now() + SETTLE, |_| false)?;
        let grown = total(running)?.private.saturating_sub(before);
        idle.push((count, grown as f64 / count as f64));
    }
    Ok(idle)
}

fn total(running: &Running) -> Result<Memory> {
    let mut total = Memory { resident: 0, private: 0 };
    for process in &running.processes {
        let one = memory(process.pid()).map_err(|error| process.explain(&error.into()))?;
        total = Memory { resident: total.resident + one.resident, private: total.private + one.private };
    }
    Ok(total)
}
