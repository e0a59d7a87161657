//! Limits of connections, fitted to the descriptors that the process may open.
//!
//! | limit | holds for |
//! | --- | --- |
//! | `connections` | connections that carry requests: from clients, and as many again from peers |
//! | `websockets` | open WebSockets: of clients here, and as many again that peers forward |
//! | `clients`, `peers` | everything open from clients or from peers, WebSockets included: what the descriptors are enough for |
//! | `handshakes`, `admin` | TLS handshakes under way on the peer port; connections to the admin port |
//!
//! # Invariants
//! - A connection takes two descriptors: its own, and the one that leads onward.
//! - [`SPARE_DESCRIPTORS`], and those of `handshakes` and `admin`, are never given to clients or peers.
//! - Clients get three quarters of the rest and peers one quarter, so that neither takes the other's.

use crate::admin;

/// Descriptors for listeners, files, the runtime, and idle connections to applications and peers.
const SPARE_DESCRIPTORS: usize = 64;
/// Most TLS handshakes that are under way on the peer port.
const MAX_HANDSHAKES: usize = 256;

/// How many connections of each kind may be open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) connections: usize,
    pub(crate) websockets: usize,
    pub(crate) clients: usize,
    pub(crate) peers: usize,
    pub(crate) handshakes: usize,
    pub(crate) admin: usize,
}

impl Limits {
    /// What was asked for, as far as so many descriptors are enough for it.
    pub(crate) fn fit(connections: usize, websockets: usize, descriptors: Option<u64>) -> Self {
        let wanted = connections.saturating_add(websockets);
        let descriptors = descriptors.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
        let eighth = (descriptors / 8).max(1);
        let (handshakes, admin) = (MAX_HANDSHAKES.min(eighth), admin::MAX_CONNECTIONS.min(eighth));
        let pairs = descriptors.saturating_sub(SPARE_DESCRIPTORS + handshakes + admin) / 2;
        let clients = wanted.min(pairs - pairs / 4).max(1);
        let peers = wanted.min(pairs / 4).max(1);
        Self { connections, websockets, clients, peers, handshakes, admin }
    }

    /// How many of `total` connections may be WebSockets: where descriptors are few, half of them are left to requests.
    pub(crate) fn websockets_of(&self, total: usize) -> usize {
        self.websockets.min(total - self.connections.min(total / 2))
    }

    /// Whether the descriptors are enough for what was asked for.
    pub(crate) fn is_cut(&self, connections: usize, websockets: usize) -> bool {
        self.clients.min(self.peers) < connections.saturating_add(websockets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_follow_the_descriptors() {
        let enough = Limits::fit(4096, 4096, Some(1 << 20));
        assert_eq!((enough.clients, enough.peers, enough.websockets_of(8192)), (8192, 8192, 4096));
        assert!(!enough.is_cut(4096, 4096));
        assert_eq!(Limits::fit(4096, 4096, None), enough);
        for descriptors in [128, 256, 1024, 20_000] {
            let limits = Limits::fit(4096, 4096, Some(descriptors));
            let most =
                SPARE_DESCRIPTORS + limits.handshakes + limits.admin + 2 * (limits.clients + limits.peers);
            assert!(most as u64 <= descriptors, "{descriptors}: {limits:?}");
            assert!(
                limits.is_cut(4096, 4096)
                    && limits.websockets_of(limits.clients) <= limits.clients.div_ceil(2),
                "{limits:?}"
            );
        }
    }

    #[test]
    fn everybody_has_a_place_however_few_descriptors_there_are() {
        let limits = Limits::fit(1, 0, Some(3));
        assert_eq!((limits.clients, limits.peers, limits.handshakes, limits.admin), (1, 1, 1, 1));
    }
}
