//! The Secret with everything that can change while sidecars run.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use socketio_sidecar_core::config::{self, CONFIG_FILE, Config};

use crate::controller::cluster::Cluster;
use crate::controller::drift::digest;
use crate::controller::plan::Sessions;
use crate::crd::v1alpha1::Mode;

/// The configuration that sidecars are told, its revision still open.
pub(crate) fn build_config(
    cluster: &Cluster,
    forwarded_for: Option<config::ForwardedFor>,
    sessions: Sessions,
    before: Option<Mode>,
) -> Config {
    let spec = &cluster.spec;
    let (mode, close_over) = sessions.told(spec.mode, before);
    Config {
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
    }
}

/// Builds it, and says its revision: a digest of the content, so that the same is never another one.
///
/// # Errors
/// The configuration cannot be written as JSON.
pub(crate) fn build_sidecar_secret(
    cluster: &Cluster,
    mut config: Config,
    credentials: BTreeMap<String, ByteString>,
) -> Result<(Secret, String), serde_json::Error> {
    let content = serde_json::to_vec(&(&config, &credentials))?;
    config.revision = digest(&content);
    let revision = config.revision.clone();
    let mut data = credentials;
    data.insert(CONFIG_FILE.to_owned(), ByteString(serde_json::to_vec_pretty(&config)?));
    let secret = Secret {
        metadata: cluster.metadata_of(&cluster.sidecar_secret),
        data: Some(data),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    };
    Ok((secret, revision))
}
