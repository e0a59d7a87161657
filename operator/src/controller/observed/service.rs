//! Questions to a Service: where it leads, and who has taken it over. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;
use serde::{Deserialize, Serialize};

use super::workload::Workload;
use crate::controller::cluster::Cluster;
use crate::controller::names::{CLUSTER_LABEL, ORIGINAL_ANNOTATION, PROXY_PORT};

/// The target port of a Service that leads to the sidecars.
pub(crate) const PROXY: IntOrString = IntOrString::Int(PROXY_PORT as i32);

/// The state of a Service before it was taken over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Original {
    /// The UID of the SocketIoCluster that took it.
    pub(crate) by: String,
    /// By port and protocol, the target ports that were changed.
    pub(crate) ports: BTreeMap<String, IntOrString>,
}

/// Returns true if a Service leads to the sidecars of `cluster`.
pub(crate) fn is_routed(service: &Service, cluster: &Cluster) -> bool {
    is_labelled(service, cluster) && ports(service).any(|port| port.target_port.as_ref() == Some(&PROXY))
}

/// Returns true if clients of the Service look the pods up themselves.
pub(crate) fn is_headless(service: &Service) -> bool {
    const NO_IP: &str = "None";
    service.spec.as_ref().is_some_and(|spec| spec.cluster_ip.as_deref() == Some(NO_IP))
}

/// Returns true if the selector of a Service asks for the sidecar of `cluster`.
pub(crate) fn is_labelled(service: &Service, cluster: &Cluster) -> bool {
    let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    selector.and_then(|selector| selector.get(CLUSTER_LABEL)) == Some(&cluster.name)
}

/// The first port of the user's Service that leads to the application, or did before it was taken over.
pub(crate) fn port_to_application(service: &Service, workload: &Workload, app_port: u16) -> Option<u16> {
    let mut ports = ports(service);
    let port = ports.find(|port| match target(port) {
        PROXY => true,
        target => workload.leads_to(&target, app_port),
    })?;
    u16::try_from(port.port).ok()
}

/// The UID of the SocketIoCluster that has taken the Service over.
pub(crate) fn taken_by(service: &Service) -> Option<String> {
    original(service).map(|original| original.by)
}

/// Returns true if the endpoints are those of the route: no ready one on another port than it asks for.
pub(crate) fn endpoints_agree(slices: &[EndpointSlice], service: &Service) -> bool {
    let wanted = ports(service).any(|port| port.target_port.as_ref() == Some(&PROXY));
    let numbers: Vec<i32> =
        slices.iter().flat_map(|slice| slice.ports.iter().flatten()).filter_map(|port| port.port).collect();
    let proxied = numbers.contains(&i32::from(PROXY_PORT));
    wanted == proxied && !numbers.is_empty()
}

/// The ports of a Service.
pub(crate) fn ports(service: &Service) -> impl Iterator<Item = &ServicePort> {
    service.spec.iter().flat_map(|spec| spec.ports.iter().flatten())
}

/// The target of a port; without one, the port of the same number.
pub(crate) fn target(port: &ServicePort) -> IntOrString {
    port.target_port.clone().unwrap_or(IntOrString::Int(port.port))
}

/// The name of a port in [`Original`].
pub(crate) fn key(port: &ServicePort) -> String {
    format!("{}/{}", port.port, port.protocol.as_deref().unwrap_or("TCP"))
}

/// The record of the take-over, if there is one.
pub(crate) fn original(service: &Service) -> Option<Original> {
    serde_json::from_str(service.annotations().get(ORIGINAL_ANNOTATION)?).ok()
}
