//! The time until the next resync of an object where nothing happens: a moment of its own within [`RESYNC`]. Pure,
//! apart from the clock.
//!
//! After a start all are looked at at once. Were they so again every minute, what changes meanwhile would wait
//! behind them, for seconds where there are a thousand.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use jiff::Timestamp;

use super::cluster::Cluster;
use super::context::RESYNC;

/// Time until `cluster` is reconciled again: half of [`RESYNC`] at least, so that a start is over by then.
pub(crate) fn next_resync(cluster: &Cluster) -> Duration {
    let mut hasher = DefaultHasher::new();
    cluster.uid.hash(&mut hasher);
    until(hasher.finish(), Timestamp::now())
}

/// Until the moment of each half of [`RESYNC`] that `number` stands for, the next but the one that is too soon.
fn until(number: u64, now: Timestamp) -> Duration {
    let half = RESYNC.as_secs() * 1000 / 2;
    let past = u64::try_from(now.as_millisecond()).unwrap_or_default() % half;
    Duration::from_millis(half + (half + number % half - past) % half)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_object_has_a_moment_of_its_own_and_none_is_left_alone_for_longer_than_a_resync() {
        let at = |millisecond| Timestamp::from_millisecond(1_800_000_000_000 + millisecond).unwrap();
        for number in [0, 1, 59_999, 60_000, u64::MAX] {
            let first = until(number, at(0));
            assert!((RESYNC / 2..RESYNC).contains(&first));
            // It is looked at a moment later than it is due, and due again a whole minute after that.
            let due = at(i64::try_from(first.as_millis()).unwrap() + 500);
            assert_eq!(until(number, due), RESYNC - Duration::from_millis(500), "{number}");
        }
        assert_eq!(until(7_000, at(3_000)), Duration::from_secs(34));
        assert_eq!(until(3_000, at(7_000)), Duration::from_secs(56));
    }
}
