//! The names, labels and annotations of everything that is made: what a person meets in the cluster.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;

use crate::crd::SocketIoCluster;

/// The field manager of all that is applied.
pub(crate) const MANAGER: &str = "socketio-affinity";
/// The controller in Events.
pub(crate) const CONTROLLER: &str = "socketio-affinity.dev/operator";
/// Keeps an object until what it took is given back.
pub(crate) const FINALIZER: &str = "socketio-affinity.dev/release";
/// On pods that have the sidecar, and on what is made: the name of the SocketIoCluster.
pub(crate) const CLUSTER_LABEL: &str = "socketio-affinity.dev/cluster";
/// A digest of what was applied, so that a change of it is seen.
pub(crate) const APPLIED_ANNOTATION: &str = "socketio-affinity.dev/applied";
/// On a Service or Ingress that was taken over: what it was before.
pub(crate) const ORIGINAL_ANNOTATION: &str = "socketio-affinity.dev/original";
/// The sidecar's container and its volume.
pub(crate) const SIDECAR: &str = "socketio-sidecar";
/// Where the sidecar serves clients and edges.
pub(crate) const PROXY_PORT: u16 = 7900;
/// Where it serves its peers.
pub(crate) const PEER_PORT: u16 = 7901;
/// Where it serves kubelet, Prometheus and the operator.
pub(crate) const ADMIN_PORT: u16 = 7902;

/// The Secret with the sidecars' configuration.
pub(crate) fn sidecar_secret(cluster: &SocketIoCluster) -> String {
    format!("{}-socketio-sidecar", cluster.name_any())
}

/// The headless Service of the peers.
pub(crate) fn peer_service(cluster: &SocketIoCluster) -> String {
    format!("{}-socketio-peers", cluster.name_any())
}

/// The Service for clients and edges: the user's own, or ours.
pub(crate) fn client_service(cluster: &SocketIoCluster) -> String {
    cluster.spec.edge.service.name.clone().unwrap_or_else(|| format!("{}-socketio", cluster.name_any()))
}

/// The Ingress, where there is to be one: the user's own, or ours.
pub(crate) fn ingress(cluster: &SocketIoCluster) -> Option<String> {
    let ingress = cluster.spec.edge.ingress.as_ref()?;
    Some(ingress.name.clone().unwrap_or_else(|| own_ingress(cluster)))
}

/// The Ingress that is made.
pub(crate) fn own_ingress(cluster: &SocketIoCluster) -> String {
    format!("{}-socketio", cluster.name_any())
}

/// The Secret in the operator's namespace: objects of all namespaces meet there, so it bears the UID.
pub(crate) fn credentials_secret(cluster: &SocketIoCluster) -> String {
    format!("socketio-affinity-{}", uid(cluster))
}

/// The object's UID; empty only for one that the API server has not seen.
pub(crate) fn uid(cluster: &SocketIoCluster) -> &str {
    cluster.metadata.uid.as_deref().unwrap_or_default()
}

/// The labels of what is made.
pub(crate) fn labels(cluster: &SocketIoCluster) -> BTreeMap<String, String> {
    [("app.kubernetes.io/managed-by", MANAGER.to_owned()), (CLUSTER_LABEL, cluster.name_any())]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

/// The metadata of what is made in the object's own namespace. It names no owner: who deletes an object in
/// the foreground would have the API server collect the Service at once, while traffic still needs it.
pub(crate) fn metadata(cluster: &SocketIoCluster, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: cluster.namespace(),
        labels: Some(labels(cluster)),
        ..ObjectMeta::default()
    }
}

/// Whether an object of the same namespace was made for this SocketIoCluster, or one of that name before.
pub(crate) fn belongs_to(object: &impl ResourceExt, cluster: &SocketIoCluster) -> bool {
    let wanted = labels(cluster);
    wanted.iter().all(|(name, value)| object.labels().get(name) == Some(value))
}
