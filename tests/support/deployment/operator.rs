//! The operator on the cluster, as the chart installs it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::{Kubectl, say, wait_for};

/// The release's name, and its Deployment's.
const RELEASE: &str = "socketio-affinity";
const DEFINITION: &str = "customresourcedefinition/socketioclusters.socketio-affinity.dev";
/// Longest wait for its pods to come or go.
const PODS: Duration = Duration::from_secs(90);

/// An installation of the chart. When it is dropped, it goes, with the definition and all
/// SocketIoClusters; what these had changed stays as it is.
#[derive(Debug)]
pub struct Operator(());

impl Operator {
    /// The operator's namespace, where it keeps Secrets.
    pub const NAMESPACE: &str = "socketio-affinity-system";

    /// Installs the chart of the working tree with the images that the tests make, and waits until the
    /// operator runs. `options` are further ones of `helm`, such as `--set=replicas=1`.
    ///
    /// # Errors
    /// What `helm` said. On a cluster of a person's own, that there is an installation already.
    pub fn install(options: &[&str]) -> Result<Self> {
        let own = std::env::var("CLUSTER_PROVIDER").is_ok_and(|provider| provider == "kubeconfig");
        let there = Kubectl::run(&["get", DEFINITION]).is_ok();
        ensure!(
            !(own && there),
            "this cluster has SocketIoClusters, which the tests would remove; use another"
        );
        say("installing the chart");
        let operator = Self(());
        let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/socketio-affinity");
        let chart = chart.to_string_lossy();
        let install =
            ["upgrade", "--install", RELEASE, &*chart, "--create-namespace", "--wait", "--timeout=90s"];
        helm(&[&install[..], &["--set=image.tag=dev,sidecar.image.tag=dev"], options].concat())?;
        Ok(operator)
    }

    /// Has as many replicas of it run, and waits until it is so. With none, the chart stays.
    ///
    /// # Errors
    /// What was waited for in vain.
    pub fn scale(&self, replicas: u32) -> Result<()> {
        say(&format!("scaling the operator to {replicas}"));
        Self::kubectl(&["scale", "deployment", RELEASE, &format!("--replicas={replicas}")])?;
        Self::kubectl(&["rollout", "status", "deployment", RELEASE, "--timeout=90s"])?;
        wait_for("the operator's pods to be as many", PODS, || {
            let pods = Self::kubectl(&["get", "pods", &Self::selector(), "--output=name"])?;
            Ok((pods.lines().count() == replicas as usize).then_some(()))
        })
    }

    /// The UID of its pod, where it has one replica.
    ///
    /// # Errors
    /// What `kubectl` said.
    pub fn pod_uid(&self) -> Result<String> {
        Self::kubectl(&["get", "pods", &Self::selector(), "--output=jsonpath={.items[0].metadata.uid}"])
    }

    /// Logs of all pods of the operator.
    ///
    /// # Errors
    /// What `kubectl` said.
    pub fn log(&self) -> Result<String> {
        Self::kubectl(&["logs", &Self::selector(), "--tail=-1", "--prefix"])
    }

    /// `kubectl` in the operator's namespace.
    ///
    /// # Errors
    /// As [`Kubectl::run`].
    pub fn kubectl(args: &[&str]) -> Result<String> {
        Kubectl::run(&[&["--namespace", Self::NAMESPACE], args].concat())
    }

    fn selector() -> String {
        format!("--selector=app.kubernetes.io/instance={RELEASE}")
    }

    fn remove(&self) -> Result<()> {
        // Nobody is left to take the finalizers off, and the definition waits for its objects.
        helm(&["uninstall", RELEASE, "--no-hooks", "--ignore-not-found", "--wait", "--timeout=90s"])?;
        let list = Kubectl::json(&["get", "socketioclusters", "--all-namespaces"])?;
        for object in list["items"].as_array().context("kubectl listed no items")? {
            let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
            let patch = r#"--patch={"metadata":{"finalizers":null}}"#;
            let args = [
                "--namespace",
                text("namespace"),
                "patch",
                "socketiocluster",
                text("name"),
                "--type=merge",
                patch,
            ];
            Kubectl::run(&args)?;
        }
        Kubectl::run(&["delete", DEFINITION, "--timeout=60s"])?;
        Kubectl::run(&["delete", "namespace", Self::NAMESPACE, "--timeout=60s"]).map(drop)
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            say(&format!("the operator could not be removed: {error}"));
        }
    }
}

fn helm(args: &[&str]) -> Result<()> {
    let output = Command::new("helm")
        .args(["--namespace", Operator::NAMESPACE])
        .args(args)
        .output()
        .context("helm cannot be started; run this inside `cluster run`, which puts it on PATH")?;
    if !output.status.success() {
        bail!("helm {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
