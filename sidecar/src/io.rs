//! Connections whose buffers exist only while they hold something.
//!
//! # Invariants
//! - Bytes are read into one buffer per thread, and written on from there. A connection owns memory
//!   only for what could not be written on at once ([`Outbox`]) or is not understood yet (the inbox of
//!   a [`Conn`]). An idle connection holds none.
//! - Reading goes only as far as the other side has taken what was read before. An outbox holds at most
//!   two reads and a head; an inbox one read, or the limit that its reader names.
//! - The kernel's buffers of a connection are bounded as well ([`tune`]), and all that is held for
//!   connections under backpressure has one budget ([`Budget`]).

mod budget;
mod conn;
mod deadline;
mod outbox;
mod peer;
mod settle;
mod stall;
mod stream;

pub(crate) use budget::Budget;
pub(crate) use conn::Conn;
pub(crate) use deadline::Deadline;
pub(crate) use outbox::Outbox;
pub(crate) use peer::{PeerConns, WATCH_INTERVAL, tune_watch};
pub(crate) use settle::Settle;
pub(crate) use stall::{Stall, StallAlarm, Wait};
pub(crate) use stream::{RECEIVE_BUFFER, SEND_BUFFER, Stream, tune};

/// The size of the per-thread read buffer, in bytes: the most that one read returns.
pub(crate) const READ_SIZE: usize = 32 * 1024;

#[cfg(test)]
pub(crate) mod tests {
    pub(crate) use super::budget::tests::budget;
}
