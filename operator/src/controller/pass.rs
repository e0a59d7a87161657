//! One pass over one object.

mod credentials;

use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::events::EventType;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::apply::{self, apply};
use super::build::{self, Inputs, build};
use super::condition::{ConditionType, Finding, Reason};
use super::contest;
use super::context::{Context, RESYNC, others};
use super::dereference::dereference;
use super::error::Error;
use super::give_back::{self, give_back};
use super::names;
use super::observed::workload::Workload;
use super::observed::{Observed, reports, service, sidecar_secret};
use super::patch_status::{patch_status, publish};
use super::plan::{Asks, Plan, Situation, decide, recorded};
use super::rest::rest;
use super::status::findings::{accepted, findings, summarize};
use super::status::{Summary, conclude};
use super::validate::{Refusal, validate};
use crate::crd::SocketIoCluster;
use crate::crd::v1alpha1::{DeletionPolicy, SocketIoClusterStatus};
use crate::credentials::Credentials;

/// Runs it. Whatever happens is said in the status, an error too.
pub(super) async fn run(cluster: &SocketIoCluster, context: &Context) -> Result<Action, Error> {
    let now = Timestamp::now();
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

async fn reconcile(cluster: &SocketIoCluster, context: &Context, now: Timestamp) -> Result<Action, Error> {
    let before = cluster.status.clone().unwrap_or_default();
    let observed = dereference(cluster, context, now).await?;
    let valid = match validate(cluster, &observed, &others(cluster, context)) {
        Ok(valid) => valid,
        Err(refusal) => {
            renew(cluster, &observed, context, now).await?;
            return refuse(cluster, &observed, refusal, context, now).await;
        }
    };
    if apply::hold(cluster, context).await? {
        return Ok(Action::requeue(RESYNC));
    }
    let credentials = credentials::due(cluster, &observed, now)?;
    let pinned = pinned_image(cluster, &observed, context);
    let image = cluster.spec.sidecar.image.clone().unwrap_or_else(|| pinned.clone());
    let contest = contest::judge(&before, contest::Injection::of(cluster, valid.workload), now);

    let mut plan = plan(cluster, &observed, &credentials, contest.contested, now)?;
    let inputs = Inputs {
        credentials: &credentials,
        image: &image,
        namespace: &context.settings.namespace,
        contested: contest.contested,
    };
    let resources = build(cluster, &observed, Some(&valid), &plan, inputs)?;
    let applied = apply(cluster, &observed, resources, contest.reverted, context).await?;

    let status = progress(cluster, &observed, &plan, &applied.revision);
    if plan.waits_for.is_none() && status.applied_revision != status.revision {
        // It has just been written.
        plan.wait_for_pods();
    }
    let findings = findings(cluster, &observed, &valid, &plan, &contest, &applied);
    let summary = summarize(cluster, &findings, &plan);
    let status = contest.record(SocketIoClusterStatus { sidecar_image: Some(pinned), ..status });
    let status = conclude(&before, status, cluster.metadata.generation, findings, &summary, now);
    patch_status(cluster, &status, context).await?;
    for object in &applied.repaired {
        let kind = object.kind.as_deref().unwrap_or_default();
        let name = object.name.as_deref().unwrap_or_default();
        let note = match kind {
            _ if kind == cluster.spec.workload_ref.kind.resource().kind => {
                format!("the sidecar had been taken out of {kind} {name}, and was put in again")
            }
            "Service" if cluster.spec.edge.service.take_over && name == names::client_service(cluster) => {
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
    Ok(Action::requeue(plan.again.map_or_else(|| rest(cluster), |again| again.min(RESYNC))))
}

/// Sees to it that the certificates of what is in place do not end while a refusal stands.
async fn renew(
    cluster: &SocketIoCluster,
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
    apply::apply_secrets(cluster, observed, credentials_secret, sidecar_secret, context).await
}

/// Says why nothing is done. What is in place stays.
async fn refuse(
    cluster: &SocketIoCluster,
    observed: &Observed,
    refusal: Refusal,
    context: &Context,
    now: Timestamp,
) -> Result<Action, Error> {
    let before = cluster.status.clone().unwrap_or_default();
    // That the other object is gone is watched, but seen here a moment later.
    let again = refusal.reason.retry().unwrap_or_else(|| rest(cluster));
    let mut findings = vec![Finding::from(refusal)];
    if findings[0].condition > ConditionType::Accepted {
        findings.push(accepted(cluster));
    }
    let summary = Summary::of_failure(&findings).unwrap_or_else(|| Summary::Ready(String::new()));
    let mut status = before.clone();
    status.pods = Some(pods(observed));
    let status = conclude(&before, status, cluster.metadata.generation, findings, &summary, now);
    patch_status(cluster, &status, context).await?;
    Ok(Action::requeue(again))
}

/// Gives back what was taken, step by step, then lets the object go.
async fn release(cluster: &SocketIoCluster, context: &Context, now: Timestamp) -> Result<Action, Error> {
    let before = cluster.status.clone().unwrap_or_default();
    if !cluster.finalizers().iter().any(|finalizer| finalizer == names::FINALIZER) {
        return Ok(Action::await_change());
    }
    if give_back::namespace_is_going(cluster, context).await {
        let has_own_secret = give_back::has_own_secret(cluster, context).await?;
        give_back::let_go(cluster, has_own_secret, context).await?;
        return Ok(Action::await_change());
    }
    let observed = dereference(cluster, context, now).await?;
    if cluster.spec.deletion_policy == DeletionPolicy::Retain {
        give_back::let_go(cluster, observed.credentials_secret.is_some(), context).await?;
        return Ok(Action::await_change());
    }
    let credentials = credentials::in_force(cluster, &observed, now)?;
    let plan = plan(cluster, &observed, &credentials, false, now)?;
    let inputs = Inputs {
        credentials: &credentials,
        image: "",
        namespace: &context.settings.namespace,
        contested: false,
    };
    let resources = build(cluster, &observed, None, &plan, inputs)?;
    let given = give_back(cluster, &observed, resources, context).await;
    // A step is recorded when it was taken; the Ingress must be as it was only at the end.
    let mut failures = given.failures;
    failures.extend(given.edge.filter(|_| plan.release));
    if !plan.overdue && !failures.is_empty() {
        return Err(failures.swap_remove(0));
    }
    if plan.release {
        give_back::release(cluster, &observed, context).await?;
        let (type_, note) = match failures.first() {
            None => (EventType::Normal, "everything is as it was before".to_owned()),
            Some(error) => (EventType::Warning, format!("something is not as it was before: {error}")),
        };
        publish(cluster, context, type_, Reason::Released.as_str(), &note, None).await;
        return Ok(Action::await_change());
    }
    let waits_for = plan.waits_for.clone().unwrap_or_default();
    let summary = Summary::Waiting(plan.step.into(), format!("being deleted; waits for {waits_for}"));
    let status = progress(cluster, &observed, &plan, &given.revision);
    let status = conclude(&before, status, cluster.metadata.generation, Vec::new(), &summary, now);
    patch_status(cluster, &status, context).await?;
    Ok(Action::requeue(plan.again.map_or_else(|| rest(cluster), |again| again.min(RESYNC))))
}

/// The image that pods get unless another one is asked for: the operator's at the time of the first
/// injection, so that an upgrade of the operator restarts nobody's pods.
fn pinned_image(cluster: &SocketIoCluster, observed: &Observed, context: &Context) -> String {
    let pinned = cluster.status.as_ref().and_then(|status| status.sidecar_image.clone());
    // Where the status was lost, pods that have one keep it.
    let has = || {
        let workload = observed.workload.as_ref()?;
        workload.sidecar().filter(|_| workload.is_injected(&cluster.name_any()))?.image.clone()
    };
    pinned.or_else(has).unwrap_or_else(|| context.settings.sidecar_image.clone())
}

fn plan(
    cluster: &SocketIoCluster,
    observed: &Observed,
    credentials: &Credentials,
    contested: bool,
    now: Timestamp,
) -> Result<Plan, Error> {
    let status = cluster.status.clone().unwrap_or_default();
    let recorded = recorded(&status);
    let routed = observed.client_service.as_ref().is_some_and(|service| service::is_routed(service, cluster));
    let endpoints_agree = observed
        .client_service
        .as_ref()
        .is_some_and(|service| service::endpoints_agree(&observed.endpoints, service));
    let mut situation = Situation {
        recorded,
        deleting: cluster.metadata.deletion_timestamp.is_some(),
        routed,
        endpoints_agree,
        ready: observed.pods.ready(),
        unready: observed.pods.unready.clone(),
        without_sidecar: observed.pods.without_sidecar.clone(),
        injected: observed.pods.injected,
        contested,
        rolled_out: observed.workload.as_ref().is_some_and(Workload::is_rolled_out),
        left_in_template: observed
            .workload
            .as_ref()
            .is_some_and(|workload| build::is_left(cluster, workload)),
        lagging: Vec::new(),
        drain: cluster.spec.drain.clone(),
        now,
    };
    if reports::are_of_interest(cluster) {
        let (_, revision) = build::build_secret(cluster, observed, situation.current(), credentials)?;
        situation.lagging = reports::lagging(&observed.pods.with_sidecar, &observed.reports, &revision);
    }
    Ok(decide(&situation))
}

/// The part of the status that the next pass goes by.
fn progress(
    cluster: &SocketIoCluster,
    observed: &Observed,
    plan: &Plan,
    revision: &str,
) -> SocketIoClusterStatus {
    let mut status = cluster.status.clone().unwrap_or_default();
    // After the writes: what a step waits for begins with them. A time that is yet to come is of a clock
    // that was wrong.
    let now = Timestamp::now();
    if status.step != Some(plan.step) || status.step_since.as_ref().is_none_or(|since| since.0 > now) {
        status.step = Some(plan.step);
        status.step_since = Some(Time(now));
    }
    status.pods = Some(pods(observed));
    status.edge = Some(match names::ingress(cluster).filter(|_| observed.ingress.is_some()) {
        Some(ingress) => format!("Ingress {ingress}"),
        None => format!("Service {}", names::client_service(cluster)),
    });
    let before = observed.sidecar_secret.as_ref().and_then(sidecar_secret::mode_of);
    let (mode, _) = plan.step.sessions(&cluster.spec.drain).told(cluster.spec.mode, before);
    status.mode = Some(mode);
    let same = status.revision.as_deref() == Some(revision);
    let all = !observed.pods.with_sidecar.is_empty()
        && reports::lagging(&observed.pods.with_sidecar, &observed.reports, revision).is_empty();
    if same && all {
        status.applied_revision = Some(revision.to_owned());
    }
    status.revision = Some(revision.to_owned());
    status
}

fn pods(observed: &Observed) -> String {
    format!("{}/{}", observed.pods.with_sidecar.len(), observed.pods.all)
}
