//! Limits of connection reuse, learned from what a server was seen to keep open.
//!
//! HTTP/1.1 lets a server close an idle connection at any moment (RFC 9112 section 9.5), and many servers do so without
//! a word. A request that meets a closing connection is lost. A lost request ends a Socket.IO session, so
//! nothing is trusted before it was seen.
//!
//! # Invariants
//! - A connection may carry another request only when some connection was seen open for the settle time
//!   after as many answers, and for longer than this connection has been idle.
//! - Each step is proven by a connection that carries nothing meanwhile. Proof never costs a request.
//! - An early close lowers the limits at once. No state outlasts the next proof.

use std::time::Duration;

/// Shortest time that a connection must stay open after an answer to prove anything.
pub const MIN_SETTLE: Duration = Duration::from_millis(250);
/// Settle time at the start and after an early close: ten times the delay of the slowest silent closers known.
pub const MAX_SETTLE: Duration = Duration::from_millis(500);
/// Answers after which their number no longer matters, until a later answer is followed by an early close.
const ANY_ANSWERS: u32 = 64;
/// Answers after which their number never matters.
const MAX_ANY_ANSWERS: u32 = 1024;

/// Limits within which a connection may carry another request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReuseLimits {
    learns: bool,
    answers: u32,
    /// Proven answers that stand for any number.
    any: u32,
    idle: Duration,
    settle: Duration,
}

impl ReuseLimits {
    /// Limits that start at no reuse and follow what is seen.
    #[must_use]
    pub const fn learning() -> Self {
        Self { learns: true, answers: 0, any: ANY_ANSWERS, idle: Duration::ZERO, settle: MAX_SETTLE }
    }

    /// Limits that allow every reuse, for servers whose habits are known.
    #[must_use]
    pub const fn trusting() -> Self {
        Self {
            learns: false,
            answers: ANY_ANSWERS,
            any: ANY_ANSWERS,
            idle: Duration::MAX,
            settle: MAX_SETTLE,
        }
    }

    /// True when a connection that has carried so many `answers` may carry another.
    #[must_use]
    pub const fn allow(&self, answers: u32) -> bool {
        answers <= self.answers || self.answers >= self.any
    }

    /// Longest idle time after which a connection may be used again: half of what was seen, so that
    /// the request arrives before the server closes, on a busy machine too.
    #[must_use]
    pub fn max_idle(&self) -> Duration {
        if self.learns { self.idle / 2 } else { Duration::MAX }
    }

    /// Number of answers that connections are known to survive.
    #[must_use]
    pub const fn proven_answers(&self) -> u32 {
        self.answers
    }

    /// Idle time that connections are known to survive.
    #[must_use]
    pub const fn proven_idle(&self) -> Duration {
        self.idle
    }

    /// True when a connection that has been open for `idle` after its last answer would raise a limit.
    #[must_use]
    pub fn would_rise(&self, answers: u32, idle: Duration) -> bool {
        self.learns && idle >= self.settle && (!self.allow(answers) || idle > self.idle)
    }

    /// Records a connection that is open, and has been silent for `idle` since the last of its `answers`.
    pub fn saw_open(&mut self, answers: u32, idle: Duration) {
        if self.would_rise(answers, idle) {
            if !self.allow(answers) {
                self.settle = (self.settle / 2).max(MIN_SETTLE);
            }
            self.answers = self.answers.max(answers);
            self.idle = self.idle.max(idle);
        }
    }

    /// Records a connection that the server closed early. `open_for` is the longest idle time for which the
    /// connection was seen open after the last of its `answers`.
    pub fn saw_early_close(&mut self, answers: u32, open_for: Duration) {
        if !self.learns {
            return;
        }
        if open_for < self.settle {
            // The close may have followed from the answer, or from a short idle limit: both fall.
            self.answers = self.answers.min(answers.saturating_sub(1));
            if answers > self.any {
                self.any = answers.saturating_mul(2).min(MAX_ANY_ANSWERS);
            }
            self.settle = MAX_SETTLE;
        }
        self.idle = self.idle.min(open_for / 2);
    }
}

#[cfg(test)]
mod tests;
