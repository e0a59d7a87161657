//! The injection, byte for byte: `UPDATE_GOLDEN=1` rewrites the files. A change of an old file restarts
//! the pods of everybody who upgrades the operator.

use std::path::Path;

use super::*;
use crate::controller::fixtures::{cluster, cluster_with};

fn matches_golden_file(name: &str, patch: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/controller/build/resource/injection")
        .join(format!("{name}.yaml"));
    let yaml = serde_saphyr::to_string(patch).unwrap();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &yaml).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(yaml, golden, "{}: UPDATE_GOLDEN=1 rewrites it", path.display());
}

#[test]
fn the_injected_part_is_its_golden_file() {
    matches_golden_file("default", &build_injection(&cluster(), "socketio-affinity/sidecar:0.1.0").unwrap());
    let all = cluster_with(&json!({
        "workloadRef": {"kind": "StatefulSet", "name": "chat"},
        "app": {"port": 8080, "path": "/ws/"},
        "sidecar": {
            "imagePullPolicy": "IfNotPresent", "maxConnections": 20_000, "log": "debug",
            "maxRequestHeadBytes": 65_536, "maxAnswerHeadBytes": 131_072, "maxHeaderFields": 500,
            "resources": {"requests": {"cpu": "1", "memory": "1Gi"}},
        },
    }));
    matches_golden_file("everything", &build_injection(&all, "registry.example.com/sidecar:1").unwrap());
    let limits = cluster_with(&json!({"sidecar": {
        "maxWebSockets": 0, "maxConnectionsPerSource": 100, "maxBufferedMiB": 64, "bodyTimeoutSeconds": 60,
        "appKeepAlive": "Never",
    }}));
    matches_golden_file("limits", &build_injection(&limits, "registry.example.com/sidecar:1").unwrap());
}

#[test]
fn what_can_be_changed_without_a_restart_is_no_part_of_it() {
    let before = build_injection(&cluster(), "sidecar:1").unwrap();
    let other = cluster_with(&json!({
        "mode": "Off",
        "app": {"port": 3000, "path": "/ws/"},
        "edge": {"service": {"port": 80}, "trustedProxies": ["10.0.0.0/8"], "forwardedFor": "Preserve"},
        "peers": {"certificateDays": 1},
        "drain": {"deadlineSeconds": 1, "windowSeconds": 1},
        "adapter": {"type": "Redis"},
    }));
    assert_eq!(build_injection(&other, "sidecar:1").unwrap(), before);
    assert_ne!(build_injection(&cluster(), "sidecar:2").unwrap(), before);
}

#[test]
fn all_of_it_is_taken_out_whoever_holds_on_to_a_part_and_nothing_else() {
    let removal = |pod: Value| {
        let template = json!({"metadata": {"labels": {"app": "chat"}}, "spec": pod});
        build_removal(&json!({"metadata": {"resourceVersion": "7"}, "spec": {"template": template}}))
    };
    let patch = removal(json!({
        "initContainers": [{"name": "migrate"}, {"name": "socketio-sidecar", "image": "x"}],
        "volumes": [{"name": "socketio-sidecar"}],
    }));
    let metadata = json!({"annotations": {"socketio-affinity.dev/applied": null}, "resourceVersion": "7"});
    assert_eq!(patch["metadata"], metadata);
    let template = json!({
        "metadata": {"labels": {"socketio-affinity.dev/cluster": null}},
        "spec": {"initContainers": [{"name": "migrate"}], "volumes": null},
    });
    assert_eq!(patch["spec"]["template"], template);
    assert_eq!(
        removal(json!({"initContainers": [{"name": "migrate"}]}))["spec"]["template"]["spec"],
        json!({})
    );
}
