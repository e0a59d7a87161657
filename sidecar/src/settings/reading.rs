//! Reading that may block, on a thread of its own.
//!
//! # Invariants
//! - One read is under way at a time; nothing waits for it but its own outcome.
//! - A read that takes longer than [`LATE_AFTER`] is reported once.

use std::future::pending;
use std::time::Duration;

use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::Instant;

/// Longest time that a read of the directory takes on a file system that works.
const LATE_AFTER: Duration = Duration::from_secs(10);

/// A read that is under way, or none.
#[derive(Debug)]
pub(crate) struct Reading<T> {
    task: Option<(Instant, JoinHandle<T>)>,
    is_late: bool,
}

/// The state of reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tick {
    /// A read has begun.
    Began,
    /// The last read goes on.
    GoesOn,
    /// The last read has just become late.
    Late,
}

impl<T: Send + 'static> Reading<T> {
    pub(crate) const fn new() -> Self {
        Self { task: None, is_late: false }
    }

    /// Begins to `read` unless a read is under way.
    pub(crate) fn tick(&mut self, read: impl FnOnce() -> T + Send + 'static) -> Tick {
        let Some((began, _)) = &self.task else {
            self.task = Some((Instant::now(), spawn_blocking(read)));
            self.is_late = false;
            return Tick::Began;
        };
        if self.is_late || began.elapsed() < LATE_AFTER {
            return Tick::GoesOn;
        }
        self.is_late = true;
        Tick::Late
    }

    /// Waits for the outcome of the read that is under way; for ever where there is none. `None` if it has
    /// failed to run. Cancel safe.
    pub(crate) async fn finished(&mut self) -> Option<T> {
        let Some((_, task)) = &mut self.task else { return pending().await };
        let outcome = task.await;
        self.task = None;
        outcome.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_read_that_hangs_is_reported_once_and_no_other_one_begins() {
        let mut reading = Reading::new();
        let (sender, receiver) = channel::<u8>();
        assert_eq!(reading.tick(move || receiver.recv().unwrap_or(0)), Tick::Began);
        assert_eq!(reading.tick(|| 1), Tick::GoesOn);
        tokio::time::advance(LATE_AFTER).await;
        assert_eq!(reading.tick(|| 1), Tick::Late);
        assert_eq!(reading.tick(|| 1), Tick::GoesOn);
        sender.send(7).unwrap();
        assert_eq!(reading.finished().await, Some(7));
        assert_eq!(reading.tick(|| 8), Tick::Began);
        assert_eq!(reading.finished().await, Some(8));
    }
}
