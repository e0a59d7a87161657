//! The policy for workloads: the operator injects and removes its sidecar, and changes nothing else.

use std::time::Duration;

use serde_json::{Value, json};
use support::deployment::wait_for;

use crate::chart::policy::{DRY, apply, assert_refused, make, patch, spec_of};
use crate::chart::workload::{TOKEN, injection, pod, sidecar, template, volume, workload};
use crate::chart::{Clean, USERS, chart, helm_with_chart, kubectl_in};

/// The sidecar with `field` set, and its volume.
fn sidecar_with(field: &str, value: &Value) -> Value {
    let mut container = sidecar();
    container[field] = value.clone();
    pod(&json!({"initContainers": [container], "volumes": [volume()]}))
}

/// The sidecar with these mounts, of a volume at a path, and its volume.
fn mounting(mounts: &[(&str, &str)]) -> Value {
    let mounts: Vec<_> =
        mounts.iter().map(|(volume, path)| json!({"name": volume, "mountPath": path})).collect();
    sidecar_with("volumeMounts", &json!(mounts))
}

#[test]
fn the_operator_can_inject_and_take_out_its_sidecar_and_change_nothing_else() {
    let _clean = Clean::cluster();
    helm_with_chart("install", &chart(), &["--set=replicas=0"]).unwrap();
    let kinds = ["Deployment", "StatefulSet", "DaemonSet"];
    kinds.iter().for_each(|kind| make(&workload(kind)));
    wait_for("the policy to be in force", Duration::from_secs(30), || {
        Ok(patch("Deployment", &json!({"metadata": {"labels": {"x": "y"}}})).is_err().then_some(()))
    })
    .unwrap();

    let only_template = "may change only the pod template";
    let only_ours = "may change only the container and the volume socketio-sidecar";
    let only_our_labels = "may change only labels and annotations of its own on a";
    let unprivileged = "must be unprivileged, not be root, mount its own volume only";
    let our_volume = "the volume socketio-sidecar must be the Secret";
    let secret = json!({"secretKeyRef": {"name": "other", "key": "password"}});
    let refused = [
        ("a label", json!({"metadata": {"labels": {"x": "y"}}}), only_our_labels),
        ("a label less", json!({"metadata": {"labels": {"app": null}}}), only_our_labels),
        ("an annotation", json!({"metadata": {"annotations": {"x": "y"}}}), only_our_labels),
        ("a finalizer", json!({"metadata": {"finalizers": ["example.com/x"]}}), only_our_labels),
        ("the pods' label", template(&json!({"labels": {"x": "y"}}), &json!({})), only_our_labels),
        ("a restart", template(&json!({"annotations": {"example.com/a": "2"}}), &json!({})), only_our_labels),
        ("minReadySeconds", json!({"spec": {"minReadySeconds": 5}}), only_template),
        ("an image", pod(&json!({"containers": [{"name": "app", "image": "example.com/evil"}]})), only_ours),
        (
            "a variable",
            pod(&json!({"containers": [{"name": "app", "env": [{"name": "A", "value": "2"}]}]})),
            only_ours,
        ),
        ("a container", pod(&json!({"containers": [{"name": "socketio-sidecar", "image": "x"}]})), only_ours),
        ("an init container", pod(&json!({"initContainers": [{"name": "other", "image": "x"}]})), only_ours),
        ("another's image", pod(&json!({"initContainers": [{"name": "migrate", "image": "x"}]})), only_ours),
        ("a volume", pod(&json!({"volumes": [{"name": "other", "emptyDir": {}}]})), only_ours),
        ("a volume less", pod(&json!({"volumes": [{"name": "spare", "$patch": "delete"}]})), only_ours),
        ("hostNetwork", pod(&json!({"hostNetwork": true})), only_ours),
        ("an account", pod(&json!({"serviceAccountName": "other"})), only_ours),
        ("where it runs", pod(&json!({"nodeSelector": {"example.com/nowhere": null}})), only_ours),
        ("privileged", sidecar_with("securityContext", &json!({"privileged": true})), unprivileged),
        (
            "root",
            sidecar_with(
                "securityContext",
                &json!({"allowPrivilegeEscalation": false, "runAsUser": 0, "capabilities": {"drop": ["ALL"]}}),
            ),
            unprivileged,
        ),
        (
            "capabilities",
            sidecar_with(
                "securityContext",
                &json!({"allowPrivilegeEscalation": false, "runAsNonRoot": true, "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]}}),
            ),
            unprivileged,
        ),
        (
            "the user of the image, which may be root",
            sidecar_with(
                "securityContext",
                &json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}),
            ),
            unprivileged,
        ),
        ("another's volume", mounting(&[("socketio-sidecar", TOKEN), ("data", "/data")]), unprivileged),
        ("the account's token", mounting(&[("socketio-sidecar", "/etc/socketio-sidecar")]), unprivileged),
        // Kubernetes compares the paths letter by letter.
        (
            "the account's token, under ours",
            mounting(&[("socketio-sidecar", &format!("{TOKEN}/"))]),
            unprivileged,
        ),
        ("a Secret's key", sidecar_with("env", &json!([{"name": "A", "valueFrom": secret}])), unprivileged),
        ("a Secret", sidecar_with("envFrom", &json!([{"secretRef": {"name": "other"}}])), unprivileged),
        (
            "a port of the node",
            sidecar_with("ports", &json!([{"containerPort": 7900, "hostPort": 7900}])),
            unprivileged,
        ),
        (
            "the node's files",
            pod(&json!({"volumes": [{"name": "socketio-sidecar", "hostPath": {"path": "/"}}]})),
            our_volume,
        ),
        (
            "another Secret",
            pod(&json!({"volumes": [{"name": "socketio-sidecar", "secret": {"secretName": "other"}}]})),
            our_volume,
        ),
    ];
    for kind in kinds {
        let original = spec_of(kind);
        // The policy is the same for all kinds; that it applies to them is seen by a part of it.
        let step = if kind == "Deployment" { 1 } else { 5 };
        for (what, change, message) in refused.iter().step_by(step) {
            assert_refused(&format!("{kind}: {what}"), patch(kind, change), message);
        }
        // As the operator does it: applied, changed, and taken out by applying nothing.
        let mut object = injection(kind);
        apply(&object).unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert_ne!(spec_of(kind), original);
        object["spec"]["template"]["spec"]["initContainers"][0]["image"] = json!("example.com/sidecar:2");
        apply(&object).unwrap();
        apply(&json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "app"}})).unwrap();
        assert_eq!(spec_of(kind), original);
    }
    let scale = json!({"spec": {"replicas": 0}});
    for kind in ["Deployment", "StatefulSet"] {
        assert_refused(kind, patch(kind, &scale), only_template);
    }
    // Others are not concerned.
    let scaled = scale.to_string();
    kubectl_in(USERS, &["patch", "deployment", "app", DRY, "--patch", &scaled]).unwrap();
}
