//! The load balancer in front of the pods, as far as the spec and the Service tell: whose `X-Forwarded-For`
//! and the like the application may believe. Pure. The reasons stand in `docs/decisions/0012-*.md`.

use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt;
use socketio_sidecar_core::config;

use super::names;
use super::status::{ConditionType, Finding};
use crate::crd::SocketIoCluster;
use crate::crd::v1alpha1::ForwardedFor;

/// What stands in front, and how that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Front {
    /// `edge.forwardedFor` says what to do.
    Set(ForwardedFor),
    /// `edge.trustedProxies` names the HTTP proxies.
    Networks,
    /// `edge.trustedProxyCount` says how many HTTP proxies there are.
    Count(u8),
    /// An Ingress of this name. Its controller is an HTTP proxy.
    Ingress(String),
    /// A Service of type LoadBalancer, which forwards TCP.
    LoadBalancer,
    /// A Service of type LoadBalancer whose annotation makes it an HTTP proxy.
    HttpLoadBalancer(String),
    /// Nothing says.
    Unknown,
}

/// Finds out what stands in front. `service` is the client Service.
pub(crate) fn detect(cluster: &SocketIoCluster, service: Option<&Service>) -> Front {
    let edge = &cluster.spec.edge;
    if let Some(forwarded_for) = edge.forwarded_for {
        return Front::Set(forwarded_for);
    }
    if !edge.trusted_proxies.is_empty() {
        return Front::Networks;
    }
    if let Some(count) = edge.trusted_proxy_count {
        return Front::Count(count);
    }
    if let Some(ingress) = names::ingress(cluster) {
        return Front::Ingress(ingress);
    }
    match service {
        Some(service) if is_load_balancer(service) => match http_annotation(service) {
            Some(annotation) => Front::HttpLoadBalancer(annotation),
            None => Front::LoadBalancer,
        },
        // A NodePort or a ClusterIP may be behind anything.
        _ => Front::Unknown,
    }
}

/// The setting for the sidecars. `before` is the configuration that they have.
///
/// Without the Service that was taken over, its type is not known: nothing changes until the Service is back.
pub(crate) fn decide_forwarded_for(
    cluster: &SocketIoCluster,
    service: Option<&Service>,
    before: Option<&config::Config>,
) -> Option<config::ForwardedFor> {
    let front = detect(cluster, service);
    let is_missing = service.is_none() && cluster.spec.edge.service.take_over;
    match before {
        Some(before) if is_missing && front == Front::Unknown => before.forwarded_for,
        _ => front.forwarded_for(),
    }
}

fn is_load_balancer(service: &Service) -> bool {
    service.spec.as_ref().is_some_and(|spec| spec.type_.as_deref() == Some("LoadBalancer"))
}

/// Values of an annotation that make a load balancer an HTTP proxy.
enum Values {
    /// Those that name HTTP or HTTPS, alone or in a list with ports.
    Http,
    /// `true`.
    True,
    /// Any value: the annotation lists the ports that speak HTTP.
    Any,
}

/// The annotations that make a cloud's load balancer an HTTP proxy. Names are exact: a name that is only similar may
/// be about the pods (`cloud.google.com/app-protocols`) or about another proxy (`projectcontour.io/upstream-protocol.tls`).
const HTTP_ANNOTATIONS: [(&str, Values); 10] = [
    ("kubernetes.io/elb.protocol-port", Values::Http),
    ("load-balancer.hetzner.cloud/protocol", Values::Http),
    ("loadbalancer.openstack.org/x-forwarded-for", Values::True),
    ("service.beta.kubernetes.io/alibaba-cloud-loadbalancer-protocol-port", Values::Http),
    ("service.beta.kubernetes.io/aws-load-balancer-backend-protocol", Values::Http),
    ("service.beta.kubernetes.io/do-loadbalancer-protocol", Values::Http),
    ("service.beta.kubernetes.io/linode-loadbalancer-default-protocol", Values::Http),
    ("service.beta.kubernetes.io/oci-load-balancer-backend-protocol", Values::Http),
    ("service.beta.kubernetes.io/scw-loadbalancer-protocol-http", Values::Any),
    ("service.beta.kubernetes.io/vultr-loadbalancer-protocol", Values::Http),
];

/// The annotation that makes the load balancer an HTTP proxy.
fn http_annotation(service: &Service) -> Option<String> {
    let annotations = service.annotations();
    let found = HTTP_ANNOTATIONS.iter().find(|(name, values)| {
        annotations.get(*name).is_some_and(|value| match values {
            Values::Http => value.to_ascii_lowercase().contains("http"),
            Values::True => value.eq_ignore_ascii_case("true"),
            Values::Any => true,
        })
    });
    found.map(|(name, _)| (*name).to_owned())
}

impl Front {
    /// The setting for the sidecars. The default is not written, so that older sidecars can read the rest.
    fn forwarded_for(&self) -> Option<config::ForwardedFor> {
        use config::ForwardedFor::{Append, Preserve, Replace};
        match self {
            Self::Set(ForwardedFor::Append) => Some(Append),
            Self::Set(ForwardedFor::Replace) | Self::LoadBalancer | Self::Count(0) => Some(Replace),
            Self::Set(ForwardedFor::Preserve)
            | Self::Count(_)
            | Self::Ingress(_)
            | Self::HttpLoadBalancer(_)
            | Self::Unknown => Some(Preserve),
            Self::Networks => None,
        }
    }

    /// What a user has to know before traffic is led to the sidecars.
    pub(crate) fn finding(&self, service: &str) -> Finding {
        let condition = ConditionType::ClientAddressKnown;
        let replaced = "X-Forwarded-*, X-Real-IP and Forwarded of clients are removed; X-Forwarded-For and X-Real-IP \
                        are set to the address of the connection";
        let (reason, message) = match self {
            Self::Set(set) => ("AsConfigured", format!("edge.forwardedFor is {set:?}")),
            Self::Networks => (
                "ProxiesTrusted",
                format!("X-Forwarded-* pass unchanged from edge.trustedProxies; from all others {replaced}"),
            ),
            Self::Count(0) => ("NoProxy", format!("edge.trustedProxyCount is 0: {replaced}")),
            Self::Count(count) => {
                ("ProxiesTrusted", format!("X-Forwarded-* pass unchanged: edge.trustedProxyCount is {count}"))
            }
            Self::Ingress(ingress) => (
                "IngressInFront",
                format!("X-Forwarded-* pass unchanged, as the edge of Ingress {ingress} sends them"),
            ),
            Self::LoadBalancer => (
                "LoadBalancerInFront",
                format!(
                    "Service {service} is of type LoadBalancer and forwards TCP: {replaced}; if an HTTP proxy stands in \
                     front, set edge.trustedProxies or edge.trustedProxyCount"
                ),
            ),
            Self::HttpLoadBalancer(annotation) => (
                "LoadBalancerInFront",
                format!(
                    "X-Forwarded-* pass unchanged: annotation {annotation} makes the load balancer an HTTP proxy"
                ),
            ),
            Self::Unknown => {
                let message = format!(
                    "nothing says which proxy is in front of Service {service}, so X-Forwarded-* of clients pass \
                     unchanged; an application that trusts loopback believes them; set edge.trustedProxies, or \
                     edge.trustedProxyCount (0 for none). {LOOPBACK}"
                );
                return Finding::fails(condition, "EdgeUnknown", message);
            }
        };
        Finding::holds(condition, reason, format!("{message}. {LOOPBACK}"))
    }
}

/// Holds for every kind of edge.
const LOOPBACK: &str = "To the application every connection comes from 127.0.0.1, socket.handshake.address too; read \
                        the client's address from X-Forwarded-For (docs/client-address.md)";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::fixtures::cluster_with;
    use serde_json::{Value, json};

    fn service(type_: &str, annotations: &Value) -> Service {
        let service = json!({"metadata": {"annotations": annotations}, "spec": {"type": type_}});
        serde_json::from_value(service).unwrap()
    }

    fn told(edge: &Value, service: Option<&Service>) -> (Option<config::ForwardedFor>, &'static str, bool) {
        let front = detect(&cluster_with(&json!({"edge": edge})), service);
        let finding = front.finding("chat");
        assert!(finding.message.contains("socket.handshake.address"), "{}", finding.message);
        (front.forwarded_for(), finding.reason, finding.holds)
    }

    #[test]
    fn the_kind_of_edge_follows_from_the_spec_and_then_from_the_service() {
        use config::ForwardedFor::{Append, Preserve, Replace};
        let (balancer, cluster_ip) = (service("LoadBalancer", &json!({})), service("ClusterIP", &json!({})));
        let node_port = service("NodePort", &json!({}));
        let ingress = json!({"className": "nginx"});
        for (edge, service, forwarded_for, reason, holds) in [
            (json!({}), None, Some(Preserve), "EdgeUnknown", false),
            (json!({}), Some(&cluster_ip), Some(Preserve), "EdgeUnknown", false),
            (json!({}), Some(&node_port), Some(Preserve), "EdgeUnknown", false),
            (json!({}), Some(&balancer), Some(Replace), "LoadBalancerInFront", true),
            (json!({"ingress": ingress}), Some(&cluster_ip), Some(Preserve), "IngressInFront", true),
            (json!({"ingress": ingress}), Some(&balancer), Some(Preserve), "IngressInFront", true),
            (json!({"trustedProxyCount": 0}), Some(&node_port), Some(Replace), "NoProxy", true),
            (json!({"trustedProxyCount": 2}), Some(&balancer), Some(Preserve), "ProxiesTrusted", true),
            (json!({"trustedProxies": ["10.0.0.0/8"]}), Some(&balancer), None, "ProxiesTrusted", true),
            (
                json!({"trustedProxies": ["10.0.0.0/8"], "ingress": ingress}),
                None,
                None,
                "ProxiesTrusted",
                true,
            ),
            (json!({"forwardedFor": "Append"}), Some(&balancer), Some(Append), "AsConfigured", true),
            (json!({"forwardedFor": "Preserve"}), Some(&balancer), Some(Preserve), "AsConfigured", true),
            (
                json!({"forwardedFor": "Replace", "ingress": ingress}),
                Some(&cluster_ip),
                Some(Replace),
                "AsConfigured",
                true,
            ),
        ] {
            assert_eq!(told(&edge, service), (forwarded_for, reason, holds), "{edge}");
        }
    }

    #[test]
    fn while_the_service_to_take_over_is_missing_the_setting_in_place_stays() {
        use config::ForwardedFor::{Append, Preserve, Replace};
        let (balancer, cluster_ip) = (service("LoadBalancer", &json!({})), service("ClusterIP", &json!({})));
        let theirs = json!({"service": {"name": "web", "takeOver": true, "port": 80}});
        let ours = json!({"service": {"port": 80}});
        let set = json!({"service": {"name": "web", "takeOver": true, "port": 80}, "trustedProxyCount": 1});
        for (edge, service, before, expected) in [
            (&theirs, None, Some(Some(Replace)), Some(Replace)),
            (&theirs, None, Some(Some(Preserve)), Some(Preserve)),
            (&theirs, None, Some(Some(Append)), Some(Append)),
            (&theirs, None, Some(None), None),
            // Nothing is in place yet.
            (&theirs, None, None, Some(Preserve)),
            (&theirs, Some(&balancer), Some(Some(Preserve)), Some(Replace)),
            (&theirs, Some(&cluster_ip), Some(Some(Replace)), Some(Preserve)),
            // The spec decides without the Service.
            (&set, None, Some(Some(Replace)), Some(Preserve)),
            // The operator's own Service is of type ClusterIP.
            (&ours, None, Some(Some(Replace)), Some(Preserve)),
        ] {
            let before = before.map(|forwarded_for: Option<config::ForwardedFor>| {
                let config = json!({"revision": "1", "cluster": "u", "mode": "Enforce"});
                let config: config::Config = serde_json::from_value(config).unwrap();
                config::Config { forwarded_for, ..config }
            });
            let cluster = cluster_with(&json!({"edge": edge}));
            let decided = decide_forwarded_for(&cluster, service, before.as_ref());
            assert_eq!(decided, expected, "{edge} {service:?} {before:?}");
        }
    }

    #[test]
    fn a_load_balancer_that_speaks_http_is_an_http_proxy() {
        for (name, value, is_http) in [
            ("service.beta.kubernetes.io/aws-load-balancer-backend-protocol", "http", true),
            ("service.beta.kubernetes.io/do-loadbalancer-protocol", "https", true),
            ("load-balancer.hetzner.cloud/protocol", "http", true),
            ("service.beta.kubernetes.io/oci-load-balancer-backend-protocol", "HTTP", true),
            (
                "service.beta.kubernetes.io/alibaba-cloud-loadbalancer-protocol-port",
                "https:443,http:80",
                true,
            ),
            ("service.beta.kubernetes.io/scw-loadbalancer-protocol-http", "80", true),
            ("loadbalancer.openstack.org/x-forwarded-for", "true", true),
            ("loadbalancer.openstack.org/x-forwarded-for", "false", false),
            ("service.beta.kubernetes.io/aws-load-balancer-backend-protocol", "tcp", false),
            ("service.beta.kubernetes.io/aws-load-balancer-healthcheck-protocol", "http", false),
            ("service.beta.kubernetes.io/aws-load-balancer-proxy-protocol", "*", false),
            ("service.beta.kubernetes.io/aws-load-balancer-type", "nlb", false),
            ("service.beta.kubernetes.io/linode-loadbalancer-default-protocol", "http", true),
            ("service.beta.kubernetes.io/vultr-loadbalancer-protocol", "http", true),
            ("kubernetes.io/elb.protocol-port", "http:80", true),
            // These say how an Ingress controller or a gateway talks to the pods.
            ("cloud.google.com/app-protocols", r#"{"https":"HTTPS"}"#, false),
            ("projectcontour.io/upstream-protocol.tls", "https", false),
        ] {
            let front =
                detect(&cluster_with(&json!({})), Some(&service("LoadBalancer", &json!({name: value}))));
            let expected =
                if is_http { Front::HttpLoadBalancer(name.to_owned()) } else { Front::LoadBalancer };
            assert_eq!(front, expected, "{name}: {value}");
        }
    }
}
