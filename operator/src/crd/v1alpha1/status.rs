//! Status that the operator writes.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Mode;

/// State of the object, as the operator saw it last.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SocketIoClusterStatus {
    /// Generation of the object that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Step of installation or deletion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Step>,
    /// Time at which the step began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_since: Option<Time>,

    /// Number of ready pods with a ready sidecar, and number of pods, such as 3/3. During a rollout the second number
    /// may exceed replicas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<String>,
    /// Service that clients and edges use, or the Ingress in front of it, once the operator has written it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge: Option<String>,

    /// Mode of the newest configuration. `descriptions.rs` has the description of the schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// Revision of the newest configuration of the sidecars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Revision of the newest configuration that all ready pods had applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_revision: Option<String>,

    /// Image for pods whose spec names none. The operator keeps it from the first injection on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sidecar_image: Option<String>,
    /// UID of the workload that has the sidecar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_uid: Option<String>,
    /// Generation of the spec for which the sidecar was injected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub injected_generation: Option<i64>,
    /// Times at which another party removed the sidecar from the workload. The list holds at most two.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub injection_reverts: Vec<Time>,

    /// Conditions of the object. The page docs/conditions.md explains each reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

/// Step of installation or deletion. Injecting, Settling and Programmed install, in this order. Untagging, Draining,
/// Closing, Emptying, RoutingBack and Uninjecting delete, in this order.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// The sidecar is put into the pods; the Service still leads to the application.
    Injecting,
    /// The Service leads to the sidecars, which add no tags until all edges follow the Service.
    Settling,
    /// Installation is complete.
    Programmed,
    /// The sidecars stop adding tags. The step waits until every pod has applied that.
    Untagging,
    /// The sidecars still forward requests of tagged sessions, until the deadline.
    Draining,
    /// The sidecars are told to close the remaining sessions, spread over a window. The step waits until every pod
    /// has applied that.
    Closing,
    /// The step waits until the window is over.
    Emptying,
    /// The Service leads to the application again. The step waits until all edges follow the Service.
    RoutingBack,
    /// The sidecar is removed from the workload, whose pods are replaced.
    Uninjecting,
}
