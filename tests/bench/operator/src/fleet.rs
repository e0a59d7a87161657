//! The SocketIoClusters, each with a Deployment of its own, over ten namespaces.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{ListParams, PostParams};
use kube::{Api, Client, CustomResourceExt, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use socketio_operator::crd::SocketIoCluster;
use tokio::process::Command;

use crate::say;

/// The operator's namespace.
pub(crate) const SYSTEM: &str = "bench-system";
const NAMESPACES: u32 = 10;
/// How many objects are made at once.
const AT_ONCE: usize = 16;
const SERVED: Duration = Duration::from_secs(30);
/// What would take time, or act on what the stand-in does, too.
const IN_THE_WAY: [&str; 5] =
    ["kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "coredns"];

/// What has been made.
pub(crate) struct Fleet {
    client: Client,
    pods: u8,
    size: u32,
}

/// Stops all of the cluster but the API server and its store.
///
/// # Errors
/// This is no local cluster.
pub(crate) async fn quiet_the_cluster(cluster: &Path) -> Result<()> {
    for component in IN_THE_WAY {
        let done = Command::new(cluster).args(["component", "stop", component]).status().await;
        let done = done.with_context(|| format!("{} cannot be started", cluster.display()))?;
        ensure!(
            done.success(),
            "{component} cannot be stopped; this runs in a local cluster of its own only"
        );
    }
    Ok(())
}

/// The namespace and the name of the SocketIoCluster, and of the Deployment, of that number.
pub(crate) fn name(number: u32) -> (String, String) {
    (format!("bench-{}", number % NAMESPACES), format!("chat-{number}"))
}

/// The number in a name.
pub(crate) fn number(name: &str) -> Option<u32> {
    name.strip_prefix("chat-")?.parse().ok()
}

impl Fleet {
    /// Makes the definition and the namespaces.
    ///
    /// # Errors
    /// What the API server said.
    pub(crate) async fn prepare(client: &Client, pods: u8) -> Result<Self> {
        say("making the definition and the namespaces");
        Api::all(client.clone()).create(&PostParams::default(), &SocketIoCluster::crd()).await?;
        for namespace in (0..NAMESPACES).map(|number| name(number).0).chain([SYSTEM.to_owned()]) {
            let made: Namespace = serde_json::from_value(json!({"metadata": {"name": namespace}}))?;
            Api::all(client.clone()).create(&PostParams::default(), &made).await?;
            // No controller makes it.
            let account: ServiceAccount = serde_json::from_value(json!({"metadata": {"name": "default"}}))?;
            Api::namespaced(client.clone(), &namespace).create(&PostParams::default(), &account).await?;
        }
        let clusters: Api<SocketIoCluster> = Api::all(client.clone());
        let served = async {
            while clusters.list(&ListParams::default().limit(1)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        tokio::time::timeout(SERVED, served).await.context("SocketIoCluster is not served")?;
        Ok(Self { client: client.clone(), pods, size: 0 })
    }

    /// Makes SocketIoClusters until there are `size`.
    ///
    /// # Errors
    /// What the API server said, or that there are more already.
    pub(crate) async fn grow(&mut self, size: u32) -> Result<()> {
        if size < self.size {
            bail!(
                "--sizes must ascend: there are {} SocketIoClusters already, and {size} come after them",
                self.size
            );
        }
        say(&format!("making SocketIoClusters until there are {size}"));
        let fleet = &*self;
        stream::iter((self.size..size).map(|number| fleet.make(number)))
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await?;
        self.size = size;
        Ok(())
    }

    async fn make(&self, number: u32) -> Result<()> {
        let (namespace, name) = name(number);
        let namespace = namespace.as_str();
        let labels = json!({"app": name});
        let deployment = json!({
            "metadata": {"name": name},
            "spec": {
                "replicas": self.pods,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "automountServiceAccountToken": false,
                        "containers": [{"name": "chat", "image": "none", "ports": [{"containerPort": 3000}]}],
                    },
                },
            },
        });
        create::<Deployment>(&self.client, namespace, deployment).await?;
        // What the controller would make of the Service that leads to sidecars; no pod can have a loopback
        // address there.
        let endpoints = json!({
            "metadata": {
                "name": format!("{name}-socketio"),
                "labels": {"kubernetes.io/service-name": format!("{name}-socketio")},
            },
            "addressType": "IPv4",
            "endpoints": [],
            "ports": [{"name": "http", "port": 7900}],
        });
        create::<EndpointSlice>(&self.client, namespace, endpoints).await?;
        let cluster = json!({
            "apiVersion": "socketio-affinity.dev/v1alpha1",
            "kind": "SocketIoCluster",
            "metadata": {"name": name},
            "spec": {
                "workloadRef": {"kind": "Deployment", "name": name},
                "app": {"port": 3000},
                "adapter": {"type": "NotNeeded"},
            },
        });
        create::<SocketIoCluster>(&self.client, namespace, cluster).await?;
        Ok(())
    }
}

/// Makes an object that is given as JSON; false if there is one of that name.
///
/// # Errors
/// What the API server said.
pub(crate) async fn create<K>(client: &Client, namespace: &str, object: Value) -> Result<bool>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Serialize
        + DeserializeOwned
        + Clone
        + std::fmt::Debug,
{
    let object: K = serde_json::from_value(object)?;
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    match api.create(&PostParams::default(), &object).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error.into()),
    }
}
