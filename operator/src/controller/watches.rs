//! What makes a pass run: changes of the objects themselves, and of whatever they name or made.
//!
//! Everything but the objects themselves is watched by its metadata only. Secrets are not watched: that
//! would need the right to list them.

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::networking::v1::Ingress;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::{Controller, watcher};
use kube::{Api, Client, Resource, ResourceExt};

use super::names::{self, CLUSTER_LABEL};
use crate::crd::SocketIoCluster;
use crate::crd::v1alpha1::WorkloadKind;

/// The controller over one namespace or all, and its store.
pub(super) fn controller(
    client: &Client,
    namespace: Option<&str>,
) -> (Controller<SocketIoCluster>, Store<SocketIoCluster>) {
    let clusters = Controller::new(scoped::<SocketIoCluster>(client, namespace), watcher::Config::default());
    let store = clusters.store();
    let workload = |kind| {
        let store = store.clone();
        move |name: &str, namespace: &str| {
            find(&store, namespace, |cluster| {
                cluster.spec.workload_ref.kind == kind && cluster.spec.workload_ref.name == name
            })
        }
    };
    let service = {
        let store = store.clone();
        move |name: &str, namespace: &str| {
            find(&store, namespace, |cluster| {
                names::client_service(cluster) == name || names::peer_service(cluster) == name
            })
        }
    };
    let ingress = {
        let store = store.clone();
        move |name: &str, namespace: &str| {
            find(&store, namespace, |cluster| {
                names::own_ingress(cluster) == name || names::ingress(cluster).as_deref() == Some(name)
            })
        }
    };
    let any = watcher::Config::default();
    let clusters = clusters
        .watches(
            metadata::<Deployment>(client, namespace),
            any.clone(),
            by_name(workload(WorkloadKind::Deployment)),
        )
        .watches(
            metadata::<StatefulSet>(client, namespace),
            any.clone(),
            by_name(workload(WorkloadKind::StatefulSet)),
        )
        .watches(
            metadata::<DaemonSet>(client, namespace),
            any.clone(),
            by_name(workload(WorkloadKind::DaemonSet)),
        )
        .watches(metadata::<Service>(client, namespace), any.clone(), by_name(service))
        .watches(metadata::<Ingress>(client, namespace), any.clone(), by_name(ingress))
        // Pods that have no sidecar yet show in their workload's status.
        .watches(metadata::<Pod>(client, namespace), any.labels(CLUSTER_LABEL), |pod| {
            let name: Option<&String> = pod.labels().get(CLUSTER_LABEL);
            name.map(|name| {
                ObjectRef::<SocketIoCluster>::new(name.as_str()).within(&pod.namespace().unwrap_or_default())
            })
        });
    (clusters, store)
}

fn by_name<K: Resource>(
    find: impl Fn(&str, &str) -> Vec<ObjectRef<SocketIoCluster>> + Send + Sync + 'static,
) -> impl Fn(PartialObjectMeta<K>) -> Vec<ObjectRef<SocketIoCluster>> + Send + Sync + 'static {
    move |object| find(&object.name_any(), &object.namespace().unwrap_or_default())
}

fn find(
    store: &Store<SocketIoCluster>,
    namespace: &str,
    is_meant: impl Fn(&SocketIoCluster) -> bool,
) -> Vec<ObjectRef<SocketIoCluster>> {
    let in_namespace = |cluster: &SocketIoCluster| cluster.namespace().as_deref() == Some(namespace);
    let clusters = store.state();
    clusters
        .iter()
        .filter(|cluster| in_namespace(cluster) && is_meant(cluster))
        .map(|cluster| ObjectRef::from_obj(&**cluster))
        .collect()
}

/// What is read of such objects is their metadata alone.
fn metadata<K>(client: &Client, namespace: Option<&str>) -> Api<PartialObjectMeta<K>>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    scoped(client, namespace)
}

fn scoped<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}
