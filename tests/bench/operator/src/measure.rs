//! The measurements at one number of SocketIoClusters.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures::{StreamExt, stream::BoxStream};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use socketio_operator::crd::SocketIoCluster;
use tokio::time::{sleep, timeout};

use crate::api_server::Requests;
use crate::cli::Cli;
use crate::fleet::{self, Fleet};
use crate::process::{Memory, Operator};
use crate::{machine, say, servers, stand_in};

/// Longest wait for the SocketIoClusters to be ready at first: each takes the time of a cutover.
const CUTOVER: Duration = Duration::from_secs(900);
/// Longest wait for a restarted operator to have looked at all of them.
const RESTART: Duration = Duration::from_secs(180);
/// Longest wait for a change to show.
const SHOWN: Duration = Duration::from_secs(30);
const PROGRESS: Duration = Duration::from_secs(10);
/// How often the operator is asked how far it is. What it costs is its own, too.
const LOOK: Duration = Duration::from_millis(50);
/// Longer than the operator leaves an object alone after something about it changed.
const QUIET: Duration = Duration::from_secs(2);

/// What was measured.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// SocketIoClusters.
    pub(crate) size: u32,
    /// Until those that are new were ready, the time to make them included.
    pub(crate) cutover: Duration,
    /// From the start of the process until it has looked at all of them.
    pub(crate) restart: Duration,
    /// How often it looked at one of them until then.
    pub(crate) passes: f64,
    /// CPU time of that: its own, and that of the API server with its store.
    pub(crate) restart_cpu: (Duration, Option<Duration>),
    /// Its memory after that, and the most until then.
    pub(crate) memory: Memory,
    /// Its memory after the rest.
    pub(crate) memory_at_rest: Memory,
    /// Requests of a restart: verb and resource, and how many.
    pub(crate) requests: Vec<(String, f64)>,
    /// Writes a minute at rest, as the API server counts.
    pub(crate) writes_at_rest: f64,
    /// Requests a minute at rest.
    pub(crate) requests_at_rest: f64,
    /// CPU time a minute at rest.
    pub(crate) cpu_at_rest: Duration,
    /// How long changed pods took to show, in ascending order.
    pub(crate) changes: Vec<Duration>,
}

impl Row {
    /// The most memory that the operator ever had, in KiB.
    pub(crate) fn most_memory(&self) -> u64 {
        self.memory.peak.max(self.memory_at_rest.peak)
    }
}

/// Measures with as many.
///
/// # Errors
/// Something did not come about in time, or the operator has ended.
pub(crate) async fn at(size: u32, fleet: &mut Fleet, cli: &Cli, client: &Client) -> Result<Row> {
    let began = Instant::now();
    let mut operator = Operator::start(&cli.program)?;
    operator.during(fleet.grow(size)).await?;
    operator.during(wait_until_ready(size, client)).await?;
    let cutover = began.elapsed();
    operator.stop().await?;

    say(&format!("{size}: restarting the operator"));
    let before = Requests::read(client).await?;
    let servers = servers::cpu();
    let mut operator = Operator::start(&cli.program)?;
    let (passes, restart) = wait_until_all_are_looked_at(&mut operator, size).await?;
    let servers = servers::cpu().zip(servers).map(|(now, before)| now - before);
    let restart_cpu = (operator.cpu()?, servers);
    let memory = operator.memory()?;
    // What it still has under way is not of the restart.
    let requests = Requests::read(client).await?.since(&before);
    let requests = requests.calls().map(|(name, count)| (name.to_owned(), count)).collect();
    operator.during(wait_until_ready(size, client)).await?;

    say(&format!(
        "{size}: {restart:.1?} with {:.1?} of CPU, and {} MiB; load average {}; resting for {} s",
        restart_cpu.0,
        memory.resident / 1024,
        machine::load(),
        cli.rest
    ));
    // What came of the restart, such as leadership, is over.
    sleep(PROGRESS).await;
    let (before, cpu) = (Requests::read(client).await?, operator.cpu()?);
    sleep(Duration::from_secs(cli.rest)).await;
    let at_rest = Requests::read(client).await?.since(&before);
    let cpu = operator.cpu()? - cpu;
    let memory_at_rest = operator.memory()?;
    let minutes = cli.rest as f64 / 60.0;
    let calls: f64 = at_rest.calls().map(|(_, count)| count).sum();

    say(&format!("{size}: changing {} pods, one after the other", cli.changes));
    let changes = operator.during(change_pods(size, cli, client)).await?;
    operator.stop().await?;
    Ok(Row {
        size,
        cutover,
        restart,
        passes,
        restart_cpu,
        memory,
        memory_at_rest,
        requests,
        writes_at_rest: at_rest.writes() / minutes,
        requests_at_rest: calls / minutes,
        cpu_at_rest: cpu.div_f64(minutes),
        changes,
    })
}

async fn wait_until_ready(size: u32, client: &Client) -> Result<()> {
    let api: Api<SocketIoCluster> = Api::all(client.clone());
    let began = Instant::now();
    let mut said = Instant::now();
    loop {
        let clusters = api.list(&ListParams::default()).await?.items;
        let ready = clusters.iter().filter(|cluster| condition(cluster) == Some("True")).count();
        if ready == size as usize {
            return Ok(());
        }
        if began.elapsed() > CUTOVER {
            let late = clusters.iter().find(|cluster| condition(cluster) != Some("True"));
            bail!(
                "{ready} of {size} are ready after {CUTOVER:?}; of one that is not: {:?}",
                late.map(|it| &it.status)
            );
        }
        if said.elapsed() > PROGRESS {
            said = Instant::now();
            say(&format!("{ready} of {size} are ready after {:.0?}", began.elapsed()));
        }
        sleep(Duration::from_secs(1)).await;
    }
}

fn condition(cluster: &SocketIoCluster) -> Option<&str> {
    let conditions = &cluster.status.as_ref()?.conditions;
    conditions.iter().find(|condition| condition.type_ == "Ready").map(|condition| condition.status.as_str())
}

/// Returns how many passes it took, and how long. Which objects they were of is not counted: all were looked
/// at when there is nothing left to look at: the operator leaves each alone for half a minute then.
async fn wait_until_all_are_looked_at(operator: &mut Operator, size: u32) -> Result<(f64, Duration)> {
    let began = Instant::now();
    let looked = async {
        let (mut passes, mut grew) = (0.0, Instant::now());
        loop {
            let now = operator.counter("reconciles_total", "").await?;
            if now > passes {
                (passes, grew) = (now, Instant::now());
            } else if passes >= f64::from(size) && grew.elapsed() > QUIET {
                return Ok((passes, grew - began));
            }
            sleep(LOOK).await;
        }
    };
    timeout(RESTART, looked).await.with_context(|| format!("not all were looked at within {RESTART:?}"))?
}

/// Takes ready pods for not ready, one after the other, and back.
async fn change_pods(size: u32, cli: &Cli, client: &Client) -> Result<Vec<Duration>> {
    let mut seen = watcher(Api::<SocketIoCluster>::all(client.clone()), watcher::Config::default())
        .default_backoff()
        .applied_objects()
        .boxed();
    // The list at first; what is waited for comes after it.
    for _ in 0..size {
        seen.next().await.context("the watch ended")??;
    }
    let mut changes = Vec::new();
    for turn in 0..cli.changes {
        // All over them, no two of a namespace in a row.
        let (namespace, name) = fleet::name(turn.wrapping_mul(7919) % size);
        let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
        let pod = stand_in::pod_name(&name, 0);
        for (ready, count) in [("False", cli.pods - 1), ("True", cli.pods)] {
            let patch = json!({"status": {"conditions": [{"type": "Ready", "status": ready}]}});
            pods.patch_status(&pod, &PatchParams::default(), &Patch::Strategic(patch)).await?;
            let changed = Instant::now();
            let shown = format!("{count}/{}", cli.pods);
            timeout(SHOWN, wait_until_shown(&mut seen, &namespace, &name, &shown))
                .await
                .with_context(|| format!("{namespace}/{name} does not show {shown} within {SHOWN:?}"))??;
            if ready == "False" {
                changes.push(changed.elapsed());
            }
        }
    }
    changes.sort_unstable();
    ensure!(!changes.is_empty(), "no pod was changed");
    Ok(changes)
}

async fn wait_until_shown(
    seen: &mut BoxStream<'_, watcher::Result<SocketIoCluster>>,
    namespace: &str,
    name: &str,
    shown: &str,
) -> Result<()> {
    loop {
        let cluster = seen.next().await.context("the watch ended")??;
        let pods = cluster.status.as_ref().and_then(|status| status.pods.as_deref());
        if cluster.name_any() == name
            && cluster.namespace().as_deref() == Some(namespace)
            && pods == Some(shown)
        {
            return Ok(());
        }
    }
}
