//! A cluster of kind (<https://kind.sigs.k8s.io>), where a Docker engine runs.
//!
//! kind itself remembers its clusters by name, so a stale one is found by asking it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::programs;
use crate::report::say;

/// The name of the project's cluster `name`.
fn kind_name(name: &str) -> String {
    format!("socketio-affinity-{name}")
}

/// Whether kind can be used: it is installed and a Docker engine answers.
pub(crate) async fn is_available() -> bool {
    programs::find("kind").is_some()
        && programs::find("docker").is_some()
        && programs::succeeds(programs::command("docker").arg("info")).await
}

/// Whether the cluster exists.
pub(crate) async fn exists(name: &str) -> Result<bool> {
    let clusters = programs::output(programs::command("kind").args(["get", "clusters"])).await?;
    Ok(clusters.lines().any(|line| line.trim() == kind_name(name)))
}

/// Makes the cluster, after removing a stale one. Its kubeconfig is written to `kubeconfig`.
pub(crate) async fn create(name: &str, kubeconfig: &Path) -> Result<()> {
    if delete(name).await? {
        say(format_args!("removed the kind cluster that an earlier run left behind"));
    }
    // kind tells of its progress itself.
    let status = programs::command("kind")
        .args(["create", "cluster", "--wait=180s", "--name", &kind_name(name), "--kubeconfig"])
        .arg(kubeconfig)
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .status()
        .await
        .context("kind cannot be run")?;
    if !status.success() {
        bail!("kind cannot make a cluster; see its messages above");
    }
    Ok(())
}

/// Removes the cluster; false if there was none.
pub(crate) async fn delete(name: &str) -> Result<bool> {
    if !exists(name).await? {
        return Ok(false);
    }
    let mut kind = programs::command("kind");
    programs::output(kind.args(["delete", "cluster", "--name", &kind_name(name)])).await?;
    Ok(true)
}

/// Puts the images of a docker-archive on the cluster's nodes.
pub(crate) async fn load_image(name: &str, archive: &Path) -> Result<()> {
    let mut kind = programs::command("kind");
    programs::output(kind.args(["load", "image-archive", "--name", &kind_name(name)]).arg(archive))
        .await
        .map(drop)
}

/// Writes the running cluster's kubeconfig to a file.
pub(crate) async fn kubeconfig(name: &str, to: &Path) -> Result<PathBuf> {
    let mut kind = programs::command("kind");
    programs::output(kind.args(["export", "kubeconfig", "--name", &kind_name(name), "--kubeconfig"]).arg(to))
        .await?;
    Ok(to.to_path_buf())
}
