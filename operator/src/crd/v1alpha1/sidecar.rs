//! Fields of `spec.sidecar` and `spec.peers`.

use k8s_openapi::api::core::v1::ResourceRequirements;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Sidecar container of each pod. A change of any field below restarts the pods.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Sidecar {
    /// Image of the sidecar. The default is the image that belonged to the operator when it first injected the
    /// sidecar. An upgrade of the operator changes no pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 500))]
    pub image: Option<String>,
    /// Pull policy of the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<ImagePullPolicy>,
    /// Compute resources of the sidecar. The default requests 50m CPU and 32Mi memory, with a memory limit of 256Mi.
    /// A value replaces all three; with {} the sidecar has none. An autoscaler that measures CPU or memory of the
    /// pods needs the requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Maximum of connections that carry requests from clients, and the same number again from peers. WebSockets
    /// count for maxWebSockets instead. Default 4096.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 1, max = 1_000_000))]
    pub max_connections: Option<u32>,
    /// Maximum of open WebSockets from clients, and the same number again from peers. At the limit the sidecar
    /// refuses an upgrade with 503, and its client stays on polling. The default is the value of maxConnections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 0, max = 1_000_000))]
    pub max_web_sockets: Option<u32>,
    /// Maximum of connections of one client in each pod, WebSockets included. A client is an IPv4 address or an IPv6 /64
    /// network. The address is that of the connection, or the one that a proxy in edge.trustedProxies names. Clients
    /// behind one NAT share an address. So do all clients of other proxies, and of a Service whose nodes replace
    /// addresses (SNAT). A limit therefore needs edge.trustedProxies, edge.trustedProxyCount 0 without an Ingress, or a
    /// Service of type LoadBalancer or NodePort with externalTrafficPolicy Local. The value 0 sets no limit. Default 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 0, max = 1_000_000))]
    pub max_connections_per_source: Option<u32>,
    /// Maximum of memory, in MiB, for data that connections have not taken yet. Beyond the maximum,
    /// the sidecar ends the connections that have held data for longest. It may hold a quarter more until they have
    /// ended. The highest value is the memory limit in resources less 32 MiB, divided by 1.25 (179 for 256Mi). The default
    /// is 40 % of the memory limit, or 256 without a memory limit.
    #[serde(default, rename = "maxBufferedMiB", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 1, max = 1_048_576))]
    pub max_buffered_mib: Option<u32>,
    /// Maximum time for the body of a request, in seconds. The sidecar answers a slower request with 408. Answers
    /// have no such limit. Default 300.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 1, max = 86_400))]
    pub body_timeout_seconds: Option<u32>,
    /// Reuse of connections to the application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_keep_alive: Option<AppKeepAlive>,
    /// Maximum size of the head of a request, in bytes: request line and header fields. The sidecar answers a longer
    /// head with 431. Default 32768.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 4096, max = 262_144))]
    pub max_request_head_bytes: Option<u32>,
    /// Maximum size of the head of an answer of the application, in bytes. The client gets a 502 in place of an
    /// answer with a longer head. Default 65536.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 4096, max = 262_144))]
    pub max_answer_head_bytes: Option<u32>,
    /// Maximum number of header fields of a request or an answer. Default 256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 50, max = 1000))]
    pub max_header_fields: Option<u32>,
    /// Level of the log lines: error, warn, info, debug or trace. The field also takes filter directives. Default
    /// info.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 500))]
    pub log: Option<String>,
}

/// Reuse of connections to the application. `Auto`: a connection is reused within the time that the application was
/// seen to keep one open. `Always`: a connection is reused as the application's Connection and Keep-Alive fields allow.
/// `Never`: each request uses a new connection. Default Auto.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppKeepAlive {
    /// A connection carries another request within what the application was seen to keep open.
    Auto,
    /// A connection carries another request as the application's Connection and Keep-Alive fields allow.
    Always,
    /// Each request takes a new connection.
    Never,
}

/// Pull policy of the image: Always, IfNotPresent or Never. The default is that of Kubernetes: Always for the tag
/// latest, IfNotPresent for any other.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImagePullPolicy {
    /// The node pulls the image at every start.
    Always,
    /// The node pulls the image if the node has none.
    IfNotPresent,
    /// The node never pulls the image.
    Never,
}

/// Connections between the sidecars. Both sides use mutual TLS under a CA of this cluster's own.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Peers {
    /// Days for which a certificate of the sidecars is valid. The operator renews a certificate when a third of its
    /// time is left. Default 90.
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
