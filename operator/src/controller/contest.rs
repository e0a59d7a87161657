//! Detects that somebody else takes the sidecar out of the workload again and again. Pure.
//!
//! A tool that keeps the workload as a repository says, and does not know of the sidecar, would fight
//! with the operator, and each round restarts all pods. So after two reverts within [`WINDOW`] the
//! operator stops, and says so, until the spec changes or the sidecar is back.
//!
//! # Invariants
//! - Reverts count for one spec and one workload, by its UID. What they are of is recorded together with
//!   them, by a pass that came to its end: one that failed or was refused leaves all of it as it was, so
//!   a changed spec counts at the next one that does not.
//! - A workload that was deleted and made anew has never had the sidecar: nothing was taken out of it.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

use super::observed::workload::Workload;
use crate::crd::SocketIoCluster;
use crate::crd::v1alpha1::SocketIoClusterStatus;

/// Two reverts within this time are a contest.
pub(crate) const WINDOW: Duration = Duration::from_secs(600);

/// An injection into a workload, and whether the workload has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Injection {
    /// The generation of the spec.
    generation: Option<i64>,
    /// The UID of the workload.
    workload: Option<String>,
    /// The sidecar is in its template.
    injected: bool,
}

impl Injection {
    /// Of `cluster` into `workload`, as that is now.
    pub(crate) fn of(cluster: &SocketIoCluster, workload: &Workload) -> Self {
        Self {
            generation: cluster.metadata.generation,
            workload: workload.uid().map(str::to_owned),
            injected: workload.is_injected(&cluster.name_any()),
        }
    }

    /// The sidecar was in this very workload, and is not there now.
    fn was_reverted(&self, status: &SocketIoClusterStatus) -> bool {
        !self.injected && self.workload.is_some() && status.workload_uid == self.workload
    }
}

/// The reverts that were seen of one injection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Contest {
    /// Times of the last two reverts.
    reverts: Vec<Time>,
    /// The injection that was reverted.
    of: Injection,
    /// True if somebody has just taken the sidecar out.
    pub(crate) reverted: bool,
    /// Nothing more is injected.
    pub(crate) contested: bool,
}

impl Contest {
    /// Puts it into the status, once the sidecar is where it is to be.
    pub(crate) fn record(self, status: SocketIoClusterStatus) -> SocketIoClusterStatus {
        SocketIoClusterStatus {
            injection_reverts: self.reverts,
            injected_generation: self.of.generation,
            workload_uid: self.of.workload,
            ..status
        }
    }
}

/// Decides whether injection is contested.
pub(crate) fn detect_contest(status: &SocketIoClusterStatus, now: Injection, time: Timestamp) -> Contest {
    let same = status.injected_generation == now.generation && status.workload_uid == now.workload;
    let mut reverts = if same { status.injection_reverts.clone() } else { Vec::new() };
    if !now.was_reverted(status) {
        if is_contest(&reverts) {
            // The sidecar is back: the contest is over, but its last revert still counts.
            reverts.remove(0);
        }
        return Contest { reverts, of: now, reverted: false, contested: false };
    }
    if !is_contest(&reverts) {
        reverts.push(Time(time));
        reverts.drain(..reverts.len().saturating_sub(2));
    }
    Contest { contested: is_contest(&reverts), of: now, reverted: true, reverts }
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

    fn of(generation: i64, workload: &str, injected: bool) -> Injection {
        Injection { generation: Some(generation), workload: Some(workload.to_owned()), injected }
    }

    fn gone() -> Injection {
        of(1, "a", false)
    }

    /// The status after the first injection.
    fn injected() -> SocketIoClusterStatus {
        detect_contest(&SocketIoClusterStatus::default(), gone(), at(0))
            .record(SocketIoClusterStatus::default())
    }

    /// Detects, and records it.
    fn after(
        before: &SocketIoClusterStatus,
        injection: Injection,
        second: i64,
    ) -> (bool, SocketIoClusterStatus) {
        let contest = detect_contest(before, injection, at(second));
        (contest.contested, contest.record(before.clone()))
    }

    #[test]
    fn two_reverts_within_ten_minutes_are_a_contest_until_the_spec_changes_or_the_sidecar_is_back() {
        assert!(injected().injection_reverts.is_empty(), "it was not there before");
        assert!(detect_contest(&injected(), gone(), at(0)).reverted);
        let (contested, first) = after(&injected(), gone(), 0);
        assert!(!contested);
        let (contested, second) = after(&first, gone(), 599);
        assert!(contested);
        let (contested, later) = after(&second, gone(), 9999);
        assert!(contested, "nobody gave in");
        assert_eq!(later.injection_reverts, second.injection_reverts);
        let (contested, back) = after(&second, of(1, "a", true), 9999);
        assert!(!contested);
        assert!(!after(&back, gone(), 20_000).0);
        assert!(!after(&second, of(2, "a", false), 700).0);
    }

    #[test]
    fn reverts_that_are_far_apart_are_repaired() {
        let (_, first) = after(&injected(), gone(), 0);
        let (contested, second) = after(&first, gone(), 601);
        assert!(!contested);
        assert!(after(&second, gone(), 700).0);
    }

    #[test]
    fn a_changed_spec_ends_a_contest_although_a_pass_over_it_was_refused_before() {
        let (_, first) = after(&injected(), gone(), 0);
        let (_, mut second) = after(&first, gone(), 1);
        // What every pass writes, one that was refused too.
        second.observed_generation = Some(2);
        let (contested, third) = after(&second, of(2, "a", false), 2);
        assert!(!contested);
        // It is one revert of the new spec.
        assert!(after(&third, of(2, "a", false), 3).0);
    }

    #[test]
    fn a_workload_that_was_made_anew_reverts_nothing() {
        let mut status = injected();
        for (second, workload) in [(1, "b"), (2, "c"), (3, "d")] {
            assert!(!detect_contest(&status, of(1, workload, false), at(second)).reverted);
            let (contested, next) = after(&status, of(1, workload, false), second);
            assert!(!contested && next.injection_reverts.is_empty(), "{workload}");
            status = next;
        }
        assert_eq!(after(&status, of(1, "d", false), 4).1.injection_reverts.len(), 1);
    }
}
