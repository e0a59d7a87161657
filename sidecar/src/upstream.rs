//! Connections onward: to the local application and to the sidecars of other pods.
//!
//! # Invariants
//! - A connection is used again only while it is silent, as far as is known (see [`pool`]), and for less
//!   long than the other side keeps it: a request that meets a closing connection is lost, and with it
//!   the session. The application must first be seen to keep its connections.
//! - Every wait has a deadline, and every pool a size.

mod app;
mod peers;
mod pool;

use std::io;
use std::time::Duration;

use crate::io::Conn;

pub(crate) use app::{App, AppKeepAlive};
pub(crate) use peers::{HANDSHAKE_TIMEOUT, OwnerGone, PeerFailure, Peers};

/// A connection onward, and its past.
#[derive(Debug)]
pub(crate) struct UpstreamConn {
    pub(crate) conn: Conn,
    /// Answers that the connection has carried.
    pub(crate) answers: u32,
    /// Time that the connection has been idle in the pool; `None` for a new one.
    pub(crate) pooled_for: Option<Duration>,
}

impl UpstreamConn {
    /// A new connection.
    fn new(conn: Conn) -> Self {
        Self { conn, answers: 0, pooled_for: None }
    }
}

/// True where this pod is short of something: descriptors, ports or memory. The other side has nothing to do with it.
pub(crate) fn is_own_shortage(error: &io::Error) -> bool {
    // EMFILE, ENFILE, ENOBUFS, ENOMEM have no kind of their own.
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::OutOfMemory)
        || matches!(error.raw_os_error(), Some(23 | 24 | 105))
}
