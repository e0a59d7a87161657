//! The progress of an object: its step, and the configuration that its pods have. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::controller::cluster::Cluster;
use crate::controller::observed::{Observed, reports, sidecar_secret};
use crate::controller::plan::Plan;
use crate::crd::v1alpha1::SocketIoClusterStatus;

/// The part of the status that the next reconcile goes by. `now` is after the writes, with which the wait of a step
/// begins.
pub(crate) fn progress(
    cluster: &Cluster,
    observed: &Observed,
    plan: &Plan,
    revision: &str,
    now: Timestamp,
) -> SocketIoClusterStatus {
    let mut status = cluster.status.clone().unwrap_or_default();
    // A time that is yet to come is of a clock that was wrong.
    if status.step != Some(plan.step) || status.step_since.as_ref().is_none_or(|since| since.0 > now) {
        status.step = Some(plan.step);
        status.step_since = Some(Time(now));
    }
    status.pods = Some(pods(observed));
    status.edge = Some(match cluster.ingress.as_ref().filter(|_| observed.ingress.is_some()) {
        Some(ingress) => format!("Ingress {ingress}"),
        None => format!("Service {}", cluster.client_service),
    });
    let before = observed.sidecar_secret.as_ref().and_then(sidecar_secret::mode_of);
    let (mode, _) = plan.step.sessions().told(&cluster.spec, before);
    status.mode = Some(mode);
    let same = status.revision.as_deref() == Some(revision);
    let all = !observed.pods.with_sidecar.is_empty()
        && reports::lagging(&observed.pods.with_sidecar, &observed.reports, revision).is_empty();
    if same && all {
        status.applied_revision = Some(revision.to_owned());
    }
    status.revision = Some(revision.to_owned());
    status
}

/// The pods with a ready sidecar, of all.
pub(crate) fn pods(observed: &Observed) -> String {
    format!("{}/{}", observed.pods.with_sidecar.len(), observed.pods.all)
}
