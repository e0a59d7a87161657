//! The Redis that passes events between the chat's pods.

use std::fs;

use anyhow::{Result, ensure};

use super::chat::{PODS, manifests};
use super::{Kubectl, say};
use crate::images::definitions::REDIS;

/// The image in the manifest. The test's cluster cannot pull it, and has [`REDIS`] in its place.
const OFFICIAL: &str = "image: redis:7\n";

/// The example's Redis.
#[derive(Debug)]
pub struct Redis;

impl Redis {
    /// Puts it on the cluster, unless it is there, and waits until it is ready.
    ///
    /// # Errors
    /// What `kubectl` said, or what was waited for in vain.
    pub fn deploy() -> Result<()> {
        say("deploying redis");
        let manifest = fs::read_to_string(manifests().join("redis.yaml"))?;
        ensure!(manifest.matches(OFFICIAL).count() == 1, "redis.yaml does not have one {OFFICIAL:?}");
        let manifest = manifest.replace(OFFICIAL, &format!("image: {REDIS}\n"));
        Kubectl::run_with(&["apply", "--filename=-"], Some(&manifest))?;
        let timeout = format!("--timeout={}s", PODS.as_secs());
        Kubectl::run(&["rollout", "status", "deployment", "redis", &timeout]).map(drop)
    }

    /// Ends it; the cluster starts another.
    ///
    /// # Errors
    /// What `kubectl` said.
    pub fn restart() -> Result<()> {
        say("ending redis, for another to be started");
        let which = "--selector=app.kubernetes.io/name=redis";
        Kubectl::run(&["delete", "pods", which, "--grace-period=1", "--wait=false"]).map(drop)
    }

    /// Has a manifest of the chat name it, as the manifest itself says to.
    pub(super) fn uncomment(manifest: &str) -> Result<String> {
        const COMMENT: &str = "# - name: REDIS_URL\n            #   value:";
        ensure!(manifest.contains(COMMENT), "the chat's manifest does not have {COMMENT:?}");
        Ok(manifest.replace(COMMENT, "- name: REDIS_URL\n              value:"))
    }

    /// Removes it, without waiting.
    ///
    /// # Errors
    /// What `kubectl` said.
    pub fn remove() -> Result<()> {
        Kubectl::run(&["delete", "deployment,service", "redis", "--ignore-not-found", "--wait=false"])
            .map(drop)
    }
}
