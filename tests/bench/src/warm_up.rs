//! The warm-up of sidecars that were just started.
//!
//! A sidecar uses a connection to the application again within limits that the application was seen to keep
//! (`docs/decisions/0010-reuse-of-connections-to-the-application.md`). Until 64 answers are proven, some
//! requests take a new connection, and cost more. A measurement begins after that.
//!
//! # Invariants
//! - All sidecars warm up at the same time, so that a round takes no longer with more of them.
//! - Each gets the same number of requests, unless the machine is too busy: two runs under valgrind can be compared.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::metrics::Metrics;
use crate::progress::say;
use crate::rig::clients::{Clients, Pace, Script};
use crate::rig::{PATIENCE, Rig};

/// Requests at once to each sidecar.
const BURST: usize = 8;
/// Pause between bursts: an open connection proves something after 250 ms, at a look every 50 ms.
const PAUSE: Duration = Duration::from_millis(320);
/// Bursts to each sidecar: 64 answers are proven one by one, and the idle time is proven before them.
const BURSTS: u32 = 75;
/// Most bursts, on a machine that is so busy that looks come late.
const MAX_BURSTS: u32 = 3 * BURSTS;
/// Proven answers after which their number no longer matters to the sidecar.
const PROVEN_ANSWERS: f64 = 64.0;

/// A sidecar that is to warm up.
#[derive(Debug)]
pub(crate) struct Cold {
    /// Where the requests go.
    pub entry: SocketAddr,
    /// Requests whose sessions this sidecar, or the owner behind it, has.
    pub script: Script,
    /// Where the metrics are of the sidecar that connects to the application.
    pub admin: SocketAddr,
}

/// Sends requests to all of these until they use connections to the application again without further proof.
pub(crate) fn warm_up(rig: &mut Rig, cold: &[Cold]) -> Result<()> {
    if cold.is_empty() {
        return Ok(());
    }
    say(format_args!("warming up: real requests for about {} s", (PAUSE * BURSTS).as_secs()));
    for burst in 1.. {
        for one in cold {
            let mut clients = Clients::new(one.entry, one.script.clone(), BURST, Pace::Once);
            let enough = |clients: &Clients| clients.completed() >= BURST as u64;
            rig.drive(&mut clients, Instant::now() + PATIENCE, enough)?;
            ensure!(enough(&clients), "{} does not answer while it warms up", one.entry);
        }
        rig.rest(PAUSE)?;
        if burst < BURSTS {
            continue;
        }
        let mut left = Vec::new();
        for one in cold {
            if !is_warm(one.admin)? {
                left.push(one.entry.to_string());
            }
        }
        if left.is_empty() {
            break;
        }
        ensure!(burst < MAX_BURSTS, "after {burst} bursts of requests still not warm: {}", left.join(", "));
    }
    Ok(())
}

/// Reports whether the sidecar uses connections to the application again, whatever they have carried.
pub(crate) fn is_warm(admin: SocketAddr) -> Result<bool> {
    Ok(Metrics::read(admin)?.sum("app_reuse_answers", &[]) >= PROVEN_ANSWERS)
}
