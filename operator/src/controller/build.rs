//! Step 4 of a pass, pure: the objects that are to be, from what was found valid and the plan.

pub(crate) mod resource;

use k8s_openapi::api::core::v1::{Secret, Service};
use k8s_openapi::api::networking::v1::Ingress;
use kube::ResourceExt;
use serde_json::Value;

use super::edge::Program;
use super::error::Error;
use super::front;
use super::names;
use super::observed::workload::Workload;
use super::observed::{Observed, service, sidecar_secret as in_secret};
use super::plan::{Asks, Plan, Route};
use super::validate::Valid;
use crate::crd::SocketIoCluster;
use crate::crd::v1alpha1::Step;
use crate::credentials::Credentials;
use resource::{client_service, ingress, injection, peer_service, sidecar_secret, user_ingress};

/// Everything that is to be. It is applied in this order. It has no `Debug`: there are keys in it.
pub(crate) struct Resources {
    /// The operator's own Secret.
    pub(crate) credentials_secret: Secret,
    /// The sidecars' Secret.
    pub(crate) sidecar_secret: Secret,
    /// Its revision.
    pub(crate) revision: String,
    /// The headless Service.
    pub(crate) peer_service: Service,
    /// What becomes of the workload.
    pub(crate) workload: WorkloadChange,
    /// What becomes of the client Service.
    pub(crate) client_service: ServiceChange,
    /// What becomes of the Ingress.
    pub(crate) ingress: IngressChange,
}

/// What becomes of the workload.
#[derive(Debug)]
pub(crate) enum WorkloadChange {
    /// The sidecar is in it: a patch for server-side apply.
    Inject(Value),
    /// It is taken out: a merge patch.
    Remove(Value),
    /// There is no workload, or somebody else keeps taking the sidecar out.
    Leave,
}

/// What becomes of the client Service.
#[derive(Debug)]
pub(crate) enum ServiceChange {
    /// One of ours.
    Ours(Box<Service>),
    /// A merge patch of the user's own.
    Theirs(Value),
    /// It is as it should be, or there is none.
    Leave,
}

/// What becomes of the Ingress.
#[derive(Debug)]
pub(crate) enum IngressChange {
    /// One of ours.
    Ours(Box<Ingress>),
    /// A merge patch of the user's own.
    Theirs(Value),
    /// It is as it should be, or there is none, or what it needs is not there.
    Leave,
}

/// What [`build`] depends on beside the objects.
#[derive(Clone, Copy)]
pub(crate) struct Inputs<'i> {
    /// The keys and certificates.
    pub(crate) credentials: &'i Credentials,
    /// The sidecar's image.
    pub(crate) image: &'i str,
    /// The operator's namespace.
    pub(crate) namespace: &'i str,
    /// Nothing more is injected: somebody else takes it out.
    pub(crate) contested: bool,
}

/// Builds all of it. Without `valid`, while deleting, it is given back.
///
/// # Errors
/// Something cannot be written as JSON.
pub(crate) fn build(
    cluster: &SocketIoCluster,
    observed: &Observed,
    valid: Option<&Valid<'_>>,
    plan: &Plan,
    inputs: Inputs<'_>,
) -> Result<Resources, Error> {
    let (secret, revision) = build_secret(cluster, observed, plan.step, inputs.credentials)?;
    let workload = observed.workload.as_ref();
    Ok(Resources {
        credentials_secret: build_credentials_secret(cluster, inputs.credentials, inputs.namespace)?,
        sidecar_secret: secret,
        revision,
        peer_service: peer_service::build_peer_service(cluster),
        workload: build_workload(cluster, workload, plan.step, inputs)?,
        client_service: build_service(cluster, observed, plan.step.route()),
        ingress: build_ingress(cluster, observed, valid, plan.step.route()),
    })
}

/// The operator's own Secret, in `namespace`, which is the operator's.
pub(crate) fn build_credentials_secret(
    cluster: &SocketIoCluster,
    credentials: &Credentials,
    namespace: &str,
) -> Result<Secret, Error> {
    Ok(Secret {
        metadata: kube::core::ObjectMeta {
            name: Some(names::credentials_secret(cluster)),
            namespace: Some(namespace.to_owned()),
            labels: Some(names::labels(cluster)),
            ..kube::core::ObjectMeta::default()
        },
        data: Some(credentials.to_data()?),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    })
}

/// The sidecars' Secret in a step, and its revision.
pub(crate) fn build_secret(
    cluster: &SocketIoCluster,
    observed: &Observed,
    step: Step,
    credentials: &Credentials,
) -> Result<(Secret, String), Error> {
    let before = observed.sidecar_secret.as_ref();
    let forwarded_for = front::decide_forwarded_for(
        cluster,
        observed.client_service.as_ref(),
        before.and_then(in_secret::config_of).as_ref(),
    );
    let mode = before.and_then(in_secret::mode_of);
    let config =
        sidecar_secret::build_config(cluster, forwarded_for, step.sessions(&cluster.spec.drain), mode);
    sidecar_secret::build_sidecar_secret(cluster, config, credentials.files())
        .map_err(Error::unreadable("the sidecars' configuration"))
}

fn build_workload(
    cluster: &SocketIoCluster,
    workload: Option<&Workload>,
    step: Step,
    inputs: Inputs<'_>,
) -> Result<WorkloadChange, Error> {
    let Some(workload) = workload else { return Ok(WorkloadChange::Leave) };
    Ok(match step {
        step if !step.injects() && is_left(cluster, workload) => {
            WorkloadChange::Remove(injection::build_removal(&workload.object))
        }
        // On the way out nothing is put in any more, nor while somebody keeps taking it out.
        step if step > Step::Programmed || inputs.contested => WorkloadChange::Leave,
        _ => WorkloadChange::Inject(
            injection::build_injection(cluster, inputs.image).map_err(Error::unreadable("the sidecar"))?,
        ),
    })
}

/// Whether something of this object is left in the workload's template: the label, or a container that
/// another field manager holds on to.
pub(crate) fn is_left(cluster: &SocketIoCluster, workload: &Workload) -> bool {
    let injected = cluster.status.as_ref().is_some_and(|status| status.sidecar_image.is_some());
    injected && workload.has_part_of(&cluster.name_any())
}

fn build_service(cluster: &SocketIoCluster, observed: &Observed, route: Route) -> ServiceChange {
    let theirs = cluster.spec.edge.service.take_over;
    let patch = match (&observed.client_service, &observed.workload, route) {
        (Some(service), _, Route::Application) if theirs => client_service::build_give_back(service, cluster),
        (Some(service), Some(workload), Route::Sidecars) if theirs => {
            client_service::build_take_over(service, cluster, workload)
        }
        (_, Some(workload), _) if !theirs => {
            let service = client_service::build_client_service(cluster, workload, route);
            return ServiceChange::Ours(Box::new(service));
        }
        _ => None,
    };
    patch.map_or(ServiceChange::Leave, ServiceChange::Theirs)
}

fn build_ingress(
    cluster: &SocketIoCluster,
    observed: &Observed,
    valid: Option<&Valid<'_>>,
    route: Route,
) -> IngressChange {
    let Some(wanted) = &cluster.spec.edge.ingress else { return IngressChange::Leave };
    let program = valid.and_then(|valid| valid.edge.as_ref());
    let patch = match (program, &observed.ingress) {
        // Being deleted: the user's own gets its annotations back, together with the Service.
        (None, Some(ingress)) if wanted.take_over && route == Route::Application => {
            user_ingress::build_give_back(ingress, cluster)
        }
        (Some(Ok(program)), Some(ingress)) if wanted.take_over => {
            user_ingress::build_take_over(ingress, cluster, program)
        }
        (Some(Ok(program)), _) if !wanted.take_over => {
            return build_own_ingress(cluster, observed, program);
        }
        _ => None,
    };
    patch.map_or(IngressChange::Leave, IngressChange::Theirs)
}

fn build_own_ingress(cluster: &SocketIoCluster, observed: &Observed, program: &Program) -> IngressChange {
    let Some(wanted) = &cluster.spec.edge.ingress else { return IngressChange::Leave };
    let port = match (&observed.client_service, &observed.workload) {
        (Some(service), Some(workload)) if cluster.spec.edge.service.take_over => {
            service::port_to_application(service, workload, cluster.spec.app.port)
        }
        _ => None,
    };
    IngressChange::Ours(Box::new(ingress::build_ingress(ingress::Parts {
        name: &names::own_ingress(cluster),
        namespace: &cluster.namespace().unwrap_or_default(),
        labels: names::labels(cluster),
        annotations: program.annotations.clone(),
        class_name: wanted.class_name.as_deref().unwrap_or_default(),
        hosts: &wanted.hosts,
        tls_secret_name: wanted.tls_secret_name.as_deref(),
        service_name: &names::client_service(cluster),
        service_port: port.unwrap_or(cluster.spec.edge.service.port),
    })))
}

#[cfg(test)]
mod arbitrary;
#[cfg(test)]
mod tests;
