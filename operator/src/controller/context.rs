//! The handles and settings that all reconciles share.

use std::sync::Arc;
use std::time::Duration;

use kube::runtime::events::Recorder;
use kube::runtime::reflector::Store;
use kube::{Client, Resource};

use super::watches::OurIngresses;
use crate::crd::{Guarded, SocketIoCluster};
use crate::metrics::Metrics;

/// Interval at which an object is reconciled although nothing happened: Secrets are not watched, so that the
/// operator need not be allowed to list them.
pub(crate) const RESYNC: Duration = Duration::from_secs(60);

/// Settings of the controller, from the command line.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The operator's own namespace, where it keeps its Secrets.
    pub namespace: String,
    /// The namespaces whose objects are looked after; none means all.
    pub watch_namespaces: Vec<String>,
    /// The image of the sidecars that are injected from now on.
    pub sidecar_image: String,
    /// Name of this process in Events.
    pub identity: String,
}

/// The handles that all reconciles share.
pub(crate) struct Context {
    /// The client of the API server.
    pub(crate) client: Client,
    /// The settings of the process.
    pub(crate) settings: Settings,
    /// The metrics of the process.
    pub(crate) metrics: Arc<Metrics>,
    /// Publishes Events.
    pub(crate) recorder: Recorder,
    /// The objects that the watch has shown.
    pub(crate) clusters: Store<Guarded>,
    /// The Ingresses of ours that the watch has shown.
    pub(crate) ingresses: Arc<OurIngresses>,
}

/// The other objects of the same namespace.
pub(crate) fn others(cluster: &SocketIoCluster, context: &Context) -> Vec<Arc<Guarded>> {
    let same = |other: &Arc<Guarded>| other.meta().namespace == cluster.metadata.namespace;
    context.clusters.state().into_iter().filter(same).collect()
}
