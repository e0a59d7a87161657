//! The names, labels and annotations of everything that is made: what a person meets in the cluster.

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
/// Memory limit of a sidecar whose resources are not set.
pub(crate) const SIDECAR_MEMORY_LIMIT: &str = "256Mi";
/// The sidecar's container and its volume.
pub(crate) const SIDECAR: &str = "socketio-sidecar";
/// Port on which the sidecar serves clients and edges.
pub(crate) const PROXY_PORT: u16 = 7900;
/// Port on which the sidecar serves its peers.
pub(crate) const PEER_PORT: u16 = 7901;
/// Port on which the sidecar serves kubelet, Prometheus and the operator.
pub(crate) const ADMIN_PORT: u16 = 7902;

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
