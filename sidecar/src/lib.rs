//! The sidecar: one in every pod of a Socket.IO deployment, in front of its application.
//!
//! The map:
//!
//! | module | does |
//! | --- | --- |
//! | [`app`] | binds the listeners, then runs them until told to stop |
//! | [`cli`], [`init`] | the command line, and the files that `init` makes |
//! | [`cgroup`] | the memory limit of this process |
//! | [`settings`] | loads the configuration directory, and again when it changes |
//! | [`proxy`] | the life of a request: read the head, decide, exchange, or tunnel |
//! | [`limits`], [`places`], [`sources`] | how many connections may be open, in all and from one address, and which of them is closed for a new one |
//! | [`accept_errors`] | pauses after errors of accepting, for instance where descriptors run out |
//! | [`origin`] | which listener accepted a connection, and who is at its other end |
//! | [`upstream`] | connections to the local application and to peers, and when they can be used again |
//! | [`io`] | plain or TLS streams, with buffers that exist only while they hold something |
//! | [`shutdown`] | how connections learn that they have to end: the stages of stopping, and the window of a paced close |
//! | [`admin`], [`metrics`] | what is shown to operators |
//! | [`log_limit`], [`throttle`] | how many lines the log gets: of each kind, and of lines that requests cause |
//!
//! All decisions are made in `socketio-sidecar-core`, which does no IO.

mod accept_errors;
pub mod admin;
pub mod app;
mod cgroup;
pub mod cli;
pub mod init;
mod io;
mod limits;
pub mod log_limit;
pub mod metrics;
mod origin;
mod places;
mod proxy;
pub mod settings;
pub mod shutdown;
mod sources;
mod throttle;
mod upstream;
