//! Gives each session a turn in a paced close, so that their clients do not all come back at once.
//!
//! A session draws a [`Lot`]: its share of the window, from none of it to nearly all. The lot of a
//! session with a tag is drawn from its sid, so that every sidecar that sees a request of it knows the
//! same moment, without asking. They differ by as much as the sidecars began to close at different
//! times, which is when each applied its configuration.

use std::time::Duration;

use crate::owner_tag::PodDigest;
use crate::session_id::SidHash;

/// A session's share of the window, in parts of 2^64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lot(u64);

impl Lot {
    /// Lot of a session with a tag: the same everywhere.
    #[must_use]
    pub fn of_session(session: SidHash) -> Self {
        Self(u64::from_be_bytes(session.to_bytes()))
    }

    /// Lot of the nth session of a pod, for sessions that no other sidecar sees. Consecutive lots are
    /// spread more evenly than by chance, and pods of the same size do not fall into step.
    #[must_use]
    pub fn of_number(pod: PodDigest, number: u64) -> Self {
        // 2^64 over the golden ratio: multiples of it keep away from each other (Fibonacci hashing).
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        Self(u64::from_be_bytes(pod.0).wrapping_add(number.wrapping_mul(STEP)))
    }

    /// Time from the beginning of a window of this length to the turn, which is always before the window's end.
    #[must_use]
    pub fn moment(self, window: Duration) -> Duration {
        let nanos = (u128::from(self.0) * window.as_nanos()) >> 64;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// A paced close that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closing {
    /// Length of the window.
    pub window: Duration,
    /// Time since the window began.
    pub elapsed: Duration,
}

impl Closing {
    /// Reports whether the turn of a session with a tag has come.
    #[must_use]
    pub fn has_come(&self, session: SidHash) -> bool {
        self.elapsed >= Lot::of_session(session).moment(self.window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(100);

    /// Number of these lots in each tenth of the window.
    fn tenths(lots: impl Iterator<Item = Lot>) -> [u32; 10] {
        let mut tenths = [0; 10];
        for lot in lots {
            tenths[usize::try_from(lot.moment(WINDOW).as_secs() / 10).unwrap()] += 1;
        }
        tenths
    }

    #[test]
    fn lots_are_spread_over_the_window() {
        let sessions = (0..10_000).map(|n| Lot::of_session(SidHash::of(&format!("sid {n}"))));
        assert!(tenths(sessions).iter().all(|count| (900..1100).contains(count)));
        for (pod, first) in [("a", 0), ("b", 0), ("b", 12_345), ("c", u64::MAX - 50)] {
            let digest = PodDigest::of_uid(pod);
            let numbers = (0..100).map(|n| Lot::of_number(digest, u64::wrapping_add(first, n)));
            assert!(tenths(numbers).iter().all(|count| (9..=11).contains(count)), "{pod} {first}");
        }
        assert_ne!(Lot::of_number(PodDigest::of_uid("a"), 0), Lot::of_number(PodDigest::of_uid("b"), 0));
    }

    #[test]
    fn a_turn_comes_within_the_window_whatever_its_length() {
        for (lot, window, moment) in [
            (0, WINDOW, Duration::ZERO),
            (1 << 63, WINDOW, WINDOW / 2),
            (u64::MAX, Duration::from_secs(3600), Duration::from_nanos(3_599_999_999_999)),
            (u64::MAX, Duration::ZERO, Duration::ZERO),
        ] {
            assert_eq!(Lot(lot).moment(window), moment);
        }
    }

    #[test]
    fn a_turn_that_has_come_stays_and_at_the_end_all_have_come() {
        let session = SidHash::of("abc");
        let moment = Lot::of_session(session).moment(WINDOW);
        let has_come = |elapsed| Closing { window: WINDOW, elapsed }.has_come(session);
        assert!(!has_come(Duration::ZERO) && !has_come(moment - Duration::from_nanos(1)));
        assert!(has_come(moment) && has_come(WINDOW) && has_come(Duration::MAX));
    }
}
