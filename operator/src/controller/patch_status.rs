//! Step 7 of a pass, which needs a client: the status is written if it is another one, and an Event where
//! Ready or ClientAddressKnown changed.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::{Patch, PatchParams};
use kube::runtime::events::{Event, EventType};
use kube::{Api, Resource, ResourceExt};
use serde_json::json;

use super::cluster::Cluster;
use super::condition::{ConditionType, Reason};
use super::context::Context;
use super::error::Error;
use super::front::LOOPBACK;
use super::names::MANAGER;
use super::status::turned;
use crate::crd::SocketIoCluster;
use crate::crd::v1alpha1::SocketIoClusterStatus;

/// Writes `status`.
///
/// # Errors
/// The API server's. An Event that cannot be published is none: it is logged.
pub(crate) async fn patch_status(
    cluster: &Cluster,
    status: &SocketIoClusterStatus,
    context: &Context,
) -> Result<(), Error> {
    let before = cluster.status.clone().unwrap_or_default();
    if cluster.status.as_ref() == Some(status) {
        return Ok(());
    }
    let api: Api<SocketIoCluster> = Api::namespaced(context.client.clone(), &cluster.namespace);
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    // Fields that are not there any more are removed by saying so (RFC 7396).
    let mut patch = serde_json::to_value(status).map_err(Error::unreadable("the status"))?;
    let old = serde_json::to_value(&before).map_err(Error::unreadable("the status"))?;
    for name in old.as_object().into_iter().flat_map(|old| old.keys()) {
        if patch.get(name).is_none() {
            patch[name] = serde_json::Value::Null;
        }
    }
    let patch = json!({"status": patch, "metadata": {"resourceVersion": cluster.resource_version()}});
    api.patch_status(&cluster.name, &params, &Patch::Merge(&patch))
        .await
        .map_err(Error::api(format!("writing the status of SocketIoCluster {}", cluster.name)))?;
    context.metrics.write("SocketIoCluster/status", "patch");

    if let Some(condition) = turned(ConditionType::Ready, &before, status) {
        let good =
            condition.status == "True" || Reason::parse(&condition.reason).is_some_and(Reason::is_progress);
        let type_ = if good { EventType::Normal } else { EventType::Warning };
        publish(cluster, context, type_, &condition.reason, &condition.message, None).await;
    }
    // The first pass reports it, before traffic is led to the sidecars.
    if let Some(condition) = turned(ConditionType::ClientAddressKnown, &before, status) {
        let type_ = if condition.status == "True" { EventType::Normal } else { EventType::Warning };
        let note = format!("{}. {LOOPBACK}", condition.message);
        publish(cluster, context, type_, &condition.reason, &note, None).await;
    }
    Ok(())
}

/// Publishes an Event about the object, and what else it is about. Events that differ in their note only are
/// counted as one, with the first one's note.
pub(crate) async fn publish(
    cluster: &Cluster,
    context: &Context,
    type_: EventType,
    reason: &str,
    note: &str,
    related: Option<&ObjectReference>,
) {
    context.metrics.event(match type_ {
        EventType::Normal => "Normal",
        EventType::Warning => "Warning",
    });
    let event = Event {
        type_,
        reason: reason.to_owned(),
        // The API takes no more.
        note: Some(note.chars().take(1000).collect()),
        action: "Reconcile".to_owned(),
        secondary: related.cloned(),
    };
    if let Err(error) = context.recorder.publish(&event, &cluster.object_ref(&())).await {
        tracing::warn!(%error, reason, "cannot publish an Event");
    }
}
