//! The life of a WebSocket: until either side ends it, its turn in a paced close comes, or this sidecar
//! stops; and the one line that the log has of it.

use std::net::SocketAddr;

use prometheus::IntCounter;
use socketio_sidecar_core::session_id::SidHash;

use super::Proxy;
use super::route::Way;
use super::session::Session;
use super::tunnel::{End, Tunnel};
use super::turn::{Come, Turn};
use crate::metrics::Counted;
use crate::origin::{Origin, Side};

/// A WebSocket that has just been opened.
pub(super) struct WebSocket<H> {
    tunnel: Tunnel,
    turn: Turn,
    about: About,
    open: Counted,
    closed: IntCounter,
    /// Guard that lives as long as the client's connection.
    held: H,
}

/// Facts about the WebSocket for the log.
struct About {
    to: &'static str,
    session: Option<SidHash>,
    peer: SocketAddr,
    side: Side,
}

impl<H> WebSocket<H> {
    /// Makes the WebSocket of `session`, if it names one, that `origin` opened and that leads `way`.
    pub(super) fn new(
        proxy: &Proxy,
        tunnel: Tunnel,
        (way, session): (Way, Option<Session>),
        origin: &Origin,
        held: H,
    ) -> Self {
        let &Origin { side, peer, .. } = origin;
        Self {
            tunnel,
            turn: Turn::new(proxy, side, session),
            about: About { to: way.label(), session: session.map(|session| session.hash), peer, side },
            open: Counted::new(proxy.metrics.tunnels.with_label_values(&[way.label()])),
            closed: proxy.metrics.tunnels_closed.clone(),
            held,
        }
    }

    /// Runs it to its end, which is in the last stage of stopping at the latest.
    ///
    /// Thousands of these are idle at once. So futures that an open WebSocket does not need are boxed.
    #[allow(clippy::manual_async_fn, reason = "an async fn has room for its arguments twice")]
    pub(super) fn run(mut self) -> impl Future<Output = ()> {
        async move {
            let next = tokio::select! {
                // A tunnel that is always busy uses up what the runtime lets a task do at once.
                biased;
                come = self.turn.comes() => Next::Come(come),
                end = self.tunnel.run() => Next::Ended(end),
            };
            Box::pin(self.end(next)).await;
        }
    }

    async fn end(self, next: Next) {
        let Self { mut tunnel, mut turn, about, open, closed, held } = self;
        let end = match next {
            Next::Ended(end) => end,
            Next::Come(Come::Shutdown) => End::Shutdown,
            Next::Come(Come::Turn { window_ends, left }) => tokio::select! {
                biased;
                () = turn.last_stage() => End::Shutdown,
                end = tunnel.finish(window_ends) => {
                    drop(left);
                    end
                }
            },
        };
        if tunnel.has_finished() || end == End::Closed {
            closed.inc();
        }
        tracing::info!(
            peer = %about.peer,
            from = about.side.label(),
            to = about.to,
            session = about.session.map(tracing::field::display),
            seconds = turn.opened().elapsed().as_secs(),
            bytes_up = tunnel.bytes_up(),
            bytes_down = tunnel.bytes_down(),
            ended_by = end.label(),
            "WebSocket closed"
        );
        tokio::select! {
            biased;
            // To linger is a courtesy, which the deadline ends.
            () = turn.last_stage() => {}
            () = tunnel.close(end) => {}
        }
        drop((open, held));
    }
}

/// Next event of an open WebSocket.
enum Next {
    Ended(End),
    Come(Come),
}
