//! Triggers reconciles: on changes of the objects themselves, of whatever they name or made, and of others
//! that have what they wait for.
//!
//! Everything but the objects themselves is watched by its metadata only. Secrets are not watched: that
//! would need the right to list them.

mod ours;
mod seen;

use std::sync::Arc;

use futures::TryStreamExt;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::{Controller, WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};

use super::condition::Reason;
use super::names::{self, CLUSTER_LABEL};
use crate::crd::v1alpha1::WorkloadKind;
use crate::crd::{Guarded, SocketIoCluster};
pub(super) use ours::OurIngresses;
use seen::Seen;

/// The controller over one namespace or all, its store, and what it has been shown of our Ingresses.
pub(super) fn controller(
    client: &Client,
    namespace: Option<&str>,
) -> (Controller<Guarded>, Store<Guarded>, Arc<OurIngresses>) {
    let clusters = Controller::new(scoped::<Guarded>(client, namespace), watcher::Config::default());
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
    let ours = Arc::new(OurIngresses::default());
    let ingress = {
        let store = store.clone();
        move |ingress: Seen<Ingress>| {
            let (name, namespace) = (ingress.name_any(), ingress.namespace().unwrap_or_default());
            find(&store, &namespace, |cluster| {
                names::own_ingress(cluster) == name || names::ingress(cluster).as_deref() == Some(&name)
            })
        }
    };
    let class = {
        let store = store.clone();
        move |class: Seen<IngressClass>| {
            let name = class.name_any();
            select(&store, |cluster| may_use_class(cluster, &name))
        }
    };
    let rival = {
        let store = store.clone();
        move |rival: Seen<SocketIoCluster>| {
            let namespace = rival.namespace().unwrap_or_default();
            find(&store, &namespace, |cluster| cluster.uid() != rival.uid() && waits_for_another(cluster))
        }
    };
    let any = watcher::Config::default();
    let ingresses = {
        let ours = ours.clone();
        watcher(metadata::<Ingress>(client, namespace), any.clone())
            // Before the event starts a reconcile, which looks there.
            .inspect_ok(move |event| ours.follow(event))
            .touched_objects()
    };
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
        .watches_stream(ingresses, ingress)
        .watches(Api::<Seen<IngressClass>>::all(client.clone()), any.clone(), class)
        // Once more, since the controller's own watch makes passes of the object itself only.
        .watches(metadata::<SocketIoCluster>(client, namespace), any.clone(), rival)
        // Pods that have no sidecar yet show in their workload's status.
        .watches(metadata::<Pod>(client, namespace), any.labels(CLUSTER_LABEL), |pod| {
            let name: Option<&String> = pod.labels().get(CLUSTER_LABEL);
            name.map(|name| {
                ObjectRef::<Guarded>::new(name.as_str()).within(&pod.namespace().unwrap_or_default())
            })
        });
    (clusters, store, ours)
}

fn by_name<K: Resource>(
    find: impl Fn(&str, &str) -> Vec<ObjectRef<Guarded>> + Send + Sync + 'static,
) -> impl Fn(Seen<K>) -> Vec<ObjectRef<Guarded>> + Send + Sync + 'static {
    move |object| find(&object.name_any(), &object.namespace().unwrap_or_default())
}

fn find(
    store: &Store<Guarded>,
    namespace: &str,
    is_meant: impl Fn(&SocketIoCluster) -> bool,
) -> Vec<ObjectRef<Guarded>> {
    select(store, |cluster| cluster.metadata.namespace.as_deref() == Some(namespace) && is_meant(cluster))
}

/// Selects from all objects that can be read.
fn select(store: &Store<Guarded>, is_meant: impl Fn(&SocketIoCluster) -> bool) -> Vec<ObjectRef<Guarded>> {
    let is_meant = |cluster: &Guarded| cluster.0.as_ref().is_ok_and(&is_meant);
    let clusters = store.state();
    clusters
        .iter()
        .filter(|cluster| is_meant(cluster))
        .map(|cluster| ObjectRef::from_obj(&**cluster))
        .collect()
}

/// The object has an Ingress of that class, or one of a user's that may have.
fn may_use_class(cluster: &SocketIoCluster, class: &str) -> bool {
    let ingress = cluster.spec.edge.ingress.as_ref();
    ingress.is_some_and(|ingress| match &ingress.class_name {
        Some(named) => named == class,
        None => ingress.take_over,
    })
}

/// The object waits for what another one has.
fn waits_for_another(cluster: &SocketIoCluster) -> bool {
    let conditions = cluster.status.iter().flat_map(|status| &status.conditions);
    conditions
        .into_iter()
        .filter_map(|condition| Reason::parse(&condition.reason))
        .any(Reason::is_about_another_cluster)
}

/// An API that reads only the metadata of objects.
fn metadata<K>(client: &Client, namespace: Option<&str>) -> Api<Seen<K>>
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::fixtures::{changed, cluster, cluster_with};
    use serde_json::json;

    #[test]
    fn an_ingress_class_is_of_interest_to_those_that_name_it_or_take_an_ingress_over_that_may() {
        let with = |ingress| cluster_with(&json!({"edge": {"ingress": ingress}}));
        assert!(!may_use_class(&cluster(), "nginx"));
        for (ingress, expected) in [
            (json!({"className": "nginx"}), true),
            (json!({"className": "other"}), false),
            (json!({"name": "front", "takeOver": true}), true),
            (json!({"name": "front", "takeOver": true, "className": "other"}), false),
        ] {
            assert_eq!(may_use_class(&with(ingress.clone()), "nginx"), expected, "{ingress}");
        }
    }

    #[test]
    fn others_are_of_interest_to_whoever_is_refused_for_what_they_have() {
        let with = |reason: &str| {
            let conditions = json!([{
                "type": "Accepted", "status": "False", "reason": reason, "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }]);
            let status = serde_json::from_value(json!({"conditions": conditions})).unwrap();
            changed(&cluster(), |object| object.status = status)
        };
        assert!(!waits_for_another(&cluster()));
        assert!(!waits_for_another(&with("HostNetwork")));
        assert!(waits_for_another(&with("Conflicted")) && waits_for_another(&with("ServiceTaken")));
    }
}
