//! Fields of `spec.edge`: the route from clients to the pods.

use ipnet::IpNet;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::affinity::SessionAffinity;
use super::{NAME, NAME_MESSAGE};

/// Rule for hosts, which is that of an Ingress.
const HOSTS: &str = "self.all(host, host.matches('^([*][.])?[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$') && \
                     !host.matches('^[0-9.]+$'))";

/// Route from clients to the pods.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "!has(oldSelf.ingress) || !oldSelf.ingress.takeOver || (has(self.ingress) && self.ingress.takeOver && self.ingress.name == oldSelf.ingress.name)"
).message("an Ingress that was taken over stays so; delete this SocketIoCluster, which gives the Ingress back, and make another"))]
#[x_kube(validation = Rule::new("self.sessionAffinity.type == 'None' || has(self.ingress)")
    .message("sessionAffinity is written on an Ingress; add edge.ingress, or remove it"))]
#[x_kube(validation = Rule::new("!has(self.trustedProxyCount) || !has(self.trustedProxies) || size(self.trustedProxies) == 0")
    .message("trustedProxies and trustedProxyCount exclude each other; remove one of them"))]
#[x_kube(validation = Rule::new(
    "!has(self.proxyProtocol) || !self.proxyProtocol || (has(self.trustedProxies) && size(self.trustedProxies) > 0 && self.trustedProxies.all(network, !isCIDR(network) || cidr(network).prefixLength() > 0))"
).message("proxyProtocol needs the networks of the load balancers that send its header, none of prefix length 0; name them in edge.trustedProxies"))]
pub struct Edge {
    /// Service that clients and edges use.
    #[serde(default)]
    #[x_kube(validation = Rule::new(
        "(has(self.name) ? self.name : '') == (has(oldSelf.name) ? oldSelf.name : '') && self.takeOver == oldSelf.takeOver"
    ).message("edge.service.name and takeOver cannot be changed; delete this SocketIoCluster, which gives a Service of yours back and removes one that was made, and make another"))]
    pub service: ClientService,

    /// Ingress in front of the Service. Without this field the operator neither creates nor changes an Ingress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Ingress>,

    /// Session affinity of the edge. The sidecars work without it; session affinity saves forwarding.
    #[serde(default)]
    pub session_affinity: SessionAffinity,

    /// Networks of the HTTP proxies in front of the pods, as CIDRs. X-Forwarded-* and similar fields from these
    /// networks pass unchanged, and are replaced from all others. With proxyProtocol, the field names the networks of
    /// the load balancers that send the PROXY protocol header.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>", length(max = 64), inner(length(max = 64)))]
    #[x_kube(validation = Rule::new("self.all(network, isCIDR(network))")
        .message("trustedProxies holds networks with their prefix length, such as 10.0.0.0/8"))]
    pub trusted_proxies: Vec<IpNet>,

    /// Number of HTTP proxies that every request passes before it reaches the pods. The field serves proxies whose
    /// networks are not known. With 1 or more, X-Forwarded-* and similar fields pass unchanged. With 0, the sidecar
    /// replaces them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 0, max = 16))]
    pub trusted_proxy_count: Option<u8>,

    /// Treatment of X-Forwarded-* and similar fields from peers outside trustedProxies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarded_for: Option<ForwardedFor>,

    /// PROXY protocol header, version 1 or 2, at the start of each connection from trustedProxies. The sidecar
    /// refuses a connection from there without the header. Default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub proxy_protocol: bool,
}

/// Service that clients and edges use.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!self.takeOver || has(self.name)")
    .message("takeOver needs a name: that of your Service which is to lead to the sidecars"))]
#[x_kube(validation = Rule::new("self.takeOver || !has(self.name)")
    .message("edge.service.name goes with takeOver: true only; the Service that is made is named after this object"))]
#[x_kube(validation = Rule::new("!self.takeOver || self.port == 80")
    .message("edge.service.port is for a Service that is made; yours keeps its own ports, so remove port or takeOver"))]
pub struct ClientService {
    /// Name of your Service. The field requires takeOver. Without takeOver, the operator creates a Service with the
    /// name of this object and the suffix -socketio. The field cannot be changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new(NAME).message(NAME_MESSAGE))]
    pub name: Option<String>,
    /// Use of your own Service. The operator points the ports that lead to the application at the sidecars, and
    /// restores them when this object is deleted. Default false. The field cannot be changed.
    #[serde(default)]
    pub take_over: bool,
    /// Port of the Service that the operator creates. Your own Service keeps its ports. Default 80.
    #[serde(default = "default_service_port")]
    #[schemars(with = "i32", range(min = 1, max = 65535))]
    pub port: u16,
}

fn default_service_port() -> u16 {
    80
}

impl Default for ClientService {
    fn default() -> Self {
        Self { name: None, take_over: false, port: default_service_port() }
    }
}

/// Ingress in front of the Service.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!self.takeOver || has(self.name)")
    .message("takeOver needs a name: that of your Ingress which is to get the annotations"))]
#[x_kube(validation = Rule::new("self.takeOver || has(self.className)")
    .message("className is missing: name the IngressClass, as `kubectl get ingressclass` lists them"))]
#[x_kube(validation = Rule::new("self.takeOver || !has(self.name)")
    .message("name goes with takeOver: true only; the Ingress that is made is named after this object"))]
#[x_kube(validation = Rule::new("!self.takeOver || ((!has(self.hosts) || size(self.hosts) == 0) && !has(self.tlsSecretName))")
    .message("hosts and tlsSecretName are for an Ingress that is made; yours keeps its own, so remove them or takeOver"))]
pub struct Ingress {
    /// Name of your Ingress. The field requires takeOver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new(NAME).message(NAME_MESSAGE))]
    pub name: Option<String>,
    /// Use of your own Ingress. The operator adds annotations, and removes them when this object is deleted. Default
    /// false.
    #[serde(default)]
    pub take_over: bool,
    /// Name of the IngressClass. An Ingress that the operator creates requires the field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new(NAME).message(NAME_MESSAGE))]
    pub class_name: Option<String>,
    /// Host names of the Ingress that the operator creates. An empty list matches every host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 253)))]
    #[x_kube(validation = Rule::new(HOSTS)
        .message("a host is a lower-case DNS name such as chat.example.com or *.example.com, and no address"))]
    pub hosts: Vec<String>,
    /// Name of a Secret with the TLS certificate for the hosts of the Ingress that the operator creates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new(NAME).message(NAME_MESSAGE))]
    pub tls_secret_name: Option<String>,
}

/// Treatment of X-Forwarded-* and similar fields from peers outside trustedProxies. Preserve passes all of them
/// unchanged. Append adds the peer's address to X-Forwarded-For. Replace removes all of them, and sets
/// X-Forwarded-For and X-Real-IP to the peer's address. The default is Replace with trustedProxies, and with
/// trustedProxyCount 0. The default is also Replace for a Service of type LoadBalancer without an Ingress, unless an
/// annotation makes it an HTTP proxy. Otherwise the default is Preserve. The field is not related to
/// sessionAffinity.forwardedFor.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardedFor {
    /// The peer's address is appended to X-Forwarded-For.
    Append,
    /// All of them pass unchanged.
    Preserve,
    /// All of them are removed; X-Forwarded-For and X-Real-IP are set to the peer's address.
    Replace,
}
