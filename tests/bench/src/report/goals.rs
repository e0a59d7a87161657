//! The goals, each held against this run.
//!
//! A goal is met where the median of the rounds is within it. What a run did not measure is neither met
//! nor missed.

use super::numbers::{number, ratio};
use crate::programs::Peer;
use crate::results::Results;
use crate::stats::Spread;
use crate::subject::Subject;
use crate::system::System;
use crate::work::{Loop, Work};

const NGINX: Subject = Subject::Peer(Peer::Nginx);
const HAPROXY: Subject = Subject::Peer(Peer::Haproxy);
const ENVOY: Subject = Subject::Peer(Peer::Envoy);

/// A bound on a number.
#[derive(Debug, Clone, Copy)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// In what the number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    /// The other one's.
    Ratio(&'static str),
    Bytes,
    Mebibytes,
    Milliseconds,
}

/// A goal and what was seen.
#[derive(Debug)]
struct Goal {
    what: &'static str,
    bound: Bound,
    unit: Unit,
    seen: Option<Spread>,
    /// What a reader has to know of how it was found.
    note: &'static str,
    /// In how many rounds it was seen, where that is fewer than there were.
    rounds: Option<String>,
}

impl Goal {
    fn wanted(&self) -> String {
        let (sign, value) = match self.bound {
            Bound::AtMost(value) => ("≤", value),
            Bound::AtLeast(value) => ("≥", value),
        };
        match self.unit {
            Unit::Ratio(other) => format!("{sign} {value}× {other}"),
            Unit::Bytes => format!("{sign} {} bytes", number(value)),
            Unit::Mebibytes => format!("{sign} {value} MiB"),
            Unit::Milliseconds => format!("{sign} {value} ms"),
        }
    }

    fn seen(&self) -> String {
        match (self.seen, self.unit) {
            (None, _) => "–".to_owned(),
            (seen, Unit::Ratio(_)) => ratio(seen),
            (Some(seen), Unit::Bytes) => number(seen.median),
            (Some(seen), Unit::Mebibytes) => format!("{:.1} MiB", seen.median),
            (Some(seen), Unit::Milliseconds) => format!("{:.2} ms", seen.median),
        }
    }

    fn verdict(&self) -> &'static str {
        let Some(seen) = self.seen else { return "not measured" };
        let met = match self.bound {
            Bound::AtMost(most) => seen.median <= most,
            Bound::AtLeast(least) => seen.median >= least,
        };
        if met { "met" } else { "not met" }
    }
}

/// The goals as a table of the page.
pub(super) fn table(results: &Results) -> String {
    let mut table = String::from("| what | goal | this run | |\n| --- | --- | --- | --- |\n");
    for goal in all(results) {
        let verdict = match goal.verdict() {
            "met" => "**met**",
            other => other,
        };
        let mut note = if goal.note.is_empty() { String::new() } else { format!("; {}", goal.note) };
        if let Some(rounds) = &goal.rounds {
            note.push_str(&format!("; {rounds}"));
        }
        table.push_str(&format!(
            "| {} | {} | {} | {verdict}{note} |\n",
            goal.what,
            goal.wanted(),
            goal.seen()
        ));
    }
    table
}

/// The goals for the terminal, those about which this run says something.
pub(super) fn summary(results: &Results) -> String {
    let mut goals = all(results);
    goals.retain(|goal| goal.seen.is_some());
    if goals.is_empty() {
        return "none of the goals is about what was measured".to_owned();
    }
    let line = |goal: &Goal| {
        format!("{:<48} {:<18} {:<24} {}", goal.what, goal.wanted(), goal.seen(), goal.verdict())
    };
    let mut lines = vec![format!("{:<48} {:<18} {:<24}", "what", "goal", "this run")];
    lines.extend(goals.iter().map(line));
    lines.join("\n")
}

fn all(results: &Results) -> Vec<Goal> {
    let local = Subject::Local;
    let cpu = |work, of, to| {
        Spread::of_ratios(&results.cpu(work, Loop::Closed, of), &results.cpu(work, Loop::Closed, to))
    };
    let capacity = |bound, name, to| {
        let (of, to) = (results.capacity(Work::PollSmall, local), results.capacity(Work::PollSmall, to));
        let both = of.iter().zip(&to).filter(|(of, to)| of.is_some() && to.is_some()).count();
        let are_measured = !of.is_empty() && !to.is_empty();
        Goal {
            what: "requests per second on one core",
            bound: Bound::AtLeast(bound),
            unit: Unit::Ratio(name),
            seen: Spread::of_ratios(&of, &to),
            note: "",
            rounds: (are_measured && both < results.rounds)
                .then(|| format!("both used up their core in {both} of {} rounds", results.rounds)),
        }
    };
    let p99 = |subject| results.added(Work::PollSmall, subject, |sample| sample.p99_us);
    let (resting, idle) = results.footprint(local);
    let scaled = |spread: Spread, by: f64| Spread {
        median: spread.median / by,
        least: spread.least / by,
        greatest: spread.greatest / by,
    };
    let handshake =
        Spread::of(results.added(Work::Handshake, local, |sample| sample.p50_us).into_iter().flatten());

    let goal = |what, bound, unit, seen| Goal { what, bound, unit, seen, note: "", rounds: None };
    let mut goals = vec![
        goal(
            "CPU per polled request, local hit",
            Bound::AtMost(0.75),
            Unit::Ratio("nginx"),
            cpu(Work::PollSmall, local, NGINX),
        ),
        goal(
            "CPU per polled request, local hit",
            Bound::AtMost(0.85),
            Unit::Ratio("HAProxy"),
            cpu(Work::PollSmall, local, HAPROXY),
        ),
        goal(
            "CPU per 64 B WebSocket echo",
            Bound::AtMost(0.8),
            Unit::Ratio("HAProxy"),
            cpu(Work::EchoSmall, local, HAPROXY),
        ),
        goal(
            "added p99 at half of capacity",
            Bound::AtMost(1.0),
            Unit::Ratio("HAProxy"),
            Spread::of_ratios(&p99(local), &p99(HAPROXY)),
        ),
        capacity(1.2, "nginx", NGINX),
        capacity(1.1, "HAProxy", HAPROXY),
        capacity(3.0, "Envoy", ENVOY),
        goal(
            "user-space memory per idle WebSocket",
            Bound::AtMost(2000.0),
            Unit::Bytes,
            idle.last().map(|(_, bytes)| *bytes),
        ),
        goal(
            "resident memory at rest",
            Bound::AtMost(6.0),
            Unit::Mebibytes,
            resting.map(|bytes| scaled(bytes, 1024.0 * 1024.0)),
        ),
        goal(
            "forwarded hit, CPU over both sidecars",
            Bound::AtMost(2.2),
            Unit::Ratio("a local hit"),
            cpu(Work::PollSmall, Subject::Forwarded, local),
        ),
    ];
    goals.push(throughput(results, "1 MiB messages, throughput", Work::EchoLarge));
    goals.push(throughput(results, "1 MiB bodies, throughput", Work::PostLarge));
    let round_trip = |system| results.of_system(system, |sample| Some(sample.polling.round_trip.p50_us));
    goals.push(goal(
        "3 pods round robin, polling RTT, median",
        Bound::AtMost(1.5),
        Unit::Ratio("one pod"),
        Spread::of_ratios(&round_trip(System::RoundRobin), &round_trip(System::OnePod)),
    ));
    goals.push(goal(
        "handshake, added",
        Bound::AtMost(1.0),
        Unit::Milliseconds,
        handshake.map(|micros| scaled(micros, 1000.0)),
    ));
    goals
}

/// Of large messages the clients' core may be the limit. How many a core bears then follows from what
/// each costs it.
fn throughput(results: &Results, what: &'static str, work: Work) -> Goal {
    let goal = |seen, note| Goal {
        what,
        bound: Bound::AtLeast(0.95),
        unit: Unit::Ratio("HAProxy"),
        seen,
        note,
        rounds: None,
    };
    let capacity =
        Spread::of_ratios(&results.capacity(work, Subject::Local), &results.capacity(work, HAPROXY));
    if capacity.is_some() {
        return goal(capacity, "");
    }
    let (ours, theirs) =
        (results.cpu(work, Loop::Closed, Subject::Local), results.cpu(work, Loop::Closed, HAPROXY));
    let by_cpu = Spread::of_ratios(&theirs, &ours);
    goal(by_cpu, if by_cpu.is_some() { "by CPU time, as the clients were the limit" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goal(bound: Bound, seen: Option<f64>) -> Goal {
        Goal { what: "", bound, unit: Unit::Bytes, seen: Spread::of(seen), note: "", rounds: None }
    }

    #[test]
    fn a_goal_is_met_within_its_bound() {
        assert_eq!(goal(Bound::AtMost(2.0), Some(2.0)).verdict(), "met");
        assert_eq!(goal(Bound::AtMost(2.0), Some(2.1)).verdict(), "not met");
        assert_eq!(goal(Bound::AtLeast(2.0), Some(2.1)).verdict(), "met");
        assert_eq!(goal(Bound::AtLeast(2.0), Some(1.9)).verdict(), "not met");
        assert_eq!(goal(Bound::AtLeast(2.0), None).verdict(), "not measured");
    }

    #[test]
    fn nothing_is_met_by_a_run_that_measured_nothing() {
        assert!(all(&Results::default()).iter().all(|goal| goal.verdict() == "not measured"));
    }
}
