//! Reconciles an object in named steps. An object that is being deleted goes to [`release`](super::release).

use jiff::Timestamp;
use kube::runtime::controller::Action;
use kube::runtime::events::EventType;

use super::apply::{Applied, apply, apply_secrets};
use super::build::{self, build};
use super::cluster::Cluster;
use super::condition::{ConditionType, Finding, Reason};
use super::contest::{Injection, detect_contest};
use super::context::{Context, RESYNC, others};
use super::credentials;
use super::dereference::dereference;
use super::error::Error;
use super::finalizer::add_finalizer;
use super::names;
use super::next_resync::next_resync;
use super::observed::Observed;
use super::patch_status::{patch_status, publish};
use super::release::release;
use super::situation::plan;
use super::status::findings::{accepted, findings, summarize};
use super::status::progress::{pods, progress};
use super::status::{Summary, conclude};
use super::validate::{Refusal, validate};
use crate::crd::SocketIoCluster;
use crate::crd::v1alpha1::SocketIoClusterStatus;

/// Runs it. The status tells the outcome, an error too.
///
/// # Errors
/// The API server's, and credentials that cannot be made.
pub(super) async fn run(object: &SocketIoCluster, context: &Context) -> Result<Action, Error> {
    let now = Timestamp::now();
    let cluster = &Cluster::resolve(object)?;
    let outcome = match cluster.metadata.deletion_timestamp {
        None => reconcile(cluster, context, now).await,
        Some(_) => release(cluster, context, now).await,
    };
    if let Err(error) = &outcome
        && !error.is_outdated()
    {
        let before = cluster.status.clone().unwrap_or_default();
        let summary = Summary::of_error(error);
        let status =
            conclude(&before, before.clone(), cluster.metadata.generation, Vec::new(), &summary, now);
        // The first error is the one that counts.
        if let Err(error) = patch_status(cluster, &status, context).await {
            tracing::warn!(%error, "cannot say so in the status");
        }
    }
    outcome
}

async fn reconcile(cluster: &Cluster, context: &Context, now: Timestamp) -> Result<Action, Error> {
    let before = cluster.status.clone().unwrap_or_default();
    let observed = dereference(cluster, context, now).await?;
    let others = others(cluster, context);
    let valid = match validate(cluster, &observed, &others, &context.settings.sidecar_image) {
        Ok(valid) => valid,
        Err(refusal) => {
            renew(cluster, &observed, context, now).await?;
            return refuse(cluster, &observed, refusal, context, now).await;
        }
    };
    if add_finalizer(cluster, context).await? {
        return Ok(Action::requeue(RESYNC));
    }
    let credentials = credentials::due(cluster, &observed, now)?;
    let contest = detect_contest(&before, Injection::of(cluster, valid.workload), now);
    let mut plan = plan(cluster, &observed, &credentials, contest.contested, now)?;
    let resources = build(&valid, &plan, &credentials, &context.settings.namespace)?;
    let applied = apply(&valid, resources, contest.reverted, context).await?;

    let status = progress(cluster, &observed, &plan, &applied.revision, Timestamp::now());
    if plan.waits_for.is_none() && status.applied_revision != status.revision {
        // It has just been written.
        plan.wait_for_pods();
    }
    let findings = findings(&valid, &plan, &contest, &applied);
    let summary = summarize(cluster, &findings, &plan);
    let pinned_image = Some(valid.pinned_image.clone());
    let status = contest.record(SocketIoClusterStatus { sidecar_image: pinned_image, ..status });
    let status = conclude(&before, status, cluster.metadata.generation, findings, &summary, now);
    patch_status(cluster, &status, context).await?;
    tell_repairs(cluster, &applied, context).await;
    Ok(Action::requeue(plan.again.map_or_else(|| next_resync(cluster), |again| again.min(RESYNC))))
}

/// Publishes an Event for each object that somebody else had changed or deleted.
async fn tell_repairs(cluster: &Cluster, applied: &Applied, context: &Context) {
    for object in &applied.repaired {
        let kind = object.kind.as_deref().unwrap_or_default();
        let name = object.name.as_deref().unwrap_or_default();
        let note = match kind {
            _ if kind == cluster.spec.workload_ref.kind.resource().kind => {
                format!("the sidecar had been taken out of {kind} {name}, and was put in again")
            }
            "Service" if cluster.spec.edge.service.take_over && name == cluster.client_service => {
                format!(
                    "Service {name} led past the sidecars, which ends sessions that poll, and was led back to them; if a \
                     manifest is applied to it again and again, let it say targetPort: {}",
                    names::PROXY_PORT
                )
            }
            _ => format!("{kind} {name} had been changed or deleted, and was put back"),
        };
        publish(cluster, context, EventType::Normal, Reason::Repaired.as_str(), &note, Some(object)).await;
    }
}

/// Sees to it that the certificates of what is in place do not end while a refusal stands.
async fn renew(
    cluster: &Cluster,
    observed: &Observed,
    context: &Context,
    now: Timestamp,
) -> Result<(), Error> {
    let status = cluster.status.as_ref();
    let (Some(step), Some(_)) = (status.and_then(|status| status.step), &observed.sidecar_secret) else {
        return Ok(());
    };
    let credentials = credentials::due(cluster, observed, now)?;
    let (sidecar_secret, _) = build::build_secret(cluster, observed, step, &credentials)?;
    let credentials_secret =
        build::build_credentials_secret(cluster, &credentials, &context.settings.namespace)?;
    apply_secrets(cluster, observed, credentials_secret, sidecar_secret, context).await
}

/// Says why nothing is done. What is in place stays.
async fn refuse(
    cluster: &Cluster,
    observed: &Observed,
    refusal: Refusal,
    context: &Context,
    now: Timestamp,
) -> Result<Action, Error> {
    let before = cluster.status.clone().unwrap_or_default();
    // That the other object is gone is watched, but seen here a moment later.
    let again = refusal.reason.retry().unwrap_or_else(|| next_resync(cluster));
    let summary = Summary::Failed(refusal.reason, refusal.message.clone());
    let mut findings = vec![Finding::from(refusal)];
    if findings[0].condition > ConditionType::Accepted {
        findings.push(accepted(cluster));
    }
    let mut status = before.clone();
    status.pods = Some(pods(observed));
    let status = conclude(&before, status, cluster.metadata.generation, findings, &summary, now);
    patch_status(cluster, &status, context).await?;
    Ok(Action::requeue(again))
}
