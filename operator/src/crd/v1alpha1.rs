//! `socketio-affinity.dev/v1alpha1`.
//!
//! What cannot work is refused by the API server, with the messages of the rules here. A user's `spec`
//! is never written by the operator.
#![allow(
    unreachable_pub,
    reason = "the derived schema repeats each type inside a function, where `pub` means nothing"
)]

mod status;

use ipnet::IpNet;
use k8s_openapi::api::core::v1::ResourceRequirements;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use status::{SocketIoClusterStatus, Step};

/// What is a name of an object. Anything else could reach elsewhere as a part of a request's path.
const NAME: &str = "self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')";
const NAME_MESSAGE: &str = "a name has lower-case letters, digits, - and . only; give the name of the object";

/// A Socket.IO application whose requests are to reach the pod that owns their session.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "socketio-affinity.dev",
    version = "v1alpha1",
    kind = "SocketIoCluster",
    plural = "socketioclusters",
    shortname = "sio",
    category = "all",
    namespaced,
    derive = "PartialEq",
    doc = "A Socket.IO application whose requests are to reach the pod that owns their session.",
    status = "SocketIoClusterStatus",
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(name = "Pods", type_ = "string", json_path = ".status.pods"),
    printcolumn(name = "Edge", type_ = "string", json_path = ".status.edge"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$')").message(
        "names of Services are derived from metadata.name, so it has at most 40 lower-case letters, digits and -, and begins with a letter; choose another"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct SocketIoClusterSpec {
    /// What the sidecars do with sessions: Off passes everything, Observe also counts what fails,
    /// Enforce forwards each request to the pod that owns its session.
    #[serde(default)]
    pub mode: Mode,

    /// The workload whose pods run the application. It cannot be changed.
    #[x_kube(validation = Rule::new("self == oldSelf").message(
        "workloadRef cannot be changed; delete this SocketIoCluster, which gives the workload back, and make another"
    ))]
    pub workload_ref: WorkloadRef,

    /// The application in the pods.
    pub app: App,

    /// How the application passes events between its pods. Nothing here depends on it: it says whether
    /// a message to a room reaches the members on other pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter: Option<Adapter>,

    /// How clients reach the pods.
    #[serde(default)]
    pub edge: Edge,

    /// The sidecar in each pod.
    #[serde(default)]
    pub sidecar: Sidecar,

    /// The connections between sidecars.
    #[serde(default)]
    pub peers: Peers,

    /// How sessions end when this object is deleted.
    #[serde(default)]
    pub drain: Drain,

    /// What becomes of everything when this object is deleted: Delete gives the workload back as it was,
    /// Retain leaves all in place.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

/// What the sidecars do with sessions.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Pass everything.
    Off,
    /// Pass everything, and count what fails.
    Observe,
    /// Forward each request to the pod that owns its session.
    #[default]
    Enforce,
}

/// A workload in the same namespace.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct WorkloadRef {
    /// Its kind.
    pub kind: WorkloadKind,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new(NAME).message(NAME_MESSAGE))]
    pub name: String,
}

/// The kinds of workload.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WorkloadKind {
    /// `apps/v1` Deployment.
    Deployment,
    /// `apps/v1` StatefulSet.
    StatefulSet,
    /// `apps/v1` DaemonSet.
    DaemonSet,
}

/// The application in the pods.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// The port it listens on.
    #[schemars(with = "i32", range(min = 1, max = 65535))]
    #[x_kube(validation = Rule::new("self < 7900 || self > 7902").message(
        "ports 7900 to 7902 are the sidecar's; let the application listen on another"
    ))]
    pub port: u16,

    /// Where it serves Engine.IO.
    #[serde(default = "default_path")]
    #[schemars(length(min = 1, max = 200))]
    #[x_kube(validation = Rule::new(r"self.matches('^/([A-Za-z0-9._~-]+/)*$')").message(
        "app.path must begin and end with a slash and hold letters, digits and . _ ~ - only, such as /socket.io/"
    ))]
    pub path: String,
}

fn default_path() -> String {
    "/socket.io/".to_owned()
}

/// How the application passes events between its pods.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[x_kube(validation = Rule::new("self.type != 'Other' || has(self.name)")
    .message("type Other needs a name: say which adapter the application uses"))]
#[x_kube(validation = Rule::new("self.type == 'Other' || !has(self.name)")
    .message("name goes with type Other only; remove it"))]
pub struct Adapter {
    /// Which one.
    pub r#type: AdapterType,
    /// Its name, with type Other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    pub name: Option<String>,
}

/// The adapters of Socket.IO; docs/adapters.md says what each needs in the application.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdapterType {
    /// `@socket.io/redis-adapter`.
    Redis,
    /// `@socket.io/redis-streams-adapter`.
    RedisStreams,
    /// `@socket.io/postgres-adapter`.
    Postgres,
    /// `@socket.io/mongo-adapter`.
    MongoDB,
    /// `@socket.io/cluster-adapter`: between the processes of one pod only.
    Cluster,
    /// Another one.
    Other,
    /// The application sends nothing to sockets on other pods.
    NotNeeded,
}

/// How clients reach the pods.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "!has(oldSelf.ingress) || !oldSelf.ingress.takeOver || (has(self.ingress) && self.ingress.takeOver && self.ingress.name == oldSelf.ingress.name)"
).message("an Ingress that was taken over stays so; delete this SocketIoCluster, which gives the Ingress back, and make another"))]
#[x_kube(validation = Rule::new("self.sessionAffinity.type == 'None' || has(self.ingress)")
    .message("sessionAffinity is written on an Ingress; add edge.ingress, or remove it"))]
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

    /// The networks of the edges whose X-Forwarded-For is believed, as CIDRs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>", length(max = 64), inner(length(max = 64)))]
    #[x_kube(validation = Rule::new("self.all(network, isCIDR(network))")
        .message("trustedProxies holds networks with their prefix length, such as 10.0.0.0/8"))]
    pub trusted_proxies: Vec<IpNet>,

    /// What the sidecar does with X-Forwarded-For: Append adds the address of a peer that is no trusted
    /// proxy, Preserve leaves it as it is.
    #[serde(default)]
    pub forwarded_for: ForwardedFor,
}

/// The Service for clients and edges.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!self.takeOver || has(self.name)")
    .message("takeOver needs a name: that of your Service which is to lead to the sidecars"))]
#[x_kube(validation = Rule::new("self.takeOver || !has(self.name)")
    .message("edge.service.name goes with takeOver: true only; the Service that is made is named after this object"))]
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
    /// The port of a Service that is made; 80 without.
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

/// Where the edge sends the requests of one client.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.type == 'ClientIP' || !has(self.forwardedFor)")
    .message("forwardedFor goes with type ClientIP only; remove it or set type: ClientIP"))]
#[x_kube(validation = Rule::new("self.type == 'Cookie' || !has(self.cookie)")
    .message("cookie goes with type Cookie only; remove it or set type: Cookie"))]
pub struct SessionAffinity {
    /// None leaves it to the edge, which is best: the sidecar makes up for it.
    #[serde(default)]
    pub r#type: SessionAffinityType,
    /// With ClientIP, who a client is. (In the schema an optional enum has the description of its type.)
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarded_for: Option<ClientIpSource>,
    /// With Cookie, its attributes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie: Option<Cookie>,
}

/// How the edge tells clients apart.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SessionAffinityType {
    /// It does not.
    #[default]
    None,
    /// By their address.
    ClientIP,
    /// By a cookie.
    Cookie,
}

/// With ClientIP, who a client is: Trusted (the default) is the address that the edge's own settings for
/// trusted proxies give; First is the first entry of X-Forwarded-For, which clients can forge.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientIpSource {
    /// From the edge's own settings for trusted proxies.
    #[default]
    Trusted,
    /// From the first entry of X-Forwarded-For, as Socket.IO's documentation shows it.
    First,
}

/// The cookie of the edge.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Cookie {
    /// Its name.
    #[serde(default = "default_cookie_name")]
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = Rule::new("self.matches('^[A-Za-z0-9_-]+$')")
        .message("a cookie's name has letters, digits, _ and - only"))]
    pub name: String,
    /// `None` is needed where pages of another site connect, and makes the cookie Secure.
    #[serde(default)]
    pub same_site: SameSite,
}

fn default_cookie_name() -> String {
    "socketio-affinity".to_owned()
}

impl Default for Cookie {
    fn default() -> Self {
        Self { name: default_cookie_name(), same_site: SameSite::default() }
    }
}

/// The attribute `SameSite` (RFC 6265bis, section 5.6.7).
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameSite {
    /// With links from other sites, not with their requests.
    #[default]
    Lax,
    /// Not with anything from other sites.
    Strict,
    /// Always.
    None,
}

/// What is done with X-Forwarded-For.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedFor {
    /// The TCP peer's address is appended, unless the peer is a trusted proxy.
    #[default]
    Append,
    /// It passes as it is.
    Preserve,
}

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
    /// Its resources; without any, requests of 50m CPU and 32Mi, and a limit of 256Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Most connections open from clients, and as many again from peers; 4096 without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 1, max = 1_000_000))]
    pub max_connections: Option<u32>,
    /// Which log lines are written: error, warn, info, debug or trace, or directives; info without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 500))]
    pub log: Option<String>,
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

/// How sessions end when this object is deleted.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Drain {
    /// For how many seconds sessions that are known by their tag go on.
    #[serde(default = "default_drain_deadline")]
    #[schemars(with = "i32", range(min = 0, max = 86400))]
    pub deadline_seconds: u32,
    /// Over how many seconds those that are left are then closed, one after the other, so that their
    /// clients do not come back all at once.
    #[serde(default = "default_drain_window")]
    #[schemars(with = "i32", range(min = 1, max = 3600))]
    pub window_seconds: u32,
}

fn default_drain_deadline() -> u32 {
    60
}

fn default_drain_window() -> u32 {
    30
}

impl Default for Drain {
    fn default() -> Self {
        Self { deadline_seconds: default_drain_deadline(), window_seconds: default_drain_window() }
    }
}

/// What becomes of everything when this object is deleted.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeletionPolicy {
    /// The workload, and a Service and an Ingress that are yours, are given back as they were.
    #[default]
    Delete,
    /// All is left in place.
    Retain,
}
