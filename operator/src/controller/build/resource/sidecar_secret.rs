//! The Secret with everything that can change while sidecars run.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use socketio_sidecar_core::config::{CONFIG_FILE, Config};

use crate::controller::cluster::Cluster;

/// Builds the Secret of a configuration and the credentials.
///
/// # Errors
/// The configuration cannot be written as JSON.
pub(crate) fn build_sidecar_secret(
    cluster: &Cluster,
    config: &Config,
    credentials: BTreeMap<String, ByteString>,
) -> Result<Secret, serde_json::Error> {
    let mut data = credentials;
    data.insert(CONFIG_FILE.to_owned(), ByteString(serde_json::to_vec_pretty(config)?));
    Ok(Secret {
        metadata: cluster.metadata_of(&cluster.sidecar_secret),
        data: Some(data),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    })
}
