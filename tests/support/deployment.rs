//! The example chat and the load program on a cluster, as a user would put them there: with `kubectl`
//! and the manifests of `examples/chat/k8s`.
//!
//! Everything waits on conditions, each with a deadline, and says what it waited for when that passes.

use std::io::Write;

mod chat;
mod kubectl;
mod load;
mod operator;
mod redis;
mod socketio_cluster;

pub use chat::{Chat, Pod, Variant};
pub use kubectl::{Kubectl, wait_for};
pub use load::{Event, Handshakes, Load, LoadRun, ModeSummary, RoomSummary, Rooms, Summary};
pub use operator::Operator;
pub use redis::Redis;
pub use socketio_cluster::{SocketIoCluster, condition, merge};

/// The namespace everything is put into.
pub const NAMESPACE: &str = "chat";

/// Says what is being done, also where a test's output is captured: some of it takes minutes.
fn say(what: &str) {
    // Whoever runs this may not be listening.
    let _ = writeln!(std::io::stderr(), "    {what}");
}
