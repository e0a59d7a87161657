//! Step 6 of a pass, pure: what is said of an object, from what was found, planned and applied.
//!
//! # Invariants
//! - The same findings give the same status, so that nothing is written at rest; a condition keeps its
//!   time while it does not turn.
//! - `Ready` says what is most important of all: the first condition that keeps traffic from being as
//!   the spec asks, or what is being waited for. An Event is published when it turns, and only then.

pub(crate) mod findings;
pub(crate) mod progress;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::condition::{ConditionType, Finding, Reason};
use super::error::Error;
use crate::crd::v1alpha1::SocketIoClusterStatus;

/// The state of the whole object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Summary {
    /// All is in place.
    Ready(String),
    /// On its way: what it waits for.
    Waiting(Reason, String),
    /// Something failed, or is refused.
    Failed(Reason, String),
}

impl Summary {
    /// Of a pass that an error ended.
    pub(crate) fn of_error(error: &Error) -> Self {
        let message = match error.advice() {
            Some(advice) => format!("{error}; {advice}"),
            None => format!("{error}; it is tried again"),
        };
        Self::Failed(error.reason(), message)
    }
}

/// Puts findings and their summary into a status.
pub(crate) fn conclude(
    before: &SocketIoClusterStatus,
    mut after: SocketIoClusterStatus,
    generation: Option<i64>,
    findings: Vec<Finding>,
    summary: &Summary,
    now: Timestamp,
) -> SocketIoClusterStatus {
    let mut conditions: Vec<Condition> = Vec::new();
    let mut add = |type_: ConditionType, reason: Reason, message: String| {
        let (type_, holds) = (type_.as_str(), reason.holds());
        let status = if holds { "True" } else { "False" };
        let earlier = before.conditions.iter().find(|condition| condition.type_ == type_);
        let message = shortened(message);
        let message = match earlier {
            Some(was) if says_the_same(was, status, reason, generation, &message) => was.message.clone(),
            _ => message,
        };
        let turned = earlier.is_none_or(|condition| condition.status != status);
        let last_transition_time = if turned {
            Time(now)
        } else {
            earlier.map_or(Time(now), |was| was.last_transition_time.clone())
        };
        conditions.push(Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: reason.as_str().to_owned(),
            message,
            observed_generation: generation,
            last_transition_time,
        });
    };
    for finding in findings {
        add(finding.condition, finding.reason, finding.message);
    }
    match summary {
        Summary::Ready(message) => add(ConditionType::Ready, Reason::Ready, message.clone()),
        Summary::Waiting(reason, message) | Summary::Failed(reason, message) => {
            add(ConditionType::Ready, *reason, message.clone());
        }
    }
    // What a pass did not look at stays as it was.
    let known: Vec<String> = conditions.iter().map(|condition| condition.type_.clone()).collect();
    conditions
        .extend(before.conditions.iter().filter(|condition| !known.contains(&condition.type_)).cloned());
    conditions.sort_by_key(|condition| condition.type_.clone());
    after.conditions = conditions;
    after.observed_generation = generation;
    after
}

/// Returns true if the API server described a failure as before, but for words with a digit in them: the
/// time, a port, a request's number. Each new status makes another pass, which would fail again.
fn says_the_same(
    was: &Condition,
    status: &str,
    reason: Reason,
    generation: Option<i64>,
    message: &str,
) -> bool {
    let words = |message: &str| -> Vec<String> {
        let words = message.split_whitespace().filter(|word| !word.contains(|it: char| it.is_ascii_digit()));
        words.map(str::to_owned).collect()
    };
    let same = was.status == status && was.reason == reason.as_str() && was.observed_generation == generation;
    same && reason.is_refusal_of_api_server() && words(&was.message) == words(message)
}

/// The longest message that the API takes is 32 KiB; a person reads less.
fn shortened(mut message: String) -> String {
    const MOST: usize = 1024;
    if message.len() > MOST {
        let end = (0..=MOST).rev().find(|end| message.is_char_boundary(*end)).unwrap_or_default();
        message.truncate(end);
        message.push('…');
    }
    message
}

/// The Ready condition, if there is one.
pub(crate) fn ready(status: &SocketIoClusterStatus) -> Option<&Condition> {
    condition(status, ConditionType::Ready)
}

fn condition(status: &SocketIoClusterStatus, type_: ConditionType) -> Option<&Condition> {
    status.conditions.iter().find(|condition| condition.type_ == type_.as_str())
}

/// Returns the condition of this type where its status or reason changed, which an Event reports.
pub(crate) fn turned<'a>(
    type_: ConditionType,
    before: &SocketIoClusterStatus,
    after: &'a SocketIoClusterStatus,
) -> Option<&'a Condition> {
    let now = condition(after, type_)?;
    let same =
        condition(before, type_).is_some_and(|was| was.status == now.status && was.reason == now.reason);
    (!same).then_some(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn status(before: &SocketIoClusterStatus, findings: Vec<Finding>, second: i64) -> SocketIoClusterStatus {
        let summary = match Finding::first_failure(&findings) {
            Some(failure) => Summary::Failed(failure.reason, failure.message.clone()),
            None => Summary::Ready("all is well".to_owned()),
        };
        conclude(before, before.clone(), Some(1), findings, &summary, at(second))
    }

    #[test]
    fn a_condition_keeps_its_time_until_it_turns() {
        let good = || Finding::new(Reason::Accepted, "");
        let bad = || Finding::new(Reason::HostNetwork, "no");
        let first = status(&SocketIoClusterStatus::default(), vec![good()], 1);
        assert_eq!(status(&first, vec![good()], 2), first);
        let turned_at = status(&first, vec![bad()], 3);
        assert!(turned_at.conditions.iter().all(|condition| condition.last_transition_time.0 == at(3)));
        assert_eq!(turned(ConditionType::Ready, &first, &turned_at).unwrap().reason, "HostNetwork");
        assert_eq!(turned(ConditionType::Ready, &turned_at, &status(&turned_at, vec![bad()], 4)), None);
    }

    #[test]
    fn what_the_api_server_says_anew_each_time_is_written_once() {
        let edge = |reason, message: &str| {
            vec![Finding::about(ConditionType::EdgeProgrammed, reason, message.to_owned())]
        };
        let expired = |time: &str| format!("certificate has expired: current time {time} is after July");
        let first = |reason| {
            status(&SocketIoClusterStatus::default(), edge(reason, &expired("2026-11-23T10:00:00Z")), 1)
        };
        let refused = first(Reason::RefusedByAdmission);
        let again = edge(Reason::RefusedByAdmission, &expired("2026-11-23T10:00:01Z"));
        assert_eq!(status(&refused, again, 2), refused);
        assert_ne!(status(&refused, edge(Reason::RefusedByAdmission, "another certificate"), 2), refused);
        // What the operator itself says of pods changes with their names.
        let injecting = |time| vec![Finding::new(Reason::Injecting, expired(time))];
        let waits = status(&SocketIoClusterStatus::default(), injecting("2026-11-23T10:00:00Z"), 1);
        assert_ne!(status(&waits, injecting("2026-11-23T10:00:01Z"), 2), waits);
    }

    #[test]
    fn ready_says_the_most_important_failure_and_an_undeclared_adapter_is_none() {
        let findings = vec![
            Finding::new(Reason::NotDeclared, "adapter"),
            Finding::new(Reason::IngressClassNotFound, "class"),
            Finding::new(Reason::WorkloadNotFound, "workload"),
        ];
        let all = status(&SocketIoClusterStatus::default(), findings.clone(), 1);
        assert_eq!(ready(&all).unwrap().reason, "WorkloadNotFound");
        let adapter = status(&SocketIoClusterStatus::default(), findings[..1].to_vec(), 1);
        assert_eq!(ready(&adapter).unwrap().status, "True");
    }

    #[test]
    fn what_a_pass_did_not_look_at_stays() {
        let first = status(&SocketIoClusterStatus::default(), vec![Finding::new(Reason::Routed, "")], 1);
        let second = status(&first, vec![Finding::new(Reason::Accepted, "")], 2);
        assert!(second.conditions.iter().any(|condition| condition.type_ == "TrafficRouted"));
    }

    #[test]
    fn a_long_message_is_cut_where_a_character_ends() {
        let message = shortened("ä".repeat(2000));
        assert!(message.len() < 1100 && message.ends_with('…'));
    }
}
