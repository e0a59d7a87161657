//! When somebody else takes the sidecar out of the workload again and again. Pure.
//!
//! A tool that keeps the workload as a repository says, and does not know of the sidecar, would fight
//! with the operator, and each round restarts all pods. So after two reverts within [`WINDOW`] the
//! operator stops, and says so, until the spec changes or the sidecar is back.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::crd::v1alpha1::SocketIoClusterStatus;

/// Two reverts within this time are a contest.
pub(crate) const WINDOW: Duration = Duration::from_secs(600);

/// What is known of reverts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Contest {
    /// When they were seen: the last two.
    pub(crate) reverts: Vec<Time>,
    /// Nothing more is injected.
    pub(crate) contested: bool,
}

/// Judges. `reverted`: the sidecar, which was in the template, is not there now.
pub(crate) fn judge(
    status: &SocketIoClusterStatus,
    generation: Option<i64>,
    reverted: bool,
    now: Timestamp,
) -> Contest {
    let same_spec = status.observed_generation == generation;
    let mut reverts = if same_spec { status.injection_reverts.clone() } else { Vec::new() };
    if !reverted {
        if is_contest(&reverts) {
            // The sidecar is back: the contest is over, but its last revert still counts.
            reverts.remove(0);
        }
        return Contest { reverts, contested: false };
    }
    if !is_contest(&reverts) {
        reverts.push(Time(now));
        reverts.drain(..reverts.len().saturating_sub(2));
    }
    Contest { contested: is_contest(&reverts), reverts }
}

fn is_contest(reverts: &[Time]) -> bool {
    let [first, second] = reverts else { return false };
    second.0.duration_since(first.0).unsigned_abs() <= WINDOW
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn after(contest: &Contest) -> SocketIoClusterStatus {
        SocketIoClusterStatus {
            observed_generation: Some(1),
            injection_reverts: contest.reverts.clone(),
            ..SocketIoClusterStatus::default()
        }
    }

    #[test]
    fn two_reverts_within_ten_minutes_are_a_contest_until_the_spec_changes_or_the_sidecar_is_back() {
        let first = judge(&after(&Contest::default()), Some(1), true, at(0));
        assert!(!first.contested);
        let second = judge(&after(&first), Some(1), true, at(599));
        assert!(second.contested);
        let later = judge(&after(&second), Some(1), true, at(9999));
        assert!(later.contested, "nobody gave in");
        assert_eq!(later.reverts, second.reverts);
        let back = judge(&after(&second), Some(1), false, at(9999));
        assert!(!back.contested);
        assert!(!judge(&after(&back), Some(1), true, at(20_000)).contested);
        assert!(!judge(&after(&second), Some(2), true, at(700)).contested);
    }

    #[test]
    fn reverts_that_are_far_apart_are_repaired() {
        let first = judge(&after(&Contest::default()), Some(1), true, at(0));
        let second = judge(&after(&first), Some(1), true, at(601));
        assert!(!second.contested);
        assert!(judge(&after(&second), Some(1), true, at(700)).contested);
    }
}
