//! Detects an application that has been silent for so long that a person should read of it.
//!
//! Each request to `/readyz` checks the application, so nothing is probed for this alone. In Kubernetes, kubelet asks
//! every other second. The log has a line when the application falls silent, and a line when it is back.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Longest time that an application may take to listen, when it starts or is restarted.
const STARTING: Duration = Duration::from_secs(15);

/// Time since when nobody listens, and whether that was logged.
#[derive(Debug, Default)]
pub(super) struct Silence(Mutex<Option<(Instant, bool)>>);

/// Change of the application's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nobody has listened for [`STARTING`].
    Silent,
    /// Somebody listens again after that was said.
    Back,
}

impl Silence {
    /// Takes note of whether somebody listens. `Some` is to be logged.
    pub(super) fn note(&self, listens: bool, now: Instant) -> Option<Turn> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if listens {
            let was = state.take();
            return was.filter(|(_, said)| *said).map(|_| Turn::Back);
        }
        let (since, said) = state.get_or_insert((now, false));
        let turns = !*said && now.duration_since(*since) >= STARTING;
        *said |= turns;
        turns.then_some(Turn::Silent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_said_once_when_it_lasts_and_once_when_it_is_over() {
        let (silence, start) = (Silence::default(), Instant::now());
        let note = |listens, second| silence.note(listens, start + Duration::from_secs(second));
        for (listens, second, turn) in [
            (false, 0, None),
            (false, 14, None),
            (true, 14, None),
            // It begins anew.
            (false, 16, None),
            (false, 30, None),
            (false, 31, Some(Turn::Silent)),
            (false, 60, None),
            (true, 61, Some(Turn::Back)),
            (true, 62, None),
            (false, 100, None),
            (false, 115, Some(Turn::Silent)),
        ] {
            assert_eq!(note(listens, second), turn, "at {second} s");
        }
    }
}
