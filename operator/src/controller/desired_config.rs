//! The configuration that the sidecars are told in a step. Pure.
//!
//! # Invariant
//! The revision is a digest of the configuration and the credentials, so that the same content has the same revision.

use socketio_sidecar_core::config::{self, Config};

use super::cluster::Cluster;
use super::drift::digest;
use super::error::Error;
use super::front;
use super::observed::{Observed, sidecar_secret};
use crate::crd::v1alpha1::{Mode, Step};
use crate::credentials::Credentials;

/// Derives the configuration of a step, with its revision.
///
/// # Errors
/// The configuration cannot be written as JSON.
pub(crate) fn desired_config(
    cluster: &Cluster,
    observed: &Observed,
    step: Step,
    credentials: &Credentials,
) -> Result<Config, Error> {
    let spec = &cluster.spec;
    let before = observed.sidecar_secret.as_ref();
    let forwarded_for = front::decide_forwarded_for(
        cluster,
        observed.client_service.as_ref(),
        before.and_then(sidecar_secret::config_of).as_ref(),
    );
    let mode_before = before.and_then(sidecar_secret::mode_of);
    let (mode, close_over) = step.sessions().told(spec, mode_before);
    let mut config = Config {
        revision: String::new(),
        cluster: cluster.uid.clone(),
        mode: match mode {
            Mode::Off => config::Mode::Off,
            Mode::Observe => config::Mode::Observe,
            Mode::Enforce => config::Mode::Enforce,
        },
        path: spec.app.path.clone(),
        forwarded_for,
        trusted_proxies: spec.edge.trusted_proxies.clone(),
        proxy_protocol: spec.edge.proxy_protocol,
        close_over,
    };
    let content = serde_json::to_vec(&(&config, credentials.files()))
        .map_err(Error::unreadable("the sidecars' configuration"))?;
    config.revision = digest(&content);
    Ok(config)
}
