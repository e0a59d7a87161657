//! The budget for bytes that are held for connections which do not take them.
//!
//! # Invariants
//! - Connections under backpressure are charged: for what they hold, and for an estimate of what the kernel holds for
//!   them. So is a connection whose reader does not acknowledge what the kernel was given, beyond a share that is free.
//!   A connection that takes everything at once never touches the budget.
//! - All free shares together are a quarter of the budget, or [`MIN_FREE`] bytes for each connection.
//! - The closer the budget comes to its end, the less patience connections meet that hold something: they end
//!   after a shorter time without progress, and after a shorter time in which they never took all of it. So
//!   slow readers cost themselves, also those that read a byte now and then.
//! - Beyond the budget, the connections that have held bytes for longest end first. A connection that begins to hold
//!   bytes is not ended for it until a quarter more than the budget is held. Nothing is held beyond this bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use prometheus::{IntCounter, IntGauge};

use super::{RECEIVE_BUFFER, SEND_BUFFER};

/// Most memory that the kernel takes for what was written to a connection, and for what waits to be read from it, in
/// bytes. The kernel doubles what it is asked for, for its own overhead.
pub(super) const KERNEL_SEND_BYTES: usize = 2 * SEND_BUFFER;
pub(super) const KERNEL_RECEIVE_BYTES: usize = 2 * RECEIVE_BUFFER;

/// The same for a connection under backpressure: what waits towards the reader, and from the sender.
pub(super) const KERNEL_BYTES: usize = KERNEL_SEND_BYTES + KERNEL_RECEIVE_BYTES;

/// Least and most bytes that the kernel may hold for a connection without a charge.
const MIN_FREE: usize = 6 * 1024;
const MAX_FREE: usize = 64 * 1024;

/// Patience above half of the budget, and above three quarters of it.
const HALF: Patience = Patience { progress: Duration::from_secs(5), drain: Duration::from_secs(30) };
const THREE_QUARTERS: Patience = Patience { progress: Duration::from_secs(1), drain: Duration::from_secs(5) };
/// Patience at the bound beyond the budget.
const AT_BOUND: Patience = Patience { progress: Duration::from_secs(1), drain: Duration::from_secs(1) };

/// Interval at which a connection that holds bytes looks at the budget, and the interval above three quarters of it.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
const LOOK_INTERVAL_UNDER_PRESSURE: Duration = Duration::from_millis(250);

/// Longest time for which a connection may hold bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Patience {
    /// Without any progress.
    pub(super) progress: Duration,
    /// Without ever having taken all of them.
    pub(super) drain: Duration,
}

/// The budget of one sidecar.
#[derive(Debug, Clone)]
pub(crate) struct Budget(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limit: usize,
    /// Open connections of clients and of peers.
    connections: [IntGauge; 2],
    held: AtomicUsize,
    gauge: IntGauge,
    ended: IntCounter,
}

impl Budget {
    /// A budget of `limit` bytes, shown in `gauge`. `ended` counts connections that it ends, and `connections` show how
    /// many there are.
    pub(crate) fn new(limit: usize, gauge: IntGauge, ended: IntCounter, connections: [IntGauge; 2]) -> Self {
        Self(Arc::new(Shared { limit, connections, held: AtomicUsize::new(0), gauge, ended }))
    }

    /// Bytes that the kernel may hold for a connection without a charge.
    pub(super) fn free(&self) -> usize {
        let connections = self.0.connections.iter().map(IntGauge::get).sum::<i64>();
        let connections = usize::try_from(connections).unwrap_or(0).max(1);
        (self.0.limit / 4 / connections).clamp(MIN_FREE, MAX_FREE)
    }

    /// The patience with a connection that holds bytes. Without pressure it has no limit here.
    pub(super) fn patience(&self) -> Patience {
        let (held, limit) = (self.0.held.load(Ordering::Relaxed), self.0.limit);
        if held <= limit / 2 {
            Patience { progress: Duration::MAX, drain: Duration::MAX }
        } else if held <= limit / 4 * 3 {
            HALF
        } else {
            // The more is held beyond the budget, the younger are the connections that end. So the oldest end first.
            let excess = held.saturating_sub(limit) as f64 / (limit / 4).max(1) as f64;
            let shrunk = (THREE_QUARTERS.drain - AT_BOUND.drain).mul_f64(excess.min(1.0));
            Patience { drain: THREE_QUARTERS.drain - shrunk, ..THREE_QUARTERS }
        }
    }

    /// The interval at which a connection that holds bytes looks at the budget.
    pub(super) fn look_interval(&self) -> Duration {
        let is_under_pressure = self.0.held.load(Ordering::Relaxed) > self.0.limit / 4 * 3;
        if is_under_pressure { LOOK_INTERVAL_UNDER_PRESSURE } else { LOOK_INTERVAL }
    }

    /// True while nothing more may be held: a quarter more than the budget is.
    pub(super) fn is_at_bound(&self) -> bool {
        self.0.held.load(Ordering::Relaxed) > self.0.limit.saturating_add(self.0.limit / 4)
    }

    /// Counts a connection that ends for the budget's sake.
    pub(super) fn count_ended(&self) {
        self.0.ended.inc();
    }

    fn adjust(&self, from: usize, to: usize) {
        // Wrapping: the difference may be negative, the sum is not.
        self.0.held.fetch_add(to.wrapping_sub(from), Ordering::Relaxed);
        let signed = |bytes: usize| i64::try_from(bytes).unwrap_or(i64::MAX);
        self.0.gauge.add(signed(to) - signed(from));
    }
}

/// What one direction of a connection is charged, given back when dropped.
#[derive(Debug)]
pub(super) struct Charge {
    budget: Budget,
    bytes: usize,
}

impl Charge {
    pub(super) fn none(budget: &Budget) -> Self {
        Self { budget: budget.clone(), bytes: 0 }
    }

    /// Returns true if nothing is charged.
    pub(super) fn is_none(&self) -> bool {
        self.bytes == 0
    }

    /// Charges for so many bytes in place of those that were charged before.
    pub(super) fn set(&mut self, bytes: usize) {
        if bytes != self.bytes {
            self.budget.adjust(self.bytes, bytes);
            self.bytes = bytes;
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A budget of its own for a test.
    pub(crate) fn budget(limit: usize) -> Budget {
        with_connections(limit, IntGauge::new("connections", "connections").unwrap())
    }

    fn with_connections(limit: usize, connections: IntGauge) -> Budget {
        let gauge = IntGauge::new("held", "held").unwrap();
        let peers = IntGauge::new("peers", "peers").unwrap();
        Budget::new(limit, gauge, IntCounter::new("ended", "ended").unwrap(), [connections, peers])
    }

    #[test]
    fn the_free_share_is_the_smaller_the_more_connections_there_are() {
        let connections = IntGauge::new("connections", "connections").unwrap();
        let budget = with_connections(40 << 20, connections.clone());
        for (count, free) in [(0, MAX_FREE), (100, MAX_FREE), (1000, (10 << 20) / 1000), (8000, MIN_FREE)] {
            connections.set(count);
            assert_eq!(budget.free(), free, "{count}");
        }
    }

    #[test]
    fn patience_shrinks_as_the_budget_fills_and_comes_back() {
        let budget = budget(8 * (KERNEL_BYTES + 1));
        let calm = budget.patience();
        let mut charges = Vec::new();
        for count in 1..=11 {
            let mut charge = Charge::none(&budget);
            charge.set(KERNEL_BYTES + 1);
            charges.push(charge);
            let expected = match count {
                ..=4 => calm,
                5..=6 => HALF,
                7..=8 => THREE_QUARTERS,
                9 => Patience { drain: Duration::from_secs(3), ..THREE_QUARTERS },
                _ => AT_BOUND,
            };
            assert_eq!(budget.patience(), expected, "{count}");
            assert_eq!(budget.is_at_bound(), count == 11);
        }
        charges[0].set(0);
        assert!(!budget.is_at_bound() && charges[0].is_none());
        drop(charges);
        assert_eq!((budget.patience(), budget.0.gauge.get()), (calm, 0));
    }
}
