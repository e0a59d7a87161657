//! A Service that was taken over comes back as it was.

use std::collections::BTreeMap;

use k8s_openapi::api::discovery::v1::EndpointSlice;

use super::*;
use crate::controller::fixtures::{cluster, cluster_with, workload, workload_with};
use crate::controller::observed::service::{endpoints_agree, is_routed, port_to_application};

fn service(ports: &Value) -> Service {
    serde_json::from_value(json!({
        "metadata": {"name": "chat", "resourceVersion": "1"},
        "spec": {"selector": {"app": "chat"}, "ports": ports},
    }))
    .unwrap()
}

/// As the API server merges (RFC 7396).
fn merged(service: &Service, patch: &Value) -> Service {
    fn merge(live: &mut Value, patch: &Value) {
        let (Value::Object(live), Value::Object(patch)) = (&mut *live, patch) else {
            *live = patch.clone();
            return;
        };
        for (key, value) in patch {
            if value.is_null() {
                live.remove(key);
            } else {
                merge(live.entry(key.clone()).or_insert_with(|| json!({})), value);
            }
        }
        live.retain(|_, value| *value != json!({}));
    }
    let mut live = serde_json::to_value(service).unwrap();
    merge(&mut live, patch);
    serde_json::from_value(live).unwrap()
}

fn selector() -> BTreeMap<String, String> {
    workload().selector.match_labels.unwrap()
}

fn theirs() -> Cluster {
    cluster_with(&json!({"edge": {"service": {"name": "chat", "takeOver": true, "port": 80}}}))
}

#[test]
fn only_ports_that_lead_to_the_application_are_taken_and_they_come_back() {
    for target in [json!(3000), json!("web"), Value::Null] {
        let port = if target.is_null() { 3000 } else { 80 };
        let before = service(&json!([
            {"name": "http", "port": port, "targetPort": target, "protocol": "TCP"},
            {"name": "metrics", "port": 9090, "targetPort": 9090, "protocol": "TCP"},
        ]));
        let patch = build_take_over(&before, &theirs(), &workload()).unwrap();
        let taken = merged(&before, &patch);
        assert!(is_routed(&taken, &theirs()), "{target}");
        let targets: Vec<_> = ports(&taken).map(super::target).collect();
        assert_eq!(targets, [PROXY, IntOrString::Int(9090)]);
        assert_eq!(taken.spec.as_ref().unwrap().selector.as_ref().unwrap()[CLUSTER_LABEL], "chat");
        assert_eq!(build_take_over(&taken, &theirs(), &workload()), None, "at rest nothing is written");
        assert_eq!(port_to_application(&taken, &workload(), 3000), Some(port));

        let back = merged(&taken, &build_give_back(&taken, &theirs()).unwrap());
        let mut expected = before.clone();
        if target.is_null() {
            // The API server fills it in, so it is always there.
            expected.spec.as_mut().unwrap().ports.as_mut().unwrap()[0].target_port =
                Some(IntOrString::Int(3000));
        }
        assert_eq!(back, expected);
        assert_eq!(build_give_back(&back, &theirs()), None);
    }
}

#[test]
fn a_manifest_that_is_applied_again_is_followed_and_what_it_said_comes_back() {
    let before = service(&json!([{"port": 80, "targetPort": 3000, "protocol": "TCP"}]));
    let taken = merged(&before, &build_take_over(&before, &theirs(), &workload()).unwrap());
    let mut applied_again = taken;
    let ports = applied_again.spec.as_mut().unwrap().ports.as_mut().unwrap();
    ports[0].target_port = Some(IntOrString::String("web".to_owned()));
    let repaired = merged(&applied_again, &build_take_over(&applied_again, &theirs(), &workload()).unwrap());
    assert!(is_routed(&repaired, &theirs()));
    let back = merged(&repaired, &build_give_back(&repaired, &theirs()).unwrap());
    assert_eq!(super::ports(&back).next().unwrap().target_port, Some(IntOrString::String("web".to_owned())));
}

#[test]
fn a_patch_holds_for_one_version_of_the_service() {
    let before = service(&json!([{"port": 80, "targetPort": 3000}]));
    assert_eq!(build_take_over(&before, &theirs(), &workload()).unwrap()["metadata"]["resourceVersion"], "1");
}

#[test]
fn a_port_that_was_not_recorded_is_given_back_to_the_application() {
    let before = service(&json!([{"port": 80, "targetPort": "web", "protocol": "TCP"}]));
    let taken = merged(&before, &build_take_over(&before, &theirs(), &workload()).unwrap());
    let mut renumbered = taken.clone();
    renumbered.spec.as_mut().unwrap().ports.as_mut().unwrap()[0].port = 8080;
    let mut cleaned = taken;
    cleaned.metadata.annotations = None;
    for changed in [renumbered, cleaned] {
        let adopted = build_take_over(&changed, &theirs(), &workload()).unwrap();
        assert!(is_routed(&merged(&changed, &adopted), &theirs()));
        let back = merged(&changed, &build_give_back(&changed, &theirs()).unwrap());
        assert_eq!(ports(&back).next().unwrap().target_port, Some(IntOrString::Int(3000)));
        assert!(!back.spec.unwrap().selector.unwrap().contains_key(CLUSTER_LABEL));
    }
}

#[test]
fn what_another_object_has_taken_is_not_given_back() {
    let before = service(&json!([{"port": 80, "targetPort": 3000, "protocol": "TCP"}]));
    let taken = merged(&before, &build_take_over(&before, &theirs(), &workload()).unwrap());
    let mut other = theirs();
    other.uid = "other".to_owned();
    other.name = "other".to_owned();
    assert_eq!(build_give_back(&taken, &other), None);
}

#[test]
fn a_service_that_leads_elsewhere_is_not_the_applications() {
    let elsewhere = service(&json!([{"port": 80, "targetPort": "admin"}, {"port": 90, "targetPort": 90}]));
    assert_eq!(port_to_application(&elsewhere, &workload(), 3000), None);
    let no_ports = workload_with(|object| {
        object["spec"]["template"]["spec"]["containers"][0]["ports"] = json!([]);
    });
    assert_eq!(
        port_to_application(&service(&json!([{"port": 80, "targetPort": "web"}])), &no_ports, 3000),
        None
    );
}

#[test]
fn a_service_of_ours_asks_for_pods_with_the_sidecar_only_when_it_leads_there() {
    let before = build_client_service(&cluster(), &selector(), Route::Application);
    let after = build_client_service(&cluster(), &selector(), Route::Sidecars);
    assert!(!is_routed(&before, &cluster()) && is_routed(&after, &cluster()));
    assert_eq!(before.metadata.name.as_deref(), Some("chat-socketio"));
    let selector = |service: &Service| service.spec.as_ref().unwrap().selector.clone().unwrap();
    assert_eq!(selector(&before), BTreeMap::from([("app".to_owned(), "chat".to_owned())]));
    assert_eq!(selector(&after)[CLUSTER_LABEL], "chat");
}

#[test]
fn endpoints_agree_when_they_are_on_the_port_that_the_service_asks_for() {
    let slices = |ports: &[i32]| -> Vec<EndpointSlice> {
        let ports: Vec<_> = ports.iter().map(|port| json!({"port": port})).collect();
        vec![serde_json::from_value(json!({"addressType": "IPv4", "endpoints": [], "ports": ports})).unwrap()]
    };
    let routed = build_client_service(&cluster(), &selector(), Route::Sidecars);
    let direct = build_client_service(&cluster(), &selector(), Route::Application);
    assert!(endpoints_agree(&slices(&[7900]), &routed));
    assert!(!endpoints_agree(&slices(&[3000]), &routed));
    assert!(endpoints_agree(&slices(&[3000]), &direct));
    assert!(!endpoints_agree(&slices(&[7900]), &direct));
    assert!(!endpoints_agree(&[], &routed));
}
