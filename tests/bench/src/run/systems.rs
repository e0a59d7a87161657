//! The whole systems of a round: each is started, measured and ended, so that none is beside another one.

use anyhow::Result;

use super::Plan;
use crate::interrupt;
use crate::progress::Progress;
use crate::results::Results;
use crate::subject::Ground;
use crate::system::Running;

/// Goes through all of them, beginning with another one in each round.
pub(super) fn go(
    ground: &Ground,
    plan: &Plan,
    round: usize,
    progress: &mut Progress,
    results: &mut Results,
) -> Result<()> {
    let mut systems = plan.systems.clone();
    let first = round.checked_rem(systems.len()).unwrap_or_default();
    systems.rotate_left(first);
    for system in systems {
        progress.step(format_args!("whole system: {}", system.title()));
        let sample = Running::start(ground, system).and_then(|mut running| running.measure(plan.talk));
        let sample = match sample {
            Err(error) if interrupt::check().is_err() => return Err(error),
            Err(error) => {
                progress.say(format_args!("whole system: {}: {error:#}", system.title()));
                Err(format!("{error:#}"))
            }
            Ok(sample) => Ok(sample),
        };
        results.add_system(system, sample);
    }
    Ok(())
}
