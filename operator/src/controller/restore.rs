//! The writes of a release, which need a client: what was taken over is restored, and at the end what was made is
//! deleted.
//!
//! # Invariants
//! - Nothing is made here that is not there: a namespace that is being deleted takes nothing new.
//! - What cannot be restored keeps nothing else from it; the caller decides how long it is tried.

use k8s_openapi::api::core::v1::{Namespace, Secret, Service};
use k8s_openapi::api::networking::v1::Ingress;
use kube::{Api, ResourceExt};

use super::apply::{delete, ensure, merge, remove_sidecar};
use super::build::{IngressChange, Releases, ServiceChange};
use super::cluster::Cluster;
use super::context::Context;
use super::error::Error;
use super::finalizer::remove_finalizer;
use super::observed::Observed;
use crate::client::explain;

/// The outcome of the writes of a step.
#[derive(Debug, Default)]
pub(crate) struct Restored {
    /// The revision of the configuration that the Secret is to hold now.
    pub(crate) revision: String,
    /// Errors of changes that traffic depends on.
    pub(crate) failures: Vec<Error>,
    /// The error that kept the Ingress from being restored.
    pub(crate) edge: Option<Error>,
}

/// Restores what the step asks for.
pub(crate) async fn restore(
    cluster: &Cluster,
    observed: &Observed,
    releases: Releases,
    context: &Context,
) -> Restored {
    let Releases { sidecar_secret, revision, client_service, removal, ingress } = releases;
    let namespace = &cluster.namespace;
    let mut restored = Restored { revision, ..Restored::default() };
    let mut keep = |outcome: Result<(), Error>| restored.failures.extend(outcome.err());
    let secret = observed.sidecar_secret.as_ref().filter(|secret| cluster.owns(*secret));
    if secret.is_some() {
        keep(ensure(context, namespace, sidecar_secret, secret).await.map(drop));
    }
    match client_service {
        ServiceChange::Ours(change) => {
            keep(ensure(context, namespace, *change, observed.client_service.as_ref()).await.map(drop));
        }
        ServiceChange::Theirs(patch) => {
            keep(merge::<Service>(context, namespace, &cluster.client_service, &patch).await);
        }
        ServiceChange::Leave => {}
    }
    if let Some(removal) = removal {
        keep(remove_sidecar(cluster, &removal, context).await);
    }
    if let IngressChange::Theirs { name, patch } = ingress {
        restored.edge = merge::<Ingress>(context, namespace, &name, &patch).await.err();
    }
    restored
}

/// Deletes what was made, then removes the finalizer.
///
/// # Errors
/// The API server's.
pub(crate) async fn delete_own(
    cluster: &Cluster,
    observed: &Observed,
    context: &Context,
) -> Result<(), Error> {
    for service in [&observed.client_service, &observed.peer_service].into_iter().flatten() {
        if cluster.owns(service) {
            delete::<Service>(context, &cluster.namespace, &service.name_any()).await?;
        }
    }
    for ingress in [&observed.ingress, &observed.stale_ingress].into_iter().flatten() {
        if cluster.owns(ingress) {
            delete::<Ingress>(context, &cluster.namespace, &ingress.name_any()).await?;
        }
    }
    if let Some(secret) = observed.sidecar_secret.as_ref().filter(|secret| cluster.owns(*secret)) {
        delete::<Secret>(context, &cluster.namespace, &secret.name_any()).await?;
    }
    remove_finalizer(cluster, observed.credentials_secret.is_some(), context).await
}

/// Returns true if the object's namespace is being deleted: all that was taken goes with it, and so may the rights
/// to read that, while the finalizer would hold the namespace up. Where this cannot be read, it is not so.
pub(crate) async fn namespace_is_going(cluster: &Cluster, context: &Context) -> bool {
    let namespaces: Api<Namespace> = Api::all(context.client.clone());
    match namespaces.get(&cluster.namespace).await {
        Ok(namespace) => namespace.metadata.deletion_timestamp.is_some(),
        Err(error) => {
            tracing::warn!(error = explain(&error), "cannot read whether the namespace is being deleted");
            false
        }
    }
}

/// Returns true if the operator's own Secret for this object exists: for a reconcile that reads nothing else.
///
/// # Errors
/// The API server's.
pub(crate) async fn has_own_secret(cluster: &Cluster, context: &Context) -> Result<bool, Error> {
    let name = &cluster.credentials_secret;
    let secrets: Api<Secret> = Api::namespaced(context.client.clone(), &context.settings.namespace);
    let secret =
        secrets.get_metadata_opt(name).await.map_err(Error::api(format!("reading Secret {name}")))?;
    Ok(secret.is_some())
}
