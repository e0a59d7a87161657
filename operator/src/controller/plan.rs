//! The steps by which traffic comes to the sidecars, and goes from them. Pure.
//!
//! [`steps`] has the table of steps.
//!
//! # Invariants
//! - The Service leads to the sidecars only while the template has them and every ready pod did; so
//!   traffic always has somewhere to go.
//! - Tags are given out only after all traffic goes through sidecars, and none is given out any more
//!   long before it stops doing so.
//! - A step is recorded after what it asks for was applied, and [`decide`] depends on nothing but what
//!   was recorded and what is seen. So whoever resumes, after a crash at any write, asks for the same
//!   again; and the time that a step waits for begins after its writes.
//! - Every wait of a deletion for others has a limit, [`PATIENCE`]. What has none is taking the sidecar out of
//!   the template: pods that are made of it would hang without what goes with the object.

pub(crate) mod steps;

use std::time::Duration;

use jiff::Timestamp;

use super::condition::list;
use crate::crd::v1alpha1::{Drain, SocketIoClusterStatus, Step};
pub(crate) use steps::Route;
use steps::{PODS_FOLLOW, Takes};

/// How long endpoints may take to be known everywhere: kube-proxy and edges follow them within seconds.
pub(crate) const SETTLE: Duration = Duration::from_secs(15);
/// Longest wait of a deletion for pods that do not follow.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);
/// How soon to look again while something is waited for.
const SOON: Duration = Duration::from_secs(2);
/// How long kubelet may take to bring a changed Secret.
const KUBELET: Duration = Duration::from_secs(120);
/// How soon to look again while something is waited for that would be seen anyway.
const LATER: Duration = Duration::from_secs(10);
/// What was recorded, and what is seen.
#[derive(Debug, Clone)]
pub(crate) struct Situation {
    /// The step that was recorded last, and since when.
    pub(crate) recorded: Option<(Step, Timestamp)>,
    /// The object is being deleted.
    pub(crate) deleting: bool,
    /// The client Service leads to sidecars.
    pub(crate) routed: bool,
    /// The Service's endpoints are what the Service asks for. Read only where [`endpoints_are_of_interest`].
    pub(crate) endpoints_agree: bool,
    /// Ready pods.
    pub(crate) ready: usize,
    /// Those of them without a ready sidecar.
    pub(crate) without_sidecar: Vec<String>,
    /// A pod with the sidecar that is not ready, and why.
    pub(crate) unready: Option<String>,
    /// All pods with the sidecar that are not going, ready or not.
    pub(crate) injected: usize,
    /// Somebody takes the sidecar out of the template again and again, so it is not put in any more.
    pub(crate) contested: bool,
    /// The workload has made all its pods of its newest template.
    pub(crate) rolled_out: bool,
    /// Something of this object is in the workload's template.
    pub(crate) left_in_template: bool,
    /// Ready pods with a sidecar that has not applied the step's configuration.
    pub(crate) lagging: Vec<String>,
    /// How sessions end.
    pub(crate) drain: Drain,
    /// The time.
    pub(crate) now: Timestamp,
}

/// What is to hold now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The step.
    pub(crate) step: Step,
    /// The sidecar is put into the template: not on the way out, nor while somebody keeps taking it out.
    pub(crate) writes_sidecar: bool,
    /// What the step waits for, as a sentence; nothing when all is in place.
    pub(crate) waits_for: Option<String>,
    /// When to look again.
    pub(crate) again: Option<Duration>,
    /// All is given back: what is left of ours can go, and the object with it.
    pub(crate) release: bool,
    /// The step was tried for as long as a deletion waits for others: what fails does not keep it any more.
    pub(crate) overdue: bool,
}

impl Plan {
    fn of(step: Step) -> Self {
        Self {
            step,
            writes_sidecar: false,
            waits_for: None,
            again: Some(SOON),
            release: false,
            overdue: false,
        }
    }

    /// What is to hold has only just been written: the pods are yet to follow.
    pub(crate) fn wait_for_pods(&mut self) {
        self.waits_for = Some(PODS_FOLLOW.to_owned());
        self.again = Some(SOON);
    }
}

impl Situation {
    /// The step that is under way: the recorded one, or the one that what is seen amounts to.
    pub(crate) fn current(&self) -> Step {
        match self.recorded {
            // What a backup brought back of a deletion is none.
            Some((step, _)) if self.deleting || step <= Step::Programmed => step,
            // The record was lost: what the Service leads to tells how far it had come.
            _ if self.routed => Step::Settling,
            _ => Step::Injecting,
        }
    }

    /// How long a step takes where nothing fails and nobody lags.
    fn own_wait(&self, step: Step) -> Duration {
        match step.row().takes {
            Takes::Nothing => Duration::ZERO,
            Takes::Settle => SETTLE,
            Takes::Deadline => Duration::from_secs(self.drain.deadline_seconds.into()),
            Takes::Window => Duration::from_secs(self.drain.window_seconds.into()),
        }
    }

    fn waited(&self, span: Duration) -> bool {
        self.left(span).is_zero()
    }

    fn left(&self, span: Duration) -> Duration {
        let since = self.recorded.map_or(self.now, |(_, since)| since);
        // A clock that went back has waited for nothing.
        span.saturating_sub(Duration::try_from(self.now.duration_since(since)).unwrap_or_default())
    }
}

/// The step that the last pass recorded, and since when it is.
pub(crate) fn recorded(status: &SocketIoClusterStatus) -> Option<(Step, Timestamp)> {
    status.step.zip(status.step_since.as_ref().map(|since| since.0))
}

/// Whether [`Situation::endpoints_agree`] may decide anything. Settling alone waits for endpoints, which is the
/// step of a record that was lost or is of a deletion, too.
pub(crate) fn endpoints_are_of_interest(recorded: Option<Step>, deleting: bool) -> bool {
    !deleting && !matches!(recorded, Some(Step::Injecting | Step::Programmed))
}

/// Decides which step is to hold now.
pub(crate) fn decide(situation: &Situation) -> Plan {
    let current = situation.current();
    let step =
        if situation.deleting { next_of_deletion(situation, current) } else { next(situation, current) };
    let plan = if step == current { stay(situation, step) } else { enter(step) };
    Plan {
        writes_sidecar: step <= Step::Programmed && !situation.contested,
        overdue: situation.waited(PATIENCE + situation.own_wait(current)),
        ..plan
    }
}

fn next(seen: &Situation, current: Step) -> Step {
    match current {
        // Pods are about to lose it one by one, and all serve the application's port still.
        Step::Injecting | Step::Settling | Step::Programmed if seen.contested => Step::Injecting,
        Step::Injecting if seen.ready > 0 && seen.rolled_out && seen.without_sidecar.is_empty() => {
            Step::Settling
        }
        // Somebody took the sidecar out of the pods: the Service would lead to nobody.
        Step::Settling | Step::Programmed if seen.ready > 0 && seen.without_sidecar.len() == seen.ready => {
            Step::Injecting
        }
        Step::Settling if seen.waited(seen.own_wait(current)) && seen.endpoints_agree => Step::Programmed,
        step => step,
    }
}

fn next_of_deletion(seen: &Situation, current: Step) -> Step {
    // Whoever does not follow for this long is not waited for any more.
    let followed = seen.lagging.is_empty() || seen.waited(PATIENCE);
    match current {
        Step::Injecting if !seen.routed => Step::RoutingBack,
        // What was written last may not have been recorded: tags may be out.
        Step::Injecting | Step::Settling | Step::Programmed => Step::Untagging,
        // Without sidecars there are no tagged sessions to wait for.
        Step::Untagging | Step::Draining | Step::Closing | Step::Emptying if seen.injected == 0 => {
            Step::RoutingBack
        }
        Step::Untagging if followed => Step::Draining,
        Step::Draining if seen.waited(seen.own_wait(current)) => Step::Closing,
        Step::Closing if followed => Step::Emptying,
        Step::Emptying if seen.waited(seen.own_wait(current)) => Step::RoutingBack,
        Step::RoutingBack if seen.waited(seen.own_wait(current)) => Step::Uninjecting,
        step => step,
    }
}

/// A step that begins now: what it asks for is yet to be applied.
fn enter(step: Step) -> Plan {
    Plan { waits_for: Some(step.row().begins_with.to_owned()), ..Plan::of(step) }
}

/// A step that goes on.
fn stay(seen: &Situation, step: Step) -> Plan {
    let mut plan = Plan::of(step);
    let when_over = Some(seen.left(seen.own_wait(step)).max(Duration::from_millis(200)));
    plan.waits_for = match step {
        Step::Injecting => {
            // Whatever it waits for is watched.
            plan.again = Some(LATER);
            Some(pods_to_come(seen))
        }
        Step::Settling if seen.waited(SETTLE) => Some("the Service's endpoints to follow".to_owned()),
        Step::Programmed if seen.lagging.is_empty() => {
            plan.again = None;
            None
        }
        Step::Programmed | Step::Untagging | Step::Closing => {
            if seen.waited(KUBELET) {
                // It is no matter of seconds then.
                plan.again = Some(LATER);
            }
            Some(format!(
                "{} to apply the newest configuration, which kubelet brings within two minutes",
                list(&seen.lagging)
            ))
        }
        Step::Draining => {
            plan.again = when_over;
            Some("sessions that are known by their tag, until drain.deadlineSeconds have passed".to_owned())
        }
        Step::Emptying => {
            plan.again = when_over;
            Some(step.row().begins_with.to_owned())
        }
        Step::Settling | Step::RoutingBack => {
            plan.again = when_over;
            Some(step.row().begins_with.to_owned())
        }
        Step::Uninjecting => {
            plan.release = !seen.left_in_template && (seen.injected == 0 || seen.waited(PATIENCE));
            (!plan.release)
                .then(|| format!("{} pods to be replaced by ones without the sidecar", seen.injected))
        }
    };
    plan
}

/// What an injection waits for: the new pod that is in the way, if one is, and the old ones.
fn pods_to_come(seen: &Situation) -> String {
    let old = match &seen.without_sidecar[..] {
        _ if seen.ready == 0 => "a pod to be ready".to_owned(),
        [] => "the rollout of the workload to end".to_owned(),
        old => format!("{} to be replaced by pods with the sidecar", list(old)),
    };
    match &seen.unready {
        Some(unready) => format!("{old}; {unready}"),
        None => old,
    }
}

#[cfg(test)]
mod tests;
