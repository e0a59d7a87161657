//! The `socketio-operator` program.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::Parser;
use socketio_operator::admin::{Admin, Health};
use socketio_operator::cli::{Cli, Command, LogFormat, RunArgs};
use socketio_operator::client::{client, explain};
use socketio_operator::leader::{Election, Leases};
use socketio_operator::metrics::Metrics;
use socketio_operator::{check, controller, crd, uninstall};
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::prelude::*;

fn main() -> ExitCode {
    match perform(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("socketio-operator: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(command: Command) -> Result<()> {
    if let Command::Crd = command {
        print!("{}", crd::manifest()?);
        return Ok(());
    }
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let done = runtime.block_on(async {
        match command {
            Command::Crd => Ok(()),
            Command::Run(args) => run(args).await,
            Command::Check(args) => {
                let client = connect().await?;
                check::check(&client, &args.place, args.timeout()).await?;
                println!("the API is served, and an operator acts in the namespace {}", args.place.namespace);
                Ok(())
            }
            Command::UninstallCheck(args) => {
                Ok(uninstall::uninstall_check(&connect().await?, &args.scope.namespaces()).await?)
            }
        }
    });
    // Nothing is waited for: what a lost leader has under way ends with the process.
    runtime.shutdown_background();
    done
}

async fn run(args: RunArgs) -> Result<()> {
    start_log(&args)?;
    let (mut first, mut all) = (Signals::new()?, Signals::new()?);
    let client = connect().await?;
    let listener = TcpListener::bind(args.admin_listen)
        .await
        .with_context(|| format!("cannot listen on {} (--admin-listen)", args.admin_listen))?;
    let (metrics, health) = (Arc::new(Metrics::new()?), Arc::new(Health::default()));
    let admin = Arc::new(Admin { metrics: metrics.clone(), health: health.clone() });
    let identity = own_identity(&args.identity)?;
    let settings = controller::Settings {
        namespace: args.place.namespace.clone(),
        watch_namespaces: args.scope.namespaces(),
        sidecar_image: args.sidecar_image,
        identity: args.identity,
    };
    let lease = Leases::new(client, &settings.namespace, &args.place.lease_name);
    let election = Election::new(lease, identity, metrics.clone(), health.clone());
    let stop = watch::Sender::new(false);
    let lead = election
        .lead(stopped(&stop), |client| controller::run(client, settings, metrics, health, stopped(&stop)));
    let second_signal = async {
        first.next().await;
        tracing::info!("stopping");
        stop.send_replace(true);
        all.next().await;
        all.next().await;
    };
    tokio::select! {
        done = lead => Ok(done?),
        () = admin.serve(listener) => bail!("the admin port ended"),
        () = second_signal => bail!("stopped at once by a second signal"),
    }
}

async fn connect() -> Result<kube::Client> {
    client().await.map_err(|error| anyhow::anyhow!("there is no cluster to connect to: {}", explain(&error)))
}

/// A name that no other process has, not even the one before in the same Pod.
fn own_identity(name: &str) -> Result<String> {
    let mut random = [0; 4];
    aws_lc_rs::rand::fill(&mut random).ok().context("the system has no random numbers")?;
    Ok(format!("{name}_{:08x}", u32::from_be_bytes(random)))
}

/// Ends when the program is to stop.
fn stopped(stop: &watch::Sender<bool>) -> impl Future<Output = ()> + Send + 'static {
    let mut stop = stop.subscribe();
    async move {
        // The sender lives as long as the program.
        let _ = stop.wait_for(|stop| *stop).await;
    }
}

/// The signals that stop a program.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

fn start_log(args: &RunArgs) -> Result<()> {
    let filter = EnvFilter::try_new(&args.log).with_context(|| format!("--log {:?}", args.log))?;
    // kube logs an answer that it cannot read as a whole, be it a Secret's.
    let quotes_nothing = filter_fn(|line| line.target() != "kube_client::client");
    let filtered = tracing_subscriber::registry().with(filter).with(quotes_nothing);
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    match args.log_format {
        LogFormat::Text => filtered.with(log.with_ansi(std::io::stderr().is_terminal())).init(),
        LogFormat::Json => filtered.with(log.json().flatten_event(true)).init(),
    }
    Ok(())
}
