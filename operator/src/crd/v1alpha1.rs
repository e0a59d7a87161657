//! `socketio-affinity.dev/v1alpha1`.
//!
//! What cannot work is refused by the API server, with the messages of the rules here. A user's `spec`
//! is never written by the operator.
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

    /// The sidecar in each pod. Changing any of its fields restarts the pods.
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
