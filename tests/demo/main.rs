//! `make demo`: a chat on a real cluster, before and after the operator looks after it, under the same
//! clients; the two results side by side; then the cluster is left up until Ctrl-C.
//!
//! Runs inside `cluster run`, which starts the cluster before and removes it afterwards.

mod picture;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use support::deployment::{Chat, Load, Operator, SocketIoCluster, Summary, Variant};

/// Longest wait for the operator's work: pods are replaced, and learn of a changed Secret.
const READY: Duration = Duration::from_secs(300);

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
    println!("\n--> three replicas of the chat behind a plain Service");
    let chat = Chat::deploy_with_redis(Variant::Without)?;
    let without = watch(&chat, options)?;
    println!("--> the same Deployment and Service, which the operator looks after from now on");
    let operator = Operator::install(&[])?;
    SocketIoCluster::apply_example()?.watch_until_ready(READY)?;
    let with = watch(&chat, options)?;
    let forwarded = chat.metric("socketio_sidecar_requests_total", r#"decision="forward",from="client""#)?;

    println!("\n{clients} clients for {seconds} s, a Service without stickiness, 3 pods\n");
    print!("{}", picture::draw(&without, &with));
    println!("\n  {forwarded} requests arrived at the wrong pod and were forwarded to their owner.\n");
    if !options.no_wait {
        print!("{}", picture::NEXT_STEPS);
        wait_for_interrupt()?;
    }
    if std::env::var("CLUSTER_PROVIDER").is_ok_and(|provider| provider != "kubeconfig") {
        // It goes with the cluster.
        std::mem::forget(operator);
    }
    Ok(())
}

fn watch(chat: &Chat, options: &Options) -> Result<Summary> {
    let load =
        Load { url: chat.url()?, transport: &["--mix"], clients: options.clients, seconds: options.seconds };
    let (summary, _) = load.run()?;
    Ok(summary)
}

fn wait_for_interrupt() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(tokio::signal::ctrl_c())?)
}
