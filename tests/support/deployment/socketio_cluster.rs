//! A SocketIoCluster, as a user handles it: with `kubectl`.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::chat::manifests;
use super::{Chat, Kubectl, say, wait_for};

/// An object in [`NAMESPACE`](super::NAMESPACE). When it is dropped nothing happens: see
/// [`Operator`](super::Operator).
#[derive(Debug)]
pub struct SocketIoCluster {
    name: String,
}

impl SocketIoCluster {
    /// The spec for `chat`, which takes its Service over, and ends sessions soon: `changes` are merged
    /// into it (RFC 7396).
    #[must_use]
    pub fn spec(chat: &Chat, changes: &Value) -> Value {
        let mut spec = json!({
            "workloadRef": {"kind": "Deployment", "name": chat.name()},
            "app": {"port": 3000},
            "adapter": {"type": "NotNeeded"},
            "edge": {"service": {"name": chat.name(), "takeOver": true}},
            "drain": {"deadlineSeconds": 10, "windowSeconds": 8},
        });
        merge(&mut spec, changes);
        spec
    }

    /// Applies it.
    ///
    /// # Errors
    /// What `kubectl` said.
    pub fn apply(name: &str, spec: &Value) -> Result<Self> {
        say(&format!("applying SocketIoCluster {name}"));
        Kubectl::apply(&json!({
            "apiVersion": "socketio-affinity.dev/v1alpha1",
            "kind": "SocketIoCluster",
            "metadata": {"name": name},
            "spec": spec,
        }))?;
        Ok(Self { name: name.to_owned() })
    }

    /// Applies the one of the example.
    ///
    /// # Errors
    /// What `kubectl` said.
    pub fn apply_example() -> Result<Self> {
        say("applying examples/chat/k8s/socketio-cluster.yaml");
        let file = manifests().join("socketio-cluster.yaml");
        Kubectl::run(&["apply", "--filename", &file.to_string_lossy()])?;
        Ok(Self { name: "chat".to_owned() })
    }

    /// Waits until it is ready, and says each step that it comes to.
    ///
    /// # Errors
    /// As [`Self::wait_until`].
    pub fn watch_until_ready(&self, limit: Duration) -> Result<()> {
        let mut said = String::new();
        wait_for(&format!("SocketIoCluster {} to be ready", self.name), limit, || {
            let ready = self.condition("Ready")?;
            let reason = ready["reason"].as_str().unwrap_or_default();
            if reason != said {
                said = reason.to_owned();
                say(&format!("{reason}: {}", ready["message"].as_str().unwrap_or_default()));
            }
            Ok((ready["status"] == "True").then_some(()))
        })
    }

    /// Merges a patch into its spec (RFC 7396).
    ///
    /// # Errors
    /// What `kubectl` said.
    pub fn change(&self, spec: &Value) -> Result<()> {
        say(&format!("changing SocketIoCluster {}: {spec}", self.name));
        let patch = json!({"spec": spec}).to_string();
        Kubectl::run(&["patch", "socketiocluster", &self.name, "--type=merge", "--patch", &patch]).map(drop)
    }

    /// The object, as the API server has it.
    ///
    /// # Errors
    /// What `kubectl` said.
    pub fn get(&self) -> Result<Value> {
        Kubectl::json(&["get", "socketiocluster", &self.name])
    }

    /// The condition of a type, such as `Ready`: `status`, `reason`, `message`. Null if there is none.
    ///
    /// # Errors
    /// What `kubectl` said.
    pub fn condition(&self, type_: &str) -> Result<Value> {
        Ok(condition(&self.get()?, type_))
    }

    /// Waits until a condition holds of it. What its `Ready` says is in the error.
    ///
    /// # Errors
    /// That it was waited for in vain.
    pub fn wait_until(&self, what: &str, limit: Duration, holds: impl Fn(&Value) -> bool) -> Result<()> {
        let what = format!("SocketIoCluster {} to {what}", self.name);
        wait_for(&what, limit, || Ok(holds(&self.get()?).then_some(()))).with_context(|| {
            self.condition("Ready").map_or_else(|error| error.to_string(), |it| it.to_string())
        })
    }

    /// Waits until it is ready as it is specified now, which every pod has applied.
    ///
    /// # Errors
    /// As [`Self::wait_until`].
    pub fn wait_until_ready(&self, limit: Duration) -> Result<()> {
        self.wait_until("be ready", limit, |object| {
            let ready = condition(object, "Ready");
            ready["status"] == "True"
                && ready["observedGeneration"] == object["metadata"]["generation"]
                && object["status"]["revision"] == object["status"]["appliedRevision"]
        })
    }

    /// Waits until it has reached a step, such as `Settling`.
    ///
    /// # Errors
    /// As [`Self::wait_until`].
    pub fn wait_for_step(&self, step: &str, limit: Duration) -> Result<()> {
        self.wait_until(&format!("come to step {step}"), limit, |object| object["status"]["step"] == step)
    }

    /// Deletes it, without waiting.
    ///
    /// # Errors
    /// What `kubectl` said.
    pub fn delete(&self) -> Result<()> {
        say(&format!("deleting SocketIoCluster {}", self.name));
        Kubectl::run(&["delete", "socketiocluster", &self.name, "--wait=false"]).map(drop)
    }

    /// Waits until it is gone.
    ///
    /// # Errors
    /// That it was waited for in vain, and what its `Ready` says.
    pub fn wait_until_gone(&self, limit: Duration) -> Result<()> {
        wait_for(&format!("SocketIoCluster {} to be gone", self.name), limit, || {
            let left =
                Kubectl::run(&["get", "socketiocluster", &self.name, "--ignore-not-found", "--output=name"])?;
            Ok(left.is_empty().then_some(()))
        })
        .with_context(|| self.condition("Ready").map_or_else(|error| error.to_string(), |it| it.to_string()))
    }
}

/// The condition of a type in an object's status, or null.
#[must_use]
pub fn condition(object: &Value, type_: &str) -> Value {
    let conditions = object["status"]["conditions"].as_array();
    let found = conditions.into_iter().flatten().find(|condition| condition["type"] == type_);
    found.cloned().unwrap_or_default()
}

/// Merges a patch into an object (RFC 7396).
pub fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        target.clone_from(patch);
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (name, value) in fields {
        if value.is_null() {
            target.as_object_mut().map(|fields| fields.remove(name));
        } else {
            merge(&mut target[name], value);
        }
    }
}
