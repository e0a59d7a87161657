//! The node's configuration files (`tests/cluster/config`) and the pause image.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use support::images::definitions::program_image;

use super::pki;
use super::state::StateDir;
use crate::programs;

/// The image that holds a pod's namespaces. The containerd configuration names it too.
const PAUSE: &str = "socketio-affinity/pause:1";

const FILES: [(&str, &str); 7] = [
    ("containerd.toml", include_str!("../config/containerd.toml")),
    ("cni/pods.conflist", include_str!("../config/cni/pods.conflist")),
    ("kubelet.yaml", include_str!("../config/kubelet.yaml")),
    ("kube-proxy.yaml", include_str!("../config/kube-proxy.yaml")),
    ("Corefile", include_str!("../config/Corefile")),
    ("resolv.conf", include_str!("../config/resolv.conf")),
    ("addons.yaml", include_str!("../config/addons.yaml")),
];

/// Writes everything that the node reads, and the administrator's kubeconfig.
pub(crate) fn write(state: &StateDir) -> Result<()> {
    for directory in ["bin", "etc/cni", "lib", "log"] {
        let directory = state.join(directory);
        fs::create_dir_all(&directory).with_context(|| format!("{} cannot be made", directory.display()))?;
    }
    let etc = state.join("etc");
    for (name, text) in FILES {
        let path = etc.join(name);
        fs::write(&path, text.replace("{cgroup_root}", &state.cgroup()))
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    pki::write(&etc, &kubeconfig(state))
}

/// Where the administrator's kubeconfig is.
pub(crate) fn kubeconfig(state: &StateDir) -> PathBuf {
    state.join("kubeconfig")
}

/// Compiles the pause program, and makes its image.
pub(crate) async fn pause_image(directory: &Path) -> Result<PathBuf> {
    let source = directory.join("pause.c");
    fs::write(&source, include_str!("../config/pause.c"))?;
    let program = directory.join("pause");
    let mut cc = programs::command("cc");
    programs::output(cc.args(["-Os", "-s", "-static", "-o"]).arg(&program).arg(&source))
        .await
        .context("The pause program cannot be compiled")?;
    let archive = directory.join("pause.tar");
    program_image(PAUSE, &program, "/pause").write(&archive)?;
    Ok(archive)
}
