//! The limit for each source: what counts, and for whom.
//!
//! | the other end of a connection | counts for | as |
//! | --- | --- | --- |
//! | a client | its address | a connection |
//! | a trusted load balancer that sends a PROXY protocol header | the source in the header | a connection |
//! | a trusted HTTP proxy | the client that `X-Forwarded-For` names | a request under way, or a WebSocket |
//!
//! # Invariants
//! - Only the sidecar that a client is connected to counts: requests from peers were counted there.
//! - `X-Forwarded-For` is read from trusted proxies only. A proxy that names nobody is not limited.
//! - Without a limit, a request costs one comparison.

use std::net::IpAddr;

use socketio_sidecar_core::forwarded::client_of;
use socketio_sidecar_core::http1::RequestHead;

use super::Proxy;
use super::refusal::Refusal;
use crate::origin::{Origin, Side};
use crate::settings::Applied;
use crate::sources::Ticket;

/// Counts a connection for `source`; a trusted proxy's for nobody, since its requests are counted.
pub(super) fn admit_connection(proxy: &Proxy, source: IpAddr) -> Result<Option<Ticket>, Refusal> {
    let Some(sources) = &proxy.doors.sources else { return Ok(None) };
    if proxy.source.applied().settings.trust().includes(source) {
        return Ok(None);
    }
    let ticket = sources.enter(source);
    if ticket.is_none() {
        proxy.metrics.refused.with_label_values(&["source_limit"]).inc();
    }
    ticket.map(Some).ok_or(Refusal::TooManyFromSource)
}

/// Counts a request for the client that a trusted proxy names. Other requests are counted with their connection.
pub(super) fn count_request(
    proxy: &Proxy,
    head: &RequestHead<'_, '_>,
    origin: &Origin,
    applied: &Applied,
) -> Result<Option<Ticket>, Refusal> {
    let Some(sources) = &proxy.doors.sources else { return Ok(None) };
    let trust = applied.settings.trust();
    if origin.side == Side::Peer || !origin.may_be_trusted || !trust.includes(origin.peer.ip()) {
        return Ok(None);
    }
    match client_of(trust, head.headers) {
        Some(client) => sources.enter(client).map(Some).ok_or(Refusal::TooManyFromSource),
        None => Ok(None),
    }
}
