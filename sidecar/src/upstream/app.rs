//! Connections to the application in this pod.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::pool::Pool;
use crate::io::{Conn, Stream, tune};

/// Longest wait for the application to accept: it is in the same network namespace.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a connection is kept when the application does not say: less than the 2 s of gunicorn, which
/// are the shortest default known.
const KEEP_DEFAULT: Duration = Duration::from_millis(1500);
/// How much earlier than the application we give a connection up.
const KEEP_MARGIN: Duration = Duration::from_secs(1);
/// Longest that a connection is kept, whatever the application says.
const KEEP_MOST: Duration = Duration::from_secs(60);

/// The local application.
#[derive(Debug)]
pub(crate) struct App {
    address: SocketAddr,
    stall: Duration,
    pool: Pool<()>,
}

impl App {
    /// `stall` is for how long a connection may make no progress.
    pub(crate) fn new(address: SocketAddr, stall: Duration) -> Self {
        Self { address, stall, pool: Pool::new() }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// An idle connection that was used within `at_most` before `now`.
    pub(crate) fn pooled(&self, at_most: Duration, now: Instant) -> Option<Conn> {
        self.pool.take(&(), at_most, now)
    }

    /// A new connection.
    ///
    /// # Errors
    /// The kernel's, or [`io::ErrorKind::TimedOut`] after 5 s. Nothing was sent.
    pub(crate) async fn connect(&self) -> io::Result<Conn> {
        let stream = timeout(CONNECT, TcpStream::connect(self.address)).await??;
        tune(&stream, self.stall)?;
        Ok(Conn::new(Stream::Tcp(stream)))
    }

    /// Keeps a connection for the next request, from `now` on. `keep_alive` is what the application said
    /// of it.
    pub(crate) fn put(&self, conn: Conn, keep_alive: Option<Duration>, now: Instant) {
        let keep = keep_alive.map_or(KEEP_DEFAULT, |said| said.saturating_sub(KEEP_MARGIN).min(KEEP_MOST));
        if !keep.is_zero() {
            self.pool.put((), conn, keep, now);
        }
    }

    /// Closes expired idle connections, and returns how many are left.
    pub(crate) fn reap(&self) -> usize {
        self.pool.reap()
    }
}
