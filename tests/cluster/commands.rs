//! What each command does.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rustix::process::Signal;
use support::images::definitions;

use crate::cli::{Action, Component, ImageKind, Start};
use crate::command::{self, Signals};
use crate::components;
use crate::kind;
use crate::local::Local;
use crate::local::state::StateDir;
use crate::packages;
use crate::programs;
use crate::provider::{Cluster, Provider, kind_kubeconfig};
use crate::report::say;

const DOWN_WITHIN: Duration = Duration::from_secs(60);

/// Does what the command line asks for.
pub(crate) async fn perform(name: &str, action: Action) -> Result<ExitCode> {
    match action {
        Action::Run { start, command } => in_new_cluster(name, &start, Job::Run(command)).await,
        Action::Up { start } => in_new_cluster(name, &start, Job::Stay).await,
        Action::Down => down(name).await,
        Action::Build => {
            let mut signals = Signals::new()?;
            let components = signals.unless(components::ensure(&components::ALL)).await?;
            say(format_args!("all components are in {}", components.display()));
            Ok(ExitCode::SUCCESS)
        }
        Action::Exec { command } => {
            let mut signals = Signals::new()?;
            let cluster = Cluster::running(name).await?;
            command::run(cluster.command(name, &command)?, &mut signals).await
        }
        Action::LoadImage { archives } => {
            Cluster::running(name).await?.load_images(&archives).await?;
            Ok(ExitCode::SUCCESS)
        }
        Action::Component(component) => {
            let (action, component) = match &component {
                Component::Stop { component } => ("stop", component),
                Component::Start { component } => ("start", component),
            };
            Cluster::running(name).await?.component(action, component).await?;
            Ok(ExitCode::SUCCESS)
        }
        Action::Image(image) => make_image(image).await,
        Action::Node(_) => bail!("the node has no runtime"),
    }
}

/// What a cluster is started for.
enum Job {
    Run(Vec<String>),
    Stay,
}

/// Starts a cluster, does `job`, and removes the cluster whatever happened.
async fn in_new_cluster(name: &str, start: &Start, job: Job) -> Result<ExitCode> {
    let mut signals = Signals::new()?;
    match Provider::choose().await {
        Provider::Own(kubeconfig) => {
            Cluster::check_own(&kubeconfig)?;
            say(format_args!("using the cluster that KUBECONFIG names ({})", kubeconfig.display()));
            signals.unless(need_tools()).await?;
            do_job(name, &Cluster::Own { kubeconfig }, job, &mut signals).await
        }
        Provider::Kind => {
            let kubeconfig = kind_kubeconfig(name)?;
            let started = signals.unless(async {
                need_tools().await?;
                kind::create(name, &kubeconfig).await
            });
            let result = match started.await {
                Ok(()) => {
                    let cluster = Cluster::Kind { name: name.to_owned(), kubeconfig: kubeconfig.clone() };
                    do_job(name, &cluster, job, &mut signals).await
                }
                Err(error) => Err(error),
            };
            say(format_args!("removing the cluster"));
            let removed = kind::delete(name).await;
            let _ = std::fs::remove_file(&kubeconfig);
            report_both(result, removed.map(drop))
        }
        Provider::Local => {
            let mut local = Local::claim(name).await?;
            let result = match signals.unless(local.boot()).await {
                Ok(running) => do_job(name, &Cluster::Local(running), job, &mut signals).await,
                Err(error) => Err(error),
            };
            report_both(result, local.remove(start.logs.as_deref()).await)
        }
    }
}

/// The job's result counts; what went wrong with the removal is said in any case.
fn report_both(result: Result<ExitCode>, removed: Result<()>) -> Result<ExitCode> {
    match (result, removed) {
        (Err(error), Err(left)) => {
            say(format_args!("{left:#}"));
            Err(error)
        }
        (Ok(_), Err(left)) => Err(left),
        (result, Ok(())) => {
            say(format_args!("the cluster is gone"));
            result
        }
    }
}

async fn do_job(name: &str, cluster: &Cluster, job: Job, signals: &mut Signals) -> Result<ExitCode> {
    match job {
        Job::Run(argv) => command::run(cluster.command(name, &argv)?, signals).await,
        Job::Stay => {
            let option = if name == "default" { String::new() } else { format!(" --name {name}") };
            say(format_args!("use it from another terminal, for example:"));
            say(format_args!("  cluster{option} exec -- kubectl get pods --all-namespaces"));
            say(format_args!("  cluster{option} exec -- bash"));
            say(format_args!("  cluster{option} load-image target/images/*.tar"));
            say(format_args!("Ctrl-C removes it"));
            signals.next().await;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Commands expect kubectl, which is built where none is installed; and helm, whose output depends
/// on its version, so that it is always our own.
async fn need_tools() -> Result<()> {
    let mut tools = vec![components::HELM];
    if programs::find("kubectl").is_none() {
        tools.push(components::KUBERNETES);
    }
    components::ensure(&tools).await.map(drop)
}

/// Ends a running cluster, or removes what is left of one.
async fn down(name: &str) -> Result<ExitCode> {
    let state = StateDir::of(name);
    let starter = state.record().map(|record| record.starter).filter(|starter| starter.is_alive());
    let mut found = false;
    if let Some(starter) = starter {
        say(format_args!("ending the cluster {name:?}"));
        found = true;
        starter.signal(Signal::TERM);
        let start = Instant::now();
        while starter.is_alive() {
            if start.elapsed() > DOWN_WITHIN {
                bail!("the program that runs the cluster (process {}) does not end", starter.pid());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    found |= state.remove_stale().await?;
    if kind::is_available().await {
        found |= kind::delete(name).await?;
    }
    if !found {
        say(format_args!("there is no cluster {name:?}"));
    }
    Ok(ExitCode::SUCCESS)
}

async fn make_image(kind: ImageKind) -> Result<ExitCode> {
    let (image, out) = match kind {
        ImageKind::Sidecar { bin, out } => {
            if !bin.is_file() {
                bail!(
                    "there is no {}; build it with `cargo build --release -p socketio-sidecar`",
                    bin.display()
                );
            }
            (definitions::sidecar(&bin), out)
        }
        ImageKind::Operator { bin, out } => {
            if !bin.is_file() {
                bail!(
                    "there is no {}; build it with `cargo build --release -p socketio-operator`",
                    bin.display()
                );
            }
            (definitions::operator(&bin), out)
        }
        ImageKind::NodeApp { dir, entry, tag, out } => {
            let node = definitions::find_node()?;
            (definitions::node_app(&tag, &dir, &entry, &node)?, out)
        }
        ImageKind::Redis { out } => (definitions::redis(&packages::redis().await?), out),
    };
    image.write(&out)?;
    say(format_args!("made {} as {} ({} MB)", image.reference, out.display(), megabytes(&out)));
    Ok(ExitCode::SUCCESS)
}

fn megabytes(file: &Path) -> u64 {
    std::fs::metadata(file).map_or(0, |metadata| metadata.len().div_ceil(1_000_000))
}
