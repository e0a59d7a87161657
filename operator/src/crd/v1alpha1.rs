//! The types of `socketio-affinity.dev/v1alpha1`.
//!
//! The API server refuses objects that cannot work, with the messages of the rules here. The operator never writes a
//! user's `spec`.
#![allow(
    unreachable_pub,
    reason = "the derived schema repeats each type inside a function, where `pub` means nothing"
)]

mod affinity;
mod application;
mod deletion;
mod edge;
mod sidecar;
mod status;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use affinity::{ClientIpSource, Cookie, SameSite, SessionAffinity, SessionAffinityType};
pub use application::{Adapter, AdapterType, App, WorkloadKind, WorkloadRef};
pub use deletion::{DeletionPolicy, Drain};
pub use edge::{ClientService, Edge, ForwardedFor, Ingress};
pub use sidecar::{AppKeepAlive, ImagePullPolicy, Peers, Sidecar};
pub use status::{SocketIoClusterStatus, Step};

/// Rule for names of objects. Any other text could change the path of a request to the API server.
const NAME: &str = "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')";
const NAME_MESSAGE: &str = "a name has lower-case letters, digits, - and . only; give the name of the object";

/// SocketIoCluster puts a sidecar into each pod of a Socket.IO application. The sidecars forward each request to the
/// pod that owns its session.
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
    doc = "SocketIoCluster puts a sidecar into each pod of a Socket.IO application. The sidecars forward each request to the pod that owns its session.",
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
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    ),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$')").message(
        "names of Services are derived from metadata.name, so it has at most 40 lower-case letters, digits and -, and begins with a letter; choose another"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct SocketIoClusterSpec {
    /// Treatment of sessions by the sidecars. Off adds no tag to new sessions, so their requests pass as they come.
    /// Observe does the same, and counts the requests that fail. Enforce tags new sessions, and forwards each request to
    /// the pod that owns its session. Default Enforce. A change restarts no pod.
    #[serde(default)]
    pub mode: Mode,

    /// Workload whose pods run the application. The field cannot be changed. The operator replaces the pods once when
    /// the object is created, and once when it is deleted, unless deletionPolicy is Retain.
    #[x_kube(validation = Rule::new("self == oldSelf").message(
        "workloadRef cannot be changed; delete this SocketIoCluster, which gives the workload back, and make another"
    ))]
    pub workload_ref: WorkloadRef,

    /// Application that runs in the pods.
    pub app: App,

    /// Adapter that passes events between the pods of the application. The operator only checks it, and
    /// reports in the condition AdapterDeclared. A change restarts no pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter: Option<Adapter>,

    /// Route from clients to the pods. A change of any field below restarts no pod.
    #[serde(default)]
    pub edge: Edge,

    /// Sidecar container of each pod. A change of any field below restarts the pods.
    #[serde(default)]
    pub sidecar: Sidecar,

    /// Connections between the sidecars. A change restarts no pod.
    #[serde(default)]
    pub peers: Peers,

    /// End of the sessions when this object is deleted. A change restarts no pod.
    #[serde(default)]
    pub drain: Drain,

    /// Treatment of the workload when this object is deleted. Delete removes the sidecar, and restores your Service and
    /// your Ingress; it restarts the pods once. Retain leaves all objects as they are. Default Delete.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

/// Treatment of sessions by the sidecars.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// New sessions get no tag, so their requests pass as they come.
    Off,
    /// New sessions get no tag, and requests that fail are counted.
    Observe,
    /// New sessions get a tag, and each request is forwarded to the pod that owns its session.
    #[default]
    Enforce,
}
