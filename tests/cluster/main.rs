//! Gives tests and the demo a real Kubernetes, and takes it away without a trace.
//!
//! ```text
//! cli ─ commands ─ provider ─┬─ a cluster of one's own (KUBECONFIG)
//!                            ├─ kind (Docker)
//!                            └─ local: upstream's own programs, as a node in namespaces
//!                                 components   builds and keeps the programs
//!                                 packages     installs containerd and the like
//!                                 local/boot   the order in which things start
//!                                 local/node   process 1 of the node: mounts, network, services
//!                                 local/state  what is remembered, so that it can be removed
//! ```
//!
//! Everything runs on one thread, so that a signal simply cancels what is under way; whatever
//! was started is then removed by the same code as after success. See README.md.

mod cli;
mod command;
mod commands;
mod components;
mod kind;
mod local;
mod packages;
mod process;
mod programs;
mod provider;
mod report;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let result = match cli.action {
        cli::Action::Node(node) => local::node::run(&node),
        action => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(anyhow::Error::from)
            .and_then(|runtime| runtime.block_on(commands::perform(&cli.name, action))),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            report::say(format_args!("{error:#}"));
            error.downcast_ref::<command::Interrupted>().map_or(ExitCode::FAILURE, |signal| signal.code())
        }
    }
}
