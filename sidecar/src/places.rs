//! Places for connections: a fixed number, and a rule for which connection leaves when all are taken.
//!
//! # Invariants
//! - A place is *waiting* (its connection owes nothing to anybody), *beginning* (part of a head has come), *receiving* (part
//!   of a body has come, and the client is to send the rest) or *busy*. Waiting places are asked to leave first, then
//!   beginning ones older than [`BEGINNING_AGE`], then receiving ones older than [`RECEIVING_AGE`]. Of each kind, the
//!   oldest is asked first. Busy places are never asked.
//! - A connection that is asked decides itself: a request that has come meanwhile, or whose body is complete meanwhile, is
//!   served, and another connection is asked.
//! - A place whose connection has ended is never asked.
//! - A request costs two stores to an atomic, and no lock. A body that does not come whole with its head costs two more.
//!   Places are entered and left under a lock.
//! - A connection that carries a WebSocket gives its place back, and counts in the total only.
//! - Where sources matter, the source that holds most places of a kind is asked before others.
//!
//! A newcomer waits in the kernel's queue of connections when nobody can leave. There is no other queue.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::sources::network_of;

/// Shortest time for which a connection waits before it is asked to leave: its request may be on its way.
const WAITING_AGE: Duration = Duration::from_millis(500);
/// Shortest time that an unfinished head gets while others wait for a place.
const BEGINNING_AGE: Duration = Duration::from_secs(5);
/// Shortest time that an unfinished body gets while others wait for a place. Most bodies come within a round trip or two.
/// The longest message that Socket.IO accepts by default, of 1 MB, takes 8 s at 1 Mbit/s.
const RECEIVING_AGE: Duration = Duration::from_secs(10);
/// Time until another connection is asked, when the one before has not left.
const ASK_INTERVAL: Duration = Duration::from_millis(20);
/// Most connections that one search finds.
const MAX_CANDIDATES: usize = 32;

const BUSY: u64 = 0;
const ASKED: u64 = u64::MAX;

/// State of a place that can be asked, in the order of asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    Waiting,
    Beginning,
    Receiving,
}

/// A fixed number of places.
#[derive(Debug)]
pub(crate) struct Places {
    /// Number of places.
    limit: usize,
    /// Most connections that have a place or have given theirs back and stay open.
    total: usize,
    /// The source that holds most places is asked first.
    by_source: bool,
    ages: Ages,
    base: Instant,
    table: Mutex<Table>,
    left: Notify,
    /// Milliseconds since `base` at which nobody could leave for a newcomer; 0 where somebody can.
    full_since: AtomicU64,
}

/// Times for which a connection may keep its place against newcomers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ages {
    pub(crate) waiting: Duration,
    pub(crate) beginning: Duration,
    pub(crate) receiving: Duration,
}

impl Default for Ages {
    fn default() -> Self {
        Self { waiting: WAITING_AGE, beginning: BEGINNING_AGE, receiving: RECEIVING_AGE }
    }
}

impl Ages {
    fn of(&self, kind: Kind) -> Duration {
        match kind {
            Kind::Waiting => self.waiting,
            Kind::Beginning => self.beginning,
            Kind::Receiving => self.receiving,
        }
    }
}

#[derive(Debug, Default)]
struct Table {
    slots: Vec<Option<Arc<Slot>>>,
    free: Vec<usize>,
    /// Connections that have given their place back and stay open.
    staying: usize,
    /// Connections that the last search found and nobody has asked yet, each with its state then. Oldest first.
    candidates: VecDeque<(u64, Arc<Slot>)>,
    /// Milliseconds since the base at which the last search was made.
    searched: u64,
}

#[derive(Debug)]
struct Slot {
    /// [`BUSY`], [`ASKED`], or a kind and the time since which the place is of that kind: see [`encode`].
    state: AtomicU64,
    waker: Mutex<Option<Waker>>,
    source: IpAddr,
}

/// Place of a connection, until this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    slot: Arc<Slot>,
    index: usize,
}

/// State of a place that can be asked: milliseconds since the base, and the kind in the two highest bits.
fn encode(milliseconds: u64, kind: Kind) -> u64 {
    // Never BUSY, and never ASKED, whose highest bits are those of no kind.
    ((kind as u64) << 62) | (milliseconds + 1)
}

fn decode(state: u64) -> (u64, Kind) {
    let kind = match state >> 62 {
        0 => Kind::Waiting,
        1 => Kind::Beginning,
        _ => Kind::Receiving,
    };
    ((state & !(3 << 62)).saturating_sub(1), kind)
}

impl Places {
    /// Makes `limit` places, for `total` connections at most: those that gave their place back and stay are included.
    pub(crate) fn new(limit: usize, total: usize) -> Arc<Self> {
        Self::with(limit, total, false, Ages::default())
    }

    /// Makes places that connections leave at `ages`. With `by_source`, those of the source that holds most leave first.
    pub(crate) fn with(limit: usize, total: usize, by_source: bool, ages: Ages) -> Arc<Self> {
        Arc::new(Self {
            limit,
            total,
            by_source,
            ages,
            base: Instant::now(),
            table: Mutex::default(),
            left: Notify::new(),
            full_since: AtomicU64::new(0),
        })
    }

    /// Waits for a place for a connection of `source`, and asks other connections to leave meanwhile. Calls `asked` for
    /// each of them. Cancel safe.
    pub(crate) async fn enter(self: &Arc<Self>, source: IpAddr, mut asked: impl FnMut()) -> Place {
        loop {
            let left = self.left.notified();
            if let Some(place) = self.try_enter(source) {
                self.full_since.store(0, Ordering::Relaxed);
                return place;
            }
            if self.ask(Instant::now()) {
                self.full_since.store(0, Ordering::Relaxed);
                asked();
            } else {
                let now = self.milliseconds(Instant::now()).max(1);
                let _ = self.full_since.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
            }
            // A connection that has declined says nothing, so the next one is asked after a while.
            let _ = timeout(ASK_INTERVAL, left).await;
        }
    }

    /// Takes a place for a connection of `source`, if one is free.
    pub(crate) fn try_enter(self: &Arc<Self>, source: IpAddr) -> Option<Place> {
        let mut table = self.lock();
        let taken = table.slots.len() - table.free.len();
        if taken >= self.limit || taken + table.staying >= self.total {
            return None;
        }
        let state = encode(self.milliseconds(Instant::now()), Kind::Waiting);
        let slot = Slot { state: state.into(), waker: Mutex::default(), source: network_of(source) };
        let slot = Arc::new(slot);
        let index = table.free.pop().unwrap_or(table.slots.len());
        match table.slots.get_mut(index) {
            Some(free) => *free = Some(slot.clone()),
            None => table.slots.push(Some(slot.clone())),
        }
        Some(Place { places: self.clone(), slot, index })
    }

    /// Time for which a newcomer has waited with nobody to leave for it; `None` while newcomers find a place.
    pub(crate) fn full_for(&self) -> Option<Duration> {
        let since = self.full_since.load(Ordering::Relaxed);
        (since > 0).then(|| Duration::from_millis(self.milliseconds(Instant::now()).saturating_sub(since)))
    }

    /// The number of places.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Asks the connection that is first in order to leave; false where there is none.
    fn ask(&self, now: Instant) -> bool {
        let mut table = self.lock();
        if u128::from(self.milliseconds(now).saturating_sub(table.searched)) > ASK_INTERVAL.as_millis() {
            // Connections that wait now come before bodies and heads that were found then.
            table.candidates.clear();
        }
        for search in [false, true] {
            if search {
                table.candidates = self.search(&table.slots, now);
                table.searched = self.milliseconds(now);
            }
            while let Some((state, slot)) = table.candidates.pop_front() {
                let found = slot.state.compare_exchange(state, ASKED, Ordering::AcqRel, Ordering::Relaxed);
                if found.is_ok() {
                    let waker = slot.waker.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    drop(table);
                    if let Some(waker) = waker {
                        waker.wake();
                    }
                    return true;
                }
            }
        }
        false
    }

    /// The connections that can be asked at `now`, in order.
    fn search(&self, slots: &[Option<Arc<Slot>>], now: Instant) -> VecDeque<(u64, Arc<Slot>)> {
        let now = self.milliseconds(now);
        let mut held: HashMap<(IpAddr, Kind), usize> = HashMap::new();
        let mut found = Vec::new();
        for slot in slots.iter().flatten() {
            let state = slot.state.load(Ordering::Relaxed);
            if state == BUSY || state == ASKED {
                continue;
            }
            let (since, kind) = decode(state);
            if self.by_source {
                *held.entry((slot.source, kind)).or_default() += 1;
            }
            if u128::from(now.saturating_sub(since)) >= self.ages.of(kind).as_millis() {
                found.push(((kind, Reverse(0), since), state, slot));
            }
        }
        if self.by_source {
            for ((kind, most, _), _, slot) in &mut found {
                most.0 = held.get(&(slot.source, *kind)).copied().unwrap_or(0);
            }
        }
        if found.len() > MAX_CANDIDATES {
            found.select_nth_unstable_by_key(MAX_CANDIDATES, |(order, ..)| *order);
            found.truncate(MAX_CANDIDATES);
        }
        found.sort_unstable_by_key(|(order, ..)| *order);
        // What a source holds changes with everybody that leaves.
        let most = if self.by_source { 1 } else { MAX_CANDIDATES };
        found.into_iter().take(most).map(|(_, state, slot)| (state, slot.clone())).collect()
    }

    fn milliseconds(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.base);
        since.as_secs() * 1000 + u64::from(since.subsec_millis())
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Nothing in here panics while the lock is held.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Marks the place as waiting since `since`.
    pub(crate) fn wait(&self, since: Instant) {
        self.mark(since, Kind::Waiting);
    }

    /// Marks the place as beginning: part of a head has come.
    pub(crate) fn begin(&self, now: Instant) {
        self.mark(now, Kind::Beginning);
    }

    /// Marks the place as receiving: the client is to send the rest of a body.
    pub(crate) fn receive(&self, now: Instant) {
        self.mark(now, Kind::Receiving);
    }

    fn mark(&self, since: Instant, kind: Kind) {
        self.slot.state.store(encode(self.places.milliseconds(since), kind), Ordering::Relaxed);
    }

    /// Marks the place as busy: the client has sent its part. The connection is not asked to leave until it waits again.
    pub(crate) fn work(&self) {
        self.slot.state.store(BUSY, Ordering::Relaxed);
    }

    /// True where the place is marked as busy.
    pub(crate) fn is_busy(&self) -> bool {
        self.slot.state.load(Ordering::Relaxed) == BUSY
    }

    /// Gives the place back. The connection stays open, and counts in the total only.
    pub(crate) fn stay(self) -> Stay {
        self.places.lock().staying += 1;
        Stay(self.places.clone())
    }

    /// Registers the task of `cx`, to be woken when the connection is asked to leave.
    pub(crate) fn listen(&self, cx: &Context<'_>) {
        let mut waker = self.slot.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }

    /// True where the connection was asked to leave.
    pub(crate) fn is_asked(&self) -> bool {
        self.slot.state.load(Ordering::Relaxed) == ASKED
    }

    /// Waits until the connection is asked to leave. Cancel safe.
    pub(crate) async fn asked(&self) {
        poll_fn(|cx| {
            self.listen(cx);
            if self.is_asked() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // The last search may have found this place, and nobody is left to be asked.
        self.slot.state.store(BUSY, Ordering::Relaxed);
        let mut table = self.places.lock();
        if let Some(slot) = table.slots.get_mut(self.index) {
            *slot = None;
        }
        table.free.push(self.index);
        drop(table);
        // The waker would keep the task's memory.
        self.slot.waker.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.places.left.notify_one();
    }
}

/// A connection that stays open without a place, until this is dropped.
#[derive(Debug)]
pub(crate) struct Stay(Arc<Places>);

impl Drop for Stay {
    fn drop(&mut self) {
        self.0.lock().staying -= 1;
        self.0.left.notify_one();
    }
}

#[cfg(test)]
mod tests;
