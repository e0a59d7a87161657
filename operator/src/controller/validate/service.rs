//! The client Service: the operator's own, or a user's that is taken over by consent.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;

use super::{Refusal, exists, refuse};
use crate::controller::cluster::Cluster;
use crate::controller::condition::{Reason, list};
use crate::controller::names::CLUSTER_LABEL;
use crate::controller::observed::workload::Workload;
use crate::controller::observed::{Observed, service};
use crate::crd::Guarded;

/// The Service for clients and edges.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ClientService<'v> {
    /// The operator's own, with the workload's selector.
    Own(&'v BTreeMap<String, String>),
    /// A user's.
    TakenOver {
        /// The Service as it is.
        service: &'v Service,
        /// The first port that leads to the application.
        port: u16,
    },
}

/// Checks the client Service.
pub(super) fn check_service<'v>(
    cluster: &Cluster,
    observed: &'v Observed,
    workload: &'v Workload,
    others: &[Arc<Guarded>],
) -> Result<ClientService<'v>, Refusal> {
    let refuse = |reason, message| Err(refuse(reason, message));
    let wanted = &cluster.spec.edge.service;
    let name = &cluster.client_service;
    let port = cluster.spec.app.port;
    match (&observed.client_service, wanted.take_over) {
        (None, true) => refuse(
            Reason::ServiceNotFound,
            format!(
                "there is no Service {name} in this namespace to take over; create it, or delete this \
                 SocketIoCluster and make another with the right name, or without edge.service.takeOver"
            ),
        ),
        (Some(service), true) => {
            let Some(port) = service::port_to_application(service, workload, port) else {
                return refuse(
                    Reason::NoSuchPort,
                    format!(
                        "no port of Service {name} leads to port {port} of the pods; set app.port to the port that \
                         the application listens on, or let a port of the Service lead there"
                    ),
                );
            };
            let spec = service.spec.as_ref();
            if service::is_headless(service) {
                return refuse(
                    Reason::HeadlessService,
                    format!(
                        "Service {name} is headless: its clients find the pods by DNS and reach the application \
                         directly; name one that has a cluster IP in a new SocketIoCluster"
                    ),
                );
            }
            let selector = spec.and_then(|spec| spec.selector.as_ref());
            if !selector.is_some_and(|selector| workload.is_selected_by(selector)) {
                return refuse(
                    Reason::ServiceElsewhere,
                    format!(
                        "Service {name} does not select the pods of this workload; name one that does in a new \
                         SocketIoCluster, or correct its selector"
                    ),
                );
            }
            if !observed.other_pods.is_empty() {
                return refuse(
                    Reason::ServiceShared,
                    format!(
                        "Service {name} also selects pods that are not of this workload ({}), which would get no more \
                         traffic; give them a Service of their own",
                        list(&observed.other_pods)
                    ),
                );
            }
            match service::taken_by(service) {
                // One that is gone has left it as it was when it was told to retain.
                Some(by) if by != cluster.uid && exists(&by, others) => refuse(
                    Reason::ServiceTaken,
                    format!(
                        "Service {name} was taken over by another SocketIoCluster; delete that one first"
                    ),
                ),
                _ => Ok(ClientService::TakenOver { service, port }),
            }
        }
        (Some(service), false) if !cluster.owns(service) => refuse(
            Reason::ServiceExists,
            format!(
                "Service {name} exists already and is not ours; remove it, or set edge.service to {{name: {name}, \
                 takeOver: true}} in a new SocketIoCluster to have it lead to the sidecars"
            ),
        ),
        (_, false) => match workload.selector.match_labels.as_ref().filter(|labels| !labels.is_empty()) {
            Some(selector) => Ok(ClientService::Own(selector)),
            None => refuse(
                Reason::SelectorNotUsable,
                format!(
                    "the workload's selector has no matchLabels, which a Service needs; make a Service of your own and \
                     name it with edge.service.takeOver; its selector may be the label {CLUSTER_LABEL}"
                ),
            ),
        },
    }
}
