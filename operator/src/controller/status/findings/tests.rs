//! What a person reads in each situation.

use super::*;
use crate::controller::contest::{Injection, detect_contest};
use crate::controller::fixtures::{cluster_with, workload, workload_with};
use crate::controller::observed::pods::Pods;
use crate::controller::validate::{ClientService, Refusal};
use crate::crd::v1alpha1::{SocketIoClusterStatus, Step};
use jiff::Timestamp;
use serde_json::json;

fn plan(step: Step, waits_for: Option<&str>) -> Plan {
    let waits_for = waits_for.map(str::to_owned);
    Plan { step, writes_sidecar: false, waits_for, again: None, release: false, overdue: false }
}

fn found(
    spec: &serde_json::Value,
    pods: Pods,
    plan: &Plan,
    edge: Option<Refusal>,
) -> (Vec<Finding>, Summary) {
    let (cluster, workload) = (cluster_with(spec), workload());
    let observed = Observed { pods, workload: Some(workload.clone()), ..Observed::default() };
    let labels = std::collections::BTreeMap::default();
    let valid = Validated {
        cluster: &cluster,
        observed: &observed,
        workload: &workload,
        service: ClientService::Own(&labels),
        edge: edge.map(Err),
        pinned_image: String::new(),
    };
    let injection = Injection::of(&cluster, &workload);
    let contest = detect_contest(&SocketIoClusterStatus::default(), injection, Timestamp::UNIX_EPOCH);
    let findings = findings(&valid, plan, &contest, &Applied::default());
    let summary = summarize(&cluster, &findings, plan);
    (findings, summary)
}

fn all_ready() -> Pods {
    let pods = ["a", "b"].map(|name| (name.to_owned(), "10.0.0.1".to_owned()));
    Pods { all: 2, with_sidecar: pods.to_vec(), injected: 2, ..Pods::default() }
}

#[test]
fn every_condition_says_something() {
    for spec in [json!({}), json!({"edge": {"service": {"name": "front", "takeOver": true, "port": 80}}})] {
        let (findings, summary) = found(&spec, all_ready(), &plan(Step::Programmed, None), None);
        assert!(findings.iter().all(|finding| !finding.message.is_empty()), "{findings:#?}");
        assert!(matches!(summary, Summary::Ready(_)));
    }
    let (findings, _) = found(&json!({}), all_ready(), &plan(Step::Programmed, None), None);
    let messages: Vec<_> = findings.iter().take(3).map(|finding| finding.message.as_str()).collect();
    assert_eq!(
        messages,
        ["spec is valid for Deployment chat", "Deployment chat found", "every ready pod has a ready sidecar",]
    );
}

#[test]
fn what_only_the_edge_lacks_is_no_outage_and_the_summary_says_so() {
    let refusal = Refusal {
        reason: Reason::IngressClassNotFound,
        message: "there is no IngressClass nginx; create it".to_owned(),
    };
    let (_, summary) = found(&json!({}), all_ready(), &plan(Step::Programmed, None), Some(refusal));
    let expected =
        "there is no IngressClass nginx; create it; traffic through Service chat-socketio works without it";
    assert_eq!(summary, Summary::Failed(Reason::IngressClassNotFound, expected.to_owned()));
}

#[test]
fn while_pods_are_replaced_the_new_one_that_is_in_the_way_is_named_before_the_old_ones() {
    let pods = Pods {
        all: 2,
        without_sidecar: vec!["old".to_owned()],
        injected: 1,
        unready: Some("pod new is not ready (no node takes it)".to_owned()),
        ..Pods::default()
    };
    let (findings, summary) = found(&json!({}), pods, &plan(Step::Injecting, Some("it")), None);
    let injected = &findings[2];
    assert_eq!((injected.condition, injected.reason), (ConditionType::SidecarInjected, Reason::Injecting));
    let message = "pod new is not ready (no node takes it); ready pods without the sidecar: old";
    assert_eq!(injected.message, message);
    assert_eq!(summary, Summary::Waiting(Reason::Injecting, "waits for it".to_owned()));
}

#[test]
fn a_workload_that_keeps_its_old_pods_is_named_with_what_to_do_while_there_are_such_pods() {
    let held = [
        workload_with(|it| it["spec"]["paused"] = json!(true)),
        workload_with(|it| it["spec"]["updateStrategy"] = json!({"type": "OnDelete"})),
    ];
    let old = Pods { all: 2, without_sidecar: vec!["a".to_owned()], ..all_ready() };
    let cluster = cluster_with(&json!({}));
    for (workload, says) in held.iter().zip(["kubectl rollout resume", "delete its pods one after the other"])
    {
        let contest = detect_contest(
            &SocketIoClusterStatus::default(),
            Injection::of(&cluster, workload),
            Timestamp::UNIX_EPOCH,
        );
        let found =
            |pods: Pods| injection(&Observed { pods, ..Observed::default() }, &contest, workload, &cluster);
        let finding = found(old.clone());
        assert_eq!(finding.reason, Reason::RolloutHeldBack);
        assert!(finding.message.contains(says), "{}", finding.message);
        assert_eq!(found(all_ready()).reason, Reason::Injected);
    }
}

fn api_error(code: u16) -> Error {
    let status = kube::core::Status { code, ..kube::core::Status::default() };
    Error::api("changing Ingress chat")(kube::Error::Api(Box::new(status)))
}

#[test]
fn any_error_of_the_ingress_is_a_reason_of_edge_programmed() {
    let unreadable = Error::unreadable("Ingress chat")("it has no spec");
    for error in [0, 401, 403, 404, 422, 429, 500].map(api_error).into_iter().chain([unreadable]) {
        let expected = error.reason();
        let finding = edge_refused(&error, None);
        assert_eq!((finding.condition, finding.reason), (ConditionType::EdgeProgrammed, expected));
    }
}

#[test]
#[should_panic(expected = "Outdated is no reason of EdgeProgrammed")]
fn an_outdated_error_is_a_reason_of_no_condition() {
    edge_refused(&api_error(409), None);
}
