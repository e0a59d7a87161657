//! After a WebSocket upgrade: bytes in both directions, until either side ends.
//!
//! # Invariants
//! - Bytes pass as they are, and whatever they are: Engine.IO's code 5 is a 101 followed by text that is
//!   no WebSocket frame. What goes to the client is followed, to know where its messages end; that is a
//!   few additions per frame and 24 bytes per tunnel, and changes nothing until the tunnel is finished.
//! - While nothing moves, a tunnel holds no buffer.
//! - When either side ends, what was read from it is delivered, and both connections close; neither is
//!   ever left half open.
//! - A tunnel that is *finished* says to its client, between two messages and without a Close frame, that
//!   no more will come, and goes on delivering what the client says until that closes as well. This is
//!   how the clients of all languages come back by themselves. What the application says meanwhile is
//!   thrown away, as it would be if the client had gone; it learns of the end when the client has closed,
//!   and never by a half-closed connection.
//! - Waiting has no limit, since silence is a tunnel's normal state and dead peers are found by TCP;
//!   a side that does not take what is sent to it for the stall timeout ends it, and so does a client
//!   that does not close for as long after it was told of the end.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socketio_sidecar_core::websocket::Messages;
use tokio::io::AsyncWrite;
use tokio::time::{Instant, timeout, timeout_at};

use crate::io::{Budget, Conn, Outbox, READ_SIZE, Settle, Stall, StallAlarm, Stream, Wait};

/// Causes for which a tunnel ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The client ended it.
    Client,
    /// The application or the peer ended it.
    Onward,
    /// A side did not take what was sent to it.
    Stalled,
    /// The sidecar ended the tunnel in a paced close.
    Closed,
    /// The sidecar stopped, and the deadline came.
    Shutdown,
}

impl End {
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Onward => "onward",
            Self::Stalled => "stalled",
            Self::Closed => "paced_close",
            Self::Shutdown => "shutdown",
        }
    }
}

/// State of one direction.
#[derive(Debug, Default)]
struct Direction {
    outbox: Outbox,
    settle: Settle,
    /// Bytes that `settle` has taken note of.
    noted: u64,
    alarm: StallAlarm,
    /// No more will come.
    ended: bool,
    /// No more is taken: what comes is of no use.
    broken: bool,
}

/// Two connections that carry the same bytes.
#[derive(Debug)]
pub(super) struct Tunnel {
    client: Stream,
    onward: Stream,
    up: Direction,
    down: Direction,
    /// Messages that the client was sent so far.
    said: Messages,
    farewell: Farewell,
    stall: Duration,
    budget: Budget,
}

/// State of the farewell: the client is told that no more will come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Farewell {
    NotDue,
    /// At the end of the message that is on its way, if one is.
    Due,
    Said,
}

impl Tunnel {
    /// `client` may already have sent something, which is passed on first; it may have been told
    /// something as well, and that is what was `said`: all that `onward` has sent.
    pub(super) fn new(client: Conn, onward: Conn, said: Messages, stall: Duration, budget: Budget) -> Self {
        debug_assert!(onward.inbox().is_empty());
        let ((client, sent), onward) = (client.into_parts(), onward.stream);
        let up = Direction { outbox: Outbox::of(sent), ..Direction::default() };
        Self {
            client,
            onward,
            up,
            down: Direction::default(),
            said,
            farewell: Farewell::NotDue,
            stall,
            budget,
        }
    }

    /// Runs until one side ends. Cancel safe: what was read is delivered when it is run again.
    pub(super) async fn run(&mut self) -> End {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// Runs until the client has closed, or one side ends, having told the client that no more will
    /// come. The end of the message that is on its way is waited for until `patience`, and for the stall
    /// timeout at least; where there is none, because these are no messages, the tunnel ends then.
    pub(super) async fn finish(&mut self, patience: Instant) -> End {
        self.farewell = Farewell::Due;
        let patience = patience.max(Instant::now() + self.stall);
        let farewell = poll_fn(|cx| match self.poll(cx) {
            Poll::Ready(end) => Poll::Ready(Some(end)),
            Poll::Pending if self.has_finished() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        match timeout_at(patience, farewell).await {
            Ok(Some(end)) => end,
            Ok(None) => timeout(self.stall, self.run()).await.unwrap_or(End::Closed),
            Err(_) => End::Closed,
        }
    }

    /// Reports whether the client was told that no more will come.
    pub(super) fn has_finished(&self) -> bool {
        self.farewell == Farewell::Said
    }

    /// Returns the number of bytes that the application or the peer has taken from the client.
    pub(super) fn bytes_up(&self) -> u64 {
        self.up.outbox.written()
    }

    /// Returns the number of bytes that the client has taken.
    pub(super) fn bytes_down(&self) -> u64 {
        self.down.outbox.written()
    }

    /// Closes both connections, after `end`. A client is waited for while it takes what it was told, and is reset when it
    /// does not: the kernel would hold the bytes on, and nobody would count them.
    pub(super) async fn close(self, end: End) {
        let Self { mut client, onward, mut down, stall, budget, .. } = self;
        if end == End::Stalled {
            client.abort();
            onward.abort();
            return;
        }
        drop(onward);
        if end == End::Shutdown {
            // The kernel delivers what it has, after the program's end too.
            return;
        }
        if matches!(end, End::Onward | End::Closed) {
            let taken = poll_fn(|cx| match down.poll_stalled(&client, stall, &budget, cx) {
                Poll::Ready(_) => Poll::Ready(false),
                Poll::Pending if down.is_taken() => Poll::Ready(true),
                Poll::Pending => Poll::Pending,
            });
            if timeout(stall, taken).await.unwrap_or(false) {
                // What the client was told last must not be lost to a reset.
                client.linger().await;
            }
        }
        client.close();
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            // Each goes on until it waits for something that wakes this task.
            self.up.poll(&mut self.client, &mut self.onward, cx, |bytes| Some(bytes.len()));
            let (said, farewell) = (&mut self.said, self.farewell);
            let tell = |bytes: &[u8]| tell(said, farewell, bytes);
            self.down.poll(&mut self.onward, &mut self.client, cx, tell);
            let has_changed = self.poll_farewell(cx);
            if self.up.is_over() {
                return Poll::Ready(if self.has_finished() { End::Closed } else { End::Client });
            }
            if self.down.is_over() || (self.up.broken && self.down.broken) {
                return Poll::Ready(End::Onward);
            }
            if !has_changed {
                break;
            }
        }
        let up = self.up.poll_stalled(&self.onward, self.stall, &self.budget, cx);
        let down = self.down.poll_stalled(&self.client, self.stall, &self.budget, cx);
        if up.is_ready() || down.is_ready() { Poll::Ready(End::Stalled) } else { Poll::Pending }
    }

    /// Tells the client that no more will come, once that is due and can be; true when it was.
    fn poll_farewell(&mut self, cx: &mut Context<'_>) -> bool {
        let can_be = self.said.is_between() && self.down.outbox.is_empty() && !self.down.broken;
        if self.farewell != Farewell::Due || !can_be {
            return false;
        }
        // After the farewell the kernel does not tell what it holds.
        if self.down.poll_settled(&self.client, &self.budget, cx).is_pending() {
            return false;
        }
        // If it cannot be said, the client has gone, which reading from it will show.
        let said = Pin::new(&mut self.client).poll_shutdown(cx).is_ready();
        if said {
            self.farewell = Farewell::Said;
        }
        said
    }
}

/// Returns the number of these bytes that the client is sent; `None` after the farewell.
fn tell(said: &mut Messages, farewell: Farewell, bytes: &[u8]) -> Option<usize> {
    match farewell {
        Farewell::NotDue => {
            said.follow(bytes);
            Some(bytes.len())
        }
        Farewell::Due if !said.is_between() => Some(said.follow_one(bytes)),
        Farewell::Due | Farewell::Said => None,
    }
}

impl Direction {
    /// Everything that came was delivered, and no more will come.
    fn is_over(&self) -> bool {
        self.ended && !self.broken && self.outbox.is_empty()
    }

    /// The other side has taken most of what was written, and nothing is left to write.
    fn is_taken(&self) -> bool {
        self.outbox.is_empty() && !self.settle.is_settling()
    }

    /// Passes what there is, as much of it as `tell` says, until it waits for either side. A side that
    /// takes no more may still have something to say, which the other direction delivers before the
    /// tunnel ends.
    fn poll(
        &mut self,
        from: &mut Stream,
        to: &mut Stream,
        cx: &mut Context<'_>,
        mut tell: impl FnMut(&[u8]) -> Option<usize>,
    ) {
        let mut progress = false;
        while !self.broken {
            if !self.outbox.is_empty() {
                self.settle.interrupt(to);
                match self.outbox.poll_drain(to, cx) {
                    Poll::Pending => break,
                    Poll::Ready(drained) => self.broken = drained.is_err(),
                }
            } else if self.ended {
                break;
            } else {
                let (outbox, settle) = (&mut self.outbox, &mut self.settle);
                let passed = from.poll_pass(cx, READ_SIZE, |bytes, cx| {
                    settle.interrupt(to);
                    let told = tell(bytes).map(|length| outbox.write_through(to, cx, &bytes[..length]));
                    (bytes.is_empty(), told.is_some_and(|written| written.is_err()))
                });
                match passed {
                    Poll::Pending => break,
                    Poll::Ready(Ok((ended, broken))) => (self.ended, self.broken) = (ended, broken),
                    Poll::Ready(Err(_)) => self.ended = true,
                }
            }
            progress = true;
        }
        if progress {
            self.alarm.progress();
        }
    }

    fn poll_stalled(
        &mut self,
        to: &Stream,
        stall: Duration,
        budget: &Budget,
        cx: &mut Context<'_>,
    ) -> Poll<Stall> {
        if !self.outbox.is_empty() || self.broken {
            let held = self.outbox.held();
            return self.alarm.poll(cx, Wait::Progress { held, limit: stall }, budget);
        }
        let is_settled = self.poll_settled(to, budget, cx).is_ready();
        self.alarm.poll(cx, if is_settled { Wait::Nothing } else { self.settle.wait(false) }, budget)
    }

    /// Ready when the other side has taken most of what was written, see [`Settle::poll`].
    fn poll_settled(&mut self, to: &Stream, budget: &Budget, cx: &mut Context<'_>) -> Poll<()> {
        let written = self.outbox.written();
        self.settle.note(written - std::mem::replace(&mut self.noted, written));
        self.settle.poll(to, budget, cx)
    }
}

#[cfg(test)]
mod tests;
