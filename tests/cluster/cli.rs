//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// A real Kubernetes for tests and the demo.
///
/// Where it comes from: the cluster that KUBECONFIG names; else kind, where a Docker engine
/// runs and kind is installed; else upstream's own components, built once, on Linux as root.
#[derive(Parser, Debug)]
#[command(name = "cluster", max_term_width = 100)]
pub(crate) struct Cli {
    /// Tells clusters on one machine apart
    #[arg(long, global = true, env = "CLUSTER_NAME", default_value = "default", value_parser = name)]
    pub(crate) name: String,
    #[command(subcommand)]
    pub(crate) action: Action,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub(crate) enum Action {
    /// Start a cluster, run a command in it, remove the cluster
    ///
    /// The command sees KUBECONFIG, CLUSTER_NAME, CLUSTER_PROVIDER (local, kind or kubeconfig)
    /// and a PATH with kubectl and helm. Its exit code becomes this program's.
    Run {
        #[command(flatten)]
        start: Start,
        /// The command and its arguments
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Start a cluster and keep it until Ctrl-C
    Up {
        #[command(flatten)]
        start: Start,
    },
    /// Stop a running cluster, or remove what a killed one left behind
    Down,
    /// Build and keep the components, without starting anything
    Build,
    /// Run a command in the running cluster
    Exec {
        /// The command and its arguments
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
    /// Put images (docker-archive files) on the running cluster's node
    LoadImage {
        /// The archives, as `cluster image` or `docker save` writes them
        #[arg(required = true)]
        archives: Vec<PathBuf>,
    },
    /// Stop or start one component of the running cluster, to see what breaks (local only)
    #[command(subcommand)]
    Component(Component),
    /// Make an image from local files, without Docker
    #[command(subcommand)]
    Image(ImageKind),
    /// Process 1 of a node
    #[command(hide = true)]
    Node(Node),
}

/// How a cluster is started.
#[derive(Args, Debug)]
pub(crate) struct Start {
    /// Keep the components' logs in this directory afterwards (local only)
    #[arg(long, value_name = "DIR")]
    pub(crate) logs: Option<PathBuf>,
}

/// What to do with a component.
#[derive(Subcommand, Debug)]
pub(crate) enum Component {
    /// End it, and keep it from being started again
    Stop {
        /// etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubelet, kube-proxy,
        /// containerd or coredns
        component: String,
    },
    /// Start it again
    Start {
        /// As above
        component: String,
    },
}

/// Which image to make.
#[derive(Subcommand, Debug)]
pub(crate) enum ImageKind {
    /// socketio-affinity/sidecar:dev, from the sidecar's release binary
    Sidecar {
        /// The binary
        #[arg(long, default_value = "target/release/socketio-sidecar")]
        bin: PathBuf,
        /// The archive to write
        #[arg(long)]
        out: PathBuf,
    },
    /// socketio-affinity/operator:dev, from the operator's release binary
    Operator {
        /// The binary
        #[arg(long, default_value = "target/release/socketio-operator")]
        bin: PathBuf,
        /// The archive to write
        #[arg(long)]
        out: PathBuf,
    },
    /// An image of a Node program and this machine's node
    NodeApp {
        /// The program's directory, with its node_modules
        #[arg(long)]
        dir: PathBuf,
        /// The script that starts it
        #[arg(long, default_value = "server.js")]
        entry: String,
        /// The image's name, such as socketio-affinity/chat:dev
        #[arg(long)]
        tag: String,
        /// The archive to write
        #[arg(long)]
        out: PathBuf,
    },
    /// socketio-affinity/redis:dev, from this machine's Redis, which is installed if need be
    Redis {
        /// The archive to write
        #[arg(long)]
        out: PathBuf,
    },
}

/// What process 1 of a node is told.
#[derive(Args, Debug)]
pub(crate) struct Node {
    /// The cluster's state directory
    #[arg(long)]
    pub(crate) state: PathBuf,
    /// The directory with the components
    #[arg(long)]
    pub(crate) components: PathBuf,
}

/// Names become parts of paths and cgroups.
fn name(text: &str) -> Result<String, String> {
    let valid = !text.is_empty()
        && text.len() <= 40
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if valid {
        Ok(text.to_owned())
    } else {
        Err("a name has 1 to 40 lower-case letters, digits and hyphens".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn what_follows_run_belongs_to_the_command() {
        for line in ["cluster run -- kubectl get -o wide", "cluster run kubectl get -o wide"] {
            match Cli::parse_from(line.split(' ')).action {
                Action::Run { command, .. } => {
                    assert_eq!(command, ["kubectl", "get", "-o", "wide"]);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_component_is_not_taken_for_the_clusters_name() {
        let cli = Cli::parse_from(["cluster", "component", "stop", "etcd"]);
        assert_ne!(cli.name, "etcd");
        assert!(matches!(
            cli.action,
            Action::Component(Component::Stop { component }) if component == "etcd"
        ));
    }

    #[test]
    fn a_name_that_would_leave_its_directory_is_refused() {
        assert!(name("../x").is_err());
        assert!(name("").is_err());
        assert!(name("a-1").is_ok());
    }
}
