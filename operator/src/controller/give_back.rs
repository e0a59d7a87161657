//! Step 5 of a pass over an object that is being deleted, which needs a client: what was taken is given
//! back, and at the end what was made is deleted.
//!
//! # Invariants
//! - Nothing is made here that is not there: a namespace that is being deleted takes nothing new.
//! - What cannot be given back keeps nothing else from it; the caller decides how long it is tried.

use k8s_openapi::api::core::v1::{Namespace, Secret, Service};
use k8s_openapi::api::networking::v1::Ingress;
use kube::{Api, ResourceExt};

use super::apply::{apply_workload, delete, ensure, merge, patch_finalizers};
use super::build::{IngressChange, Resources, ServiceChange};
use super::context::Context;
use super::error::Error;
use super::names::{self, FINALIZER, belongs_to};
use super::observed::Observed;
use crate::crd::SocketIoCluster;

/// What was given back, and what could not be.
#[derive(Debug, Default)]
pub(crate) struct GivenBack {
    /// The revision of the configuration that the Secret is to hold now.
    pub(crate) revision: String,
    /// What traffic depends on, and could not be changed.
    pub(crate) failures: Vec<Error>,
    /// Why the Ingress is not as it was.
    pub(crate) edge: Option<Error>,
}

/// Gives back what the step asks for.
pub(crate) async fn give_back(
    cluster: &SocketIoCluster,
    observed: &Observed,
    resources: Resources,
    context: &Context,
) -> GivenBack {
    let Resources {
        // The CA's key and the peers' Service are as they were until all is released.
        credentials_secret: _,
        peer_service: _,
        sidecar_secret,
        revision,
        workload,
        client_service,
        ingress,
    } = resources;
    let namespace = cluster.namespace().unwrap_or_default();
    let mut given = GivenBack { revision, ..GivenBack::default() };
    let mut keep = |outcome: Result<(), Error>| given.failures.extend(outcome.err());

    let secret = observed.sidecar_secret.as_ref().filter(|secret| belongs_to(*secret, cluster));
    if secret.is_some() {
        keep(ensure(context, &namespace, sidecar_secret, secret).await.map(drop));
    }
    let service = observed.client_service.as_ref().filter(|service| belongs_to(*service, cluster));
    match client_service {
        ServiceChange::Ours(change) if service.is_some() => {
            keep(ensure(context, &namespace, *change, service).await.map(drop));
        }
        ServiceChange::Theirs(patch) => {
            let name = names::client_service(cluster);
            keep(merge::<Service>(context, &namespace, &name, &patch).await);
        }
        ServiceChange::Ours(_) | ServiceChange::Leave => {}
    }
    keep(apply_workload(cluster, observed, workload, context).await.map(drop));
    if let IngressChange::Theirs(patch) = ingress {
        let name = names::ingress(cluster).unwrap_or_default();
        given.edge = merge::<Ingress>(context, &namespace, &name, &patch).await.err();
    }
    given
}

/// Deletes what was made, then lets the object go.
///
/// # Errors
/// The API server's.
pub(crate) async fn release(
    cluster: &SocketIoCluster,
    observed: &Observed,
    context: &Context,
) -> Result<(), Error> {
    let namespace = cluster.namespace().unwrap_or_default();
    for service in [&observed.client_service, &observed.peer_service].into_iter().flatten() {
        if belongs_to(service, cluster) {
            delete::<Service>(context, &namespace, &service.name_any()).await?;
        }
    }
    for ingress in [&observed.ingress, &observed.stale_ingress].into_iter().flatten() {
        if belongs_to(ingress, cluster) {
            delete::<Ingress>(context, &namespace, &ingress.name_any()).await?;
        }
    }
    if let Some(secret) = observed.sidecar_secret.as_ref().filter(|secret| belongs_to(*secret, cluster)) {
        delete::<Secret>(context, &namespace, &secret.name_any()).await?;
    }
    let_go(cluster, observed.credentials_secret.is_some(), context).await
}

/// Whether the object's namespace is being deleted: all that was taken goes with it, and so may the rights
/// to read that, while the finalizer would hold the namespace up. Where this cannot be read, it is not so.
pub(crate) async fn namespace_is_going(cluster: &SocketIoCluster, context: &Context) -> bool {
    let namespaces: Api<Namespace> = Api::all(context.client.clone());
    let read = namespaces.get(&cluster.namespace().unwrap_or_default()).await;
    read.is_ok_and(|namespace| namespace.metadata.deletion_timestamp.is_some())
}

/// Whether the operator's own Secret for this object is there: for a pass that reads nothing else.
///
/// # Errors
/// The API server's.
pub(crate) async fn has_own_secret(cluster: &SocketIoCluster, context: &Context) -> Result<bool, Error> {
    let name = names::credentials_secret(cluster);
    let secrets: Api<Secret> = Api::namespaced(context.client.clone(), &context.settings.namespace);
    let secret =
        secrets.get_metadata_opt(&name).await.map_err(Error::api(format!("reading Secret {name}")))?;
    Ok(secret.is_some())
}

/// Lets the object go, and leaves all that pods and traffic use. The operator's own Secret, which bears the
/// object's UID, is of no use to anybody then.
///
/// # Errors
/// The API server's.
pub(crate) async fn let_go(
    cluster: &SocketIoCluster,
    has_own_secret: bool,
    context: &Context,
) -> Result<(), Error> {
    // Only if it is there: an operator that is killed at every write gets on by one with each.
    if has_own_secret {
        delete::<Secret>(context, &context.settings.namespace, &names::credentials_secret(cluster)).await?;
    }
    let left: Vec<_> =
        cluster.finalizers().iter().filter(|finalizer| *finalizer != FINALIZER).cloned().collect();
    patch_finalizers(cluster, context, &left).await
}
