//! Tests of each step: the workload, the Service and the sidecars' configuration that it builds.

use jiff::Timestamp;
use serde_json::json;
use socketio_sidecar_core::config::{CONFIG_FILE, ForwardedFor, Settings, TAG_KEYS_FILE};

use super::*;
use crate::controller::fixtures::{changed, cluster_with, workload, workload_with};
use crate::controller::names::CLUSTER_LABEL;
use crate::controller::validate::validate;
use crate::crd::v1alpha1::SocketIoClusterStatus;
use crate::credentials::Terms;

fn credentials() -> Credentials {
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    Credentials::generate(Terms { cluster: "0e8f9f0a", certificate_days: 90, now }).unwrap()
}

fn theirs() -> Cluster {
    let cluster = cluster_with(&json!({"edge": {"service": {"name": "chat", "takeOver": true, "port": 80}}}));
    let status = SocketIoClusterStatus { sidecar_image: Some("sidecar:1".to_owned()), ..Default::default() };
    changed(&cluster, |object| object.status = Some(status))
}

fn built(step: Step, observed: &Observed, contested: bool) -> Resources {
    let writes_sidecar = step <= Step::Programmed && !contested;
    let plan = Plan { step, writes_sidecar, waits_for: None, again: None, release: false, overdue: false };
    let cluster = theirs();
    let valid = validate(&cluster, observed, &[], "sidecar:2").unwrap();
    build(&valid, &plan, &credentials(), "system").unwrap()
}

fn released(step: Step, observed: &Observed) -> Releases {
    build_release(&theirs(), observed, step, &credentials()).unwrap()
}

fn observed(injected: bool) -> Observed {
    let workload = match injected {
        false => workload(),
        true => workload_with(|object| {
            object["spec"]["template"]["metadata"]["labels"][CLUSTER_LABEL] = json!("chat");
            object["spec"]["template"]["spec"]["initContainers"] = json!([{"name": "socketio-sidecar"}]);
        }),
    };
    let service = json!({
        "metadata": {"name": "chat"},
        "spec": {"selector": {"app": "chat"}, "ports": [{"port": 80, "targetPort": 3000}]},
    });
    Observed {
        workload: Some(workload),
        client_service: Some(serde_json::from_value(service).unwrap()),
        ..Observed::default()
    }
}

#[test]
fn the_workload_has_the_sidecar_in_every_step_but_the_last() {
    assert!(built(Step::Injecting, &observed(false), false).injection.is_some());
    assert!(built(Step::Programmed, &observed(true), false).injection.is_some());
    assert!(released(Step::Uninjecting, &observed(true)).removal.is_some());
    assert!(released(Step::Uninjecting, &observed(false)).removal.is_none());
    // What another manager holds on to is left by server-side apply, and still has to go.
    let rest = workload_with(|object| {
        object["spec"]["template"]["spec"]["initContainers"] = json!([{"name": "socketio-sidecar"}]);
    });
    let rest = Observed { workload: Some(rest), ..Observed::default() };
    assert!(released(Step::Uninjecting, &rest).removal.is_some());
    let another = workload_with(|object| {
        object["spec"]["template"]["metadata"]["labels"][CLUSTER_LABEL] = json!("another");
        object["spec"]["template"]["spec"]["initContainers"] = json!([{"name": "socketio-sidecar"}]);
    });
    let another = Observed { workload: Some(another), ..Observed::default() };
    assert!(released(Step::Uninjecting, &another).removal.is_none());
    // A user who set another image owns that field; deleting must not fail on it. A release puts nothing in.
    assert!(released(Step::Draining, &observed(true)).removal.is_none());
    assert!(built(Step::Programmed, &observed(false), true).injection.is_none());
    assert!(released(Step::Uninjecting, &Observed::default()).removal.is_none());
}

#[test]
fn the_users_service_is_touched_only_by_steps_that_lead_it_elsewhere() {
    assert!(matches!(built(Step::Injecting, &observed(true), false).client_service, ServiceChange::Leave));
    for step in [Step::Settling, Step::Programmed] {
        assert!(matches!(built(step, &observed(true), false).client_service, ServiceChange::Theirs(_)));
    }
    for step in [Step::Draining, Step::Emptying] {
        assert!(matches!(released(step, &observed(true)).client_service, ServiceChange::Theirs(_)));
    }
    assert!(matches!(released(Step::RoutingBack, &observed(true)).client_service, ServiceChange::Leave));
}

#[test]
fn a_sidecar_reads_what_is_written_for_it_and_the_same_content_is_the_same_revision() {
    let credentials = credentials();
    let secret = |step| build_secret(&theirs(), &observed(true), step, &credentials).unwrap();
    let (programmed, revision) = secret(Step::Programmed);
    let data = programmed.data.unwrap();
    let settings = Settings::parse(&data[CONFIG_FILE].0, &data[TAG_KEYS_FILE].0).unwrap();
    assert_eq!(settings.config.revision, revision);
    assert_eq!(settings.config.cluster, "0e8f9f0a");
    assert_eq!(settings.config.close_over, None);
    assert_eq!(secret(Step::Programmed).1, revision);
    let (closing, other) = secret(Step::Closing);
    assert_ne!(other, revision);
    let data = closing.data.unwrap();
    let settings = Settings::parse(&data[CONFIG_FILE].0, &data[TAG_KEYS_FILE].0).unwrap();
    assert_eq!(settings.config.close_over, Some(30));
    assert_eq!(secret(Step::Emptying).1, other, "waiting is no change");
}

#[test]
fn a_missing_load_balancer_lets_no_client_name_itself() {
    let credentials = credentials();
    let forwarded_for = |observed: &Observed| {
        let (secret, _) = build_secret(&theirs(), observed, Step::Programmed, &credentials).unwrap();
        let forwarded_for =
            crate::controller::observed::sidecar_secret::config_of(&secret).unwrap().forwarded_for;
        (secret, forwarded_for)
    };
    let mut balancer = observed(true);
    balancer.client_service.as_mut().unwrap().spec.as_mut().unwrap().type_ = Some("LoadBalancer".to_owned());
    let (secret, before) = forwarded_for(&balancer);
    assert_eq!(before, Some(ForwardedFor::Replace));
    let missing = Observed { client_service: None, sidecar_secret: Some(secret), ..observed(true) };
    assert_eq!(forwarded_for(&missing).1, before);
}

#[test]
fn the_cas_key_is_in_the_operators_namespace_only() {
    let resources = built(Step::Programmed, &observed(true), false);
    let text = |secret: &Secret| {
        let data = secret.data.as_ref().unwrap();
        data.values().map(|value| String::from_utf8_lossy(&value.0).into_owned()).collect::<String>()
    };
    assert_eq!(resources.credentials_secret.metadata.namespace.as_deref(), Some("system"));
    assert_eq!(text(&resources.credentials_secret).matches("PRIVATE KEY-----").count(), 4);
    assert_eq!(text(&resources.sidecar_secret).matches("PRIVATE KEY-----").count(), 2);
}
