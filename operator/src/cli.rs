//! The command line.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Puts Socket.IO sidecars into the pods of workloads, as SocketIoClusters ask for.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    /// Command to run.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the operator until a signal ends it or it loses the Lease.
    ///
    /// Several processes may run: the one that holds the Lease acts, and the others wait for it. A leader that cannot
    /// renew the Lease for 10 seconds ends with an error.
    Run(RunArgs),
    /// Print the CustomResourceDefinition of SocketIoCluster as YAML.
    Crd,
    /// Check that the operator is installed and acts. `helm test` runs this command.
    Check(CheckArgs),
    /// Fail while SocketIoClusters exist. `helm uninstall` runs this command first.
    ///
    /// Without the operator, their workloads could not be restored.
    UninstallCheck(UninstallCheckArgs),
}

/// Namespace and Lease of the operator.
#[derive(Debug, Args)]
pub struct Place {
    /// Namespace in which the operator runs. It holds the operator's Lease and Secrets.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAME", value_parser = name)]
    pub namespace: String,

    /// Name of the Lease that makes one process the leader. Several installations in one namespace need a name each.
    #[arg(long, env = "LEASE_NAME", value_name = "NAME", default_value = "socketio-operator", value_parser = name)]
    pub lease_name: String,
}

/// Namespaces whose SocketIoClusters the operator reconciles.
#[derive(Debug, Args)]
pub struct Scope {
    /// Namespace whose SocketIoClusters the operator reconciles. Repeat the option, or separate names with commas
    /// [default: all namespaces].
    #[arg(long = "watch-namespace", env = "WATCH_NAMESPACES", value_name = "NAME", value_delimiter = ',',
          value_parser = name_or_nothing)]
    namespaces: Vec<String>,
}

impl Scope {
    /// The namespaces, sorted. An empty list means all.
    #[must_use]
    pub fn namespaces(&self) -> Vec<String> {
        let mut names: Vec<_> = self.namespaces.iter().filter(|name| !name.is_empty()).cloned().collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// `socketio-operator run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Namespace and Lease of the operator.
    #[command(flatten)]
    pub place: Place,

    /// Name of this process in the Lease: the name of its Pod. The operator appends random text.
    #[arg(long, env = "POD_NAME", value_name = "NAME", value_parser = name)]
    pub identity: String,

    /// Namespaces that the operator watches.
    #[command(flatten)]
    pub scope: Scope,

    /// Image of the sidecar for SocketIoClusters that name none.
    #[arg(long, env = "SIDECAR_IMAGE", value_name = "IMAGE", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub sidecar_image: String,

    /// Address that serves /livez, /readyz and /metrics.
    #[arg(long, env = "SOCKETIO_OPERATOR_ADMIN_LISTEN", value_name = "IP:PORT",
          default_value_t = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080)))]
    pub admin_listen: SocketAddr,

    /// Format of the log lines.
    #[arg(long, env = "SOCKETIO_OPERATOR_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// Level of the log lines: error, warn, info, debug or trace. Directives such as
    /// `info,socketio_operator::leader=debug` set it for a module.
    #[arg(long, env = "SOCKETIO_OPERATOR_LOG", value_name = "LEVEL", default_value = "info")]
    pub log: String,
}

/// `socketio-operator check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Namespace and Lease of the operator.
    #[command(flatten)]
    pub place: Place,

    /// Maximum time to wait for the check to succeed, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3600))]
    timeout: u32,
}

impl CheckArgs {
    /// Maximum time to wait for the check to succeed.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout.into())
    }
}

/// `socketio-operator uninstall-check`.
#[derive(Debug, Args)]
pub struct UninstallCheckArgs {
    /// Namespaces that the operator watches.
    #[command(flatten)]
    pub scope: Scope,
}

/// Format of the log lines.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum LogFormat {
    /// Text for people.
    Text,
    /// JSON, with an object on each line.
    Json,
}

/// Names of namespaces, Pods and Leases, as far as it matters here: they become parts of paths.
fn name(text: &str) -> Result<String, String> {
    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    if text.is_empty() || text.len() > 253 || !text.chars().all(valid) {
        return Err("a name in Kubernetes has lower-case letters, digits, - and . only".to_owned());
    }
    Ok(text.to_owned())
}

/// An environment variable that is set to nothing names nothing.
fn name_or_nothing(text: &str) -> Result<String, String> {
    if text.is_empty() { Ok(String::new()) } else { name(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn run(more: &[&str]) -> RunArgs {
        let least =
            ["socketio-operator", "run", "--namespace", "a", "--identity", "b", "--sidecar-image", "c"];
        match Cli::try_parse_from([&least, more].concat()).unwrap().command {
            Command::Run(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn namespaces_are_given_one_by_one_or_with_commas_and_nothing_means_all() {
        let names = ["--watch-namespace", "y,x", "--watch-namespace", "y"];
        assert_eq!(run(&names).scope.namespaces(), ["x", "y"]);
        assert!(run(&["--watch-namespace", ""]).scope.namespaces().is_empty());
        assert!(run(&[]).scope.namespaces().is_empty());
    }

    #[test]
    fn a_name_that_would_leave_its_path_is_refused() {
        for text in ["", "a/b", "A", "a b"] {
            assert!(name(text).is_err(), "{text:?}");
        }
        assert!(name("socketio-affinity").is_ok());
    }
}
