//! What the operator says of a SocketIoCluster.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Mode;

/// The status.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SocketIoClusterStatus {
    /// The generation that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// How far installing or deleting has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Step>,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_since: Option<Time>,

    /// How many pods are ready with the sidecar, of how many there are, such as `3/3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<String>,
    /// The Service that clients and edges use, or the Ingress before it, once that is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge: Option<String>,

    /// The mode that the sidecars are told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// The newest configuration of the sidecars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The newest one that all ready pods had applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_revision: Option<String>,

    /// The sidecar's image, kept from the first injection on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sidecar_image: Option<String>,
    /// The UID of the workload that it was injected into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_uid: Option<String>,
    /// The generation of the spec that it was injected for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub injected_generation: Option<i64>,
    /// When the sidecar was taken out of that workload by somebody else since; at most two times are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub injection_reverts: Vec<Time>,

    /// What holds now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// The steps of installing and deleting, in order.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The sidecar comes into the pods; the Service still leads to the application.
    Injecting,
    /// The Service leads to the sidecars, which give out no tags until everybody knows.
    Settling,
    /// All is in place.
    Programmed,
    /// Deletion: no new tags; waits until every pod knows.
    Untagging,
    /// Tags that are out are honoured, until the deadline.
    Draining,
    /// The sidecars are told to close the sessions that are left, spread over a window; waits until every
    /// pod knows.
    Closing,
    /// Waits until the window is over.
    Emptying,
    /// The Service leads to the application again; waits until everybody knows.
    RoutingBack,
    /// The workload is as it was; its pods are replaced.
    Uninjecting,
}
