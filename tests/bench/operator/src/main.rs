//! What the operator costs, by the number of SocketIoClusters: `make bench-operator`.
//!
//! Real are the API server with its store, and the operator's process. Of the rest of a cluster there is
//! none but what [`stand_in`] does: 5,000 pods do not fit on the machine, and nothing else may take the
//! time that is measured.
//!
//! | module | does |
//! | --- | --- |
//! | [`cli`] | the command line |
//! | [`fleet`] | the namespaces, Deployments and SocketIoClusters |
//! | [`stand_in`] | what the controllers, kubelet and the sidecars would do |
//! | [`process`] | the operator: started, stopped, its memory, CPU and metrics |
//! | [`servers`] | CPU time of the API server and its store |
//! | [`api_server`] | how many requests of which kind it has answered |
//! | [`measure`] | the measurements, one after the other |
//! | [`report`] | the page and the plot |

mod api_server;
mod cli;
mod fleet;
mod measure;
mod process;
mod report;
mod servers;
mod stand_in;

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use cli::Cli;
use fleet::Fleet;
use process::Operator;
use socketio_affinity_bench::machine;
use tokio::signal::unix::{SignalKind, signal};

/// Says what is being done.
fn say(what: &str) {
    // Whoever runs this may not be listening.
    let _ = writeln!(std::io::stderr(), "bench-operator: {what}");
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = async {
        let mut terminate = signal(SignalKind::terminate()).context("signals cannot be received")?;
        tokio::select! {
            outcome = run(&cli) => outcome,
            _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted"),
            _ = terminate.recv() => anyhow::bail!("told to stop"),
        }
    };
    match outcome.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: &Cli) -> Result<()> {
    let client = kube::Client::try_default()
        .await
        .context("no cluster can be reached; run this with `make bench-operator`")?;
    let load = machine::load();
    fleet::quiet_the_cluster(&cli.cluster).await?;
    let mut fleet = Fleet::prepare(&client, cli.pods).await?;
    let _stand_in = stand_in::start(&client, cli.pods).await?;
    let mut rows = Vec::new();
    for &size in &cli.sizes {
        rows.push(measure::at(size, &mut fleet, cli, &client).await?);
    }
    let version = Operator::version(&cli.program)?;
    let server = client.apiserver_version().await.context("the API server does not say its version")?;
    report::write(cli, &rows, &report::About { operator: version, kubernetes: server.git_version, load })
}
