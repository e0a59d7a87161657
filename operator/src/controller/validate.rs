//! Step 2 of a pass, pure: whether what was read allows what the spec asks for.
//!
//! A refusal changes nothing that is in place: traffic goes on as before.

mod limits;

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, ResourceExt};

use super::condition::{Finding, Reason, list};
use super::edge::{Program, Provider, SNIPPET_ANNOTATION, program};
use super::names::{self, CLUSTER_LABEL, SIDECAR, belongs_to};
use super::observed::ingress::{self, leads_to};
use super::observed::workload::Workload;
use super::observed::{Observed, service};
use crate::crd::{Guarded, SocketIoCluster};

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

/// What was read and found to allow it.
#[derive(Debug, Clone)]
pub(crate) struct Valid<'o> {
    /// The workload.
    pub(crate) workload: &'o Workload,
    /// What the edge is told, if there is an Ingress; or why it cannot be.
    pub(crate) edge: Option<Result<Program, Refusal>>,
}

fn refuse(reason: Reason, message: String) -> Refusal {
    Refusal { reason, message }
}

/// Validates. `others` are the SocketIoClusters of the same namespace.
///
/// # Errors
/// What keeps all of it from being done. What keeps only the edge from it is in [`Valid::edge`].
pub(crate) fn validate<'o>(
    cluster: &SocketIoCluster,
    observed: &'o Observed,
    others: &[Arc<Guarded>],
) -> Result<Valid<'o>, Refusal> {
    accept(cluster, observed, others)?;
    limits::check(&cluster.spec, observed.client_service.as_ref())?;
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
    check_service(cluster, observed, workload, others)?;
    Ok(Valid { workload, edge: check_edge(cluster, observed, others) })
}

/// Who has the workload keeps it; else the oldest object gets it.
fn accept(cluster: &SocketIoCluster, observed: &Observed, others: &[Arc<Guarded>]) -> Result<(), Refusal> {
    let age = |metadata: &ObjectMeta| {
        let created = metadata.creation_timestamp.as_ref().map_or(Timestamp::MAX, |time| time.0);
        (created, metadata.uid.clone())
    };
    let holder = observed.workload.as_ref().and_then(Workload::holder);
    if holder == Some(&cluster.name_any()) {
        return Ok(());
    }
    let rival =
        others.iter().filter(|other| other.uid().as_deref() != Some(names::uid(cluster))).find(|other| {
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

fn check_workload(cluster: &SocketIoCluster, workload: &Workload, kind: &str) -> Result<(), Refusal> {
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
    if workload.sidecar().is_some() && !injected && workload.holder() != Some(&cluster.name_any()) {
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
fn check_made(cluster: &SocketIoCluster, observed: &Observed) -> Result<(), Refusal> {
    let secret = observed.sidecar_secret.as_ref().filter(|secret| !belongs_to(*secret, cluster));
    let service = observed.peer_service.as_ref().filter(|service| !belongs_to(*service, cluster));
    let found = secret
        .map(|_| format!("Secret {}", names::sidecar_secret(cluster)))
        .or_else(|| service.map(|_| format!("Service {}", names::peer_service(cluster))));
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

fn check_service(
    cluster: &SocketIoCluster,
    observed: &Observed,
    workload: &Workload,
    others: &[Arc<Guarded>],
) -> Result<(), Refusal> {
    let refuse = |reason, message| Err(refuse(reason, message));
    let wanted = &cluster.spec.edge.service;
    let name = names::client_service(cluster);
    let port = cluster.spec.app.port;
    match (&observed.client_service, wanted.take_over) {
        (None, true) => refuse(
            Reason::ServiceNotFound,
            format!(
                "there is no Service {name} in this namespace to take over; create it, or delete this \
                 SocketIoCluster and make another with the right name, or without edge.service.takeOver"
            ),
        ),
        (Some(service), true) => {
            if service::port_to_application(service, workload, port).is_none() {
                return refuse(
                    Reason::NoSuchPort,
                    format!(
                        "no port of Service {name} leads to port {port} of the pods; set app.port to the port that \
                         the application listens on, or let a port of the Service lead there"
                    ),
                );
            }
            let spec = service.spec.as_ref();
            if service::is_headless(service) {
                return refuse(
                    Reason::HeadlessService,
                    format!(
                        "Service {name} is headless: its clients find the pods by DNS and reach the application \
                         directly; name one that has a cluster IP in a new SocketIoCluster"
                    ),
                );
            }
            let selector = spec.and_then(|spec| spec.selector.as_ref());
            if !selector.is_some_and(|selector| workload.is_selected_by(selector)) {
                return refuse(
                    Reason::ServiceElsewhere,
                    format!(
                        "Service {name} does not select the pods of this workload; name one that does in a new \
                         SocketIoCluster, or correct its selector"
                    ),
                );
            }
            if !observed.other_pods.is_empty() {
                return refuse(
                    Reason::ServiceShared,
                    format!(
                        "Service {name} also selects pods that are not of this workload ({}), which would get no more \
                         traffic; give them a Service of their own",
                        list(&observed.other_pods)
                    ),
                );
            }
            match service::taken_by(service) {
                // One that is gone has left it as it was when it was told to retain.
                Some(by) if by != names::uid(cluster) && exists(&by, others) => refuse(
                    Reason::ServiceTaken,
                    format!(
                        "Service {name} was taken over by another SocketIoCluster; delete that one first"
                    ),
                ),
                _ => Ok(()),
            }
        }
        (Some(service), false) if !belongs_to(service, cluster) => refuse(
            Reason::ServiceExists,
            format!(
                "Service {name} exists already and is not ours; remove it, or set edge.service to {{name: {name}, \
                 takeOver: true}} in a new SocketIoCluster to have it lead to the sidecars"
            ),
        ),
        _ if !wanted.take_over
            && workload.selector.match_labels.as_ref().is_none_or(std::collections::BTreeMap::is_empty) =>
        {
            refuse(
                Reason::SelectorNotUsable,
                format!(
                    "the workload's selector has no matchLabels, which a Service needs; make a Service of your own and \
                     name it with edge.service.takeOver; its selector may be the label {CLUSTER_LABEL}"
                ),
            )
        }
        _ => Ok(()),
    }
}

fn exists(uid: &str, clusters: &[Arc<Guarded>]) -> bool {
    clusters.iter().any(|cluster| cluster.uid().as_deref() == Some(uid))
}

fn check_edge(
    cluster: &SocketIoCluster,
    observed: &Observed,
    others: &[Arc<Guarded>],
) -> Option<Result<Program, Refusal>> {
    let wanted = cluster.spec.edge.ingress.as_ref()?;
    let name = names::ingress(cluster)?;
    let refuse = |reason, message| Some(Err(refuse(reason, message)));
    let class = wanted.class_name.clone().or_else(|| observed.ingress.as_ref().and_then(ingress::class_of));
    match (&observed.ingress, wanted.take_over) {
        (None, true) => {
            return refuse(
                Reason::IngressNotFound,
                format!(
                    "there is no Ingress {name} in this namespace to annotate; create it, or change edge.ingress"
                ),
            );
        }
        (Some(ingress), false) if !belongs_to(ingress, cluster) => {
            return refuse(
                Reason::IngressExists,
                format!(
                    "Ingress {name} exists already and is not ours; set edge.ingress to {{name: {name}, takeOver: \
                     true}} to have it annotated, or remove it"
                ),
            );
        }
        (Some(ingress), true)
            if ingress::taken_by(ingress)
                .is_some_and(|by| by != names::uid(cluster) && exists(&by, others)) =>
        {
            return refuse(
                Reason::IngressTaken,
                format!("Ingress {name} was taken over by another SocketIoCluster; delete that one first"),
            );
        }
        (Some(ingress), true) if !leads_to(ingress, &names::client_service(cluster)) => {
            return refuse(
                Reason::IngressElsewhere,
                format!(
                    "Ingress {name} does not lead to Service {}; let its backend be that Service, or take its own \
                     Service over with edge.service",
                    names::client_service(cluster)
                ),
            );
        }
        _ => {}
    }
    let Some(class) = class else {
        return refuse(
            Reason::NoIngressClass,
            format!("Ingress {name} names no IngressClass; set edge.ingress.className"),
        );
    };
    let found = match &observed.ingress_class {
        Some(Ok(found)) => Some(found),
        Some(Err(why)) => return refuse(Reason::IngressClassUnreadable, format!("{why}; it is tried again")),
        None => None,
    };
    let Some(found) = found else {
        return refuse(
            Reason::IngressClassNotFound,
            format!(
                "there is no IngressClass {class}; name one that `kubectl get ingressclass` lists, or create it"
            ),
        );
    };
    let controller = found.spec.as_ref().and_then(|spec| spec.controller.as_deref()).unwrap_or_default();
    match Provider::of_controller(controller) {
        Some(provider) => {
            let program = program(provider, &cluster.spec.edge);
            // Drift of the snippet in the operator's own Ingress is repaired, as that of any annotation is.
            if wanted.take_over
                && observed.ingress.as_ref().is_some_and(|ingress| has_own_snippet(ingress, &program))
            {
                return refuse(
                    Reason::IngressHasSnippet,
                    format!(
                        "Ingress {name} has a configuration-snippet of its own, which is not overwritten; remove it, \
                         or set edge.sessionAffinity.forwardedFor to Trusted"
                    ),
                );
            }
            Some(Ok(program))
        }
        None => refuse(
            Reason::UnknownController,
            format!(
                "IngressClass {class} is of controller {controller}, for which there are no annotations yet; take \
                 edge.ingress out, and let an Ingress of your own lead to Service {}",
                names::client_service(cluster)
            ),
        ),
    }
}

/// Returns true if the Ingress has a configuration-snippet of the user's own where `program` needs one.
fn has_own_snippet(ingress: &Ingress, program: &Program) -> bool {
    let live = ingress.annotations().get(SNIPPET_ANNOTATION);
    let written = ingress::original(ingress).unwrap_or_default().written;
    let wanted = program.annotations.get(SNIPPET_ANNOTATION);
    wanted.is_some() && live.is_some() && live != wanted && live != written.get(SNIPPET_ANNOTATION)
}

#[cfg(test)]
mod tests;
