//! Configures an edge to send the requests of one client to one pod, where the spec asks for affinity.
//!
//! Pure. Affinity at the edge is a matter of efficiency: a request that comes to the wrong pod is
//! forwarded by its sidecar. So nothing here may cost correctness, and what it needs of an edge's own
//! settings is said, never assumed.

mod ingress_nginx;

use std::collections::BTreeMap;

use crate::crd::v1alpha1::Edge;

pub(crate) use ingress_nginx::SNIPPET_ANNOTATION;

/// The edges that can be programmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Provider {
    /// `kubernetes/ingress-nginx`.
    IngressNginx,
}

impl Provider {
    /// The one that an IngressClass with this `spec.controller` belongs to.
    pub(crate) fn of_controller(controller: &str) -> Option<Self> {
        match controller {
            ingress_nginx::CONTROLLER => Some(Self::IngressNginx),
            _ => None,
        }
    }
}

/// The configuration of an edge, and what the edge must allow for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    /// The annotations of the Ingress.
    pub(crate) annotations: BTreeMap<String, String>,
    /// Settings that the edge itself must have, and the consequence of other settings.
    pub(crate) requires: &'static str,
    /// A caution that holds even with these settings.
    pub(crate) caution: Option<&'static str>,
}

/// Returns how `edge` asks `provider` to send requests.
pub(crate) fn program(provider: Provider, edge: &Edge) -> Program {
    match provider {
        Provider::IngressNginx => ingress_nginx::program(&edge.session_affinity),
    }
}

#[cfg(test)]
mod tests {
    use super::Provider;

    #[test]
    fn an_edge_is_known_by_the_controller_of_its_class_and_by_nothing_less() {
        assert_eq!(Provider::of_controller("k8s.io/ingress-nginx"), Some(Provider::IngressNginx));
        for other in ["nginx.org/ingress-controller", "k8s.io/ingress-nginx-internal", "nginx", ""] {
            assert_eq!(Provider::of_controller(other), None, "{other}");
        }
    }
}
