//! Ends of a SocketIoCluster: with its namespace, with all retained, and while somebody else has a
//! part of the sidecar.

use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};
use support::deployment::{Kubectl, Operator, condition};

use super::workload::{
    LONG, SOON, Workload, apply, assert_keys_are_gone, cluster, service, takes_service, wait, workload,
};
use crate::refusals::witness::{Visitors, assert_one_sentence};

/// A namespace that is deleted with all that is in it.
pub(super) const DOOMED: &str = "chat-doomed";
const RETAINED: &str = "retained";
const PINNED: &str = "pinned";
/// The sidecar's under another name, so that it starts.
const IMAGE: &str = "docker.io/socketio-affinity/sidecar:dev";

/// Log lines about the doomed object until its namespace was gone.
static SAID: OnceLock<Vec<String>> = OnceLock::new();

pub(super) fn objects() -> Vec<Value> {
    [(RETAINED, 2), (PINNED, 1)]
        .into_iter()
        .flat_map(|(name, replicas)| [service(name), workload("Deployment", name, Some(replicas))])
        .collect()
}

pub(super) fn doomed() -> Value {
    let items = [service(DOOMED), workload("Deployment", DOOMED, Some(1))];
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

/// Nothing holds the namespace up, and nothing is left of the object.
pub(super) fn with_the_namespace(operator: &Operator) {
    apply(DOOMED, &cluster("Deployment", DOOMED, &takes_service(DOOMED)));
    let name = format!("socketiocluster/{DOOMED}");
    wait(DOOMED, &name, LONG, "--for=condition=Ready");
    let object = Kubectl::json(&["--namespace", DOOMED, "get", &name]).unwrap();
    let uid = object["metadata"]["uid"].as_str().unwrap();
    let keys = format!("socketio-affinity-{uid}");
    Operator::kubectl(&["get", "secret", &keys]).unwrap();

    Kubectl::run(&["delete", "namespace", DOOMED, "--wait=false"]).unwrap();
    wait(DOOMED, &format!("namespace/{DOOMED}"), Duration::from_secs(60), "--for=delete");
    assert_keys_are_gone(uid);
    let said = complaints(operator);
    assert!(said.len() <= 2, "{said:#?}");
    SAID.set(said).unwrap();
}

/// Some time after it was deleted.
pub(super) fn assert_the_namespace_is_not_missed(operator: &Operator) {
    assert_eq!(Some(&complaints(operator)), SAID.get(), "the operator goes on about what is gone");
}

/// Complaints of the operator about the doomed object.
fn complaints(operator: &Operator) -> Vec<String> {
    let log = operator.log().unwrap();
    assert!(log.contains("socketio_operator"), "the log is not what it was thought to be: {log}");
    log.lines().filter(|line| line.contains(DOOMED)).map(str::to_owned).collect()
}

/// Pods go on as they are, and so do WebSockets; only sessions that poll start anew.
pub(super) fn a_new_object_takes_up_what_was_retained(_: &Operator) {
    let workload = Workload::rolled_out("Deployment", RETAINED);
    let first = workload.take(&takes_service(RETAINED));
    let polls = first.assert_sessions_work(RETAINED);
    let pods = workload.pods();
    let visitors = Visitors::of(RETAINED);
    let retain = r#"--patch={"spec":{"deletionPolicy":"Retain"}}"#;
    Kubectl::run(&["patch", "socketiocluster", RETAINED, "--type=merge", retain]).unwrap();
    Kubectl::run(&["delete", "socketiocluster", RETAINED, "--timeout=20s"]).unwrap();
    first.assert_keys_are_gone();

    let second = workload.take(&takes_service(RETAINED));
    assert_ne!(second.uid, first.uid);
    visitors.leave().assert_undisturbed();
    assert_eq!(workload.pods(), pods);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (pod, ip) in pods {
        let answer = runtime.block_on(polls.poll((ip, 7900).into()));
        assert!(answer.is_unknown_session(), "pod {pod} has the old keys still: {answer:?}");
    }
    second.assert_sessions_work(RETAINED);
    second.delete(&[]);
}

/// The image is not the operator's any more, nor is the container its alone: it is all the same taken out.
pub(super) fn with_an_image_of_somebody_elses(_: &Operator) {
    let workload = Workload::rolled_out("Deployment", PINNED);
    let taken = workload.take(&takes_service(PINNED));
    Kubectl::run(&["set", "image", &format!("deployment/{PINNED}"), &format!("socketio-sidecar={IMAGE}")])
        .unwrap();
    let reason = r#"--for=jsonpath={.status.conditions[?(@.type=="Ready")].reason}=Conflict"#;
    wait("chat", &format!("socketiocluster/{PINNED}"), SOON, reason);
    let object = Kubectl::json(&["get", "socketiocluster", PINNED]).unwrap();
    let ready = condition(&object, "Ready");
    let message = ready["message"].as_str().unwrap();
    assert!(message.contains("conflict with \"kubectl-set\""), "{message}");
    assert_one_sentence(message);

    // With the image alone the container would go; who applies it keeps it.
    let theirs = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": PINNED},
        "spec": {"template": {"spec": {"initContainers": [{"name": "socketio-sidecar", "image": IMAGE}]}}},
    });
    let apply = ["apply", "--server-side", "--field-manager=somebody", "--filename=-"];
    Kubectl::run_with(&apply, Some(&theirs.to_string())).unwrap();
    taken.delete(&[]);
}
