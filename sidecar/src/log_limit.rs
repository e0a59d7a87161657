//! Bounds how much is logged: so many lines a second from each place in the code, with a burst.
//!
//! # Invariants
//! - No client decides how much is logged. Errors, which no request causes, are always written.
//! - Each place in the code has its own budget, so that lines about requests never push out those about starting and stopping.
//! - What is left out is counted: [`LogLimit::take_left_out`].

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tracing::callsite::Identifier;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter};

/// Lines a second of one place in the code, in the long run.
const LINES_PER_SECOND: f64 = 50.0;
/// Lines that one place in the code may write at once.
const BURST: f64 = 200.0;

/// The budgets of all places in the code.
#[derive(Debug, Default)]
pub struct LogLimit {
    budgets: Mutex<HashMap<Identifier, LineBudget>>,
    left_out: AtomicU64,
}

#[derive(Debug)]
struct LineBudget {
    lines: f64,
    at: Instant,
}

impl LineBudget {
    fn take(&mut self, now: Instant) -> bool {
        let seconds = now.saturating_duration_since(self.at).as_secs_f64();
        self.lines = (self.lines + seconds * LINES_PER_SECOND).min(BURST);
        self.at = now;
        let is_enough = self.lines >= 1.0;
        if is_enough {
            self.lines -= 1.0;
        }
        is_enough
    }
}

impl LogLimit {
    /// Lines left out since the last call.
    pub fn take_left_out(&self) -> u64 {
        self.left_out.swap(0, Ordering::Relaxed)
    }

    fn permits(&self, metadata: &Metadata<'_>, now: Instant) -> bool {
        if *metadata.level() == Level::ERROR {
            return true;
        }
        // As many entries as the code has places that log.
        let mut budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        let budget = budgets.entry(metadata.callsite()).or_insert(LineBudget { lines: BURST, at: now });
        let is_permitted = budget.take(now);
        if !is_permitted {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
        is_permitted
    }
}

/// [`LogLimit`], as a filter of a layer that writes lines.
#[derive(Debug)]
pub struct LogFilter(pub Arc<LogLimit>);

impl<S: Subscriber> Filter<S> for LogFilter {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        self.0.permits(event.metadata(), Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_burst_is_written_and_then_so_many_lines_a_second() {
        let start = Instant::now();
        let mut budget = LineBudget { lines: BURST, at: start };
        let mut written = |after: Duration| (0..1000).filter(|_| budget.take(start + after)).count();
        assert_eq!(written(Duration::ZERO), 200);
        assert_eq!(written(Duration::from_secs(1)), 50);
        assert_eq!(written(Duration::from_secs(100)), 200);
    }
}
