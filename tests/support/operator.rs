//! The real operator program, outside of pods.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::harness::sidecar::build;

/// The program to test: the one that `SOCKETIO_OPERATOR_PROGRAM` names, or what cargo builds, once.
#[must_use]
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| match std::env::var_os("SOCKETIO_OPERATOR_PROGRAM") {
        Some(named) => named.into(),
        None => build("socketio-operator"),
    })
}
