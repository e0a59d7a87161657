//! Of the spec: the sidecars, and the connections between them.

use k8s_openapi::api::core::v1::ResourceRequirements;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The sidecar in each pod. Changing any of this restarts the pods, one by one as the workload says.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Sidecar {
    /// Its image. Without one, the image that belongs to the operator when the sidecar is first
    /// injected; an upgrade of the operator changes no pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 500))]
    pub image: Option<String>,
    /// When it is pulled; without one, as Kubernetes does by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<ImagePullPolicy>,
    /// Its resources, in place of requests of 50m CPU and 32Mi and a limit of 256Mi, all of which go: with
    /// `{}` it has none, and an autoscaler that goes by the pods' CPU or memory stops working.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Most connections that carry requests from clients, and as many again from peers. maxWebSockets limits
    /// WebSockets besides. Default 4096.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 1, max = 1_000_000))]
    pub max_connections: Option<u32>,
    /// Most WebSockets that are open from clients, and as many again from peers. At the limit an upgrade is refused with
    /// 503, and its client stays on polling. Default: the value of maxConnections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 0, max = 1_000_000))]
    pub max_web_sockets: Option<u32>,
    /// Most connections of one client in each pod, WebSockets included. A client is an IPv4 address or an IPv6 /64
    /// network: that of the connection, or the one that a proxy in edge.trustedProxies names. 0 for no limit. Default 0.
    /// Clients behind one NAT share an address; so do all clients of a proxy outside edge.trustedProxies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 0, max = 1_000_000))]
    pub max_connections_per_source: Option<u32>,
    /// Most memory held for connections that do not take what is sent to them, in MiB. It must be below the memory limit
    /// in resources. Beyond it, the connections that have held bytes for longest end. Default: 40 % of the memory limit, 256
    /// without one.
    #[serde(default, rename = "maxBufferedMiB", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 1, max = 1_048_576))]
    pub max_buffered_mib: Option<u32>,
    /// Longest time for the body of a request, in seconds. A slower request is answered with 408. Answers have no such
    /// limit. Default 300.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 1, max = 86_400))]
    pub body_timeout_seconds: Option<u32>,
    /// Reuse of connections to the application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_keep_alive: Option<AppKeepAlive>,
    /// Longest head of a request, in bytes: request line and header fields. Default 32768. A longer head is
    /// answered with 431.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 4096, max = 262_144))]
    pub max_request_head_bytes: Option<u32>,
    /// Longest head of an answer of the application, in bytes. Default 65536. In place of an answer with a
    /// longer head, the client gets a 502.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 4096, max = 262_144))]
    pub max_answer_head_bytes: Option<u32>,
    /// Most header fields of a request or an answer. Default 256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 50, max = 1000))]
    pub max_header_fields: Option<u32>,
    /// Which log lines are written: error, warn, info, debug or trace, or directives; info without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 500))]
    pub log: Option<String>,
}

/// Reuse of connections to the application. Auto: within what the application was seen to keep open. Always: as its Connection
/// and Keep-Alive fields allow. Never: each request takes a new connection. Default Auto.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppKeepAlive {
    /// A connection carries another request within what the application was seen to keep open.
    Auto,
    /// A connection carries another request as the application's Connection and Keep-Alive fields allow.
    Always,
    /// Each request takes a new connection.
    Never,
}

/// When the image is pulled; without one, as Kubernetes does by default.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImagePullPolicy {
    /// At every start.
    Always,
    /// When the node has none.
    IfNotPresent,
    /// Never.
    Never,
}

/// The connections between sidecars: mutual TLS under a CA of this cluster's own.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Peers {
    /// For how many days a certificate is valid. It is renewed when a third of that is left.
    #[serde(default = "default_certificate_days")]
    #[schemars(with = "i32", range(min = 1, max = 825))]
    pub certificate_days: u32,
}

fn default_certificate_days() -> u32 {
    90
}

impl Default for Peers {
    fn default() -> Self {
        Self { certificate_days: default_certificate_days() }
    }
}
