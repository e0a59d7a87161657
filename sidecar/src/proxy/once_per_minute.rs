//! Limits a log line that the other side of a connection can cause.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);

/// Permits something at most once per minute.
#[derive(Debug, Default)]
pub(crate) struct OncePerMinute {
    last: Mutex<Option<Instant>>,
}

impl OncePerMinute {
    /// True if the last permission is at least a minute old; this is then the next one.
    pub(crate) fn is_due(&self) -> bool {
        let now = Instant::now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.is_none_or(|last| now.duration_since(last) >= MINUTE);
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
    async fn it_is_due_once_per_minute() {
        let warning = OncePerMinute::default();
        assert!(warning.is_due());
        tokio::time::advance(MINUTE - Duration::from_millis(1)).await;
        assert!(!warning.is_due());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(warning.is_due() && !warning.is_due());
    }
}
