//! The session that a request for a WebSocket names.

use socketio_sidecar_core::ownership::{Decision, Local};
use socketio_sidecar_core::session_id::SidHash;

/// Facts about a session that are kept for the life of a WebSocket. A handshake over WebSocket has no sid, and so no
/// session here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Session {
    pub(super) hash: SidHash,
    /// All sidecars know the owner.
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
