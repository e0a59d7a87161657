//! The load balancer in front of the pods, as far as the spec and the Service tell: whose `X-Forwarded-For`
//! and the like the application may believe. Pure. The reasons stand in `docs/decisions/0012-*.md`.

use k8s_openapi::api::core::v1::Service;
use kube::ResourceExt;
use socketio_sidecar_core::config;

use super::cluster::Cluster;
use super::condition::{Finding, Reason};
use crate::crd::v1alpha1::ForwardedFor;

/// The kind of proxy in front of the pods, and the source of that knowledge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Front {
    /// `edge.forwardedFor` says what to do, and no Ingress is in front.
    Set(ForwardedFor),
    /// `edge.forwardedFor` says what to do, and an Ingress is in front.
    SetBehindIngress(ForwardedFor),
    /// `edge.trustedProxies` names the HTTP proxies.
    Networks,
    /// `edge.trustedProxies` names the load balancers, which send the PROXY protocol.
    ProxyProtocol,
    /// `edge.trustedProxyCount` says how many HTTP proxies there are.
    Count(u8),
    /// An Ingress of this name. Its controller is an HTTP proxy.
    Ingress(String),
    /// A Service of type LoadBalancer, which forwards TCP.
    LoadBalancer,
    /// A Service of type LoadBalancer whose annotation makes it an HTTP proxy.
    HttpLoadBalancer(String),
    /// No field and no object says.
    Unknown,
}

/// Finds out what stands in front. `service` is the client Service.
pub(crate) fn detect(cluster: &Cluster, service: Option<&Service>) -> Front {
    let edge = &cluster.spec.edge;
    if let Some(forwarded_for) = edge.forwarded_for {
        return match &cluster.ingress {
            Some(_) => Front::SetBehindIngress(forwarded_for),
            None => Front::Set(forwarded_for),
        };
    }
    detect_proxy(cluster, service)
}

/// Finds out what stands in front, whatever `edge.forwardedFor` says.
pub(crate) fn detect_proxy(cluster: &Cluster, service: Option<&Service>) -> Front {
    let edge = &cluster.spec.edge;
    if !edge.trusted_proxies.is_empty() {
        return if edge.proxy_protocol { Front::ProxyProtocol } else { Front::Networks };
    }
    if let Some(count) = edge.trusted_proxy_count {
        return Front::Count(count);
    }
    if let Some(ingress) = &cluster.ingress {
        return Front::Ingress(ingress.clone());
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
    cluster: &Cluster,
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

/// Returns true if connections from outside of the cluster keep the client's address. With the default of
/// `externalTrafficPolicy`, a node replaces it by its own (SNAT).
pub(crate) fn keeps_client_address(service: &Service) -> bool {
    service.spec.as_ref().is_some_and(|spec| {
        matches!(spec.type_.as_deref(), Some("LoadBalancer" | "NodePort"))
            && spec.external_traffic_policy.as_deref() == Some("Local")
    })
}

fn is_load_balancer(service: &Service) -> bool {
    service.spec.as_ref().is_some_and(|spec| spec.type_.as_deref() == Some("LoadBalancer"))
}

/// Values of an annotation that make a load balancer an HTTP proxy.
enum Values {
    /// Values that name HTTP or HTTPS, alone or in a list with ports.
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
            Self::Set(set) | Self::SetBehindIngress(set) => Some(match set {
                ForwardedFor::Append => Append,
                ForwardedFor::Preserve => Preserve,
                ForwardedFor::Replace => Replace,
            }),
            Self::LoadBalancer | Self::Count(0) => Some(Replace),
            Self::Count(_) | Self::Ingress(_) | Self::HttpLoadBalancer(_) | Self::Unknown => Some(Preserve),
            Self::Networks | Self::ProxyProtocol => None,
        }
    }

    /// The facts that a user has to know before traffic is led to the sidecars.
    pub(crate) fn finding(&self, service: &str) -> Finding {
        let replaced = "X-Forwarded-*, X-Real-IP and Forwarded of clients are removed; X-Forwarded-For and X-Real-IP \
                        are set to the address of the connection";
        let (reason, message) = match self {
            Self::Set(set @ (ForwardedFor::Append | ForwardedFor::Preserve)) => (
                Reason::AsConfigured,
                format!(
                    "edge.forwardedFor is {set:?}, so X-Forwarded-* of clients pass, and clients can forge them where no \
                     HTTP proxy overwrites them"
                ),
            ),
            Self::Set(set) | Self::SetBehindIngress(set) => {
                (Reason::AsConfigured, format!("edge.forwardedFor is {set:?}"))
            }
            Self::ProxyProtocol => (
                Reason::ProxiesTrusted,
                "edge.proxyProtocol is true: X-Forwarded-*, X-Real-IP and Forwarded of clients are removed; \
                 X-Forwarded-For and X-Real-IP are set to the source in the PROXY protocol header; where that source is \
                 in edge.trustedProxies too, X-Forwarded-* pass unchanged"
                    .to_owned(),
            ),
            Self::Networks => (
                Reason::ProxiesTrusted,
                format!("X-Forwarded-* pass unchanged from edge.trustedProxies; from all others {replaced}"),
            ),
            Self::Count(0) => (Reason::NoProxy, format!("edge.trustedProxyCount is 0: {replaced}")),
            Self::Count(count) => {
                (Reason::ProxiesTrusted, format!("X-Forwarded-* pass unchanged: edge.trustedProxyCount is {count}"))
            }
            Self::Ingress(ingress) => (
                Reason::IngressInFront,
                format!("X-Forwarded-* pass unchanged, as the edge of Ingress {ingress} sends them"),
            ),
            Self::LoadBalancer => (
                Reason::LoadBalancerInFront,
                format!(
                    "Service {service} is of type LoadBalancer and forwards TCP: {replaced}; if an HTTP proxy stands in \
                     front, set edge.trustedProxies or edge.trustedProxyCount"
                ),
            ),
            Self::HttpLoadBalancer(annotation) => (
                Reason::LoadBalancerInFront,
                format!(
                    "X-Forwarded-* pass unchanged: annotation {annotation} makes the load balancer an HTTP proxy"
                ),
            ),
            Self::Unknown => {
                let message = format!(
                    "no proxy is known in front of Service {service}, so clients can forge X-Forwarded-*; set \
                     edge.trustedProxies, or edge.trustedProxyCount (1 behind a Gateway, 0 for no proxy)"
                );
                return Finding::new(Reason::EdgeUnknown, message);
            }
        };
        Finding::new(reason, message)
    }
}

/// Every Event about `ClientAddressKnown` ends with this, since it holds for every kind of edge.
pub(crate) const LOOPBACK: &str = "To the application every connection comes from 127.0.0.1, socket.handshake.address too; read \
                        the client's address from X-Forwarded-For (docs/client-address.md)";

#[cfg(test)]
mod tests;
