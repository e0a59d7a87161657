//! Of the spec: what happens when the object is deleted.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
