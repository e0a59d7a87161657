//! Reconciles an object that is being deleted: what was taken over is restored step by step, then the object goes.

use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::events::EventType;

use super::build::build_release;
use super::cluster::Cluster;
use super::condition::Reason;
use super::context::{Context, RESYNC};
use super::credentials;
use super::dereference::dereference;
use super::error::Error;
use super::finalizer::remove_finalizer;
use super::names;
use super::next_resync::next_resync;
use super::patch_status::{patch_status, publish};
use super::restore::{self, restore};
use super::situation::plan;
use super::status::progress::progress;
use super::status::{Summary, conclude};
use crate::crd::v1alpha1::DeletionPolicy;

/// Restores what was taken over, step by step, then removes the finalizer.
///
/// # Errors
/// The API server's, and credentials that cannot be made.
pub(super) async fn release(cluster: &Cluster, context: &Context, now: Timestamp) -> Result<Action, Error> {
    let before = cluster.status.clone().unwrap_or_default();
    if !cluster.finalizers().iter().any(|finalizer| finalizer == names::FINALIZER) {
        return Ok(Action::await_change());
    }
    if restore::namespace_is_going(cluster, context).await {
        let has_own_secret = restore::has_own_secret(cluster, context).await?;
        remove_finalizer(cluster, has_own_secret, context).await?;
        return Ok(Action::await_change());
    }
    let observed = dereference(cluster, context, now).await?;
    if cluster.spec.deletion_policy == DeletionPolicy::Retain {
        remove_finalizer(cluster, observed.credentials_secret.is_some(), context).await?;
        return Ok(Action::await_change());
    }
    let credentials = credentials::in_force(cluster, &observed, now)?;
    let plan = plan(cluster, &observed, &credentials, false, now)?;
    let releases = build_release(cluster, &observed, plan.step, &credentials)?;
    let restored = restore(cluster, &observed, releases, context).await;
    // A step is recorded when it was taken; the Ingress must be as it was only at the end.
    let mut failures = restored.failures;
    failures.extend(restored.edge.filter(|_| plan.release));
    if !plan.overdue && !failures.is_empty() {
        return Err(failures.swap_remove(0));
    }
    if plan.release {
        restore::delete_own(cluster, &observed, context).await?;
        let (type_, note) = match failures.first() {
            None => (EventType::Normal, "everything is as it was before".to_owned()),
            Some(error) => (EventType::Warning, format!("something is not as it was before: {error}")),
        };
        publish(cluster, context, type_, Reason::Released.as_str(), &note, None).await;
        return Ok(Action::await_change());
    }
    let waits_for = plan.waits_for.clone().unwrap_or_default();
    let summary = Summary::Waiting(plan.step.reason(), format!("being deleted; waits for {waits_for}"));
    let status = progress(cluster, &observed, &plan, &restored.revision, Timestamp::now());
    let status = conclude(&before, status, cluster.metadata.generation, Vec::new(), &summary, now);
    patch_status(cluster, &status, context).await?;
    Ok(Action::requeue(plan.again.map_or_else(|| next_resync(cluster), |again| again.min(RESYNC))))
}
