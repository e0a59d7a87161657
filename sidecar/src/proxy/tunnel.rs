//! After a WebSocket upgrade: bytes in both directions, until either side ends.
//!
//! # Invariants
//! - Bytes pass unread: Engine.IO's code 5 is a 101 followed by text that is no WebSocket frame.
//! - While nothing moves, a tunnel holds no buffer.
//! - When either side ends, what was read from it is delivered, and both connections close; neither is
//!   ever left half open.
//! - Waiting has no limit, since silence is a tunnel's normal state and dead peers are found by TCP;
//!   a side that does not take what is sent to it for the stall timeout ends it.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

use crate::io::{Conn, Outbox};

/// Who ended a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The client.
    Client,
    /// The application or the peer.
    Onward,
    /// One side did not take what was sent to it.
    Stalled,
    /// This sidecar stopped, and its deadline came.
    Shutdown,
}

impl End {
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Onward => "onward",
            Self::Stalled => "stalled",
            Self::Shutdown => "shutdown",
        }
    }
}

/// One direction.
#[derive(Debug, Default)]
struct Direction {
    outbox: Outbox,
    ended: bool,
}

/// Two connections that carry the same bytes.
#[derive(Debug)]
pub(super) struct Tunnel {
    client: Conn,
    onward: Conn,
    up: Direction,
    down: Direction,
    stall: Duration,
    progressed: Instant,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Tunnel {
    /// `client` may already have sent something, which is passed on first.
    pub(super) fn new(mut client: Conn, onward: Conn, stall: Duration) -> Self {
        let mut up = Direction::default();
        up.outbox.push(client.inbox());
        client.take(client.inbox().len());
        Self {
            client,
            onward,
            up,
            down: Direction::default(),
            stall,
            progressed: Instant::now(),
            alarm: None,
        }
    }

    /// Runs until one side ends. Cancel safe: what was read is delivered when it is run again.
    pub(super) async fn run(&mut self) -> End {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// How many bytes the application or the peer has taken from the client.
    pub(super) fn bytes_up(&self) -> u64 {
        self.up.outbox.written()
    }

    /// How many bytes the client has taken.
    pub(super) fn bytes_down(&self) -> u64 {
        self.down.outbox.written()
    }

    /// Closes both connections, after `end`.
    pub(super) async fn close(self, end: End) {
        let Self { client, onward, .. } = self;
        drop(onward);
        if end == End::Onward {
            // What the application said last must not be lost to a reset.
            client.linger().await;
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            let up = self.up.poll(&mut self.client, &mut self.onward, cx);
            let down = self.down.poll(&mut self.onward, &mut self.client, cx);
            match (up, down) {
                (Ok(up), Ok(down)) => {
                    if self.up.is_over() {
                        return Poll::Ready(End::Client);
                    }
                    if self.down.is_over() {
                        return Poll::Ready(End::Onward);
                    }
                    if !up && !down {
                        break;
                    }
                    if self.alarm.is_some() {
                        self.progressed = Instant::now();
                    }
                }
                (Err(_), _) => return Poll::Ready(End::Client),
                (_, Err(_)) => return Poll::Ready(End::Onward),
            }
        }
        self.poll_stalled(cx)
    }

    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        if self.up.outbox.is_empty() && self.down.outbox.is_empty() {
            self.alarm = None;
            return Poll::Pending;
        }
        if self.alarm.is_none() {
            self.progressed = Instant::now();
        }
        let deadline = self.progressed + self.stall;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        while alarm.as_mut().poll(cx).is_ready() {
            if deadline <= Instant::now() {
                return Poll::Ready(End::Stalled);
            }
            alarm.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

impl Direction {
    /// Everything that came was delivered, and no more will come.
    fn is_over(&self) -> bool {
        self.ended && self.outbox.is_empty()
    }

    /// Passes what there is; true when something moved.
    fn poll(&mut self, from: &mut Conn, to: &mut Conn, cx: &mut Context<'_>) -> io::Result<bool> {
        let mut progress = false;
        loop {
            if !self.outbox.is_empty() {
                match self.outbox.poll_drain(&mut to.stream, cx)? {
                    Poll::Pending => return Ok(progress),
                    Poll::Ready(()) => progress = true,
                }
            }
            if self.ended {
                return Ok(progress);
            }
            let outbox = &mut self.outbox;
            let passed = from.poll_pass(cx, |bytes, _, cx| {
                outbox.write_through(&mut to.stream, cx, bytes)?;
                io::Result::Ok(bytes.is_empty())
            });
            match passed {
                Poll::Pending => return Ok(progress),
                Poll::Ready(ended) => self.ended = ended??,
            }
            progress = true;
        }
    }
}
