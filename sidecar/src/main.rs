//! The `socketio-sidecar` program.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socketio_sidecar::cli::{Cli, Command, LogFormat, RunArgs};
use socketio_sidecar::init::{Init, init};
use socketio_sidecar::log_limit::{LogFilter, LogLimit};
use socketio_sidecar::shutdown::Haste;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::prelude::*;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Some(Command::Init(args)) => make_directory(&args.into()),
        None => run(&cli.run),
    };
    if let Err(error) = done {
        eprintln!("socketio-sidecar: {error:#}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn make_directory(what: &Init) -> Result<()> {
    init(what)?;
    println!(
        "made {}; start each sidecar of the cluster with --config-dir and a copy of it",
        what.directory.display()
    );
    Ok(())
}

fn run(args: &RunArgs) -> Result<()> {
    let log_limit = Arc::new(LogLimit::default());
    start_log(args, log_limit.clone());
    let app = args.app(raise_descriptor_limit()).context("--pod-ip and --pod-uid are needed")?;
    let runtime = runtime(args.threads)?;
    let done = runtime.block_on(async {
        let (mut first, mut all) = (Signals::new()?, Signals::new()?);
        let second = async {
            all.next().await;
            all.next().await
        };
        let bound = app.bind().await?;
        tokio::select! {
            _ = bound.run(first.next(), log_limit) => Ok(()),
            _ = second => anyhow::bail!("stopped at once by a second signal"),
        }
    });
    // The thread that reads the configuration may hang with its file system.
    runtime.shutdown_background();
    done
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

    async fn next(&mut self) -> Haste {
        tokio::select! {
            _ = self.interrupt.recv() => Haste::Close,
            _ = self.terminate.recv() => Haste::Drain,
        }
    }
}

fn runtime(threads: u16) -> std::io::Result<Runtime> {
    if threads == 1 {
        Builder::new_current_thread().enable_all().build()
    } else {
        Builder::new_multi_thread().worker_threads(threads.into()).enable_all().build()
    }
}

fn start_log(args: &RunArgs, limit: Arc<LogLimit>) {
    let filtered = tracing_subscriber::registry().with(args.log.clone());
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let limit = LogFilter(limit);
    match args.log_format {
        LogFormat::Text => {
            let log = log.with_ansi(std::io::stderr().is_terminal());
            filtered.with(log.with_filter(limit)).init();
        }
        LogFormat::Json => filtered.with(log.json().flatten_event(true).with_filter(limit)).init(),
    }
}

/// Raises the soft limit of open files, usually 1,024, to the hard limit, and returns the limit in force.
fn raise_descriptor_limit() -> Option<u64> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
    getrlimit(Resource::Nofile).current
}
