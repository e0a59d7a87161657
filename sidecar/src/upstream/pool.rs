//! Idle connections, kept for the next request.
//!
//! # Invariants
//! - A connection carries another request only within the pool's [`ReuseLimits`]. A connection beyond them
//!   rests until it has proven the next step, or until the other side closes it.
//! - A connection that has ended or spoken while idle is never handed out, as far as the kernel knows.
//! - Every list has a size; a connection that finds no room is closed.

mod idle;

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use socketio_sidecar_core::reuse::ReuseLimits;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::UpstreamConn;
use idle::{Entry, Idle};

/// Idle connections by the other side's key. The connection used last is used first.
#[derive(Debug)]
pub(super) struct Pool<K> {
    state: Mutex<State<K>>,
    /// Most connections that the pool keeps.
    size: usize,
    /// Told when a connection begins to rest.
    rests: Notify,
}

#[derive(Debug)]
struct State<K> {
    by_key: HashMap<K, Idle>,
    total: usize,
    limits: ReuseLimits,
    early_closes: u64,
}

/// A connection that was taken.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) conn: UpstreamConn,
    /// No other idle connection of this key may be used now.
    pub(super) was_last: bool,
}

/// Contents of a pool.
#[derive(Debug, Clone, Copy)]
pub(super) struct Contents {
    pub(super) idle: usize,
    /// Connections that must prove something before they carry another request.
    pub(super) resting: usize,
    pub(super) limits: ReuseLimits,
    /// Connections closed by the other side while they were kept, since the start.
    pub(super) early_closes: u64,
}

impl<K: Eq + Hash> Pool<K> {
    /// Makes a pool of `size` connections at most.
    pub(super) fn new(limits: ReuseLimits, size: usize) -> Self {
        let state = State { by_key: HashMap::new(), total: 0, limits, early_closes: 0 };
        Self { state: Mutex::new(state), size, rests: Notify::new() }
    }

    /// Takes a connection to `key` that may carry a request `now` and has been idle for less than `at_most`.
    pub(super) fn take(&self, key: &K, at_most: Duration, now: Instant) -> Option<Taken> {
        let mut state = self.lock();
        let State { by_key, total, limits, early_closes } = &mut *state;
        let idle = by_key.get_mut(key)?;
        loop {
            // The freshest: if it is too old for this request, so are the others.
            let since = idle.freshest()?;
            if now.duration_since(since) >= at_most.min(limits.max_idle()) {
                return None;
            }
            let entry = idle.pop()?;
            *total -= 1;
            if entry.until <= now {
                continue;
            }
            if entry.is_quiet() {
                let conn = UpstreamConn {
                    conn: entry.conn,
                    answers: entry.answers,
                    pooled_for: Some(now.duration_since(since)),
                };
                return Some(Taken { conn, was_last: idle.freshest().is_none() });
            }
            *early_closes += 1;
            limits.saw_early_close(entry.answers, entry.seen - entry.since);
            *total -= idle.sort(limits);
        }
    }

    /// Keeps `conn`, which is idle `since` then, for `keep`, unless the pool is full.
    pub(super) fn put(&self, key: K, conn: UpstreamConn, keep: Duration, since: Instant) {
        let mut state = self.lock();
        let State { by_key, total, limits, .. } = &mut *state;
        if *total >= self.size {
            return;
        }
        let entry = Entry { conn: conn.conn, answers: conn.answers, since, until: since + keep, seen: since };
        let may_be_used = limits.allow(entry.answers);
        if by_key.entry(key).or_default().push(entry, may_be_used) {
            *total += 1;
            if !may_be_used {
                self.rests.notify_one();
            }
        }
    }

    /// Records that a request met a connection of this pool that was closing.
    pub(super) fn met_closing(&self, answers: u32, idle_for: Duration) {
        let mut state = self.lock();
        let State { by_key, total, limits, early_closes } = &mut *state;
        *early_closes += 1;
        limits.saw_early_close(answers, idle_for);
        for idle in by_key.values_mut() {
            *total -= idle.sort(limits);
        }
    }

    /// Closes connections that have expired or were closed by the other side, and learns from the others.
    pub(super) fn look_through(&self) -> Contents {
        let now = Instant::now();
        let mut state = self.lock();
        let State { by_key, limits, early_closes, .. } = &mut *state;
        by_key.retain(|_, idle| {
            *early_closes += idle.look_through(now, limits);
            !idle.is_empty()
        });
        // The limits are known only now.
        let (mut total, mut resting) = (0, 0);
        for idle in by_key.values_mut() {
            idle.sort(limits);
            total += idle.len();
            resting += idle.resting();
        }
        state.total = total;
        Contents { idle: total, resting, limits: state.limits, early_closes: state.early_closes }
    }

    /// Number of idle connections, those that rest included.
    pub(super) fn len(&self) -> usize {
        self.lock().total
    }

    /// Most connections that the pool keeps.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Waits until a connection rests.
    pub(super) async fn rests(&self) {
        self.rests.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        // Nothing in here panics while the lock is held; and an idle connection more or less is no harm.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
