//! Of the spec: how clients reach the pods.

use ipnet::IpNet;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::affinity::SessionAffinity;
use super::{NAME, NAME_MESSAGE};

/// How clients reach the pods.
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
    /// The Service for clients and edges.
    #[serde(default)]
    #[x_kube(validation = Rule::new(
        "(has(self.name) ? self.name : '') == (has(oldSelf.name) ? oldSelf.name : '') && self.takeOver == oldSelf.takeOver"
    ).message("edge.service.name and takeOver cannot be changed; delete this SocketIoCluster, which gives a Service of yours back and removes one that was made, and make another"))]
    pub service: ClientService,

    /// The Ingress in front of it, if there is to be one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Ingress>,

    /// Where the edge sends the requests of one client; a matter of efficiency only.
    #[serde(default)]
    pub session_affinity: SessionAffinity,

    /// Networks of the HTTP proxies in front, as CIDRs. X-Forwarded-* and the like pass unchanged from them, and are
    /// replaced from all others. With proxyProtocol, the networks of the load balancers that send its header.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>", length(max = 64), inner(length(max = 64)))]
    #[x_kube(validation = Rule::new("self.all(network, isCIDR(network))")
        .message("trustedProxies holds networks with their prefix length, such as 10.0.0.0/8"))]
    pub trusted_proxies: Vec<IpNet>,

    /// Number of HTTP proxies that every request passes before it reaches the pods, for proxies whose networks are not
    /// known. With 1 or more, X-Forwarded-* and the like pass unchanged. With 0, they are replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 0, max = 16))]
    pub trusted_proxy_count: Option<u8>,

    /// Treatment of X-Forwarded-* and the like from peers outside trustedProxies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarded_for: Option<ForwardedFor>,

    /// Load balancers in trustedProxies begin each connection with a PROXY protocol header, version 1 or 2. A connection
    /// from them without the header is refused. Default false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub proxy_protocol: bool,
}

/// The Service for clients and edges.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!self.takeOver || has(self.name)")
    .message("takeOver needs a name: that of your Service which is to lead to the sidecars"))]
#[x_kube(validation = Rule::new("self.takeOver || !has(self.name)")
    .message("edge.service.name goes with takeOver: true only; the Service that is made is named after this object"))]
#[x_kube(validation = Rule::new("!self.takeOver || self.port == 80")
    .message("edge.service.port is for a Service that is made; yours keeps its own ports, so remove port or takeOver"))]
pub struct ClientService {
    /// Its name; without one, the name of this object and `-socketio`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new(NAME).message(NAME_MESSAGE))]
    pub name: Option<String>,
    /// The Service is yours and exists: its ports that lead to the application are led to the sidecars,
    /// and given back when this object is deleted.
    #[serde(default)]
    pub take_over: bool,
    /// The port of a Service that is made; 80 without. One that is taken over keeps its own.
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

/// An Ingress for the client Service.
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
    /// The name of your Ingress, with takeOver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new(NAME).message(NAME_MESSAGE))]
    pub name: Option<String>,
    /// The Ingress is yours and exists: it gets annotations, which are taken back when this object is
    /// deleted.
    #[serde(default)]
    pub take_over: bool,
    /// The IngressClass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new(NAME).message(NAME_MESSAGE))]
    pub class_name: Option<String>,
    /// The host names; none means all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 253)))]
    pub hosts: Vec<String>,
    /// A Secret with the certificate for the hosts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new(NAME).message(NAME_MESSAGE))]
    pub tls_secret_name: Option<String>,
}

/// Treatment of X-Forwarded-* and the like from peers outside trustedProxies: Preserve passes all unchanged, Append
/// adds the peer's address to X-Forwarded-For, Replace removes all and sets X-Forwarded-For and X-Real-IP to the
/// peer's address. Default: Replace with trustedProxies, with trustedProxyCount 0, and for a Service of type
/// LoadBalancer without an Ingress; else Preserve. The field is not related to sessionAffinity.forwardedFor.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardedFor {
    /// The peer's address is appended to X-Forwarded-For.
    Append,
    /// All pass unchanged.
    Preserve,
    /// All are removed; X-Forwarded-For and X-Real-IP are set to the peer's address.
    Replace,
}
