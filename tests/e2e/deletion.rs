//! An object is deleted under load: sessions end as the spec says, and all is as it was before.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use support::deployment::{Chat, Event, Operator, SocketIoCluster};

use crate::cutover::{carried_load, refusals};
use crate::given_back::Before;

const DEADLINE: u64 = 12;
const WINDOW: u64 = 10;
const DAY: u64 = 24 * 60 * 60;
/// Longest wait for one step.
const STEP: Duration = Duration::from_secs(150);

/// The part of a spec that says how sessions end.
pub(crate) fn drain() -> Value {
    json!({"drain": {"deadlineSeconds": DEADLINE, "windowSeconds": WINDOW}})
}

/// Deletes an object that is ready. The operator is away while sessions end.
pub(crate) fn assert_ends_sessions_and_gives_back(
    chat: &Chat,
    operator: &Operator,
    cluster: &SocketIoCluster,
    before: &Before,
) {
    before.assert_taken();
    let load = carried_load(chat, &["--transport", "polling"]);
    let since = |step: &str| {
        cluster.wait_for_step(step, STEP).unwrap();
        let since: Value = cluster.get().unwrap()["status"]["stepSince"].clone();
        seconds(since.as_str().unwrap())
    };
    cluster.delete().unwrap();
    let draining = since("Draining");
    let closing = since("Closing");
    since("Emptying");
    operator.scale(0).unwrap();
    std::thread::sleep(Duration::from_secs(WINDOW));
    operator.scale(1).unwrap();
    cluster.wait_until_gone(STEP).unwrap();
    chat.wait_until_ready().unwrap();
    let (summary, events) = load.stop().unwrap();

    assert_eq!(refusals(&summary), [], "{summary:?}");
    let given = between(draining, closing);
    assert!((DEADLINE..DEADLINE + 10).contains(&given), "sessions were given {given} s");
    assert_paced(&events, closing);
    assert!(summary.handshakes.good > 300, "hardly anybody came meanwhile: {summary:?}");
    before.assert_given_back();
}

/// The first session of each client, which is a tagged one, ends after the deadline, and not with all others.
fn assert_paced(events: &[Event], closing: u64) {
    let mut seen = BTreeSet::new();
    let ends: Vec<_> =
        events.iter().filter(|event| event.event == "disconnect" && seen.insert(event.client)).collect();
    assert_eq!(ends.len(), 60, "not all sessions ended");
    let mut by_second = BTreeMap::<u64, usize>::new();
    for end in &ends {
        *by_second.entry(between(closing, seconds(&end.t))).or_default() += 1;
    }
    eprintln!("    sessions ended, by seconds since the deadline: {by_second:?}");
    // Each pod begins when kubelet has brought it the configuration. A session that ended before shows as one
    // that ended a day later.
    let last = *by_second.keys().last().unwrap();
    assert!(last <= WINDOW + 90, "sessions ended at other times: {by_second:?}");
    let most = *by_second.values().max().unwrap();
    assert!(most <= 20 && by_second.len() as u64 >= WINDOW / 2, "all at once: {by_second:?}");
}

/// Seconds of the day of an RFC 3339 time in UTC.
fn seconds(time: &str) -> u64 {
    let (_, clock) = time.split_once('T').unwrap();
    clock[..8].split(':').fold(0, |sum, part| sum * 60 + part.parse::<u64>().unwrap())
}

/// Seconds from one time of day to a later one, over midnight too.
fn between(earlier: u64, later: u64) -> u64 {
    (later + DAY - earlier) % DAY
}
