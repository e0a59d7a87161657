//! A SocketIoCluster as it comes from the API server and is kept in memory.
//!
//! # Invariants
//! - It may be of another version of these types: one that they cannot hold keeps no other from being read.
//! - Of its metadata, what is of no use here is dropped while it is read. `managedFields`, a tree, would take
//!   several times the memory of all the rest, for each object and for as long as it exists.

use std::borrow::Cow;

use kube::Resource;
use kube::core::ObjectMeta;
use kube::core::error_boundary::InvalidObject;
use serde::de::{Deserialize, Deserializer, Error};
use serde_json::Value;

use super::SocketIoCluster;

/// Annotation in which `kubectl apply` keeps a second copy of the object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// An object; or why it cannot be read, and its metadata.
#[derive(Debug, Clone)]
pub struct Guarded(pub Result<SocketIoCluster, InvalidObject>);

impl<'de> Deserialize<'de> for Guarded {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut object = Value::deserialize(deserializer)?;
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
            if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
                annotations.remove(LAST_APPLIED);
            }
        }
        let read = SocketIoCluster::deserialize(&object);
        Ok(Self(match read {
            Ok(cluster) => Ok(cluster),
            Err(error) => {
                let metadata = ObjectMeta::deserialize(&object["metadata"]).map_err(D::Error::custom)?;
                Err(InvalidObject { error: error.to_string(), metadata })
            }
        }))
    }
}

impl Resource for Guarded {
    type DynamicType = ();
    type Scope = <SocketIoCluster as Resource>::Scope;

    fn kind((): &()) -> Cow<'_, str> {
        SocketIoCluster::kind(&())
    }

    fn group((): &()) -> Cow<'_, str> {
        SocketIoCluster::group(&())
    }

    fn version((): &()) -> Cow<'_, str> {
        SocketIoCluster::version(&())
    }

    fn plural((): &()) -> Cow<'_, str> {
        SocketIoCluster::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.as_ref().map_or_else(|invalid| &invalid.metadata, |cluster| &cluster.metadata)
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.as_mut().map_or_else(|invalid| &mut invalid.metadata, |cluster| &mut cluster.metadata)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(spec: &Value) -> Guarded {
        let object = json!({
            "apiVersion": "socketio-affinity.dev/v1alpha1", "kind": "SocketIoCluster",
            "metadata": {
                "name": "chat", "namespace": "default", "resourceVersion": "7",
                "annotations": {LAST_APPLIED: "{}", "theirs": "1"},
                "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}],
            },
            "spec": spec,
        });
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn what_is_kept_of_an_object_is_what_is_of_use() {
        let spec = json!({"workloadRef": {"kind": "Deployment", "name": "chat"}, "app": {"port": 3000}});
        let newer = json!({"workloadRef": {"kind": "Deployment", "name": "chat"}, "app": {"port": "http"}});
        for (spec, is_readable) in [(spec, true), (newer, false)] {
            let read = read(&spec);
            assert_eq!(read.0.is_ok(), is_readable);
            let metadata = read.meta();
            assert_eq!(
                (metadata.name.as_deref(), metadata.resource_version.as_deref()),
                (Some("chat"), Some("7"))
            );
            assert_eq!(metadata.managed_fields, None);
            let annotations: Vec<_> =
                metadata.annotations.iter().flatten().map(|(name, _)| name.as_str()).collect();
            assert_eq!(annotations, ["theirs"]);
        }
    }

    #[test]
    fn an_object_without_metadata_is_an_error() {
        assert!(serde_json::from_value::<Guarded>(json!({"spec": {}})).is_err());
    }
}
