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
use std::task::{Context, Poll};
use std::time::Duration;

use crate::io::{Conn, Outbox, StallAlarm};

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
    alarm: StallAlarm,
    /// No more will come.
    ended: bool,
    /// No more is taken: what comes is of no use.
    broken: bool,
}

/// Two connections that carry the same bytes.
#[derive(Debug)]
pub(super) struct Tunnel {
    client: Conn,
    onward: Conn,
    up: Direction,
    down: Direction,
    stall: Duration,
}

impl Tunnel {
    /// `client` may already have sent something, which is passed on first.
    pub(super) fn new(mut client: Conn, onward: Conn, stall: Duration) -> Self {
        let mut up = Direction::default();
        up.outbox.push(client.inbox());
        client.take(client.inbox().len());
        Self { client, onward, up, down: Direction::default(), stall }
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
            if self.up.is_over() {
                return Poll::Ready(End::Client);
            }
            if self.down.is_over() || (self.up.broken && self.down.broken) {
                return Poll::Ready(End::Onward);
            }
            if !up && !down {
                break;
            }
        }
        let up = self.up.poll_stalled(self.stall, cx);
        let down = self.down.poll_stalled(self.stall, cx);
        if up.is_ready() || down.is_ready() { Poll::Ready(End::Stalled) } else { Poll::Pending }
    }
}

impl Direction {
    /// Everything that came was delivered, and no more will come.
    fn is_over(&self) -> bool {
        self.ended && !self.broken && self.outbox.is_empty()
    }

    /// Passes what there is; true when something moved. A side that takes no more may still have
    /// something to say, which the other direction delivers before the tunnel ends.
    fn poll(&mut self, from: &mut Conn, to: &mut Conn, cx: &mut Context<'_>) -> bool {
        let mut progress = false;
        while !self.broken {
            if !self.outbox.is_empty() {
                match self.outbox.poll_drain(&mut to.stream, cx) {
                    Poll::Pending => break,
                    Poll::Ready(drained) => self.broken = drained.is_err(),
                }
            } else if self.ended {
                break;
            } else {
                let outbox = &mut self.outbox;
                let passed = from.poll_pass(cx, |bytes, _, cx| {
                    (bytes.is_empty(), outbox.write_through(&mut to.stream, cx, bytes).is_err())
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
        progress
    }

    fn poll_stalled(&mut self, limit: Duration, cx: &mut Context<'_>) -> Poll<()> {
        self.alarm.poll(cx, self.broken || !self.outbox.is_empty(), limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::Stream;
    use socket2::SockRef;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    async fn pair() -> (Conn, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Conn::new(Stream::Tcp(ours)), listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn what_the_application_said_last_is_delivered_though_it_takes_no_more() {
        let ((client, mut their_client), (onward, mut app)) = (pair().await, pair().await);
        app.write_all(b"last words").await.unwrap();
        SockRef::from(&app).set_linger(Some(Duration::ZERO)).unwrap();
        drop(app);
        their_client.write_all(b"too late").await.unwrap();
        let mut tunnel = Tunnel::new(client, onward, Duration::from_secs(60));
        let end = tunnel.run().await;
        assert_eq!(end, End::Onward, "it was not the client that ended it");
        let closing = tokio::spawn(tunnel.close(end));
        let mut said = Vec::new();
        their_client.read_to_end(&mut said).await.unwrap();
        assert_eq!(said, b"last words");
        drop(their_client);
        closing.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_side_that_does_not_read_ends_the_tunnel() {
        let ((client, _silent), (onward, mut app)) = (pair().await, pair().await);
        let mut tunnel = Tunnel::new(client, onward, Duration::from_secs(60));
        let flood = tokio::spawn(async move {
            // More than all buffers on the way hold.
            let _ = app.write_all(&vec![b'x'; 64 << 20]).await;
            app
        });
        assert_eq!(tunnel.run().await, End::Stalled);
        flood.abort();
    }
}
