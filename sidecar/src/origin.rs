//! Origins of connections.

use std::net::SocketAddr;

/// Listener that accepted a connection.
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
    /// The other end: the TCP peer, or the client that a load balancer's PROXY protocol header names.
    pub(crate) peer: SocketAddr,
    /// False where the peer's address does not tell who sends: the load balancer hides its client.
    pub(crate) may_be_trusted: bool,
    /// The peer's IP as text, as all requests of the connection need it.
    pub(crate) address: String,
}

impl Origin {
    /// The sidecar at `peer`.
    pub(crate) fn of_sidecar(peer: SocketAddr) -> Self {
        Self::new(Side::Peer, peer, false)
    }

    /// The client or edge at `peer`.
    pub(crate) fn of_client(peer: SocketAddr) -> Self {
        Self::new(Side::Client, peer, true)
    }

    /// The client behind the load balancer at `balancer`, which names it or not.
    pub(crate) fn behind(balancer: SocketAddr, source: Option<SocketAddr>) -> Self {
        Self::new(Side::Client, source.unwrap_or(balancer), source.is_some())
    }

    fn new(side: Side, peer: SocketAddr, may_be_trusted: bool) -> Self {
        Self { side, peer, may_be_trusted, address: peer.ip().to_canonical().to_string() }
    }
}
