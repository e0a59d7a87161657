//! The life of a WebSocket: until either side ends it, its turn in a paced close comes, or this sidecar
//! stops; and the one line that the log has of it.

use std::net::SocketAddr;
use std::time::Instant;

use prometheus::IntCounter;
use socketio_sidecar_core::ownership::{Decision, Local};
use socketio_sidecar_core::session_id::SidHash;
use tokio_util::sync::CancellationToken;

use super::route::Way;
use super::tunnel::{End, Tunnel};
use super::turn::Turn;
use super::{Origin, Proxy, Side};
use crate::metrics::Counted;

/// A WebSocket that has just been opened.
pub(super) struct WebSocket<H> {
    tunnel: Tunnel,
    turn: Option<Turn>,
    about: About,
    open: Counted,
    closed: IntCounter,
    /// What goes with the client's connection.
    held: H,
}

/// What the log says of it.
struct About {
    way: Way,
    session: Option<SidHash>,
    peer: SocketAddr,
    side: Side,
}

/// The session that a WebSocket belongs to from its beginning.
#[derive(Debug, Clone, Copy)]
pub(super) struct Session {
    pub(super) hash: SidHash,
    /// Its owner is known to all sidecars.
    pub(super) is_tagged: bool,
}

impl Session {
    pub(super) fn of(decision: &Decision<'_>) -> Option<Self> {
        let (session, is_tagged) = match decision {
            Decision::Local(Local::Owned(tagged) | Local::Closed(tagged)) | Decision::Forward(tagged) => {
                (&tagged.session, true)
            }
            Decision::Local(Local::Untagged(session)) => (session, false),
            _ => return None,
        };
        Some(Self { hash: session.hash(), is_tagged })
    }
}

impl<H> WebSocket<H> {
    /// One of this `session`, if of any, that was opened by this `origin` and leads this `way`.
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
            about: About { way, session: session.map(|session| session.hash), peer, side },
            open: Counted::new(proxy.metrics.tunnels.with_label_values(&[way.label()])),
            closed: proxy.metrics.tunnels_closed.clone(),
            held,
        }
    }

    /// Runs it to its end, which is when `force` is cancelled at the latest.
    ///
    /// Thousands of these are idle at once. So nothing is moved in here, which would take its room
    /// twice, and what is not needed while a WebSocket is open is boxed.
    pub(super) async fn run(mut self, force: CancellationToken) {
        let started = Instant::now();
        let end = tokio::select! {
            end = run_in_turn(&mut self.tunnel, &mut self.turn) => end,
            () = force.cancelled() => End::Shutdown,
        };
        Box::pin(self.end(end, started)).await;
    }

    async fn end(self, end: End, started: Instant) {
        let Self { tunnel, about, open, closed, held, .. } = self;
        if tunnel.has_finished() || end == End::Closed {
            closed.inc();
        }
        tracing::info!(
            peer = %about.peer,
            from = about.side.label(),
            to = about.way.label(),
            session = about.session.map(tracing::field::display),
            seconds = started.elapsed().as_secs(),
            bytes_up = tunnel.bytes_up(),
            bytes_down = tunnel.bytes_down(),
            ended_by = end.label(),
            "WebSocket closed"
        );
        tunnel.close(end).await;
        drop((open, held));
    }
}

/// Runs `tunnel` until it ends by itself, or its turn comes and it has been closed.
async fn run_in_turn(tunnel: &mut Tunnel, turn: &mut Option<Turn>) -> End {
    let Some(turn) = turn else { return tunnel.run().await };
    let come = tokio::select! {
        biased;
        end = tunnel.run() => return end,
        come = turn.comes() => come,
    };
    // Boxed: idle tunnels do not keep the space for it.
    let end = Box::pin(tunnel.finish(come.window_ends)).await;
    drop(come.left);
    end
}
