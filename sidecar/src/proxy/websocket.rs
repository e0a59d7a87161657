//! The life of a WebSocket: until either side ends it, its turn in a paced close comes, or this sidecar
//! stops; and the one line that the log has of it.

use std::net::SocketAddr;
use std::time::Instant;

use prometheus::IntCounter;
use socketio_sidecar_core::ownership::{Decision, Local};
use socketio_sidecar_core::session_id::SidHash;

use super::route::Way;
use super::tunnel::{End, Tunnel};
use super::turn::Turn;
use super::{Proxy, Side};
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

impl<H> WebSocket<H> {
    /// One that `peer` opened on this `side`, and that leads this `way` by this `decision`.
    pub(super) fn new(
        proxy: &Proxy,
        tunnel: Tunnel,
        (way, decision): (Way, &Decision),
        (peer, side): (SocketAddr, Side),
        held: H,
    ) -> Self {
        Self {
            tunnel,
            turn: Turn::new(proxy, side, decision),
            about: About { way, session: session_of(decision), peer, side },
            open: Counted::new(proxy.metrics.tunnels.with_label_values(&[way.label()])),
            closed: proxy.metrics.tunnels_closed.clone(),
            held,
        }
    }

    /// Runs it to its end, which is `deadline` at the latest.
    pub(super) async fn run(self, deadline: impl Future<Output = ()>) {
        let Self { mut tunnel, turn, about, open, closed, held } = self;
        let started = Instant::now();
        let end = tokio::select! {
            end = run_in_turn(&mut tunnel, turn) => end,
            () = deadline => End::Shutdown,
        };
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
async fn run_in_turn(tunnel: &mut Tunnel, turn: Option<Turn>) -> End {
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

fn session_of(decision: &Decision) -> Option<SidHash> {
    match decision {
        Decision::Local(Local::Owned(tagged) | Local::Closed(tagged)) | Decision::Forward(tagged) => {
            Some(tagged.sid_hash)
        }
        Decision::Local(Local::Untagged(sid_hash)) => Some(*sid_hash),
        _ => None,
    }
}
