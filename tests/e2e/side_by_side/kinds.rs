//! A StatefulSet and a DaemonSet.

use serde_json::{Value, json};
use support::deployment::{Kubectl, Operator};

use super::workload::{Workload, service, takes_service, workload};

const STATEFUL: &str = "stateful";
const DAEMON: &str = "daemon";

pub(super) fn objects() -> Vec<Value> {
    vec![
        service(STATEFUL),
        workload("StatefulSet", STATEFUL, Some(2)),
        service(DAEMON),
        workload("DaemonSet", DAEMON, None),
    ]
}

/// Two pods, each replaced in place.
pub(super) fn stateful_set(_: &Operator) {
    let workload = Workload::rolled_out("StatefulSet", STATEFUL);
    let taken = workload.take(&takes_service(STATEFUL));
    assert_eq!(workload.pods().len(), 2);
    taken.assert_sessions_work(STATEFUL);
    taken.delete(&[]);
}

/// A pod on each node, and a Service that is made.
pub(super) fn daemon_set(_: &Operator) {
    let workload = Workload::rolled_out("DaemonSet", DAEMON);
    let taken = workload.take(&json!({}));
    let made = format!("{DAEMON}-socketio");
    taken.assert_sessions_work(&made);
    taken.delete(&[]);
    let left = Kubectl::run(&["get", "service", &made, "--ignore-not-found", "--output=name"]).unwrap();
    assert_eq!(left, "");
}
