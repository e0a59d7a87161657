//! The finalizer, which keeps an object until everything is restored. Needs a client.

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use serde_json::json;

use super::apply::{delete, merge};
use super::cluster::Cluster;
use super::context::Context;
use super::error::Error;
use super::names::FINALIZER;
use crate::crd::SocketIoCluster;

/// Adds the finalizer, so that the object stays until everything is restored. Returns true if that was written,
/// which starts another reconcile.
///
/// # Errors
/// The API server's.
pub(crate) async fn add_finalizer(cluster: &Cluster, context: &Context) -> Result<bool, Error> {
    if cluster.finalizers().iter().any(|finalizer| finalizer == FINALIZER) {
        return Ok(false);
    }
    let finalizers: Vec<_> = cluster.finalizers().iter().cloned().chain([FINALIZER.to_owned()]).collect();
    patch_finalizers(cluster, context, &finalizers).await?;
    Ok(true)
}

/// Has the object keep these finalizers only.
///
/// # Errors
/// The API server's.
async fn patch_finalizers(cluster: &Cluster, context: &Context, finalizers: &[String]) -> Result<(), Error> {
    let patch = json!({
        "metadata": {"finalizers": finalizers, "resourceVersion": cluster.resource_version()},
    });
    merge::<SocketIoCluster>(context, &cluster.namespace, &cluster.name, &patch).await
}

/// Removes the finalizer, and leaves all that pods and traffic use. The operator's own Secret, which bears the
/// object's UID, is of no use to anybody then.
///
/// # Errors
/// The API server's.
pub(crate) async fn remove_finalizer(
    cluster: &Cluster,
    has_own_secret: bool,
    context: &Context,
) -> Result<(), Error> {
    // Only if it is there: an operator that is killed at every write gets on by one with each.
    if has_own_secret {
        delete::<Secret>(context, &context.settings.namespace, &cluster.credentials_secret).await?;
    }
    let left: Vec<_> =
        cluster.finalizers().iter().filter(|finalizer| *finalizer != FINALIZER).cloned().collect();
    patch_finalizers(cluster, context, &left).await
}
