//! The session that a request for a WebSocket names.

use socketio_sidecar_core::ownership::{Decision, Local};
use socketio_sidecar_core::session_id::SidHash;

/// What is kept of a session for the life of a WebSocket. One without a sid, a handshake over
/// WebSocket, has none.
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
