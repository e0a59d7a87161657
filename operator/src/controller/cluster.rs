//! A SocketIoCluster with its identity and all names that follow from it, each resolved once. Pure, and on the ground
//! floor.
//!
//! # Invariant
//! The name, the namespace and the UID are there. An object of the API server has all three, so that nothing after
//! [`Cluster::resolve`] has a default for them.

use std::collections::BTreeMap;
use std::ops::Deref;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;

use super::error::Error;
use super::names::{self, CLUSTER_LABEL, MANAGER};
use crate::crd::SocketIoCluster;

/// The SocketIoCluster that a reconcile is about.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    object: SocketIoCluster,
    /// The name of the object.
    pub(crate) name: String,
    /// The namespace of the object, its workload and all that is made, but for the operator's own Secret.
    pub(crate) namespace: String,
    /// The UID of the object.
    pub(crate) uid: String,
    /// The Service for clients and edges: the user's own, or the operator's.
    pub(crate) client_service: String,
    /// The headless Service of the peers.
    pub(crate) peer_service: String,
    /// The Secret with the sidecars' configuration.
    pub(crate) sidecar_secret: String,
    /// The Secret in the operator's namespace. Objects of all namespaces meet there, so its name has the UID.
    pub(crate) credentials_secret: String,
    /// The Ingress that the spec asks for: the user's own, or the operator's.
    pub(crate) ingress: Option<String>,
    /// The Ingress that the operator makes, whether the spec asks for it or not.
    pub(crate) own_ingress: String,
}

impl Cluster {
    /// Resolves the identity and the names of `object`.
    ///
    /// # Errors
    /// The object has no name, no namespace or no UID, which the API server does not allow.
    pub(crate) fn resolve(object: &SocketIoCluster) -> Result<Self, Error> {
        let given = |field: &Option<String>, name: &str| match field.as_deref() {
            Some(value) if !value.is_empty() => Ok(value.to_owned()),
            _ => Err(Error::unreadable("this SocketIoCluster")(format!("it has no {name}"))),
        };
        let name = given(&object.metadata.name, "name")?;
        let uid = given(&object.metadata.uid, "uid")?;
        Ok(Self {
            namespace: given(&object.metadata.namespace, "namespace")?,
            client_service: names::client_service(object),
            peer_service: names::peer_service(object),
            sidecar_secret: format!("{name}-socketio-sidecar"),
            credentials_secret: format!("socketio-affinity-{uid}"),
            ingress: names::ingress(object),
            own_ingress: names::own_ingress(object),
            object: object.clone(),
            name,
            uid,
        })
    }

    /// The labels of what is made.
    pub(crate) fn labels(&self) -> BTreeMap<String, String> {
        [("app.kubernetes.io/managed-by", MANAGER), (CLUSTER_LABEL, &self.name)]
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// The metadata of what is made in the object's own namespace. It names no owner: who deletes an object in
    /// the foreground would have the API server collect the Service at once, while traffic still needs it.
    pub(crate) fn metadata_of(&self, name: &str) -> ObjectMeta {
        ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(self.namespace.clone()),
            labels: Some(self.labels()),
            ..ObjectMeta::default()
        }
    }

    /// Returns true if an object of the same namespace was made for this SocketIoCluster, or an earlier one of its name.
    pub(crate) fn owns(&self, object: &impl ResourceExt) -> bool {
        let wanted = self.labels();
        wanted.iter().all(|(name, value)| object.labels().get(name) == Some(value))
    }

    /// The workload as a person calls it, such as `Deployment chat`.
    pub(crate) fn workload(&self) -> String {
        let reference = &self.spec.workload_ref;
        format!("{} {}", reference.kind.resource().kind, reference.name)
    }
}

impl Deref for Cluster {
    type Target = SocketIoCluster;

    fn deref(&self) -> &SocketIoCluster {
        &self.object
    }
}

#[cfg(test)]
mod tests {
    use crate::controller::fixtures::cluster;

    use super::{Cluster, SocketIoCluster};

    #[test]
    fn an_object_without_name_namespace_or_uid_is_an_error() {
        type Change = fn(&mut SocketIoCluster);
        let changes: [Change; 4] = [
            |object| object.metadata.name = None,
            |object| object.metadata.namespace = None,
            |object| object.metadata.uid = None,
            |object| object.metadata.uid = Some(String::new()),
        ];
        for change in changes {
            let mut object = SocketIoCluster::clone(&cluster());
            change(&mut object);
            assert_eq!(Cluster::resolve(&object).unwrap_err().category(), "Unreadable");
        }
    }
}
