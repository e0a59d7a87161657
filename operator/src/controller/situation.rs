//! The situation of an object, from what was recorded and what was read, and the plan that follows. Pure.

use jiff::Timestamp;

use super::build;
use super::cluster::Cluster;
use super::desired_config::desired_config;
use super::error::Error;
use super::observed::workload::Workload;
use super::observed::{Observed, reports, service};
use super::plan::{Plan, Situation, decide, recorded};
use crate::credentials::Credentials;

/// Decides which step is to hold now.
///
/// # Errors
/// The sidecars' configuration cannot be written as JSON.
pub(crate) fn plan(
    cluster: &Cluster,
    observed: &Observed,
    credentials: &Credentials,
    contested: bool,
    now: Timestamp,
) -> Result<Plan, Error> {
    let recorded = cluster.status.as_ref().and_then(recorded);
    let routed = observed.client_service.as_ref().is_some_and(|service| service::is_routed(service, cluster));
    let endpoints_agree = observed
        .client_service
        .as_ref()
        .is_some_and(|service| service::endpoints_agree(&observed.endpoints, service));
    let mut situation = Situation {
        recorded,
        deleting: cluster.metadata.deletion_timestamp.is_some(),
        routed,
        endpoints_agree,
        ready: observed.pods.ready(),
        unready: observed.pods.unready.clone(),
        without_sidecar: observed.pods.without_sidecar.clone(),
        injected: observed.pods.injected,
        contested,
        rolled_out: observed.workload.as_ref().is_some_and(Workload::is_rolled_out),
        left_in_template: observed
            .workload
            .as_ref()
            .is_some_and(|workload| build::is_left(cluster, workload)),
        lagging: Vec::new(),
        drain: cluster.spec.drain.clone(),
        now,
    };
    if reports::are_of_interest(cluster) {
        let config = desired_config(cluster, observed, situation.current(), credentials)?;
        situation.lagging =
            reports::lagging(&observed.pods.with_sidecar, &observed.reports, &config.revision);
    }
    Ok(decide(&situation))
}
