//! The example chat, without and with the sidecar.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use socketio_sidecar::init::{Init, init};
use socketio_sidecar_core::config::Mode;

use super::{Kubectl, Redis, say, wait_for};

/// Longest wait for pods to come or go.
pub(super) const PODS: Duration = Duration::from_secs(180);

/// Choice of the manifests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// `chat.yaml`.
    Without,
    /// `with-sidecar.yaml`, in this mode.
    With(Mode),
}

/// A running deployment of the chat.
#[derive(Debug)]
pub struct Chat {
    name: &'static str,
    variant: Variant,
}

/// A pod of the chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// Name of the pod.
    pub name: String,
    /// UID of the pod.
    pub uid: String,
    /// IP of the pod.
    pub ip: String,
}

impl Chat {
    /// Puts the chat on the cluster anew, three replicas of it, and waits until all are ready.
    ///
    /// # Errors
    /// What `kubectl` said, or what was waited for in vain.
    pub fn deploy(variant: Variant) -> Result<Self> {
        Self::deploy_as(variant, false)
    }

    /// As [`Self::deploy`], with a Redis that passes events between the pods.
    ///
    /// # Errors
    /// As [`Self::deploy`].
    pub fn deploy_with_redis(variant: Variant) -> Result<Self> {
        Self::deploy_as(variant, true)
    }

    fn deploy_as(variant: Variant, redis: bool) -> Result<Self> {
        let (name, file) = match variant {
            Variant::Without => ("chat", "chat.yaml"),
            Variant::With(_) => ("chat-with", "with-sidecar.yaml"),
        };
        Kubectl::run(&["apply", "--filename", &manifests().join("namespace.yaml").to_string_lossy()])?;
        if redis {
            Redis::deploy()?;
        }
        let chat = Self { name, variant };
        say(&format!("deploying {name}, 3 replicas"));
        chat.remove()?;
        if let Variant::With(mode) = variant {
            write_configuration(mode)?;
        }
        let mut manifest = fs::read_to_string(manifests().join(file))?;
        if redis {
            manifest = Redis::uncomment(&manifest)?;
        }
        Kubectl::run_with(&["apply", "--filename=-"], Some(&manifest))?;
        chat.wait_until_ready()?;
        chat.wait_until_reached()?;
        Ok(chat)
    }

    /// Waits until the Service leads to the pods. kube-proxy is told of them when they are ready, and by
    /// default acts once a second; until then the address may lead nowhere, or to pods that have gone.
    fn wait_until_reached(&self) -> Result<()> {
        const TRIES: u32 = 30;
        const PAUSE: Duration = Duration::from_millis(50);
        let address = SocketAddr::new(self.cluster_ip()?, 80);
        wait_for("the Service to lead to the pods, and to nobody else", PODS, || {
            let is_reached = (0..TRIES).all(|_| {
                sleep(PAUSE);
                TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
            });
            Ok(is_reached.then_some(()))
        })
    }

    /// Removes what an earlier deployment left. Its pods end while the new ones start.
    fn remove(&self) -> Result<()> {
        // Orphaned first: kubelet does not interrupt a `preStop`, in which pods that go with their owner are
        // before they can be told to hurry.
        Kubectl::run(&["delete", "deployment", self.name, "--ignore-not-found", "--cascade=orphan"])?;
        Kubectl::run(&["delete", "replicasets", &self.selector(), "--cascade=orphan"])?;
        // The Service too: the operator may have taken it over.
        Kubectl::run(&["delete", "service", self.name, "--ignore-not-found"])?;
        // Nobody is connected, so nobody needs the grace that its pods ask for.
        Kubectl::run(&["delete", "pods", &self.selector(), "--grace-period=1", "--wait=false"]).map(drop)
    }

    /// Changes the number of replicas, without waiting.
    ///
    /// # Errors
    /// What `kubectl` said.
    pub fn scale(&self, replicas: u32) -> Result<()> {
        say(&format!("scaling to {replicas} replicas"));
        Kubectl::run(&["scale", "deployment", self.name, &format!("--replicas={replicas}")]).map(drop)
    }

    /// Waits until all replicas are ready and pods that are going are gone.
    ///
    /// # Errors
    /// What was waited for in vain.
    pub fn wait_until_ready(&self) -> Result<()> {
        let timeout = format!("--timeout={}s", PODS.as_secs());
        Kubectl::run(&["rollout", "status", "deployment", self.name, &timeout])?;
        wait_for("the pods to be as many as the deployment has", PODS, || {
            let replicas = Kubectl::json(&["get", "deployment", self.name])?["spec"]["replicas"].clone();
            Ok((replicas == self.pods()?.len()).then_some(()))
        })
    }

    /// The pods that are there now, going or not.
    ///
    /// # Errors
    /// What `kubectl` said.
    pub fn pods(&self) -> Result<Vec<Pod>> {
        let list = Kubectl::json(&["get", "pods", &self.selector()])?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let pods = list["items"].as_array().context("kubectl listed no items")?;
        Ok(pods
            .iter()
            .map(|pod| Pod {
                name: text(&pod["metadata"]["name"]),
                uid: text(&pod["metadata"]["uid"]),
                ip: text(&pod["status"]["podIP"]),
            })
            .collect())
    }

    /// The Service's address, so that clients need no DNS.
    ///
    /// # Errors
    /// What `kubectl` said.
    pub fn url(&self) -> Result<String> {
        Ok(format!("http://{}", self.cluster_ip()?))
    }

    fn cluster_ip(&self) -> Result<IpAddr> {
        let service = Kubectl::json(&["get", "service", self.name])?;
        let ip = service["spec"]["clusterIP"].as_str().context("the Service has no address")?;
        ip.parse().with_context(|| format!("{ip} is no address"))
    }

    /// A counter or gauge of the sidecars, summed over all pods and labels that contain `labels`.
    ///
    /// # Errors
    /// What `kubectl` said.
    pub fn metric(&self, name: &str, labels: &str) -> Result<f64> {
        let mut sum = 0.0;
        for pod in self.pods()? {
            let path =
                format!("/api/v1/namespaces/{}/pods/{}:7902/proxy/metrics", super::NAMESPACE, pod.name);
            let text = Kubectl::run(&["get", "--raw", &path])?;
            sum += text
                .lines()
                .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{'])))
                .filter(|line| line.contains(labels))
                .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok())
                .sum::<f64>();
        }
        Ok(sum)
    }

    /// The name of its Deployment and of its Service.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The variant that was deployed.
    pub fn variant(&self) -> Variant {
        self.variant
    }

    fn selector(&self) -> String {
        format!("--selector=app.kubernetes.io/name={}", self.name)
    }
}

/// Makes a configuration as the documentation says to, and puts it into the Secret.
fn write_configuration(mode: Mode) -> Result<()> {
    let temporary = tempfile::tempdir()?;
    let directory = temporary.path().join("chat-config");
    init(&Init { directory: directory.clone(), cluster: "example-chat".to_owned(), mode, valid_days: 2 })?;
    let mut data = BTreeMap::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        data.insert(entry.file_name().to_string_lossy().into_owned(), fs::read_to_string(entry.path())?);
    }
    Kubectl::apply(&serde_json::json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "chat-sidecar"},
        "stringData": data,
    }))
}

/// Directory of the example's manifests.
pub(super) fn manifests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/chat/k8s")
}
