//! Accepts connections, up to a limit, until stopping has come to its closing stage.
//!
//! At the limit nothing more is accepted: what comes then waits in the kernel's queue, whose length is
//! bounded, and clients' own timeouts apply.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::Proxy;
use super::proxy_protocol::origin_of;
use super::serve::serve;
use crate::io::{Conn, Stream, tune};
use crate::metrics::Counted;
use crate::origin::{Origin, Side};
use crate::shutdown::Stage;

/// Longest wait for a peer's TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long to wait after a failure to accept, which is mostly a lack of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// A bound socket, and how many of its connections may be open.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    pub(crate) side: Side,
    pub(crate) limit: usize,
}

/// Accepts until the closing stage. Connections live on as tasks of their own.
pub(crate) async fn listen(proxy: Arc<Proxy>, listener: Listener) {
    let Listener { socket, side, limit } = listener;
    let places = Arc::new(Semaphore::new(limit));
    let closing = proxy.shutdown.clone();
    let accept_all = async {
        loop {
            if places.available_permits() == 0 {
                proxy.metrics.connection_waits.with_label_values(&[side.label()]).inc();
            }
            let Ok(place) = places.clone().acquire_owned().await else { return };
            let (stream, peer) = match socket.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    pause_after(&error, side).await;
                    continue;
                }
            };
            let open = Counted::new(proxy.metrics.connections.with_label_values(&[side.label()]));
            proxy.shutdown.spawn(greet(proxy.clone(), stream, peer, side, (place, open)));
        }
    };
    tokio::select! {
        () = closing.reached(Stage::Closing) => {}
        () = accept_all => {}
    }
}

/// A connection that was given up before it was accepted is nobody's problem. Anything else would
/// come back at once.
async fn pause_after(error: &io::Error, side: Side) {
    if error.kind() != io::ErrorKind::ConnectionAborted {
        tracing::warn!(from = side.label(), %error, "cannot accept connections; trying again");
        tokio::time::sleep(PAUSE).await;
    }
}

async fn greet<H: Send + 'static>(
    proxy: Arc<Proxy>,
    stream: TcpStream,
    peer: SocketAddr,
    side: Side,
    held: H,
) {
    if tune(&stream, proxy.timeouts.stall).is_err() {
        // It has ended already.
        return;
    }
    let (client, origin) = match side {
        Side::Client => {
            let mut client = Conn::new(Stream::Tcp(stream));
            let Some(origin) = origin_of(&proxy, &mut client, peer).await else { return };
            (client, origin)
        }
        Side::Peer => {
            let acceptor = TlsAcceptor::from(proxy.source.applied().tls.server.clone());
            match timeout(HANDSHAKE, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => {
                    let stream = Stream::Tls(Box::new(stream.into()));
                    (Conn::new(stream), Origin::of_sidecar(peer))
                }
                Ok(Err(error)) => {
                    proxy.metrics.count_failure("peer_tls");
                    tracing::debug!(%peer, %error, "refused a connection on the peer port");
                    return;
                }
                Err(_) => {
                    proxy.metrics.count_failure("peer_tls");
                    return;
                }
            }
        }
    };
    serve(proxy, client, origin, held).await;
}
