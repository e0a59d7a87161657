//! `make demo`: the same chat on a real cluster, without the sidecar and with it, under the same
//! clients; the two results side by side; then the cluster is left up until Ctrl-C.
//!
//! Runs inside `cluster run`, which starts the cluster before and removes it afterwards.

mod picture;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use socketio_sidecar_core::config::Mode;
use support::deployment::{Chat, Load, Summary, Variant};

/// Shows Socket.IO on several pods without and with the sidecar.
#[derive(Debug, Parser)]
struct Options {
    /// How many clients, a third each of polling only, polling with an upgrade, and WebSocket only
    #[arg(long, default_value_t = 90)]
    clients: u32,
    /// For how many seconds they send
    #[arg(long, default_value_t = 15)]
    seconds: u32,
    /// End after the picture in place of waiting for Ctrl-C
    #[arg(long)]
    no_wait: bool,
}

fn main() -> ExitCode {
    match show(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn show(options: &Options) -> Result<()> {
    let Options { clients, seconds, .. } = *options;
    println!("\n--> three replicas of the chat behind a plain Service, without the sidecar");
    let (_, without) = watch(Variant::Without, options)?;
    println!("--> the same three replicas, each with the sidecar");
    let (chat, with) = watch(Variant::With(Mode::Enforce), options)?;
    let forwarded = chat.metric("socketio_sidecar_requests_total", r#"decision="forward",from="client""#)?;

    println!("\n{clients} clients for {seconds} s, a Service without stickiness, 3 pods\n");
    print!("{}", picture::draw(&without, &with));
    println!("\n  {forwarded} requests arrived at the wrong pod and were forwarded to their owner.\n");
    if options.no_wait {
        return Ok(());
    }
    print!("{}", picture::NEXT_STEPS);
    wait_for_interrupt()
}

fn watch(variant: Variant, options: &Options) -> Result<(Chat, Summary)> {
    let chat = Chat::deploy(variant)?;
    let load =
        Load { url: chat.url()?, transport: &["--mix"], clients: options.clients, seconds: options.seconds };
    let (summary, _) = load.run()?;
    Ok((chat, summary))
}

fn wait_for_interrupt() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(tokio::signal::ctrl_c())?)
}
