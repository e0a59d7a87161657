//! A limit for each source address: of connections, or of requests that a trusted proxy sends for it.
//!
//! # Invariants
//! - A source is an IPv4 address, or the /64 network of an IPv6 address.
//! - A source without connections takes no memory.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Connections counted by source.
#[derive(Debug)]
pub(crate) struct Sources {
    limit: usize,
    held: Mutex<HashMap<IpAddr, usize>>,
}

/// A connection that counts for its source until this is dropped.
#[derive(Debug)]
pub(crate) struct Ticket(Arc<Sources>, IpAddr);

impl Sources {
    /// Allows `limit` connections to each source.
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, held: Mutex::default() })
    }

    /// Counts a connection of `source`; `None` where the source has as many as it may.
    pub(crate) fn enter(self: &Arc<Self>, source: IpAddr) -> Option<Ticket> {
        let source = network_of(source);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.entry(source).or_default();
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(Ticket(self.clone(), source))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut held = self.0.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.1);
            }
        }
    }
}

/// Source that an address belongs to. Whoever has an IPv6 address mostly has its whole /64.
pub(crate) fn network_of(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_has_its_number_of_connections_and_no_more() {
        let sources = Sources::new(2);
        let [one, two] = ["fd00::1", "fd00::2"].map(|ip| sources.enter(ip.parse().unwrap()));
        assert!(one.is_some() && two.is_some());
        assert!(sources.enter("fd00::3".parse().unwrap()).is_none(), "one /64 is one source");
        assert!(sources.enter("192.0.2.1".parse().unwrap()).is_some());
        drop(one);
        assert!(sources.enter("fd00::3".parse().unwrap()).is_some());
    }
}
