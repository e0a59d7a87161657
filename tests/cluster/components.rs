//! The programs of which a cluster consists: built once from their Go modules, kept outside
//! the tree by version.
//!
//! ```text
//! ${XDG_CACHE_HOME:-~/.cache}/socketio-affinity/
//!   bin/kubernetes-v1.36.3/kubelet …   complete, or not there at all
//!   build/kubernetes-v1.36.3/          go.mod and the log of the last build
//!   lock                               one build at a time
//! ```
//!
//! Go itself checks each module against the public checksum database. A build that is
//! cancelled leaves nothing in `bin`, and Go's own cache lets the next one continue.

mod build;
mod go_module;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Programs that are built together, so that what they share is compiled once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Component {
    /// For paths and messages.
    name: &'static str,
    module: &'static str,
    version: &'static str,
    /// Main packages; each gives a program named after the last part of its path.
    packages: &'static [&'static str],
    /// A main package of our own, where upstream's cannot be required or brings too much.
    main: Option<&'static str>,
    /// Passed to the linker.
    link: &'static str,
    /// How long a first build takes on two cores.
    minutes: u8,
}

/// The server, the node's programs and kubectl.
pub(crate) const KUBERNETES: Component = Component {
    name: "kubernetes",
    module: "k8s.io/kubernetes",
    version: "v1.36.3",
    packages: &[
        "k8s.io/kubernetes/cmd/kube-apiserver",
        "k8s.io/kubernetes/cmd/kube-controller-manager",
        "k8s.io/kubernetes/cmd/kube-scheduler",
        "k8s.io/kubernetes/cmd/kubelet",
        "k8s.io/kubernetes/cmd/kube-proxy",
        "k8s.io/kubernetes/cmd/kubectl",
    ],
    main: None,
    // Without these the server says that it is v0.0.0.
    link: "-X k8s.io/component-base/version.gitVersion=v1.36.3 \
           -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36",
    minutes: 8,
};

/// Kubernetes' store.
pub(crate) const ETCD: Component = Component {
    name: "etcd",
    module: "go.etcd.io/etcd/server/v3",
    version: "v3.6.16",
    packages: &["socketio-affinity/cluster/etcd"],
    main: Some(include_str!("components/etcd.go")),
    link: "",
    minutes: 1,
};

/// The names of Services.
pub(crate) const COREDNS: Component = Component {
    name: "coredns",
    module: "github.com/coredns/coredns",
    version: "v1.14.2",
    packages: &["socketio-affinity/cluster/coredns"],
    main: Some(include_str!("components/coredns.go")),
    link: "",
    minutes: 1,
};

/// What installs the chart.
pub(crate) const HELM: Component = Component {
    name: "helm",
    module: "helm.sh/helm/v4",
    version: "v4.2.4",
    packages: &["helm.sh/helm/v4/cmd/helm"],
    main: None,
    link: "-X helm.sh/helm/v4/internal/version.version=v4.2.4 -X helm.sh/helm/v4/internal/version.metadata=",
    minutes: 2,
};

/// What the local cluster, and the commands in it, need.
pub(crate) const ALL: [Component; 4] = [KUBERNETES, ETCD, COREDNS, HELM];

impl Component {
    /// `kubernetes-v1.36.3`.
    fn key(&self) -> String {
        format!("{}-{}", self.name, self.version)
    }

    /// The programs' names.
    fn programs(&self) -> impl Iterator<Item = &'static str> {
        self.packages.iter().map(|package| package.rsplit('/').next().unwrap_or(package))
    }

    /// Where its programs are, below the directory of all components.
    pub(crate) fn directory(&self, components: &Path) -> PathBuf {
        components.join(self.key())
    }

    fn is_built(&self, components: &Path) -> bool {
        let directory = self.directory(components);
        self.programs().all(|program| directory.join(program).is_file())
    }
}

/// The directory that is kept between runs.
pub(crate) fn cache() -> Result<PathBuf> {
    let base = match std::env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty()) {
        Some(cache) => PathBuf::from(cache),
        None => std::env::home_dir()
            .filter(|home| home.is_absolute())
            .context("Neither XDG_CACHE_HOME nor HOME says where built components can be kept; set one")?
            .join(".cache"),
    };
    std::path::absolute(base.join("socketio-affinity")).context("The cache directory has no absolute path")
}

/// Builds those of `wanted` that are absent, and gives the directory with all components.
pub(crate) async fn ensure(wanted: &[Component]) -> Result<PathBuf> {
    let cache = cache()?;
    let components = cache.join("bin");
    if wanted.iter().any(|component| !component.is_built(&components)) {
        build::build_absent(wanted, &cache, &components).await?;
    }
    Ok(components)
}

/// kubectl, which is built with the server.
pub(crate) fn kubectl(components: &Path) -> PathBuf {
    KUBERNETES.directory(components).join("kubectl")
}

/// The directories to put before PATH, so that a command in the cluster finds kubectl and helm.
pub(crate) fn path_of_tools(components: &Path) -> Vec<PathBuf> {
    vec![KUBERNETES.directory(components), HELM.directory(components)]
}
