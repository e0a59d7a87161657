//! The Service for clients and edges: one of ours, or the user's own, which is taken over by consent.
//!
//! # Invariants
//! - Of a Service that was taken over, only the target ports that lead to the application and one label
//!   in the selector are changed. What they were stands in an annotation on it, written in the same
//!   patch, so that it can be given back whatever happens to the operator.
//! - Where the Service leads to sidecars, its selector asks for the label that pods with a sidecar have.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use serde_json::{Value, json};

use crate::controller::cluster::Cluster;
use crate::controller::names::{CLUSTER_LABEL, ORIGINAL_ANNOTATION, PROXY_PORT};
use crate::controller::observed::service::{Original, PROXY, is_labelled, key, original, ports, target};
use crate::controller::observed::workload::Workload;
use crate::controller::plan::Route;

/// Builds a Service of ours.
pub(crate) fn build_client_service(
    cluster: &Cluster,
    selector: &BTreeMap<String, String>,
    route: Route,
) -> Service {
    let mut selector = selector.clone();
    let target = match route {
        Route::Application => i32::from(cluster.spec.app.port),
        Route::Sidecars => {
            selector.insert(CLUSTER_LABEL.to_owned(), cluster.name.clone());
            i32::from(PROXY_PORT)
        }
    };
    Service {
        metadata: cluster.metadata_of(&cluster.client_service),
        spec: Some(ServiceSpec {
            selector: Some(selector),
            ports: Some(vec![ServicePort {
                name: Some("http".to_owned()),
                port: i32::from(cluster.spec.edge.service.port),
                target_port: Some(IntOrString::Int(target)),
                protocol: Some("TCP".to_owned()),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// Builds the merge patch that leads the user's Service to the sidecars. `None`: it does already.
pub(crate) fn build_take_over(service: &Service, cluster: &Cluster, workload: &Workload) -> Option<Value> {
    let mut was = original(service).map(|original| original.ports).unwrap_or_default();
    let ports: Vec<ServicePort> = ports(service)
        .map(|port| {
            let target = target(port);
            if target == PROXY {
                // What it was is lost with the annotation, or its number was changed since.
                was.entry(key(port)).or_insert(IntOrString::Int(cluster.spec.app.port.into()));
                return port.clone();
            }
            if !workload.leads_to(&target, cluster.spec.app.port) {
                return port.clone();
            }
            was.insert(key(port), target);
            ServicePort { target_port: Some(PROXY), ..port.clone() }
        })
        .collect();
    let original = Original { by: cluster.uid.clone(), ports: was };
    let patch = json!({
        "metadata": {"annotations": {ORIGINAL_ANNOTATION: serde_json::to_string(&original).ok()?}},
        "spec": {"ports": ports, "selector": {CLUSTER_LABEL: cluster.name}},
    });
    changes(service, patch)
}

/// Builds the merge patch that gives the user's Service back. `None`: it is as it was, or is another
/// object's. A port that leads to the sidecars and was not recorded is led to the application.
pub(crate) fn build_give_back(service: &Service, cluster: &Cluster) -> Option<Value> {
    let original = original(service);
    let ours = original.as_ref().is_some_and(|original| original.by == cluster.uid);
    if !ours && !is_labelled(service, cluster) {
        return None;
    }
    let was = original.map(|original| original.ports).unwrap_or_default();
    let application = IntOrString::Int(cluster.spec.app.port.into());
    let ports: Vec<ServicePort> = ports(service)
        .map(|port| match target(port) {
            PROXY => {
                let target = was.get(&key(port)).unwrap_or(&application).clone();
                ServicePort { target_port: Some(target), ..port.clone() }
            }
            _ => port.clone(),
        })
        .collect();
    let patch = json!({
        "metadata": {"annotations": {ORIGINAL_ANNOTATION: null}},
        "spec": {"ports": ports, "selector": {CLUSTER_LABEL: null}},
    });
    changes(service, patch)
}

/// The patch, unless it changes nothing. It holds for the version that it was made from only.
fn changes(service: &Service, mut patch: Value) -> Option<Value> {
    let live = serde_json::to_value(service).ok()?;
    let annotation = &patch["metadata"]["annotations"][ORIGINAL_ANNOTATION];
    let label = &patch["spec"]["selector"][CLUSTER_LABEL];
    let null = Value::Null;
    let same = live["spec"]["ports"] == patch["spec"]["ports"]
        && live["metadata"]["annotations"].get(ORIGINAL_ANNOTATION).unwrap_or(&null) == annotation
        && live["spec"]["selector"].get(CLUSTER_LABEL).unwrap_or(&null) == label;
    patch["metadata"]["resourceVersion"] = json!(service.resource_version());
    (!same).then_some(patch)
}

#[cfg(test)]
mod tests;
