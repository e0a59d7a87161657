//! Objects for the tests of the pure modules.

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::observed::workload::Workload;
use crate::crd::SocketIoCluster;
use crate::crd::v1alpha1::WorkloadKind;

/// The ten lines of the documentation, as the API server gives them back.
pub(crate) fn cluster() -> Cluster {
    cluster_with(&json!({}))
}

/// The same, with more in its spec.
pub(crate) fn cluster_with(spec: &Value) -> Cluster {
    let mut cluster = json!({
        "apiVersion": "socketio-affinity.dev/v1alpha1",
        "kind": "SocketIoCluster",
        "metadata": {"name": "chat", "namespace": "default", "uid": "0e8f9f0a", "generation": 1},
        "spec": {"workloadRef": {"kind": "Deployment", "name": "chat"}, "app": {"port": 3000}},
    });
    for (key, value) in spec.as_object().into_iter().flatten() {
        cluster["spec"][key] = value.clone();
    }
    Cluster::resolve(&serde_json::from_value(cluster).unwrap()).unwrap()
}

/// `cluster` after `change` of its object, with its names resolved anew.
pub(crate) fn changed(cluster: &Cluster, change: impl FnOnce(&mut SocketIoCluster)) -> Cluster {
    let mut object = SocketIoCluster::clone(cluster);
    change(&mut object);
    Cluster::resolve(&object).unwrap()
}

/// A Deployment as a user has it.
pub(crate) fn workload() -> Workload {
    workload_with(|_| {})
}

/// The same, changed.
pub(crate) fn workload_with(change: impl FnOnce(&mut Value)) -> Workload {
    let mut object = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "chat", "namespace": "default"},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": "chat"}},
            "template": {
                "metadata": {"labels": {"app": "chat"}},
                "spec": {"containers": [{
                    "name": "chat", "image": "chat:1", "ports": [{"name": "web", "containerPort": 3000}],
                }]},
            },
        },
    });
    change(&mut object);
    let object = serde_json::from_value(object).unwrap();
    Workload::read(WorkloadKind::Deployment, &object).unwrap()
}
