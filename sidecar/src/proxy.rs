//! The life of a request.
//!
//! [`listen`] accepts connections from clients and from peers. For each, [`serve`] reads a head,
//! decides by `socketio-sidecar-core`, and finds the way onward ([`route`]); an [`exchange`] then passes
//! the request and its answer, both streamed, and a [`tunnel`] takes over after a WebSocket upgrade.
//! [`refusal`] is the one place where a failure becomes an answer.
//!
//! # Invariants
//! - Nothing is ever half-closed towards the application: Node takes that for an abort. When a client
//!   goes away, the connection onward is closed, at once, on every hop.
//! - A request is sent again only when provably nothing of it was sent.
//! - After anything that leaves unclear where the next request begins, the connection is closed.

mod exchange;
mod listen;
mod refusal;
mod request;
mod route;
mod serve;
mod tunnel;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use listen::{Listener, listen};

use crate::metrics::Metrics;
use crate::settings::Source;
use crate::shutdown::Shutdown;
use crate::upstream::{App, Peers};

/// From where a connection came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// From a client or an edge.
    Client,
    /// From the sidecar of another pod, which has shown its certificate.
    Peer,
}

impl Side {
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Peer => "peer",
        }
    }
}

/// The limits of waiting for a client.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For a head, from its first byte to its last.
    pub head: Duration,
    /// For the next request on an idle connection.
    pub idle: Duration,
    /// For any progress of a body that is under way, in either direction.
    pub stall: Duration,
}

/// What all connections of a sidecar share.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) source: Arc<Source>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) app: App,
    pub(crate) peers: Peers,
    pub(crate) timeouts: Timeouts,
    pub(crate) shutdown: Shutdown,
}
