//! Fields of `spec.drain`, and `spec.deletionPolicy`.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// End of the sessions when this object is deleted.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Drain {
    /// Seconds for which the sidecars still forward requests of open sessions after deletion. Default 60.
    #[serde(default = "default_drain_deadline")]
    #[schemars(with = "i32", range(min = 0, max = 86400))]
    pub deadline_seconds: u32,
    /// Seconds over which the sidecars then close the remaining sessions. Sessions are closed one after the other, so
    /// that clients do not reconnect all at once. Default 30.
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

/// Treatment of the workload when this object is deleted.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeletionPolicy {
    /// The operator removes the sidecar, and restores the Service and the Ingress.
    #[default]
    Delete,
    /// The operator leaves all objects as they are.
    Retain,
}
