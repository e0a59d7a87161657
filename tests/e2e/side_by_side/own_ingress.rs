//! The user's own Ingress: annotated by consent, and given back. Its object is deleted in the foreground.

use serde_json::{Value, json};
use support::deployment::{Kubectl, Operator, wait_for};

use super::workload::{LABEL, SOON, Workload, apply, service, workload};
use crate::refusals::witness::Visitors;

const NAME: &str = "fronted";
const CLASS: &str = "side-by-side";
const TIMEOUT: &str = "nginx.ingress.kubernetes.io/proxy-read-timeout";
const HASH: &str = "nginx.ingress.kubernetes.io/upstream-hash-by";
const BODY: &str = "nginx.ingress.kubernetes.io/proxy-body-size";

pub(super) fn objects() -> Vec<Value> {
    let class = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {"name": CLASS, "labels": {LABEL: ""}},
        "spec": {"controller": "k8s.io/ingress-nginx"},
    });
    vec![service(NAME), workload("Deployment", NAME, Some(1)), class, ingress()]
}

/// An Ingress with an annotation that the operator wants with another value, and an annotation of the user.
fn ingress() -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": NAME, "labels": {LABEL: ""}, "annotations": {TIMEOUT: "60", BODY: "8m"}},
        "spec": {
            "ingressClassName": CLASS,
            "rules": [{
                "host": "chat.example.com",
                "http": {"paths": [{
                    "path": "/",
                    "pathType": "Prefix",
                    "backend": {"service": {"name": NAME, "port": {"name": "http"}}},
                }]},
            }],
        },
    })
}

/// Spec, labels and annotations of the Ingress.
fn described() -> [Value; 3] {
    let live = Kubectl::json(&["get", "ingress", NAME]).unwrap();
    [live["spec"].clone(), live["metadata"]["labels"].clone(), live["metadata"]["annotations"].clone()]
}

pub(super) fn is_annotated_and_given_back(_: &Operator) {
    let workload = Workload::rolled_out("Deployment", NAME);
    let before = described();
    let taken = workload.take(&json!({
        "service": {"name": NAME, "takeOver": true},
        "ingress": {"name": NAME, "takeOver": true},
        "sessionAffinity": {"type": "ClientIP"},
    }));
    assert_annotated();
    assert_eq!(described()[0], before[0], "only annotations are changed");
    let object = Kubectl::json(&["get", "socketiocluster", NAME]).unwrap();
    assert_eq!(object["status"]["edge"], format!("Ingress {NAME}"));
    // Whoever applies their manifest again brings their value back, for a moment.
    apply("chat", &ingress());
    wait_for("the Ingress to be annotated again", SOON, || {
        Ok((described()[2][TIMEOUT] == "3600").then_some(()))
    })
    .unwrap();
    assert_annotated();

    let visitors = Visitors::of(NAME);
    taken.delete(&["--cascade=foreground"]);
    // Its pod was replaced, by its own Deployment, and neither that nor the Service went.
    visitors.leave().assert_let_in();
    assert_eq!(described().map(|it| it.to_string()), before.map(|it| it.to_string()));
}

fn assert_annotated() {
    let [_, _, annotations] = described();
    let values = [TIMEOUT, HASH, BODY].map(|name| annotations[name].as_str());
    assert_eq!(values, [Some("3600"), Some("$remote_addr"), Some("8m")], "{annotations}");
}
