//! Where connections come from.

use std::net::SocketAddr;

/// Which listener accepted a connection.
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

/// A connection's listener, and its other end.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) side: Side,
    pub(crate) peer: SocketAddr,
    /// The peer's IP as text, as all requests of the connection need it.
    pub(crate) address: String,
}

impl Origin {
    pub(crate) fn new(side: Side, peer: SocketAddr) -> Self {
        Self { side, peer, address: peer.ip().to_canonical().to_string() }
    }
}
