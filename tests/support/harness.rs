//! The integration tests' surroundings: everything real, on loopback addresses.
//!
//! | module | gives |
//! | --- | --- |
//! | [`place`] | a loopback IP of one's own, with the usual ports, in place of a pod |
//! | [`process`] | a program that ends with its test |
//! | [`config`] | a configuration directory, made by `socketio-sidecar init` |
//! | [`sidecar`] | the real sidecar program, its metrics and log |
//! | [`node`] | real Socket.IO servers and clients |
//! | [`wire`] | HTTP byte by byte, from either side |
//! | [`application`] | an application that notes all it is sent, or is scripted by the test |
//! | [`polling`] | an Engine.IO session over long-polling, request by request |
//! | [`edge`] | real nginx and HAProxy |
//! | [`round_robin`] | the load balancer that knows nothing of sessions |
//! | [`peer`] | another sidecar's side of the peer port |
//!
//! # Invariants
//! - Nothing waits without a limit ([`WAIT`]), and nothing sleeps where it can wait for a condition.
//! - Tests run side by side and share no address. What is missing (Node's packages, nginx, HAProxy) is a failure that
//!   says what to do, never a skipped test.

pub mod application;
pub mod config;
pub mod edge;
pub mod node;
pub mod peer;
pub mod place;
pub mod polling;
pub mod process;
pub mod round_robin;
pub mod sidecar;
pub mod wire;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use application::{Recorder, Scripted};
pub use config::Config;
pub use edge::Edge;
pub use node::{NodeServer, client, start_client};
pub use place::Place;
pub use polling::Polling;
pub use process::Process;
pub use round_robin::RoundRobin;
pub use sidecar::Sidecar;
pub use wire::{Answer, Wire, ask, get, post};

/// Longest wait for anything that should happen at once, on a machine that is busy.
pub const WAIT: Duration = Duration::from_secs(20);

/// Time between two checks of a condition.
const LOOK: Duration = Duration::from_millis(20);

/// Waits until `condition` holds, and fails with `what` if it does not.
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(WAIT, async {
        while !condition().await {
            tokio::time::sleep(LOOK).await;
        }
    });
    assert!(waited.await.is_ok(), "waited {} s, and still not: {what}", WAIT.as_secs());
}

/// The repository.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are in the repository").to_owned()
}
