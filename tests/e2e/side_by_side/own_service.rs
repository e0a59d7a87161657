//! Services of the user's own that cannot be taken over.

use serde_json::{Value, json};
use support::deployment::{Kubectl, Operator, condition};

use super::workload::{LABEL, LONG, SOON, apply, cluster, service, takes_service, wait, workload};
use crate::refusals::witness::assert_one_sentence;

const HEADLESS: &str = "headless";
const SHARED: &str = "shared";
const INJECTED: &str = "--for=jsonpath={.spec.template.spec.initContainers[0].name}=socketio-sidecar";

/// Workloads without pods, since it takes none to see it.
pub(super) fn objects() -> Vec<Value> {
    let mut headless = service(HEADLESS);
    headless["spec"]["clusterIP"] = json!("None");
    let mut shared = service(SHARED);
    // All workloads that are side by side here have it.
    shared["spec"]["selector"] = json!({LABEL: ""});
    let without_pods = |name| workload("Deployment", name, Some(0));
    vec![headless, shared, without_pods(HEADLESS), without_pods(SHARED)]
}

pub(super) fn that_cannot_be_taken_over(_: &Operator) {
    for name in [HEADLESS, SHARED] {
        apply("chat", &cluster("Deployment", name, &takes_service(name)));
    }
    assert_refused(HEADLESS, "HeadlessService", "name one that has a cluster IP in a new SocketIoCluster");
    assert_refused(SHARED, "ServiceShared", "also selects pods that are not of this workload (");
    apply("chat", &service(SHARED));
    wait_for_reason(SHARED, "Resolved");
    wait("chat", &format!("deployment/{SHARED}"), SOON, INJECTED);

    // The one has nothing to give back, the other has not come as far as to lead traffic elsewhere.
    Kubectl::run(&["delete", "socketiocluster", HEADLESS, "--timeout=5s"]).unwrap();
    let limit = format!("--timeout={}s", LONG.as_secs());
    Kubectl::run(&["--request-timeout=0", "delete", "socketiocluster", SHARED, &limit]).unwrap();
    assert_not_injected(SHARED);
}

fn assert_refused(name: &str, reason: &str, words: &str) {
    wait_for_reason(name, reason);
    let object = Kubectl::json(&["get", "socketiocluster", name]).unwrap();
    let refused = condition(&object, "ResolvedRefs");
    let message = refused["message"].as_str().unwrap();
    assert_eq!(refused["status"], "False");
    assert!(message.contains(words), "{message}");
    assert_one_sentence(message);
    assert_not_injected(name);
}

fn assert_not_injected(name: &str) {
    let deployment = Kubectl::run(&["get", "deployment", name, "--output=json"]).unwrap();
    assert!(!deployment.contains("socketio-sidecar"), "{deployment}");
}

fn wait_for_reason(name: &str, reason: &str) {
    let holds = format!("--for=jsonpath={{.status.conditions[?(@.type==\"ResolvedRefs\")].reason}}={reason}");
    wait("chat", &format!("socketiocluster/{name}"), SOON, &holds);
}
