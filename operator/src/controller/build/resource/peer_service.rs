//! The headless Service of the sidecars among themselves.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;

use crate::controller::names::{self, CLUSTER_LABEL, PEER_PORT};
use crate::crd::SocketIoCluster;

/// Builds it. Pods that are going, or not ready yet, own sessions too, so it has them all.
pub(crate) fn build_peer_service(cluster: &SocketIoCluster) -> Service {
    Service {
        metadata: names::metadata(cluster, names::peer_service(cluster)),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            publish_not_ready_addresses: Some(true),
            selector: Some(BTreeMap::from([(CLUSTER_LABEL.to_owned(), cluster.name_any())])),
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
