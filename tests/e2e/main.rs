//! The product on a real cluster, with real clients. Run by `make test` inside `cluster run`, one test
//! after the other: they share the cluster, and each puts the chat on it anew.
//!
//! A test that cannot run on a cluster fails and says why; it is never skipped.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "these are tests")]

mod api;
mod chart;
mod checks;
mod component;
mod cutover;
mod deletion;
mod foreign_tags;
mod given_back;
mod ingress_nginx;
mod killed_operator;
mod killed_sidecar;
mod leader;
mod modes;
mod observe;
mod refusals;
mod repairs;
mod rooms;
mod scaling;
mod sessions;
mod side_by_side;
mod sidecar_logs;
// Last, by its name: it takes a while until all clients of the API server are back.
mod without_control_plane;

use support::deployment::{Chat, Load};

/// 200 clients, a third each of polling only, polling with an
/// upgrade, and WebSocket only.
fn load(chat: &Chat, seconds: u32) -> Load {
    Load { url: chat.url().unwrap(), transport: &["--mix"], clients: 200, seconds }
}
