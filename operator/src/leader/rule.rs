//! Decisions of a candidate about the Lease as it reads it. Pure: the clock is an argument.

use std::time::Duration;

use tokio::time::Instant;

use super::LEASE;

/// Facts about a Lease that the decision needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts<'a> {
    /// The resourceVersion, which changes with every renewal.
    pub(super) version: &'a str,
    /// Empty when released.
    pub(super) holder: &'a str,
    /// For how long its holder wants others to wait.
    pub(super) duration: Duration,
}

/// Next move of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
    /// Write it, with the version that was read.
    Take,
    /// Look again later.
    Wait,
}

/// Remembers since when the Lease has been as it is.
#[derive(Debug)]
pub(super) struct Candidate<'a> {
    identity: &'a str,
    seen: Option<(Option<String>, Instant)>,
}

impl<'a> Candidate<'a> {
    pub(super) fn new(identity: &'a str) -> Self {
        Self { identity, seen: None }
    }

    /// `now` is after the Lease was read.
    pub(super) fn decide(&mut self, lease: Option<Facts<'_>>, now: Instant) -> Move {
        let version = lease.map(|lease| lease.version.to_owned());
        let first_look = self.seen.is_none();
        let since = match &self.seen {
            Some((seen, since)) if *seen == version => *since,
            _ => {
                self.seen = Some((version, now));
                now
            }
        };
        let waited = now.saturating_duration_since(since);
        let take = match lease {
            // Nobody ever led. But a Lease that has vanished may leave a leader behind.
            None => first_look || waited >= LEASE,
            Some(lease) if lease.holder.is_empty() => true,
            // An earlier write of this very process, whose answer was lost.
            Some(lease) if lease.holder == self.identity => true,
            Some(lease) => waited >= lease.duration.max(LEASE),
        };
        if take { Move::Take } else { Move::Wait }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: &str = "me";

    fn lease(version: &'static str, holder: &'static str) -> Option<Facts<'static>> {
        Some(Facts { version, holder, duration: LEASE })
    }

    /// Returns the decision at the last of several looks. Each look has its time in milliseconds after the first.
    fn last_of(looks: &[(u64, Option<Facts<'_>>)]) -> Move {
        let (start, mut candidate) = (Instant::now(), Candidate::new(ME));
        let decided =
            looks.iter().map(|(at, lease)| candidate.decide(*lease, start + Duration::from_millis(*at)));
        decided.last().unwrap()
    }

    #[test]
    fn a_lease_is_taken_when_nobody_can_be_acting_on_it() {
        let longer = Some(Facts { version: "1", holder: "a", duration: Duration::from_secs(20) });
        let shorter = Some(Facts { version: "1", holder: "a", duration: Duration::from_secs(1) });
        for (what, looks, expected) in [
            ("there never was one", vec![(0, None)], Move::Take),
            ("it is released", vec![(0, lease("1", ""))], Move::Take),
            ("it is released while waiting", vec![(0, lease("1", "a")), (1, lease("2", ""))], Move::Take),
            ("it is mine: the answer was lost", vec![(0, lease("1", ME))], Move::Take),
            ("another holds it", vec![(0, lease("1", "a"))], Move::Wait),
            ("just not long enough", vec![(0, lease("1", "a")), (14_999, lease("1", "a"))], Move::Wait),
            ("long enough", vec![(0, lease("1", "a")), (15_000, lease("1", "a"))], Move::Take),
            (
                "renewed at the last moment",
                vec![(0, lease("1", "a")), (14_999, lease("2", "a")), (15_000, lease("2", "a"))],
                Move::Wait,
            ),
            (
                "renewed, and then not any more",
                vec![(0, lease("1", "a")), (9_000, lease("2", "a")), (24_000, lease("2", "a"))],
                Move::Take,
            ),
            (
                "another took it over",
                vec![(0, lease("1", "a")), (14_000, lease("2", "b")), (15_000, lease("2", "b"))],
                Move::Wait,
            ),
            ("it vanished", vec![(0, lease("1", "a")), (1, None), (2, None)], Move::Wait),
            ("it vanished long ago", vec![(0, lease("1", "a")), (1, None), (15_001, None)], Move::Take),
            ("its holder asks for more time", vec![(0, longer), (19_999, longer)], Move::Wait),
            ("its holder asked for more time", vec![(0, longer), (20_000, longer)], Move::Take),
            ("less time is not believed", vec![(0, shorter), (14_999, shorter)], Move::Wait),
        ] {
            assert_eq!(last_of(&looks), expected, "{what}");
        }
    }
}
