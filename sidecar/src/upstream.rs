//! Connections onward: to the local application and to the sidecars of other pods.
//!
//! # Invariants
//! - A connection is used again only while it is silent, as far as is known (see [`pool`]), and for less
//!   long than the other side keeps it: a request that meets a closing connection is lost, and with it
//!   the session.
//! - Every wait has a deadline, and every pool a size.

mod app;
mod peers;
mod pool;

use std::io;

pub(crate) use app::App;
pub(crate) use peers::{OwnerGone, PeerFailure, Peers};

/// Why no connection can be made that has nothing to do with the other side: no descriptors, no ports.
pub(crate) fn is_own_shortage(error: &io::Error) -> bool {
    // EMFILE, ENFILE, ENOBUFS, ENOMEM have no kind of their own.
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::OutOfMemory)
        || matches!(error.raw_os_error(), Some(23 | 24 | 105))
}
