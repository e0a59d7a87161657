//! Fields of `spec.workloadRef`, `spec.app` and `spec.adapter`.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{NAME, NAME_MESSAGE};

/// Workload in the namespace of this object.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct WorkloadRef {
    /// Kind of the workload, of the API group apps/v1.
    pub kind: WorkloadKind,
    /// Name of the workload.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new(NAME).message(NAME_MESSAGE))]
    pub name: String,
}

/// Kinds of workload.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WorkloadKind {
    /// `apps/v1` Deployment.
    Deployment,
    /// `apps/v1` StatefulSet.
    StatefulSet,
    /// `apps/v1` DaemonSet.
    DaemonSet,
}

/// Application that runs in the pods.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// Port on which the application listens. Ports 7900 to 7902 belong to the sidecar. A change restarts the pods.
    #[schemars(with = "i32", range(min = 1, max = 65535))]
    #[x_kube(validation = Rule::new("self < 7900 || self > 7902").message(
        "ports 7900 to 7902 are the sidecar's; let the application listen on another"
    ))]
    pub port: u16,

    /// Path under which the application serves Engine.IO. The path begins and ends with a slash. Default /socket.io/.
    /// A change restarts no pod.
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

/// Adapter that passes events between the pods of the application.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[x_kube(validation = Rule::new("self.type != 'Other' || has(self.name)")
    .message("type Other needs a name: say which adapter the application uses"))]
#[x_kube(validation = Rule::new("self.type == 'Other' || !has(self.name)")
    .message("name goes with type Other only; remove it"))]
pub struct Adapter {
    /// Kind of the adapter. Cluster serves only the processes of one pod. Other requires a name. NotNeeded says that
    /// the application sends nothing to sockets on other pods.
    pub r#type: AdapterType,
    /// Name of the adapter. The field requires type Other.
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
    /// Adapter that this list does not name.
    Other,
    /// The application sends nothing to sockets on other pods.
    NotNeeded,
}
