//! The controller: watches, the reconciles of one object, and what is done about errors.
//!
//! A reconcile (`reconcile.rs`) reads as named steps: [`dereference`] (needs a client) → [`validate`] →
//! [`plan`] → [`build`] → [`apply`] (needs a client) → [`status`] → [`patch_status`] (needs a client). A [`release`] of
//! an object that is being deleted validates nothing, and [`restore`]s instead of applying. All decisions are pure.
//!
//! # Invariants
//! - A reconcile depends on what is in the cluster alone: an operator that is killed at any write, or replaced, goes
//!   on where it was.
//! - One reconcile at a time runs over an object; kube's scheduler sees to it.
//! - At rest a reconcile writes nothing.
//! - The modules import in one direction, and a test holds that. On the ground floor stand [`condition`], [`names`],
//!   [`cluster`] and [`observed`].
//! - An object that cannot be read, for instance one of a newer version of the API, keeps what it has: it is
//!   logged and counted, and no other one waits for it.

mod apply;
mod build;
mod cluster;
mod condition;
mod contest;
mod context;
mod credentials;
mod dereference;
mod desired_config;
mod drift;
mod edge;
mod error;
mod finalizer;
#[cfg(test)]
mod fixtures;
mod front;
mod names;
mod next_resync;
mod observed;
mod patch_status;
mod plan;
mod quantity;
mod reconcile;
mod release;
mod restore;
mod revisions;
mod situation;
mod status;
mod validate;
mod watches;

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use futures::{FutureExt, StreamExt};
use kube::runtime::controller::{Action, Config};
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::Store;
use kube::{Client, ResourceExt};
use tokio::time::Instant;

use crate::admin::Health;
use crate::crd::{Guarded, SocketIoCluster};
use crate::metrics::Metrics;
use context::Context;
pub use context::Settings;
pub use error::Error;

/// Most objects that are reconciled at once.
const CONCURRENCY: u16 = 8;
/// Delay between a change and the reconcile of its object: more changes follow soon.
const DEBOUNCE: Duration = Duration::from_millis(500);
/// Interval at which the objects are counted for the metrics.
const COUNTED: Duration = Duration::from_secs(10);

/// Looks after all SocketIoClusters until `shutdown`, then ends the passes that are under way.
///
/// Dropping the future ends it at any write, which is safe: see the invariants.
pub async fn run(
    client: Client,
    settings: Settings,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    health.begins_listing();
    let shutdown = shutdown.boxed().shared();
    let reporter =
        Reporter { controller: names::CONTROLLER.to_owned(), instance: Some(settings.identity.clone()) };
    let recorder = Recorder::new(client.clone(), reporter);
    let scopes: Vec<Option<String>> = match &settings.watch_namespaces[..] {
        [] => vec![None],
        namespaces => namespaces.iter().cloned().map(Some).collect(),
    };
    let mut stores = Vec::new();
    let controllers = scopes.into_iter().map(|namespace| {
        let (controller, clusters, ingresses) = watches::controller(&client, namespace.as_deref());
        stores.push(clusters.clone());
        let context = Context {
            client: client.clone(),
            settings: settings.clone(),
            metrics: metrics.clone(),
            recorder: recorder.clone(),
            clusters,
            ingresses,
        };
        controller
            .with_config(Config::default().concurrency(CONCURRENCY).debounce(DEBOUNCE))
            .graceful_shutdown_on(shutdown.clone())
            .run(reconcile, error_policy, Arc::new(context))
            .for_each(|outcome| {
                // What a pass said was logged and counted in it.
                if let Err(error @ kube::runtime::controller::Error::QueueError(_)) = outcome {
                    tracing::warn!(%error, "cannot watch; it is tried again");
                }
                std::future::ready(())
            })
    });
    let controllers = join_all(controllers);
    tokio::select! {
        _ = controllers => {}
        () = async {
            for store in &stores {
                // It fails only when its controller has ended, which ends all of this.
                if store.wait_until_ready().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
            health.has_listed();
            count(&stores, &metrics).await;
        } => {}
    }
}

/// Counts the objects by whether they are ready, for as long as it is polled.
async fn count(stores: &[Store<Guarded>], metrics: &Metrics) {
    let mut looks = tokio::time::interval(COUNTED);
    loop {
        looks.tick().await;
        let clusters: Vec<_> = stores.iter().flat_map(Store::state).collect();
        let is_ready = |cluster: &SocketIoCluster| {
            let status = cluster.status.as_ref().and_then(status::ready);
            status.is_some_and(|condition| condition.status == "True")
        };
        let readable: Vec<_> = clusters.iter().filter_map(|cluster| cluster.0.as_ref().ok()).collect();
        let ready = readable.iter().filter(|cluster| is_ready(cluster)).count();
        metrics.clusters(ready, readable.len() - ready, clusters.len() - readable.len());
    }
}

async fn reconcile(cluster: Arc<Guarded>, context: Arc<Context>) -> Result<Action, Error> {
    let started = Instant::now();
    let outcome = match &cluster.0 {
        Ok(cluster) => reconcile::run(cluster, &context).await,
        Err(invalid) => Err(Error::unreadable("this SocketIoCluster")(&invalid.error)),
    };
    let result = outcome.as_ref().map_or_else(Error::category, |_| "ok");
    context.metrics.reconcile(result, started.elapsed());
    let name = format!("{}/{}", cluster.namespace().unwrap_or_default(), cluster.name_any());
    match &outcome {
        Ok(_) => tracing::debug!(cluster = name, "reconciled"),
        Err(error) if error.is_outdated() => tracing::debug!(cluster = name, %error, "seen too late"),
        Err(error) => tracing::warn!(cluster = name, category = error.category(), %error, "cannot reconcile"),
    }
    outcome
}

fn error_policy(_: Arc<Guarded>, error: &Error, _: Arc<Context>) -> Action {
    Action::requeue(error.retry_after())
}

#[cfg(test)]
mod tests;
