//! What a pass found of each condition, and what that comes to: the sentences of the status. Pure.

use super::{ConditionType, Finding, Summary, step_reason};
use crate::controller::apply::Applied;
use crate::controller::contest::Contest;
use crate::controller::dereference::Observed;
use crate::controller::front;
use crate::controller::names;
use crate::controller::plan::{Asks, Plan, Route, list};
use crate::controller::validate::{Valid, has_several_pods};
use crate::controller::workload::Workload;
use crate::crd::SocketIoCluster;
use crate::crd::v1alpha1::{AdapterType, Mode};

/// What is found of every condition.
pub(crate) fn findings(
    cluster: &SocketIoCluster,
    observed: &Observed,
    valid: &Valid<'_>,
    plan: &Plan,
    contest: &Contest,
    applied: &Applied,
) -> Vec<Finding> {
    vec![
        accepted(cluster),
        resolved(cluster),
        injection(observed, contest, valid.workload, cluster),
        traffic(cluster, plan),
        edge(cluster, valid, applied),
        front::detect(cluster, observed.client_service.as_ref()).finding(&names::client_service(cluster)),
        adapter(cluster, observed, valid),
    ]
}

/// The workload as a person calls it.
fn workload(cluster: &SocketIoCluster) -> String {
    let reference = &cluster.spec.workload_ref;
    format!("{} {}", reference.kind.resource().kind, reference.name)
}

/// What is found of a spec that can be followed.
pub(crate) fn accepted(cluster: &SocketIoCluster) -> Finding {
    let message = format!("the spec can be followed on {}", workload(cluster));
    Finding::holds(ConditionType::Accepted, "Accepted", message)
}

fn resolved(cluster: &SocketIoCluster) -> Finding {
    let message = match cluster.spec.edge.service.take_over {
        true => {
            format!("{} and Service {} exist, and fit", workload(cluster), names::client_service(cluster))
        }
        false => format!("{} exists, and fits", workload(cluster)),
    };
    Finding::holds(ConditionType::ResolvedRefs, "Resolved", message)
}

fn injection(
    observed: &Observed,
    contest: &Contest,
    workload: &Workload,
    cluster: &SocketIoCluster,
) -> Finding {
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
    if pods.without_sidecar.is_empty() && pods.ready() > 0 {
        return Finding::holds(condition, "Injected", "every ready pod has a ready sidecar");
    }
    if let Some(trouble) = &pods.trouble {
        return Finding::fails(condition, "SidecarNotReady", trouble.clone());
    }
    if let Some(why) = workload.holds_back().filter(|_| !pods.without_sidecar.is_empty()) {
        let message = format!("{} does not replace its pods by itself: {why}", self::workload(cluster));
        return Finding::fails(condition, "RolloutHeldBack", message);
    }
    let old = match pods.ready() {
        0 => "no pod is ready".to_owned(),
        _ => format!("ready pods without the sidecar: {}", list(&pods.without_sidecar)),
    };
    let message = match &pods.unready {
        Some(unready) => format!("{unready}; {old}"),
        None => old,
    };
    Finding::fails(condition, "Injecting", message)
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

/// What all of it comes to.
pub(crate) fn summarize(cluster: &SocketIoCluster, findings: &[Finding], plan: &Plan) -> Summary {
    let failure = Finding::first_failure(findings).map(|failure| {
        let message = match failure.condition {
            // Ready is not all that somebody who reads it has in mind.
            ConditionType::EdgeProgrammed => {
                let service = names::client_service(cluster);
                format!("{}; traffic through Service {service} works without it", failure.message)
            }
            _ => failure.message.clone(),
        };
        (failure.reason, message)
    });
    match (failure, &plan.waits_for) {
        // While pods are replaced one by one, that some have no sidecar yet is no failure.
        (Some((reason, message)), _) if reason != "Injecting" => Summary::Failed(reason, message),
        (_, Some(waits_for)) => Summary::Waiting(step_reason(plan.step), format!("waits for {waits_for}")),
        (Some((reason, message)), None) => Summary::Waiting(reason, message),
        (None, None) => Summary::Ready(match cluster.spec.mode {
            Mode::Enforce => {
                let service = names::client_service(cluster);
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
