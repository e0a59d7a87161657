//! Identity of an object that is watched only to know that it has changed.
//!
//! The API server is asked for metadata alone, and of these all but a few fields are dropped while they are
//! read: `managedFields` of one page of pods would take more memory than all SocketIoClusters.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::marker::PhantomData;

use kube::Resource;
use kube::core::ObjectMeta;
use serde::Deserialize;

/// Identity of a `K`.
#[derive(Debug, Clone, Deserialize)]
#[serde(from = "Answer", bound = "")]
pub(super) struct Seen<K> {
    metadata: ObjectMeta,
    kind: PhantomData<K>,
}

/// The part of the API server's answer that is read.
#[derive(Deserialize)]
struct Answer {
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    labels: Option<BTreeMap<String, String>>,
}

impl<K> From<Answer> for Seen<K> {
    fn from(Answer { metadata }: Answer) -> Self {
        let Metadata { name, namespace, uid, resource_version, labels } = metadata;
        let metadata = ObjectMeta { name, namespace, uid, resource_version, labels, ..ObjectMeta::default() };
        Self { metadata, kind: PhantomData }
    }
}

impl<K: Resource> Resource for Seen<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn metadata_api() -> bool {
        true
    }

    fn kind(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(dynamic)
    }

    fn group(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        K::group(dynamic)
    }

    fn version(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        K::version(dynamic)
    }

    fn plural(dynamic: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(dynamic)
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::json;

    #[test]
    fn what_is_kept_of_it_is_what_tells_which_one_it_is() {
        let seen: Seen<Pod> = serde_json::from_value(json!({
            "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
            "metadata": {
                "name": "chat-0", "namespace": "default", "uid": "1", "resourceVersion": "7", "labels": {"a": "b"},
                "annotations": {"c": "d"}, "managedFields": [{"manager": "kubelet", "fieldsV1": {"f:status": {}}}],
            },
        }))
        .unwrap();
        let kept = serde_json::to_value(seen.meta()).unwrap();
        let expected = json!({
            "name": "chat-0", "namespace": "default", "uid": "1", "resourceVersion": "7", "labels": {"a": "b"},
        });
        assert_eq!((kept, Seen::<Pod>::metadata_api()), (expected, true));
    }
}
