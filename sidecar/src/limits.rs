//! Limits of connections, fitted to the descriptors that the process may open.
//!
//! | limit | holds for |
//! | --- | --- |
//! | `connections` | connections that carry requests: from clients, and as many again from peers |
//! | `websockets` | open WebSockets: of clients here, and as many again that peers forward |
//! | `clients`, `peers` | all connections from clients or from peers, WebSockets included, as far as the descriptors reach |
//! | `idle` | idle connections to the application, as many again to peers, and as many pods that are watched |
//! | `handshakes`, `admin` | TLS handshakes under way on the peer port; connections to the admin port |
//!
//! # Invariants
//! - A connection takes two descriptors: its own, and the one that leads onward.
//! - [`SPARE_DESCRIPTORS`], and those of `idle`, `handshakes` and `admin`, are never given to clients or peers.
//! - Clients get three quarters of the rest and peers one quarter, so that neither takes the other's.
//! - Idle connections and watches get three sixteenths at most: a request without an idle connection makes a new one.

use crate::admin;

/// Descriptors for listeners, files, the runtime, and connections that are being made ahead.
const SPARE_DESCRIPTORS: usize = 64;
/// Most TLS handshakes that are under way on the peer port.
const MAX_HANDSHAKES: usize = 256;
/// Most idle connections to the application, and to peers, and most pods that are watched.
const MAX_IDLE: usize = 1024;

/// Most connections of each kind that may be open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) connections: usize,
    pub(crate) websockets: usize,
    pub(crate) clients: usize,
    pub(crate) peers: usize,
    pub(crate) idle: usize,
    pub(crate) handshakes: usize,
    pub(crate) admin: usize,
}

impl Limits {
    /// Limits for the wanted numbers of `connections` and `websockets`, as far as `descriptors` reach.
    pub(crate) fn fit(connections: usize, websockets: usize, descriptors: Option<u64>) -> Self {
        let wanted = connections.saturating_add(websockets);
        let descriptors = descriptors.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
        let eighth = (descriptors / 8).max(1);
        let (handshakes, admin) = (MAX_HANDSHAKES.min(eighth), admin::MAX_CONNECTIONS.min(eighth));
        let rest = descriptors.saturating_sub(SPARE_DESCRIPTORS + handshakes + admin);
        let idle = MAX_IDLE.min(rest / 16);
        let pairs = (rest - 3 * idle) / 2;
        let clients = wanted.min(pairs - pairs / 4).max(1);
        let peers = wanted.min(pairs / 4).max(1);
        Self { connections, websockets, clients, peers, idle, handshakes, admin }
    }

    /// Most WebSockets among `total` connections. Where descriptors are few, half of them are left to requests.
    pub(crate) fn websockets_of(&self, total: usize) -> usize {
        self.websockets.min(total - self.connections.min(total / 2))
    }

    /// Descriptors that the wanted numbers need.
    pub(crate) fn needed(connections: usize, websockets: usize) -> usize {
        // Peers have a quarter of the connections, each of which takes two descriptors.
        let pairs = connections.saturating_add(websockets).saturating_mul(4);
        let others = 3 * MAX_IDLE + SPARE_DESCRIPTORS + MAX_HANDSHAKES + admin::MAX_CONNECTIONS;
        pairs.saturating_mul(2).saturating_add(others)
    }

    /// True where the descriptors are too few for the wanted numbers, by a tenth or more.
    pub(crate) fn is_cut(&self, connections: usize, websockets: usize) -> bool {
        let wanted = connections.saturating_add(websockets);
        self.clients.min(self.peers) <= wanted - wanted.div_ceil(10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_follow_the_descriptors() {
        let enough = Limits::fit(4096, 4096, Some(1 << 20));
        assert_eq!((enough.clients, enough.peers, enough.websockets_of(8192)), (8192, 8192, 4096));
        assert_eq!(enough.idle, MAX_IDLE);
        assert!(!enough.is_cut(4096, 4096));
        assert_eq!(Limits::fit(4096, 4096, None), enough);
        let needed = Limits::needed(4096, 4096) as u64;
        assert_eq!(Limits::fit(4096, 4096, Some(needed)), enough);
        assert_ne!(Limits::fit(4096, 4096, Some(needed - 8)), enough);
        // What may be open at once, added up: two pools and the watches, and two descriptors for each connection.
        for descriptors in [128, 160, 256, 1024, 4096, 20_000, 65_536] {
            let limits = Limits::fit(4096, 4096, Some(descriptors));
            let most = SPARE_DESCRIPTORS
                + limits.handshakes
                + limits.admin
                + 3 * limits.idle
                + 2 * (limits.clients + limits.peers);
            assert!(most as u64 <= descriptors, "{descriptors}: {limits:?}");
            assert!(limits.websockets_of(limits.clients) <= limits.clients.div_ceil(2), "{limits:?}");
        }
    }

    #[test]
    fn idle_connections_get_a_sixteenth_of_the_rest_each() {
        for (descriptors, idle) in [(3, 0), (128, 2), (256, 8), (1024, 44), (20_000, 1024), (65_536, 1024)] {
            assert_eq!(Limits::fit(4096, 4096, Some(descriptors)).idle, idle, "{descriptors}");
        }
    }

    #[test]
    fn a_cut_of_less_than_a_tenth_is_not_worth_a_warning() {
        for (descriptors, is_cut) in [(1024, true), (20_000, true), (60_000, true), (65_536, false)] {
            let limits = Limits::fit(4096, 4096, Some(descriptors));
            assert_eq!(limits.is_cut(4096, 4096), is_cut, "{descriptors}: {limits:?}");
        }
        assert!(!Limits::fit(1, 0, None).is_cut(1, 0));
    }

    #[test]
    fn everybody_has_a_place_however_few_descriptors_there_are() {
        let limits = Limits::fit(1, 0, Some(3));
        assert_eq!((limits.clients, limits.peers, limits.handshakes, limits.admin), (1, 1, 1, 1));
    }
}
