//! Accepts connections until stopping has come to its closing stage.
//!
//! | port | at its limit |
//! | --- | --- |
//! | clients | the connection that has been idle longest is closed, then the oldest unfinished head, then the oldest unfinished body; otherwise a newcomer waits in the kernel's queue |
//! | peers, TLS handshakes | the oldest connection without a ClientHello is closed, then the oldest handshake; of the source that has most of them |
//! | peers, after the handshake | as for clients, except for bodies; a newcomer waits for [`HANDSHAKE_TIMEOUT`] at most |
//!
//! # Invariants
//! - Strangers never take a peer's place: a connection gets one when it has shown the cluster's certificate.
//! - Accepting on the peer port never waits for a handshake. It waits for peers only while all places of handshakes are
//!   held by peers that have none of their own yet, which is [`HANDSHAKE_TIMEOUT`] at most.
//! - A WebSocket gives its connection's place back, and takes one of the WebSockets'.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::server::Acceptor;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::LazyConfigAcceptor;

use super::Proxy;
use super::proxy_protocol::origin_of;
use super::serve::serve;
use super::source_limit::admit_connection;
use crate::accept_errors::AcceptErrors;
use crate::io::{Conn, Stream, tune};
use crate::limits::Limits;
use crate::metrics::Counted;
use crate::origin::{Origin, Side};
use crate::places::{Ages, Place, Places};
use crate::settings::WATCH_PROTOCOL;
use crate::shutdown::Stage;
use crate::sources::{Sources, Ticket};
use crate::throttle::Throttle;
use crate::upstream::HANDSHAKE_TIMEOUT;

/// The limits of all connections.
#[derive(Debug)]
pub(crate) struct Doors {
    pub(crate) clients: Door,
    pub(crate) peers: Door,
    handshakes: Arc<Places>,
    /// `None`: sources have no limit.
    pub(super) sources: Option<Arc<Sources>>,
}

/// The limits that the connections of one side share.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) places: Arc<Places>,
    pub(crate) websockets: Arc<Semaphore>,
    /// Limits the log lines about the limit of connections.
    full_log: Throttle,
}

/// Counts that a connection holds until it ends, as a WebSocket too.
#[derive(Debug)]
pub(super) struct Held {
    /// Counts for the connection's source.
    ticket: Option<Ticket>,
    _open: Counted,
}

/// A bound socket, and who connects to it.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    pub(crate) side: Side,
}

impl Doors {
    pub(crate) fn new(limits: &Limits, per_source: Option<usize>) -> Self {
        let door = |places: Arc<Places>, total: usize| Door {
            places,
            websockets: Arc::new(Semaphore::new(limits.websockets_of(total))),
            full_log: Throttle::default(),
        };
        // The sidecar that the client is connected to decides about the client's body.
        let peers = Ages { receiving: Duration::MAX, ..Ages::default() };
        let handshakes = Ages { waiting: Duration::ZERO, beginning: Duration::ZERO, ..peers };
        Self {
            clients: door(Places::new(limits.connections, limits.clients), limits.clients),
            peers: door(Places::with(limits.connections, limits.peers, false, peers), limits.peers),
            handshakes: Places::with(limits.handshakes, limits.handshakes, true, handshakes),
            sources: per_source.map(Sources::new),
        }
    }

    pub(super) fn of(&self, side: Side) -> &Door {
        match side {
            Side::Client => &self.clients,
            Side::Peer => &self.peers,
        }
    }
}

/// Accepts until the closing stage. Connections live on as tasks of their own.
pub(crate) async fn listen(proxy: Arc<Proxy>, listener: Listener) {
    let closing = proxy.shutdown.clone();
    let accept_all = async {
        match listener.side {
            Side::Client => accept_clients(&proxy, &listener.socket).await,
            Side::Peer => accept_peers(&proxy, &listener.socket).await,
        }
    };
    tokio::select! {
        () = closing.reached(Stage::Closing) => {}
        () = accept_all => {}
    }
}

async fn accept_clients(proxy: &Arc<Proxy>, socket: &TcpListener) {
    let mut errors = AcceptErrors::new(Side::Client.label());
    loop {
        let (stream, peer) = errors.accept(socket).await;
        let Ok(ticket) = admit_connection(proxy, peer.ip()) else { continue };
        let (place, held) = enter(proxy, Side::Client, peer, ticket).await;
        proxy.shutdown.spawn(greet_client(proxy.clone(), stream, peer, (place, held)));
    }
}

/// Serves a client.
#[allow(clippy::manual_async_fn, reason = "an async fn has room for its arguments twice")]
fn greet_client(
    proxy: Arc<Proxy>,
    stream: TcpStream,
    peer: SocketAddr,
    (place, mut held): (Place, Held),
) -> impl Future<Output = ()> {
    async move {
        if tune(&stream, proxy.timeouts.stall).is_err() {
            // It has ended already.
            return;
        }
        let mut client = Conn::new(Stream::Tcp(stream));
        let origin = tokio::select! {
            biased;
            origin = origin_of(&proxy, &mut client, peer) => origin,
            () = place.asked() => None,
        };
        let Some(origin) = origin else { return };
        if origin.peer != peer {
            // A load balancer speaks for this source, which is known only now.
            let Ok(ticket) = admit_connection(&proxy, origin.peer.ip()) else { return };
            held.ticket = ticket;
        }
        serve(proxy, client, origin, place, held).await;
    }
}

async fn accept_peers(proxy: &Arc<Proxy>, socket: &TcpListener) {
    let mut errors = AcceptErrors::new(Side::Peer.label());
    loop {
        let (stream, peer) = errors.accept(socket).await;
        let evicted = proxy.metrics.evicted.with_label_values(&["handshake"]);
        let place = proxy.doors.handshakes.enter(peer.ip(), || evicted.inc()).await;
        proxy.shutdown.spawn(greet_peer(proxy.clone(), stream, peer, place));
    }
}

/// Serves whoever proves within [`HANDSHAKE_TIMEOUT`] to be a peer.
async fn greet_peer(proxy: Arc<Proxy>, stream: TcpStream, peer: SocketAddr, handshake: Place) {
    // Boxed, since the space is needed for a moment only.
    if let Some((peer_conn, place, held)) = Box::pin(admit_peer(&proxy, stream, peer, handshake)).await {
        serve(proxy, peer_conn, Origin::of_sidecar(peer), place, held).await;
    }
}

/// Shakes hands with a peer, and waits for its place. `None`: the connection is to be closed.
async fn admit_peer(
    proxy: &Proxy,
    stream: TcpStream,
    peer: SocketAddr,
    handshake: Place,
) -> Option<(Conn, Place, Held)> {
    let deadline = Instant::now() + HANDSHAKE_TIMEOUT;
    tune(&stream, proxy.timeouts.stall).ok()?;
    let accept = async {
        let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        // To close it now could lose a request: a TLS 1.3 client sends one before it knows that it is accepted.
        handshake.begin(Instant::now());
        let config = proxy.source.applied().tls.server.clone();
        hello.into_stream(config).await
    };
    let accepted = tokio::select! {
        biased;
        accepted = timeout_at(deadline, accept) => accepted,
        () = handshake.asked() => return None,
    };
    let stream = match accepted {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            proxy.metrics.count_failure("peer_tls");
            tracing::debug!(%peer, %error, "refused a connection on the peer port");
            return None;
        }
        Err(_) => {
            proxy.metrics.count_failure("peer_tls");
            return None;
        }
    };
    // Held until the connection has its own place, so that few search for one, and the limits count their descriptors.
    handshake.work();
    proxy.peers.note_heard(peer.ip());
    let Ok((place, held)) = timeout_at(deadline, enter(proxy, Side::Peer, peer, None)).await else {
        proxy.metrics.refused.with_label_values(&["peer_limit"]).inc();
        return None;
    };
    if stream.get_ref().1.alpn_protocol() == Some(WATCH_PROTOCOL) {
        drop(handshake);
        // A watch is silent, and is not closed for that.
        place.work();
        tokio::select! {
            () = proxy.shutdown.reached(Stage::Closing) => {}
            () = proxy.peers.hold_watch(peer.ip(), stream.into()) => {}
        }
        return None;
    }
    let stream = proxy.peers.accepted(peer.ip()).add(stream.into());
    Some((Conn::new(Stream::Tls(Box::new(stream))), place, held))
}

/// Waits for a place.
async fn enter(proxy: &Proxy, side: Side, peer: SocketAddr, ticket: Option<Ticket>) -> (Place, Held) {
    let (door, metrics) = (proxy.doors.of(side), &proxy.metrics);
    let place = match door.places.try_enter(peer.ip()) {
        Some(place) => place,
        None => {
            metrics.connection_waits.with_label_values(&[side.label()]).inc();
            door.log_full(side);
            let evicted = metrics.evicted.with_label_values(&[side.label()]);
            door.places.enter(peer.ip(), || evicted.inc()).await
        }
    };
    let open = Counted::new(metrics.connections.with_label_values(&[side.label()]));
    (place, Held { ticket, _open: open })
}

impl Door {
    fn log_full(&self, side: Side) {
        if self.full_log.is_due() {
            tracing::warn!(
                from = side.label(),
                limit = self.places.limit(),
                "connection limit reached; closing the longest-idle connections; raise --max-connections \
                 (sidecar.maxConnections of a SocketIoCluster) or add pods"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::future_size::size_of_future;

    #[test]
    fn an_idle_connection_keeps_no_room_for_a_request() {
        let client = size_of_future(|(proxy, stream, peer, held)| greet_client(proxy, stream, peer, held));
        let peer = size_of_future(|(proxy, stream, peer, place)| greet_peer(proxy, stream, peer, place));
        assert!(client <= 1024, "{client}");
        assert!(peer <= 1024, "{peer}");
    }
}
