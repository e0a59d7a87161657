//! Idle connections to one other side.

use socketio_sidecar_core::reuse::ReuseLimits;
use tokio::time::Instant;

use crate::io::Conn;

/// Most connections that may be used, to one other side.
pub(super) const MAX_READY: usize = 128;
/// Most connections that rest. A few are enough to prove the next step.
pub(super) const MAX_RESTING: usize = 64;

/// Idle connections to one other side, each list in the order of the last answers.
#[derive(Debug, Default)]
pub(super) struct Idle {
    ready: Vec<Entry>,
    resting: Vec<Entry>,
}

/// An idle connection.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) conn: Conn,
    pub(super) answers: u32,
    /// Time of the last answer.
    pub(super) since: Instant,
    /// Time at which the connection is given up.
    pub(super) until: Instant,
    /// Time at which the connection was last seen open.
    pub(super) seen: Instant,
}

impl Entry {
    /// True while the other side has neither closed nor said anything.
    pub(super) fn is_quiet(&self) -> bool {
        self.conn.is_quiet(true)
    }
}

impl Idle {
    /// Adds a connection; false when there is no room.
    pub(super) fn push(&mut self, entry: Entry, may_be_used: bool) -> bool {
        let (list, most) =
            if may_be_used { (&mut self.ready, MAX_READY) } else { (&mut self.resting, MAX_RESTING) };
        let has_room = list.len() < most;
        if has_room {
            list.push(entry);
        }
        has_room
    }

    /// Time of the last answer of the connection that would be taken.
    pub(super) fn freshest(&self) -> Option<Instant> {
        self.ready.last().map(|entry| entry.since)
    }

    pub(super) fn pop(&mut self) -> Option<Entry> {
        self.ready.pop()
    }

    pub(super) fn len(&self) -> usize {
        self.ready.len() + self.resting.len()
    }

    pub(super) fn resting(&self) -> usize {
        self.resting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts each connection into the list where it belongs, and returns how many found no room and were closed.
    pub(super) fn sort(&mut self, limits: &ReuseLimits) -> usize {
        let before = self.len();
        let proven = self.resting.extract_if(.., |entry| limits.allow(entry.answers)).collect::<Vec<_>>();
        let doubted = self.ready.extract_if(.., |entry| !limits.allow(entry.answers)).collect::<Vec<_>>();
        for (list, added, most) in
            [(&mut self.ready, proven, MAX_READY), (&mut self.resting, doubted, MAX_RESTING)]
        {
            if !added.is_empty() {
                list.extend(added);
                list.sort_by_key(|entry| entry.since);
                let surplus = list.len().saturating_sub(most);
                list.drain(..surplus);
            }
        }
        before - self.len()
    }

    /// Closes connections that have expired or were closed by the other side, and learns from the others. Returns how
    /// many the other side has closed.
    pub(super) fn look_through(&mut self, now: Instant, limits: &mut ReuseLimits) -> u64 {
        let mut early_closes = 0;
        for list in [&mut self.ready, &mut self.resting] {
            list.retain_mut(|entry| {
                if entry.until <= now {
                    return false;
                }
                let idle_for = now.duration_since(entry.since);
                // The runtime knows without a system call; proof needs the kernel's word.
                if entry.conn.is_quiet(limits.would_rise(entry.answers, idle_for)) {
                    entry.seen = now;
                    limits.saw_open(entry.answers, idle_for);
                    return true;
                }
                early_closes += 1;
                limits.saw_early_close(entry.answers, entry.seen - entry.since);
                false
            });
        }
        early_closes
    }
}
