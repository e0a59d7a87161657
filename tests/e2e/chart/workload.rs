//! A user's workload, and the sidecar in it as the operator puts it there.

use serde_json::{Value, json};

/// Directory on which Kubernetes mounts the token of the pod's account, unless something else is mounted there.
pub(super) const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// A user's workload, with everything that the operator must leave alone.
pub(super) fn workload(kind: &str) -> Value {
    let labels = json!({"app": "app"});
    let mut spec = json!({
        "selector": {"matchLabels": labels},
        "template": {
            "metadata": {"labels": labels, "annotations": {"example.com/a": "1"}},
            "spec": {
                // Nothing of this is to run.
                "nodeSelector": {"example.com/nowhere": "true"},
                "initContainers": [{"name": "migrate", "image": "example.com/app:1"}],
                "containers": [{
                    "name": "app", "image": "example.com/app:1",
                    "env": [{"name": "A", "value": "1"}],
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                }],
                "volumes": [{"name": "data", "emptyDir": {}}, {"name": "spare", "emptyDir": {}}],
            },
        },
    });
    if kind != "DaemonSet" {
        spec["replicas"] = json!(1);
    }
    if kind == "StatefulSet" {
        spec["serviceName"] = json!("app");
    }
    json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "app", "labels": labels}, "spec": spec})
}

/// The sidecar as the operator injects it, but for what plays no part in admission.
pub(super) fn sidecar() -> Value {
    let mounts = ["/etc/socketio-sidecar", TOKEN]
        .map(|path| json!({"name": "socketio-sidecar", "mountPath": path, "readOnly": true}));
    json!({
        "name": "socketio-sidecar", "image": "example.com/sidecar:1", "restartPolicy": "Always",
        "env": [
            {"name": "SOCKETIO_SIDECAR_APP", "value": "127.0.0.1:3000"},
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        ],
        "ports": [{"name": "sio-proxy", "containerPort": 7900}],
        "securityContext": {
            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "runAsNonRoot": true,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
    })
}

pub(super) fn volume() -> Value {
    json!({"name": "socketio-sidecar", "secret": {"secretName": "chat-socketio-sidecar"}})
}

/// A patch of the pod template.
pub(super) fn template(metadata: &Value, spec: &Value) -> Value {
    json!({"spec": {"template": {"metadata": metadata, "spec": spec}}})
}

pub(super) fn pod(spec: &Value) -> Value {
    template(&json!({}), spec)
}

/// The injection that the operator applies.
pub(super) fn injection(kind: &str) -> Value {
    let mut injection = template(
        &json!({"labels": {"socketio-affinity.dev/cluster": "chat"}}),
        &json!({"initContainers": [sidecar()], "volumes": [volume()]}),
    );
    injection["apiVersion"] = json!("apps/v1");
    injection["kind"] = json!(kind);
    injection["metadata"] = json!({"name": "app", "annotations": {"socketio-affinity.dev/applied": "a1b2"}});
    injection
}
