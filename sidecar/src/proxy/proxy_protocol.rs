//! The PROXY protocol header of load balancers, read before anything else of a connection.
//!
//! # Invariants
//! - The header is required of the trusted proxies, and of nobody else. Whether a peer is one is decided by its
//!   address, never by what it sends.
//! - A connection without the header that it must have is closed without an answer.
//! - The wait ends with the head timeout. The size is bounded by `socketio_sidecar_core::proxy_protocol`.

use std::future::poll_fn;
use std::net::SocketAddr;

use socketio_sidecar_core::proxy_protocol::{MAX_V2_BYTES, NotProxied, parse};
use tokio::time::timeout;

use super::Proxy;
use crate::io::Conn;
use crate::origin::Origin;

/// The reason for closing a connection that has brought no header.
enum NoHeader {
    /// No byte came: a health check, or a client that gave up.
    Quiet,
    Cut,
    Refused(NotProxied),
}

/// Finds out who is at the other end of a connection of a client's. `None`: it is to be closed.
pub(super) async fn origin_of(proxy: &Proxy, client: &mut Conn, peer: SocketAddr) -> Option<Origin> {
    if !is_required(proxy, peer) {
        return Some(Origin::of_client(peer));
    }
    let read = timeout(proxy.timeouts.head, read_header(client)).await;
    let refused = match read {
        Ok(Ok(source)) => return Some(Origin::behind(peer, source)),
        Ok(Err(NoHeader::Quiet)) => return None,
        Ok(Err(NoHeader::Cut)) => "the PROXY protocol header is cut short".to_owned(),
        Ok(Err(NoHeader::Refused(why))) => why.to_string(),
        Err(_) if client.inbox().is_empty() => return None,
        Err(_) => "the PROXY protocol header took too long".to_owned(),
    };
    proxy.metrics.count_failure("proxy_protocol");
    if proxy.unproxied_log.is_due() {
        tracing::warn!(
            %peer, %refused,
            "closed a connection of a trusted proxy; let it send PROXY protocol headers, or set proxyProtocol to false \
             (this is logged once a minute)"
        );
    }
    None
}

fn is_required(proxy: &Proxy, peer: SocketAddr) -> bool {
    let applied = proxy.source.applied();
    applied.settings.config.proxy_protocol && applied.settings.trust().includes(peer.ip())
}

async fn read_header(client: &mut Conn) -> Result<Option<SocketAddr>, NoHeader> {
    loop {
        if let Some(header) = parse(client.inbox()).map_err(NoHeader::Refused)? {
            client.take(header.length);
            return Ok(header.source);
        }
        match poll_fn(|cx| client.poll_fill(cx, MAX_V2_BYTES)).await {
            Ok(1..) => {}
            _ if client.inbox().is_empty() => return Err(NoHeader::Quiet),
            _ => return Err(NoHeader::Cut),
        }
    }
}
