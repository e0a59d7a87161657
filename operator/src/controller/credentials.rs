//! Chooses the credentials of a reconcile: the operator's own Secret counts, then the pods', and new ones are made
//! where neither is usable. Pure, apart from the random bytes.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;

use crate::controller::cluster::Cluster;
use crate::controller::desired_config::desired_config;
use crate::controller::error::Error;
use crate::controller::observed::{Observed, sidecar_secret};
use crate::crd::v1alpha1::Step;
use crate::credentials::{Credentials, Terms};

/// The secrets that are in force, or the next ones where a change is due and nobody lags.
pub(crate) fn due(cluster: &Cluster, observed: &Observed, now: Timestamp) -> Result<Credentials, Error> {
    let terms = terms(cluster, now);
    if let Some(kept) = kept(observed) {
        return Ok(kept.next(terms, have_followed(cluster, observed, &kept)?)?.unwrap_or(kept));
    }
    if let Some(of_pods) = of_pods(cluster, observed)
        && let Some(recovered) = of_pods.recover(terms)?
    {
        return Ok(recovered);
    }
    Ok(Credentials::generate(terms)?)
}

/// The secrets that are in force, as they are: what a deletion makes of them is not kept, so that a change
/// would be another one in each pass.
pub(crate) fn in_force(cluster: &Cluster, observed: &Observed, now: Timestamp) -> Result<Credentials, Error> {
    match kept(observed).or_else(|| of_pods(cluster, observed)) {
        Some(credentials) => Ok(credentials),
        None => Ok(Credentials::generate(terms(cluster, now))?),
    }
}

fn terms(cluster: &Cluster, now: Timestamp) -> Terms<'_> {
    Terms { cluster: &cluster.uid, certificate_days: cluster.spec.peers.certificate_days, now }
}

/// Credentials in the operator's own Secret.
fn kept(observed: &Observed) -> Option<Credentials> {
    Credentials::from_data(observed.credentials_secret.as_ref()?.data.as_ref()?)
}

/// Credentials in the sidecars' Secret. The Secret of an earlier object of the same name holds nothing that these
/// sidecars could use.
fn of_pods(cluster: &Cluster, observed: &Observed) -> Option<Credentials> {
    let own = |secret: &&Secret| sidecar_secret::cluster_of(secret).as_deref() == Some(cluster.uid.as_str());
    Credentials::from_files(observed.sidecar_secret.as_ref().filter(own)?.data.as_ref()?)
}

/// Returns true if all sidecars have applied `kept`. A write after the status is not in the status yet, so
/// that its two revisions may agree on what is older than `kept`.
fn have_followed(cluster: &Cluster, observed: &Observed, kept: &Credentials) -> Result<bool, Error> {
    let Some(status) = &cluster.status else { return Ok(false) };
    if status.step != Some(Step::Programmed) {
        return Ok(false);
    }
    let config = desired_config(cluster, observed, Step::Programmed, kept)?;
    Ok(status.applied_revision == Some(config.revision))
}

#[cfg(test)]
mod tests;
