//! Step 4 of a pass, pure: the objects that are to be, from what was found valid and the plan.

pub(crate) mod resource;

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Secret, Service};
use k8s_openapi::api::networking::v1::Ingress;
use serde_json::Value;

use super::cluster::Cluster;
use super::desired_config::desired_config;
use super::error::Error;
use super::observed::Observed;
use super::observed::workload::Workload;
use super::plan::{Plan, Route};
use super::validate::{ClientService, Edge, EdgeIngress, Validated};
use crate::crd::v1alpha1::Step;
use crate::credentials::Credentials;
use resource::{client_service, ingress, injection, peer_service, sidecar_secret, user_ingress};

/// Everything that is to be. It is applied in this order. It has no `Debug`: there are keys in it.
pub(crate) struct Resources {
    /// The operator's own Secret.
    pub(crate) credentials_secret: Secret,
    /// The sidecars' Secret.
    pub(crate) sidecar_secret: Secret,
    /// The revision of the sidecars' Secret.
    pub(crate) revision: String,
    /// The headless Service.
    pub(crate) peer_service: Service,
    /// The sidecar in the workload, for server-side apply. `None`: somebody else keeps taking it out.
    pub(crate) injection: Option<Value>,
    /// The change of the client Service.
    pub(crate) client_service: ServiceChange,
    /// The change of the Ingress.
    pub(crate) ingress: IngressChange,
}

/// Everything that a step of a release asks for. It has no `Debug`: there are keys in it.
pub(crate) struct Releases {
    /// The sidecars' Secret.
    pub(crate) sidecar_secret: Secret,
    /// The revision of the sidecars' Secret.
    pub(crate) revision: String,
    /// The change of the client Service.
    pub(crate) client_service: ServiceChange,
    /// The merge patch that takes the sidecar out of the workload.
    pub(crate) removal: Option<Value>,
    /// The change of the user's Ingress.
    pub(crate) ingress: IngressChange,
}

/// The change of the client Service.
#[derive(Debug)]
pub(crate) enum ServiceChange {
    /// Apply an object of the operator's own.
    Ours(Box<Service>),
    /// A merge patch of the user's own.
    Theirs(Value),
    /// No change: the Service is in its desired state, or there is none.
    Leave,
}

/// The change of the Ingress.
#[derive(Debug)]
pub(crate) enum IngressChange {
    /// Apply an object of the operator's own.
    Ours(Box<Ingress>),
    /// A merge patch of the user's own.
    Theirs {
        /// The name of the Ingress.
        name: String,
        /// The patch.
        patch: Value,
    },
    /// No change: the Ingress is in its desired state, there is none, or an object that it needs is missing.
    Leave,
}

/// Builds everything that is to be.
///
/// # Errors
/// Something cannot be written as JSON.
pub(crate) fn build(
    valid: &Validated<'_>,
    plan: &Plan,
    credentials: &Credentials,
    namespace: &str,
) -> Result<Resources, Error> {
    let Validated { cluster, observed, workload, service, edge, .. } = valid;
    let (secret, revision) = build_secret(cluster, observed, plan.step, credentials)?;
    let route = plan.step.route();
    let injection = match plan.writes_sidecar {
        true => Some(
            injection::build_injection(cluster, valid.image()).map_err(Error::unreadable("the sidecar"))?,
        ),
        false => None,
    };
    Ok(Resources {
        credentials_secret: build_credentials_secret(cluster, credentials, namespace)?,
        sidecar_secret: secret,
        revision,
        peer_service: peer_service::build_peer_service(cluster),
        injection,
        client_service: match service {
            ClientService::Own(selector) => ServiceChange::own(cluster, selector, route),
            ClientService::TakenOver { service, .. } => {
                ServiceChange::theirs(service, cluster, Some(workload), route)
            }
        },
        ingress: build_ingress(valid, edge.as_ref().and_then(|edge| edge.as_ref().ok())),
    })
}

/// Builds what a step of a release asks for. Objects that are gone are not built anew.
///
/// # Errors
/// Something cannot be written as JSON.
pub(crate) fn build_release(
    cluster: &Cluster,
    observed: &Observed,
    step: Step,
    credentials: &Credentials,
) -> Result<Releases, Error> {
    let (sidecar_secret, revision) = build_secret(cluster, observed, step, credentials)?;
    let route = step.route();
    let workload = observed.workload.as_ref();
    let selector = workload.and_then(|workload| workload.selector.match_labels.as_ref());
    let client_service = match (&observed.client_service, selector) {
        (Some(service), _) if cluster.spec.edge.service.take_over => {
            ServiceChange::theirs(service, cluster, workload, route)
        }
        (Some(service), Some(selector)) if cluster.owns(service) => {
            ServiceChange::own(cluster, selector, route)
        }
        _ => ServiceChange::Leave,
    };
    let removal = workload.filter(|workload| !step.keeps_sidecar() && is_left(cluster, workload));
    let taken = cluster.spec.edge.ingress.as_ref().is_some_and(|wanted| wanted.take_over);
    let ingress = match (&observed.ingress, &cluster.ingress) {
        // The user's own gets its annotations back, together with the Service.
        (Some(ingress), Some(name)) if taken && route == Route::Application => {
            IngressChange::theirs(name, user_ingress::build_give_back(ingress, cluster))
        }
        _ => IngressChange::Leave,
    };
    Ok(Releases {
        sidecar_secret,
        revision,
        client_service,
        removal: removal.map(|workload| injection::build_removal(&workload.object)),
        ingress,
    })
}

/// The operator's own Secret, in `namespace`, which is the operator's.
pub(crate) fn build_credentials_secret(
    cluster: &Cluster,
    credentials: &Credentials,
    namespace: &str,
) -> Result<Secret, Error> {
    Ok(Secret {
        metadata: kube::core::ObjectMeta {
            name: Some(cluster.credentials_secret.clone()),
            namespace: Some(namespace.to_owned()),
            labels: Some(cluster.labels()),
            ..kube::core::ObjectMeta::default()
        },
        data: Some(credentials.to_data()?),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    })
}

/// The sidecars' Secret in a step, and its revision.
pub(crate) fn build_secret(
    cluster: &Cluster,
    observed: &Observed,
    step: Step,
    credentials: &Credentials,
) -> Result<(Secret, String), Error> {
    let config = desired_config(cluster, observed, step, credentials)?;
    let secret = sidecar_secret::build_sidecar_secret(cluster, &config, credentials.files())
        .map_err(Error::unreadable("the sidecars' configuration"))?;
    Ok((secret, config.revision))
}

/// Returns true if the workload's template still has a part of the injection: the label, or a container that
/// another field manager holds on to.
pub(crate) fn is_left(cluster: &Cluster, workload: &Workload) -> bool {
    let injected = cluster.status.as_ref().is_some_and(|status| status.sidecar_image.is_some());
    injected && workload.has_part_of(&cluster.name)
}

impl ServiceChange {
    fn own(cluster: &Cluster, selector: &BTreeMap<String, String>, route: Route) -> Self {
        Self::Ours(Box::new(client_service::build_client_service(cluster, selector, route)))
    }

    fn theirs(service: &Service, cluster: &Cluster, workload: Option<&Workload>, route: Route) -> Self {
        let patch = match (route, workload) {
            (Route::Application, _) => client_service::build_give_back(service, cluster),
            (Route::Sidecars, Some(workload)) => client_service::build_take_over(service, cluster, workload),
            (Route::Sidecars, None) => None,
        };
        patch.map_or(Self::Leave, Self::Theirs)
    }
}

impl IngressChange {
    fn theirs(name: &str, patch: Option<Value>) -> Self {
        patch.map_or(Self::Leave, |patch| Self::Theirs { name: name.to_owned(), patch })
    }
}

fn build_ingress(valid: &Validated<'_>, edge: Option<&Edge<'_>>) -> IngressChange {
    let Some(Edge { name, program, ingress }) = edge else { return IngressChange::Leave };
    let cluster = valid.cluster;
    match ingress {
        EdgeIngress::TakenOver(ingress) => {
            IngressChange::theirs(name, user_ingress::build_take_over(ingress, cluster, program))
        }
        EdgeIngress::Own { class, wanted } => {
            IngressChange::Ours(Box::new(ingress::build_ingress(ingress::Parts {
                name,
                namespace: &cluster.namespace,
                labels: cluster.labels(),
                annotations: program.annotations.clone(),
                class_name: class,
                hosts: &wanted.hosts,
                tls_secret_name: wanted.tls_secret_name.as_deref(),
                service_name: &cluster.client_service,
                service_port: match valid.service {
                    ClientService::Own(_) => cluster.spec.edge.service.port,
                    ClientService::TakenOver { port, .. } => port,
                },
            })))
        }
    }
}

#[cfg(test)]
mod arbitrary;
#[cfg(test)]
mod tests;
