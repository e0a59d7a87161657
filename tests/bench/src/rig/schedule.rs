//! When the requests of an open loop are due: at a fixed rate, whatever becomes of them.
//!
//! A latency counts from the moment at which its request was due. A request that had to wait for an idle
//! connection, because the proxy was slow with those before it, has waited since then: leaving that out is
//! coordinated omission.

use std::time::{Duration, Instant};

/// A fixed rate from a moment on.
#[derive(Debug)]
pub(crate) struct Schedule {
    start: Instant,
    rate: u32,
    given: u64,
}

impl Schedule {
    /// `rate` a second, the first at `start`.
    pub(crate) fn new(start: Instant, rate: u32) -> Self {
        Self { start, rate: rate.max(1), given: 0 }
    }

    /// The next moment that has come by `now`, each once and in order.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Instant> {
        let next = self.next();
        (next <= now).then(|| {
            self.given += 1;
            next
        })
    }

    /// The moment after those that have been given.
    pub(crate) fn next(&self) -> Instant {
        // Computed from the start, so that no error adds up.
        let nanos = u128::from(self.given) * 1_000_000_000 / u128::from(self.rate);
        self.start + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// How many a second.
    pub(crate) fn rate(&self) -> u32 {
        self.rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_due_before_its_time() {
        let start = Instant::now() + Duration::from_secs(1);
        let mut schedule = Schedule::new(start, 1000);
        assert_eq!(schedule.due(start - Duration::from_nanos(1)), None);
        assert_eq!(schedule.due(start), Some(start));
        assert_eq!(schedule.due(start), None);
        assert_eq!(schedule.next(), start + Duration::from_millis(1));
    }

    #[test]
    fn what_was_missed_is_made_up_for_with_its_own_moments() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, 1000);
        let late = start + Duration::from_millis(3);
        let given: Vec<_> = std::iter::from_fn(|| schedule.due(late)).collect();
        assert_eq!(given, [0, 1, 2, 3].map(|millis| start + Duration::from_millis(millis)));
    }

    #[test]
    fn an_uneven_rate_does_not_drift() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start, 7);
        let end = start + Duration::from_secs(1000);
        let given = std::iter::from_fn(|| schedule.due(end)).count();
        assert_eq!(given, 7001);
    }
}
