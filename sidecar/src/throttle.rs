//! Limits how often a log line is written.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

/// Shortest time between two log lines of one kind.
const INTERVAL: Duration = Duration::from_secs(60);

/// Lets one log line through a minute.
#[derive(Debug, Default)]
pub(crate) struct Throttle(Mutex<Option<Instant>>);

impl Throttle {
    /// Returns true at most once a minute.
    pub(crate) fn is_due(&self) -> bool {
        // Whoever holds the lock writes the next line, or none.
        let Ok(mut last) = self.0.try_lock() else { return false };
        let now = Instant::now();
        let is_due = last.is_none_or(|last| now.duration_since(last) >= INTERVAL);
        if is_due {
            *last = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_line_a_minute_is_let_through() {
        let throttle = Throttle::default();
        assert!(throttle.is_due() && !throttle.is_due());
        tokio::time::advance(INTERVAL - Duration::from_secs(1)).await;
        assert!(!throttle.is_due());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(throttle.is_due() && !throttle.is_due());
    }
}
