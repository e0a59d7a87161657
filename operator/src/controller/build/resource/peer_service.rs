//! The headless Service of the sidecars among themselves.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::controller::cluster::Cluster;
use crate::controller::names::{CLUSTER_LABEL, PEER_PORT};

/// Builds it. Pods that are going, or not ready yet, own sessions too, so it has them all.
pub(crate) fn build_peer_service(cluster: &Cluster) -> Service {
    Service {
        metadata: cluster.metadata_of(&cluster.peer_service),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            publish_not_ready_addresses: Some(true),
            selector: Some(BTreeMap::from([(CLUSTER_LABEL.to_owned(), cluster.name.clone())])),
            ports: Some(vec![ServicePort {
                name: Some("sio-peers".to_owned()),
                port: i32::from(PEER_PORT),
                target_port: Some(IntOrString::Int(i32::from(PEER_PORT))),
                protocol: Some("TCP".to_owned()),
                ..ServicePort::default()
            }]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}
