//! What a pass found of each condition, and what that comes to: the sentences of the status. Pure.

use super::Summary;
use crate::controller::apply::Applied;
use crate::controller::cluster::Cluster;
use crate::controller::condition::{ConditionType, Finding, Reason, list};
use crate::controller::contest::Contest;
use crate::controller::error::Error;
use crate::controller::front;
use crate::controller::names;
use crate::controller::observed::Observed;
use crate::controller::observed::workload::Workload;
use crate::controller::plan::{Plan, Route};
use crate::controller::validate::{Edge, Validated};
use crate::crd::v1alpha1::{AdapterType, Mode};

/// What is found of every condition.
pub(crate) fn findings(
    valid: &Validated<'_>,
    plan: &Plan,
    contest: &Contest,
    applied: &Applied,
) -> Vec<Finding> {
    let Validated { cluster, observed, .. } = valid;
    vec![
        accepted(cluster),
        resolved(cluster),
        injection(observed, contest, valid.workload, cluster),
        traffic(cluster, plan),
        edge(valid, applied),
        front::detect(cluster, observed.client_service.as_ref()).finding(&cluster.client_service),
        adapter(valid),
    ]
}

/// The finding about a valid spec.
pub(crate) fn accepted(cluster: &Cluster) -> Finding {
    let message = format!("spec is valid for {}", cluster.workload());
    Finding::new(Reason::Accepted, message)
}

fn resolved(cluster: &Cluster) -> Finding {
    let message = match cluster.spec.edge.service.take_over {
        true => {
            format!("{} and Service {} found", cluster.workload(), cluster.client_service)
        }
        false => format!("{} found", cluster.workload()),
    };
    Finding::new(Reason::Resolved, message)
}

fn injection(observed: &Observed, contest: &Contest, workload: &Workload, cluster: &Cluster) -> Finding {
    let pods = &observed.pods;
    if contest.contested {
        let workload = &cluster.spec.workload_ref.name;
        let message = format!(
            "the sidecar was taken out of {workload} twice within ten minutes, so it is not put in again; let the \
             tool that did it leave alone what field manager {} owns, then change anything in the spec of this \
             object to have it put in again",
            names::MANAGER
        );
        return Finding::new(Reason::InjectionContested, message);
    }
    if pods.without_sidecar.is_empty() && pods.ready() > 0 {
        return Finding::new(Reason::Injected, "every ready pod has a ready sidecar");
    }
    if let Some(trouble) = &pods.trouble {
        return Finding::new(Reason::SidecarNotReady, trouble.clone());
    }
    if let Some(why) = workload.holds_back().filter(|_| !pods.without_sidecar.is_empty()) {
        let message = format!("{} does not replace its pods by itself: {why}", cluster.workload());
        return Finding::new(Reason::RolloutHeldBack, message);
    }
    let old = match pods.ready() {
        0 => "no pod is ready".to_owned(),
        _ => format!("ready pods without the sidecar: {}", list(&pods.without_sidecar)),
    };
    let message = match &pods.unready {
        Some(unready) => format!("{unready}; {old}"),
        None => old,
    };
    Finding::new(Reason::Injecting, message)
}

fn traffic(cluster: &Cluster, plan: &Plan) -> Finding {
    let service = &cluster.client_service;
    match plan.step.route() {
        Route::Sidecars if cluster.spec.edge.service.take_over => Finding::new(
            Reason::Routed,
            format!("Service {service} leads to the sidecars, and will be given back as it was"),
        ),
        Route::Sidecars => Finding::new(
            Reason::Routed,
            format!(
                "Service {service} leads to the sidecars; remove other Services that select the application's port"
            ),
        ),
        Route::Application => Finding::about(
            ConditionType::TrafficRouted,
            Reason::Injecting,
            format!("Service {service} leads to the application until every ready pod has a sidecar"),
        ),
    }
}

fn edge(valid: &Validated<'_>, applied: &Applied) -> Finding {
    if let Some(error) = &applied.edge_refused {
        let written = valid.edge.as_ref().and_then(|edge| edge.as_ref().ok());
        return edge_refused(error, written.map(|edge| edge.program.requires));
    }
    match &valid.edge {
        None => Finding::new(Reason::NoIngress, "no Ingress is asked for; any load balancer will do"),
        Some(Err(refusal)) => refusal.clone().into(),
        Some(Ok(Edge { name: ingress, program, .. })) => {
            let caution = program.caution.map(|caution| format!(" {caution}")).unwrap_or_default();
            let message = format!("Ingress {ingress} is written. {}{caution}", program.requires);
            Finding::new(Reason::Written, message)
        }
    }
}

/// `requires`: what the edge's own settings must allow.
fn edge_refused(error: &Error, requires: Option<&str>) -> Finding {
    let requires = requires.unwrap_or("it is tried again");
    Finding::about(ConditionType::EdgeProgrammed, error.reason(), format!("{error}. {requires}"))
}

fn adapter(valid: &Validated<'_>) -> Finding {
    let several = valid.workload.has_several_pods(valid.observed.pods.all);
    let declared = valid.cluster.spec.adapter.as_ref();
    match declared.map(|adapter| adapter.r#type) {
        None if several => Finding::new(
            Reason::NotDeclared,
            "several pods and no adapter: what one pod emits to a room, to all, or to a socket of another pod \
             does not arrive at clients of the other pods; give the application an adapter and say which in \
             spec.adapter, or say type: NotNeeded (see docs/adapters.md)",
        ),
        None => Finding::new(Reason::OnePod, "with one pod, no adapter is needed"),
        Some(AdapterType::Cluster) if several => Finding::new(
            Reason::SpansOnePod,
            "the cluster adapter passes events between the processes of one pod only; between pods it needs one \
             such as Redis (see docs/adapters.md)",
        ),
        Some(AdapterType::NotNeeded) => {
            Finding::new(Reason::NotNeeded, "the application sends nothing to sockets of other pods")
        }
        Some(_) => Finding::new(Reason::Declared, "the application passes events between its pods itself"),
    }
}

/// What all of it comes to.
pub(crate) fn summarize(cluster: &Cluster, findings: &[Finding], plan: &Plan) -> Summary {
    let failure = Finding::first_failure(findings).map(|failure| {
        let message = match failure.condition {
            // Ready is not all that somebody who reads it has in mind.
            ConditionType::EdgeProgrammed => {
                let service = &cluster.client_service;
                format!("{}; traffic through Service {service} works without it", failure.message)
            }
            _ => failure.message.clone(),
        };
        (failure.reason, message)
    });
    match (failure, &plan.waits_for) {
        // While pods are replaced one by one, that some have no sidecar yet is no failure.
        (Some((reason, message)), _) if !reason.is_progress() => Summary::Failed(reason, message),
        (_, Some(waits_for)) => Summary::Waiting(plan.step.reason(), format!("waits for {waits_for}")),
        (Some((reason, message)), None) => Summary::Waiting(reason, message),
        (None, None) => Summary::Ready(match cluster.spec.mode {
            Mode::Enforce => {
                let service = &cluster.client_service;
                format!("each request through Service {service} reaches the pod that owns its session")
            }
            Mode::Observe => {
                "requests pass as they come, and those that fail for their pod are counted".to_owned()
            }
            Mode::Off => "requests pass as they come".to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests;
