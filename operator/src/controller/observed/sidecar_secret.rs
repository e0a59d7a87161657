//! Questions to the sidecars' Secret: the configuration in it. Pure.

use k8s_openapi::api::core::v1::Secret;
use socketio_sidecar_core::config::{self, CONFIG_FILE, Config};

use crate::crd::v1alpha1::Mode;

/// The configuration in a Secret.
pub(crate) fn config_of(secret: &Secret) -> Option<Config> {
    serde_json::from_slice(&secret.data.as_ref()?.get(CONFIG_FILE)?.0).ok()
}

/// The mode that a Secret's configuration says.
pub(crate) fn mode_of(secret: &Secret) -> Option<Mode> {
    Some(match config_of(secret)?.mode {
        config::Mode::Off => Mode::Off,
        config::Mode::Observe => Mode::Observe,
        config::Mode::Enforce => Mode::Enforce,
    })
}

/// The UID of the object whose configuration a Secret has.
pub(crate) fn cluster_of(secret: &Secret) -> Option<String> {
    config_of(secret).map(|config| config.cluster)
}
