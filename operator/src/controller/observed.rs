//! The objects that a reconcile has read, and the questions asked of them. Pure, and on the ground floor: it knows
//! nothing of validation, of steps or of what is built.

pub(crate) mod ingress;
pub(crate) mod pods;
pub(crate) mod reports;
pub(crate) mod service;
pub(crate) mod sidecar_secret;
pub(crate) mod workload;

use k8s_openapi::api::core::v1::{Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};

use pods::Pods;
use reports::Reports;
use workload::Workload;

/// Everything that a reconcile has read. No `Debug`: there are keys in it.
#[derive(Default)]
pub(crate) struct Observed {
    /// The workload, if it exists.
    pub(crate) workload: Option<Workload>,
    /// The workload's pods.
    pub(crate) pods: Pods,
    /// Pods that a Service which is about to be taken over selects, and that are not the workload's.
    pub(crate) other_pods: Vec<String>,
    /// The client Service, ours or the user's.
    pub(crate) client_service: Option<Service>,
    /// Endpoints of the client Service, where they are of interest.
    pub(crate) endpoints: Vec<EndpointSlice>,
    /// The headless Service.
    pub(crate) peer_service: Option<Service>,
    /// The sidecars' Secret.
    pub(crate) sidecar_secret: Option<Secret>,
    /// The operator's own Secret for this object.
    pub(crate) credentials_secret: Option<Secret>,
    /// The Ingress that the spec asks for, ours or the user's.
    pub(crate) ingress: Option<Ingress>,
    /// An Ingress of ours that the spec does not ask for any more.
    pub(crate) stale_ingress: Option<Ingress>,
    /// The class that the spec names, or else the Ingress.
    pub(crate) ingress_class: Option<NamedClass>,
    /// Configurations that the sidecars of ready pods report as applied, where they are of interest.
    pub(crate) reports: Reports,
}

/// An IngressClass by its name.
#[derive(Debug, Clone)]
pub(crate) struct NamedClass {
    /// The name.
    pub(crate) name: String,
    /// The class, if it exists; or why it cannot be read.
    pub(crate) read: Result<Option<IngressClass>, String>,
}
