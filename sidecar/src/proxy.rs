//! The life of a request.
//!
//! [`listen`] accepts connections from clients and from peers ([`proxy_protocol`] reads the header of load
//! balancers that send one). For each, [`serve`] reads one head
//! after another. [`pass`] decides by `socketio-sidecar-core` and finds the way onward ([`route`]). An [`exchange`]
//! then passes the request and its answer, both streamed. After a WebSocket upgrade, [`websocket`] takes over with a
//! [`tunnel`], which ends at its [`turn`] in a paced close, or before.
//! [`source_limit`] counts connections and requests for their source. [`refusal`] is the one place where a failure becomes an answer.
//!
//! # Invariants
//! - Nothing is ever half-closed towards the application: Node takes that for an abort. When a client
//!   goes away, the connection onward is closed, at once, on every hop.
//! - A request is sent again, once, only when provably nothing of it was sent; or when it is a GET, HEAD or OPTIONS
//!   whose connection to the application had been used before and ended before a byte of an answer.
//! - After anything that leaves unclear where the next request begins, the connection is closed.

mod exchange;
#[cfg(test)]
mod future_size;
mod listen;
mod pass;
mod proxy_protocol;
mod refusal;
mod request;
mod route;
mod serve;
mod session;
mod source_limit;
mod tunnel;
mod turn;
mod websocket;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use socketio_sidecar_core::http1::HeadLimits;
use socketio_sidecar_core::pace::Lot;

pub(crate) use listen::{Doors, Listener, listen};

use crate::io::Budget;
use crate::metrics::Metrics;
use crate::origin::Side;
use crate::settings::Source;
use crate::shutdown::Shutdown;
use crate::throttle::Throttle;
use crate::upstream::{App, Peers};
use refusal::Refusal;
use route::Way;

/// The limits of waiting for a client.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// For a head, from its first byte to its last.
    pub head: Duration,
    /// For the next request on an idle connection.
    pub idle: Duration,
    /// For the whole body of a request.
    pub body: Duration,
    /// For any progress of a body that is under way, in either direction.
    pub stall: Duration,
}

/// The limits of heads.
#[derive(Debug, Clone, Copy)]
pub struct Heads {
    /// For the heads of clients' requests.
    pub requests: HeadLimits,
    /// For the heads of the application's answers.
    pub answers: HeadLimits,
}

impl Heads {
    /// The limits for the heads of requests from this side.
    fn from(&self, side: Side) -> HeadLimits {
        match side {
            Side::Client => self.requests,
            Side::Peer => self.requests.of_forwarded(),
        }
    }

    /// The limits for the heads of answers to requests that go this way.
    fn answered(&self, way: Result<Way, Refusal>) -> HeadLimits {
        match way {
            Ok(Way::Owner(_)) => self.answers.of_forwarded(),
            _ => self.answers,
        }
    }
}

/// Parts that all connections of a sidecar share.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) source: Arc<Source>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) app: App,
    pub(crate) peers: Arc<Peers>,
    pub(crate) timeouts: Timeouts,
    pub(crate) heads: Heads,
    pub(crate) doors: Doors,
    /// For all that is held for connections under backpressure.
    pub(crate) budget: Budget,
    pub(crate) shutdown: Shutdown,
    /// Limits the log lines about HTTP/2, which an edge may cause with every connection.
    pub(crate) http2_log: Throttle,
    /// Number of lots that were drawn by number.
    pub(crate) lots: AtomicU64,
    /// Limits the log lines about handshakes without a tag.
    pub(crate) untagged_log: Throttle,
    /// Limits the log lines about connections without their PROXY protocol header.
    pub(crate) unproxied_log: Throttle,
}

impl Proxy {
    /// The lot of a session that no other sidecar sees.
    fn next_lot(&self) -> Lot {
        let number = self.lots.fetch_add(1, Ordering::Relaxed);
        Lot::of_number(self.source.applied().own.pod, number)
    }
}
