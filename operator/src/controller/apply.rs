//! Step 5 of a pass, which needs a client: what was built is made so, where it is not so already.
//!
//! # Invariants
//! - Nothing is written that holds: see [`drift`](super::drift).
//! - The order of the writes is one in which the pass may be dropped, or the operator killed, after any of
//!   them: what something needs is written before it, and a Service is led elsewhere only by a step that
//!   saw its pods.
//! - [`Resources`] is taken apart without `..`, so that nothing that was built is forgotten here.

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ObjectReference, Secret, Service};
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::core::DynamicObject;
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::build::{IngressChange, Resources, ServiceChange};
use super::cluster::Cluster;
use super::context::Context;
use super::drift::{digest, holds};
use super::error::Error;
use super::names::{APPLIED_ANNOTATION, MANAGER, ORIGINAL_ANNOTATION};
use super::observed::Observed;
use super::plan::Route;
use super::validate::Validated;

/// A kind that is read and written here: the compiler knows it, and its objects are in a namespace.
pub(crate) trait Namespaced:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug
{
}

impl<K> Namespaced for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug
{
}

/// Objects that were applied: the only source of a status that says so.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    /// The revision of the configuration that the Secret holds now.
    pub(crate) revision: String,
    /// Objects that somebody else had changed or deleted, and that were repaired.
    pub(crate) repaired: Vec<ObjectReference>,
    /// Error of the Ingress, on which nothing else depends. It is never an outdated one, which the next pass resolves.
    pub(crate) edge_refused: Option<Error>,
}

/// Applies all of it. `reverted`: somebody had taken the sidecar out of the workload.
///
/// # Errors
/// The API server's. What was written until then stays, and the next pass goes on from there.
pub(crate) async fn apply(
    valid: &Validated<'_>,
    resources: Resources,
    reverted: bool,
    context: &Context,
) -> Result<Applied, Error> {
    let Validated { cluster, observed, .. } = valid;
    let Resources {
        credentials_secret,
        sidecar_secret,
        revision,
        peer_service,
        injection,
        client_service,
        ingress,
    } = resources;
    let mut applied = Applied { revision, ..Applied::default() };
    let known = cluster.status.as_ref().is_some_and(|status| status.step.is_some());
    let mut repaired = |what: Option<ObjectReference>| applied.repaired.extend(what.filter(|_| known));

    let own = &context.settings.namespace;
    repaired(ensure(context, own, credentials_secret, observed.credentials_secret.as_ref()).await?);
    repaired(ensure(context, &cluster.namespace, sidecar_secret, observed.sidecar_secret.as_ref()).await?);
    repaired(ensure(context, &cluster.namespace, peer_service, observed.peer_service.as_ref()).await?);
    let injected = match &injection {
        Some(patch) => inject(valid, patch, context).await?,
        None => false,
    };
    let named = &cluster.spec.workload_ref;
    let kind = named.kind.resource().kind;
    repaired((injected && reverted).then(|| reference(&kind, &cluster.namespace, &named.name)));
    match client_service {
        ServiceChange::Ours(service) => {
            repaired(ensure(context, &cluster.namespace, *service, observed.client_service.as_ref()).await?);
        }
        ServiceChange::Theirs(patch) => {
            let name = &cluster.client_service;
            merge::<Service>(context, &cluster.namespace, name, &patch).await?;
            let taken = patch["metadata"]["annotations"][ORIGINAL_ANNOTATION].is_string();
            repaired((taken && was_routed(cluster)).then(|| reference("Service", &cluster.namespace, name)));
        }
        ServiceChange::Leave => {}
    }
    match apply_ingress(valid, ingress, context).await {
        Ok(what) => repaired(what),
        Err(error) if error.is_outdated() => return Err(error),
        Err(error) => applied.edge_refused = Some(error),
    }
    Ok(applied)
}

/// Applies the Secrets alone, if they are this object's.
///
/// # Errors
/// The API server's.
pub(crate) async fn apply_secrets(
    cluster: &Cluster,
    observed: &Observed,
    credentials_secret: Secret,
    sidecar_secret: Secret,
    context: &Context,
) -> Result<(), Error> {
    if !observed.sidecar_secret.as_ref().is_some_and(|secret| cluster.owns(secret)) {
        return Ok(());
    }
    let own = &context.settings.namespace;
    ensure(context, own, credentials_secret, observed.credentials_secret.as_ref()).await?;
    ensure(context, &cluster.namespace, sidecar_secret, observed.sidecar_secret.as_ref()).await.map(drop)
}

fn reference(kind: &str, namespace: &str, name: &str) -> ObjectReference {
    ObjectReference {
        kind: Some(kind.to_owned()),
        namespace: Some(namespace.to_owned()),
        name: Some(name.to_owned()),
        ..ObjectReference::default()
    }
}

/// Returns true if the Service led to the sidecars before.
fn was_routed(cluster: &Cluster) -> bool {
    let step = cluster.status.as_ref().and_then(|status| status.step);
    step.is_some_and(|step| step.route() == Route::Sidecars)
}

async fn apply_ingress(
    valid: &Validated<'_>,
    change: IngressChange,
    context: &Context,
) -> Result<Option<ObjectReference>, Error> {
    let Validated { cluster, observed, .. } = valid;
    if observed.stale_ingress.is_some() {
        delete::<Ingress>(context, &cluster.namespace, &cluster.own_ingress).await?;
    }
    match change {
        IngressChange::Ours(ingress) => {
            let repaired = ensure(context, &cluster.namespace, *ingress, observed.ingress.as_ref()).await?;
            // One that is asked for only now was not deleted by anybody.
            Ok(repaired.filter(|_| observed.ingress.is_some()))
        }
        IngressChange::Theirs { name, patch } => {
            merge::<Ingress>(context, &cluster.namespace, &name, &patch).await?;
            Ok(None)
        }
        IngressChange::Leave => Ok(None),
    }
}

/// Applies an object of ours unless it is so already. Names it if somebody else had changed it.
///
/// # Errors
/// The API server's.
pub(crate) async fn ensure<K>(
    context: &Context,
    namespace: &str,
    desired: K,
    live: Option<&K>,
) -> Result<Option<ObjectReference>, Error>
where
    K: Namespaced + Serialize,
{
    let (kind, name) = (K::kind(&()).into_owned(), desired.name_any());
    let what = format!("{kind} {name}");
    let mut desired = serde_json::to_value(&desired).map_err(Error::unreadable(&what))?;
    let applied = digest(desired.to_string().as_bytes());
    desired["metadata"]["annotations"][APPLIED_ANNOTATION] = json!(applied);
    let live_value = serde_json::to_value(live).map_err(Error::unreadable(&what))?;
    if live.is_some() && holds(&desired, &live_value) {
        return Ok(None);
    }
    let api: Api<K> = Api::namespaced(context.client.clone(), namespace);
    // What is ours is ours: whoever changed a field of it does not keep it.
    let params = PatchParams::apply(MANAGER).force();
    api.patch(&name, &params, &Patch::Apply(&desired))
        .await
        .map_err(Error::api(format!("applying {what}")))?;
    context.metrics.write(&kind, "apply");
    let unchanged = live_value["metadata"]["annotations"][APPLIED_ANNOTATION] == json!(applied);
    Ok((live.is_none() || unchanged).then(|| reference(&kind, namespace, &name)))
}

/// Puts the sidecar into the workload, unless it is there. Returns true if that was written.
///
/// # Errors
/// The API server's.
async fn inject(valid: &Validated<'_>, patch: &Value, context: &Context) -> Result<bool, Error> {
    let Validated { cluster, workload, .. } = valid;
    if holds(patch, &workload.object) {
        return Ok(false);
    }
    let doing = format!("injecting the sidecar into {}", cluster.workload());
    let (api, name, kind) = workload_api(cluster, context);
    // Never forced: where another manager owns what we need, a person decides.
    let params = PatchParams::apply(MANAGER);
    if workload.holder() != Some(cluster.name.as_str()) {
        let dry_run = PatchParams { dry_run: true, ..params.clone() };
        api.patch(name, &dry_run, &Patch::Apply(patch)).await.map_err(Error::api(doing.as_str()))?;
    }
    api.patch(name, &params, &Patch::Apply(patch)).await.map_err(Error::api(doing.as_str()))?;
    context.metrics.write(&kind, "apply");
    Ok(true)
}

/// Takes the sidecar out of the workload.
///
/// # Errors
/// The API server's.
pub(crate) async fn remove_sidecar(
    cluster: &Cluster,
    removal: &Value,
    context: &Context,
) -> Result<(), Error> {
    let doing = format!("taking the sidecar out of {}", cluster.workload());
    let (api, name, kind) = workload_api(cluster, context);
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    api.patch(name, &params, &Patch::Merge(removal)).await.map_err(Error::api(doing))?;
    context.metrics.write(&kind, "patch");
    Ok(())
}

fn workload_api<'c>(cluster: &'c Cluster, context: &Context) -> (Api<DynamicObject>, &'c str, String) {
    let reference = &cluster.spec.workload_ref;
    let resource = reference.kind.resource();
    let api = Api::namespaced_with(context.client.clone(), &cluster.namespace, &resource);
    (api, &reference.name, resource.kind)
}

/// Merges a patch into an object of the user's own (RFC 7396).
///
/// # Errors
/// The API server's.
pub(crate) async fn merge<K>(
    context: &Context,
    namespace: &str,
    name: &str,
    patch: &Value,
) -> Result<(), Error>
where
    K: Namespaced,
{
    let kind = K::kind(&()).into_owned();
    let api: Api<K> = Api::namespaced(context.client.clone(), namespace);
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    api.patch(name, &params, &Patch::Merge(patch))
        .await
        .map_err(Error::api(format!("changing {kind} {name}")))?;
    context.metrics.write(&kind, "patch");
    Ok(())
}

/// Deletes it, if it is there.
///
/// # Errors
/// The API server's.
pub(crate) async fn delete<K>(context: &Context, namespace: &str, name: &str) -> Result<(), Error>
where
    K: Namespaced,
{
    let kind = K::kind(&()).into_owned();
    let api: Api<K> = Api::namespaced(context.client.clone(), namespace);
    match api.delete(name, &DeleteParams::default()).await {
        Ok(_) => context.metrics.write(&kind, "delete"),
        Err(kube::Error::Api(status)) if status.code == 404 => {}
        Err(error) => return Err(Error::api(format!("deleting {kind} {name}"))(error)),
    }
    Ok(())
}
