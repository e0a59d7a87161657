//! Objects that are made or changed, each in a file.

pub(crate) mod client_service;
pub(crate) mod ingress;
pub(crate) mod injection;
pub(crate) mod peer_service;
pub(crate) mod sidecar_secret;
pub(crate) mod user_ingress;
