//! Step 2 of a pass, pure: whether what was read allows what the spec asks for.
//!
//! A refusal changes nothing that is in place: traffic goes on as before.

mod edge;
mod limits;
mod resources;
mod service;

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, ResourceExt};

use super::cluster::Cluster;
use super::condition::{Finding, Reason};
use super::names::{self, SIDECAR};
use super::observed::Observed;
use super::observed::workload::Workload;
use crate::crd::Guarded;
use edge::check_edge;
pub(crate) use edge::{Edge, EdgeIngress};
pub(crate) use service::ClientService;
use service::check_service;

/// Why something is not done, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The reason, which also tells the condition.
    pub(crate) reason: Reason,
    /// A sentence.
    pub(crate) message: String,
}

impl From<Refusal> for Finding {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.reason, refusal.message)
    }
}

/// The spec together with the objects that allow it, each resolved once: the input of `build`, `apply` and the
/// findings.
#[derive(Clone)]
pub(crate) struct Validated<'v> {
    /// The object with its names.
    pub(crate) cluster: &'v Cluster,
    /// The objects that were read.
    pub(crate) observed: &'v Observed,
    /// The workload.
    pub(crate) workload: &'v Workload,
    /// The Service for clients and edges.
    pub(crate) service: ClientService<'v>,
    /// The Ingress that the spec asks for, if it asks for one; or why it cannot be programmed.
    pub(crate) edge: Option<Result<Edge<'v>, Refusal>>,
    /// The image that is recorded for pods of which the spec names none.
    pub(crate) pinned_image: String,
}

impl Validated<'_> {
    /// The image of the sidecar.
    pub(crate) fn image(&self) -> &str {
        self.cluster.spec.sidecar.image.as_deref().unwrap_or(&self.pinned_image)
    }
}

fn refuse(reason: Reason, message: String) -> Refusal {
    Refusal { reason, message }
}

/// Validates. `others` are the SocketIoClusters of the same namespace, and `sidecar_image` is the operator's own.
///
/// # Errors
/// The reason why nothing can be done. A reason that concerns the edge alone is in [`Validated::edge`].
pub(crate) fn validate<'v>(
    cluster: &'v Cluster,
    observed: &'v Observed,
    others: &[Arc<Guarded>],
    sidecar_image: &str,
) -> Result<Validated<'v>, Refusal> {
    accept(cluster, observed, others)?;
    limits::check(cluster, observed.client_service.as_ref())?;
    let reference = &cluster.spec.workload_ref;
    let kind = reference.kind.resource().kind;
    let workload = observed.workload.as_ref().ok_or_else(|| {
        refuse(
            Reason::WorkloadNotFound,
            format!(
                "there is no {kind} {} in this namespace; create it, or make another SocketIoCluster with the right \
                 workloadRef",
                reference.name
            ),
        )
    })?;
    check_workload(cluster, workload, &kind)?;
    check_made(cluster, observed)?;
    Ok(Validated {
        cluster,
        observed,
        workload,
        service: check_service(cluster, observed, workload, others)?,
        edge: check_edge(cluster, observed, others),
        pinned_image: pinned_image(cluster, workload, sidecar_image),
    })
}

/// The image that pods get unless another one is asked for: the operator's at the time of the first
/// injection, so that an upgrade of the operator restarts nobody's pods.
fn pinned_image(cluster: &Cluster, workload: &Workload, sidecar_image: &str) -> String {
    let pinned = cluster.status.as_ref().and_then(|status| status.sidecar_image.clone());
    // Where the status was lost, pods that have one keep it.
    let live = || workload.sidecar().filter(|_| workload.is_injected(&cluster.name))?.image.clone();
    pinned.or_else(live).unwrap_or_else(|| sidecar_image.to_owned())
}

/// Who has the workload keeps it; else the oldest object gets it.
fn accept(cluster: &Cluster, observed: &Observed, others: &[Arc<Guarded>]) -> Result<(), Refusal> {
    let age = |metadata: &ObjectMeta| {
        let created = metadata.creation_timestamp.as_ref().map_or(Timestamp::MAX, |time| time.0);
        (created, metadata.uid.clone())
    };
    let holder = observed.workload.as_ref().and_then(Workload::holder);
    if holder == Some(cluster.name.as_str()) {
        return Ok(());
    }
    let rival =
        others.iter().filter(|other| other.uid().as_deref() != Some(cluster.uid.as_str())).find(|other| {
            // Of one that cannot be read, it is known only what it holds.
            let same = other
                .0
                .as_ref()
                .map_or(holder.is_some(), |other| other.spec.workload_ref == cluster.spec.workload_ref);
            let first = || {
                holder == Some(&other.name_any())
                    || (holder.is_none() && age(other.meta()) < age(cluster.meta()))
            };
            same && first()
        });
    match rival {
        Some(rival) => Err(refuse(
            Reason::Conflicted,
            format!("SocketIoCluster {} has this workload already; delete one of the two", rival.name_any()),
        )),
        None => Ok(()),
    }
}

fn check_workload(cluster: &Cluster, workload: &Workload, kind: &str) -> Result<(), Refusal> {
    let name = &cluster.spec.workload_ref.name;
    let refuse = |reason, message| Err(refuse(reason, message));
    let pod = workload.pod();
    if pod.and_then(|pod| pod.host_network) == Some(true) {
        return refuse(
            Reason::HostNetwork,
            format!(
                "{kind} {name} uses hostNetwork, where the sidecars' ports would be the node's; take hostNetwork out \
                 of its pod template"
            ),
        );
    }
    let injected = cluster.status.as_ref().is_some_and(|status| status.sidecar_image.is_some());
    if workload.sidecar().is_some() && !injected && workload.holder() != Some(cluster.name.as_str()) {
        if let Some(gone) = workload.holder() {
            return refuse(
                Reason::NameTaken,
                format!(
                    "{kind} {name} has the sidecar of SocketIoCluster {gone}, which is gone; name this one {gone}, so \
                     that it takes that up, or take the sidecar out"
                ),
            );
        }
        return refuse(
            Reason::NameTaken,
            format!(
                "{kind} {name} has a container named {SIDECAR} already; remove it, or give it another name, so that \
                 the sidecar can be injected"
            ),
        );
    }
    let ours = [names::PROXY_PORT, names::PEER_PORT, names::ADMIN_PORT].map(i32::from);
    let taken = pod.into_iter().flat_map(|pod| &pod.containers).find_map(|container| {
        let port = container.ports.iter().flatten().find(|port| ours.contains(&port.container_port))?;
        Some((container.name.clone(), port.container_port))
    });
    if let Some((container, port)) = taken {
        return refuse(
            Reason::PortTaken,
            format!(
                "container {container} of {kind} {name} uses port {port}, which is the sidecar's; let it use another"
            ),
        );
    }
    Ok(())
}

/// What is made under a name of its own must not be there already, made by somebody else.
fn check_made(cluster: &Cluster, observed: &Observed) -> Result<(), Refusal> {
    let secret = observed.sidecar_secret.as_ref().filter(|secret| !cluster.owns(*secret));
    let service = observed.peer_service.as_ref().filter(|service| !cluster.owns(*service));
    let found = secret
        .map(|_| format!("Secret {}", cluster.sidecar_secret))
        .or_else(|| service.map(|_| format!("Service {}", cluster.peer_service)));
    match found {
        Some(object) => Err(refuse(
            Reason::ObjectExists,
            format!(
                "{object} exists already and is not ours; remove it, or give this SocketIoCluster another name"
            ),
        )),
        None => Ok(()),
    }
}

fn exists(uid: &str, clusters: &[Arc<Guarded>]) -> bool {
    clusters.iter().any(|cluster| cluster.uid().as_deref() == Some(uid))
}

#[cfg(test)]
mod tests;
