//! The example chat and the load program on a cluster, as a user would put them there: with `kubectl`
//! and the manifests of `examples/chat/k8s`.
//!
//! Everything waits on conditions, each with a deadline, and says what it waited for when that passes.

mod chat;
mod kubectl;
mod load;

pub use chat::{Chat, Pod, Variant};
pub use kubectl::{Kubectl, wait_for};
pub use load::{Event, Load, LoadRun, ModeSummary, Summary};

/// The namespace everything is put into.
pub const NAMESPACE: &str = "chat";
