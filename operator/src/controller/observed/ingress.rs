//! Questions to an Ingress: its class, where it leads, and who has taken it over. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::Ingress;
use kube::ResourceExt;
use serde::{Deserialize, Serialize};

use crate::controller::names::ORIGINAL_ANNOTATION;

/// Annotations before the Ingress was taken over, and after.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Original {
    /// The UID of the SocketIoCluster that took it.
    pub(crate) by: String,
    /// By name: the value before, `None` where there was none.
    pub(crate) was: BTreeMap<String, Option<String>>,
    /// By name: the value that was written.
    pub(crate) written: BTreeMap<String, String>,
}

/// The class that an Ingress names, in its field or as it was done before there was one.
pub(crate) fn class_of(ingress: &Ingress) -> Option<String> {
    let field = ingress.spec.as_ref().and_then(|spec| spec.ingress_class_name.clone());
    field.or_else(|| ingress.annotations().get("kubernetes.io/ingress.class").cloned())
}

/// Returns true if some backend of the Ingress is that Service.
pub(crate) fn leads_to(ingress: &Ingress, service: &str) -> bool {
    let Some(spec) = &ingress.spec else { return false };
    let rules = spec.rules.iter().flatten().filter_map(|rule| rule.http.as_ref());
    let backends = rules.flat_map(|http| &http.paths).map(|path| &path.backend).chain(&spec.default_backend);
    backends.filter_map(|backend| backend.service.as_ref()).any(|backend| backend.name == service)
}

/// The UID of the SocketIoCluster that has taken it over.
pub(crate) fn taken_by(ingress: &Ingress) -> Option<String> {
    original(ingress).map(|original| original.by)
}

/// The record of the take-over, if there is one.
pub(crate) fn original(ingress: &Ingress) -> Option<Original> {
    serde_json::from_str(ingress.annotations().get(ORIGINAL_ANNOTATION)?).ok()
}
