//! Code that the tests, the demo and the cluster program share.
//!
//! - [`images`]: container images made from local files.
//! - [`deployment`]: the example chat and the load program on a cluster.
//! - [`harness`]: real sidecars, real Socket.IO servers and clients, and raw HTTP, each on its own
//!   loopback address, for the integration tests.
//! - [`hostile`]: requests that spoil a proxy's connection to Node.
//! - [`network`]: network namespaces.
//! - [`operator`]: the operator's program.

pub mod deployment;
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the harness only runs inside tests, where a panic is how a test fails"
)]
pub mod harness;
pub mod hostile;
pub mod images;
pub mod network;
pub mod operator;
