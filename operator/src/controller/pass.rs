//! One pass over one object.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::events::EventType;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::apply::{self, Applied, apply};
use super::build::resource::{client_service, sidecar_secret};
use super::build::{self, Inputs, build};
use super::contest::{self, Contest};
use super::dereference::{Observed, dereference};
use super::error::Error;
use super::give_back::{self, give_back};
use super::names;
use super::patch_status::{patch_status, publish};
use super::plan::{Asks, PATIENCE, Plan, Route, Situation, decide, list};
use super::revisions;
use super::status::{ConditionType, Finding, Summary, conclude, step_reason};
use super::validate::{Refusal, Valid, has_several_pods, validate};
use super::workload::Workload;
use super::{Context, RESYNC, others};
use crate::crd::SocketIoCluster;
use crate::crd::v1alpha1::{AdapterType, DeletionPolicy, Mode, SocketIoClusterStatus, Step};
use crate::credentials::{Credentials, Terms};

/// How soon an object that cannot have its workload is looked at again.
const RIVAL: Duration = Duration::from_secs(15);

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
    let credentials = credentials(cluster, &observed, now)?;
    let pinned = pinned_image(cluster, &observed, context);
    let image = cluster.spec.sidecar.image.clone().unwrap_or_else(|| pinned.clone());
    let injected = valid.workload.is_injected(&cluster.name_any());
    let reverted = before.sidecar_image.is_some() && !injected;
    let contest = contest::judge(&before, cluster.metadata.generation, reverted, now);

    let mut plan = plan(cluster, &observed, &credentials, now)?;
    let inputs = Inputs {
        credentials: &credentials,
        image: &image,
        namespace: &context.settings.namespace,
        contested: contest.contested,
    };
    let resources = build(cluster, &observed, Some(&valid), &plan, inputs)?;
    let applied = apply(cluster, &observed, resources, context).await?;

    let status = progress(cluster, &observed, &plan, &applied.revision);
    if plan.waits_for.is_none() && status.applied_revision != status.revision {
        // It has just been written.
        plan.wait_for_pods();
    }
    let findings = findings(cluster, &observed, &valid, &plan, &contest, &applied);
    let summary = summarize(&findings, &plan, cluster.spec.mode);
    let status =
        SocketIoClusterStatus { sidecar_image: Some(pinned), injection_reverts: contest.reverts, ..status };
    let status = conclude(&before, status, cluster.metadata.generation, findings, &summary, now);
    patch_status(cluster, &status, context).await?;
    for object in &applied.repaired {
        let kind = object.kind.as_deref().unwrap_or_default();
        let name = object.name.as_deref().unwrap_or_default();
        let note = match kind == cluster.spec.workload_ref.kind.resource().kind {
            true => format!("the sidecar had been taken out of {kind} {name}, and was put in again"),
            false => format!("{kind} {name} had been changed or deleted, and was put back"),
        };
        publish(cluster, context, EventType::Normal, "Repaired", &note, Some(object)).await;
    }
    Ok(Action::requeue(plan.again.unwrap_or(RESYNC).min(RESYNC)))
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
    let credentials = credentials(cluster, observed, now)?;
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
    // That an older object is gone makes no pass of this one.
    let again = if refusal.condition == ConditionType::Accepted { RIVAL } else { RESYNC };
    let mut findings = vec![Finding::from(refusal)];
    if findings[0].condition > ConditionType::Accepted {
        findings.push(Finding::holds(ConditionType::Accepted, "Accepted", ""));
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
    let observed = dereference(cluster, context, now).await?;
    if cluster.spec.deletion_policy == DeletionPolicy::Retain {
        give_back::let_go(cluster, &observed, context).await?;
        return Ok(Action::await_change());
    }
    let credentials = credentials(cluster, &observed, now)?;
    let plan = plan(cluster, &observed, &credentials, now)?;
    let inputs = Inputs {
        credentials: &credentials,
        image: "",
        namespace: &context.settings.namespace,
        contested: false,
    };
    let resources = build(cluster, &observed, None, &plan, inputs)?;
    let given = give_back(cluster, &observed, resources, context).await;
    let overdue = is_overdue(&before, now);
    // A step is recorded when it was taken; the Ingress must be as it was only at the end.
    let mut failures = given.failures;
    failures.extend(given.edge.filter(|_| plan.release));
    if !overdue && !failures.is_empty() {
        return Err(failures.swap_remove(0));
    }
    if plan.release {
        give_back::release(cluster, &observed, context).await?;
        let (type_, note) = match failures.first() {
            None => (EventType::Normal, "everything is as it was before".to_owned()),
            Some(error) => (EventType::Warning, format!("something is not as it was before: {error}")),
        };
        publish(cluster, context, type_, "Released", &note, None).await;
        return Ok(Action::await_change());
    }
    let waits_for = plan.waits_for.clone().unwrap_or_default();
    let summary = Summary::Waiting(step_reason(plan.step), format!("being deleted; waits for {waits_for}"));
    let status = progress(cluster, &observed, &plan, &given.revision);
    let status = conclude(&before, status, cluster.metadata.generation, Vec::new(), &summary, now);
    patch_status(cluster, &status, context).await?;
    Ok(Action::requeue(plan.again.unwrap_or(RESYNC).min(RESYNC)))
}

/// Whether a deletion has tried for long enough to take its next step.
fn is_overdue(status: &SocketIoClusterStatus, now: Timestamp) -> bool {
    let since = status.step_since.as_ref().map_or(now, |since| since.0);
    Duration::try_from(now.duration_since(since)).unwrap_or_default() >= PATIENCE
}

/// The secrets that are in force, or the next ones where a change is due and nobody lags.
fn credentials(cluster: &SocketIoCluster, observed: &Observed, now: Timestamp) -> Result<Credentials, Error> {
    let terms =
        Terms { cluster: names::uid(cluster), certificate_days: cluster.spec.peers.certificate_days, now };
    let kept = observed.credentials_secret.as_ref().and_then(|secret| secret.data.as_ref());
    if let Some(kept) = kept.and_then(Credentials::from_data) {
        let status = cluster.status.clone().unwrap_or_default();
        let followed = status.step == Some(Step::Programmed) && status.applied_revision == status.revision;
        return Ok(kept.next(terms, followed)?.unwrap_or(kept));
    }
    // That of an earlier object of the same name holds nothing that this one's sidecars could use.
    let own = |secret: &&Secret| sidecar_secret::cluster_of(secret).as_deref() == Some(names::uid(cluster));
    let of_pods = observed.sidecar_secret.as_ref().filter(own).and_then(|secret| secret.data.as_ref());
    if let Some(data) = of_pods
        && let Some(recovered) = Credentials::recover(data, terms)?
    {
        return Ok(recovered);
    }
    Ok(Credentials::generate(terms)?)
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
    now: Timestamp,
) -> Result<Plan, Error> {
    let status = cluster.status.clone().unwrap_or_default();
    let recorded = status.step.zip(status.step_since.map(|since| since.0));
    let routed =
        observed.client_service.as_ref().is_some_and(|service| client_service::is_routed(service, cluster));
    let endpoints_agree = observed
        .client_service
        .as_ref()
        .is_some_and(|service| client_service::endpoints_agree(&observed.endpoints, service));
    let mut situation = Situation {
        recorded,
        deleting: cluster.metadata.deletion_timestamp.is_some(),
        routed,
        endpoints_agree,
        ready: observed.pods.ready(),
        without_sidecar: observed.pods.without_sidecar.clone(),
        injected: observed.pods.injected,
        rolled_out: observed.workload.as_ref().is_some_and(Workload::is_rolled_out),
        left_in_template: observed
            .workload
            .as_ref()
            .is_some_and(|workload| build::is_left(cluster, workload)),
        lagging: Vec::new(),
        drain: cluster.spec.drain.clone(),
        now,
    };
    if revisions::are_of_interest(cluster) {
        let (_, revision) = build::build_secret(cluster, observed, situation.current(), credentials)?;
        situation.lagging = revisions::lagging(&observed.pods.with_sidecar, &observed.reports, &revision);
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
        && revisions::lagging(&observed.pods.with_sidecar, &observed.reports, revision).is_empty();
    if same && all {
        status.applied_revision = Some(revision.to_owned());
    }
    status.revision = Some(revision.to_owned());
    status
}

fn pods(observed: &Observed) -> String {
    format!("{}/{}", observed.pods.with_sidecar.len(), observed.pods.all)
}

fn findings(
    cluster: &SocketIoCluster,
    observed: &Observed,
    valid: &Valid<'_>,
    plan: &Plan,
    contest: &Contest,
    applied: &Applied,
) -> Vec<Finding> {
    vec![
        Finding::holds(ConditionType::Accepted, "Accepted", ""),
        Finding::holds(ConditionType::ResolvedRefs, "Resolved", ""),
        injection(observed, contest, cluster),
        traffic(cluster, plan),
        edge(cluster, valid, applied),
        adapter(cluster, observed, valid),
    ]
}

fn injection(observed: &Observed, contest: &Contest, cluster: &SocketIoCluster) -> Finding {
    let condition = ConditionType::SidecarInjected;
    let pods = &observed.pods;
    if contest.contested {
        let workload = &cluster.spec.workload_ref.name;
        let message = format!(
            "the sidecar was taken out of {workload} twice within ten minutes, so it is not put in again; let the \
             tool that did it leave alone what field manager {} owns, then change anything in the spec of this \
             object to have it put in again",
            names::MANAGER
        );
        return Finding::fails(condition, "InjectionContested", message);
    }
    if !pods.without_sidecar.is_empty() || pods.ready() == 0 {
        let message = pods.trouble.clone().unwrap_or_else(|| match pods.ready() {
            0 => "no pod is ready".to_owned(),
            _ => format!("ready pods without a ready sidecar: {}", list(&pods.without_sidecar)),
        });
        let reason = if pods.trouble.is_some() { "SidecarNotReady" } else { "Injecting" };
        return Finding::fails(condition, reason, message);
    }
    Finding::holds(condition, "Injected", "")
}

fn traffic(cluster: &SocketIoCluster, plan: &Plan) -> Finding {
    let service = names::client_service(cluster);
    match plan.step.route() {
        Route::Sidecars if cluster.spec.edge.service.take_over => Finding::holds(
            ConditionType::TrafficRouted,
            "Routed",
            format!("Service {service} leads to the sidecars, and will be given back as it was"),
        ),
        Route::Sidecars => Finding::holds(
            ConditionType::TrafficRouted,
            "Routed",
            format!(
                "Service {service} leads to the sidecars; let clients and edges use it, none that leads to the \
                 application directly"
            ),
        ),
        Route::Application => Finding::fails(
            ConditionType::TrafficRouted,
            "Injecting",
            format!("Service {service} leads to the application until every ready pod has a sidecar"),
        ),
    }
}

fn edge(cluster: &SocketIoCluster, valid: &Valid<'_>, applied: &Applied) -> Finding {
    let condition = ConditionType::EdgeProgrammed;
    if let Some(error) = &applied.edge_refused {
        let requires = match &valid.edge {
            Some(Ok(program)) => program.requires,
            _ => "it is tried again",
        };
        return Finding::fails(condition, error.category(), format!("{error}. {requires}"));
    }
    match &valid.edge {
        None => Finding::holds(condition, "NoIngress", "no Ingress is asked for; any load balancer will do"),
        Some(Err(refusal)) => refusal.clone().into(),
        Some(Ok(program)) => {
            let ingress = names::ingress(cluster).unwrap_or_default();
            let caution = program.caution.map(|caution| format!(" {caution}")).unwrap_or_default();
            let message = format!("Ingress {ingress} is written. {}{caution}", program.requires);
            Finding::holds(condition, "Written", message)
        }
    }
}

fn adapter(cluster: &SocketIoCluster, observed: &Observed, valid: &Valid<'_>) -> Finding {
    let condition = ConditionType::AdapterDeclared;
    let several = has_several_pods(valid.workload, observed.pods.all);
    let declared = cluster.spec.adapter.as_ref();
    match declared.map(|adapter| adapter.r#type) {
        None if several => Finding::fails(
            condition,
            "NotDeclared",
            "several pods and no adapter: what one pod emits to a room, to all, or to a socket of another pod \
             does not arrive at clients of the other pods; give the application an adapter and say which in \
             spec.adapter, or say type: NotNeeded (see docs/adapters.md)",
        ),
        None => Finding::holds(condition, "OnePod", "with one pod, no adapter is needed"),
        Some(AdapterType::Cluster) if several => Finding::fails(
            condition,
            "SpansOnePod",
            "the cluster adapter passes events between the processes of one pod only; between pods it needs one \
             such as Redis (see docs/adapters.md)",
        ),
        Some(AdapterType::NotNeeded) => {
            Finding::holds(condition, "NotNeeded", "the application sends nothing to sockets of other pods")
        }
        Some(_) => {
            Finding::holds(condition, "Declared", "the application passes events between its pods itself")
        }
    }
}

fn summarize(findings: &[Finding], plan: &Plan, mode: Mode) -> Summary {
    // While pods are replaced one by one, that some have no sidecar yet is no failure.
    let failure = Summary::of_failure(findings);
    match (failure, &plan.waits_for) {
        (Some(Summary::Failed(reason, message)), _) if reason != "Injecting" => {
            Summary::Failed(reason, message)
        }
        (_, Some(waits_for)) => Summary::Waiting(step_reason(plan.step), format!("waits for {waits_for}")),
        (Some(Summary::Failed(reason, message)), None) => Summary::Waiting(reason, message),
        (_, None) => Summary::Ready(
            match mode {
                Mode::Enforce => "each request reaches the pod that owns its session",
                Mode::Observe => "requests pass as they come, and those that fail for their pod are counted",
                Mode::Off => "requests pass as they come",
            }
            .to_owned(),
        ),
    }
}
