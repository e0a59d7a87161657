//! Connections to the application in this pod.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use socketio_sidecar_core::reuse::ReuseLimits;
use tokio::time::{Instant, sleep, timeout};

use super::UpstreamConn;
use super::pool::Pool;
use crate::io::{Conn, Stream, tune};
use crate::metrics::Metrics;

/// Longest wait for the application to accept. It is in the same network namespace and answers at once, except while
/// its queue of connections is full: then the kernel tries again several times, the last time after 15 s (after 19 s since
/// Linux 6.5).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// Time for which a connection is kept when the application announces none and is trusted: less than the 2 s of
/// gunicorn, the shortest default known.
const KEEP_UNSAID: Duration = Duration::from_millis(1500);
/// Time for which a connection is kept when the application announces none and is watched.
const KEEP_UNSAID_WATCHED: Duration = Duration::from_secs(10);
/// Margin before the time that the application announces.
const KEEP_MARGIN: Duration = Duration::from_secs(1);
/// Longest time for which a connection is kept, whatever the application announces.
const MAX_KEEP: Duration = Duration::from_secs(60);
/// Interval between looks at connections that have yet to prove something.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// Early closes without any proof after which the log says that no connection is used again.
const EARLY_CLOSES_TO_TELL: u64 = 8;

/// Condition under which a connection to the application carries another request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppKeepAlive {
    /// The application was seen to keep such connections.
    Auto,
    /// The application says so, by `Connection` and `Keep-Alive`.
    Always,
    /// No condition: each request takes a new connection.
    Never,
}

/// The local application.
#[derive(Debug)]
pub(crate) struct App {
    address: SocketAddr,
    stall: Duration,
    keep_alive: AppKeepAlive,
    pool: Pool<()>,
    metrics: Arc<Metrics>,
    /// Early closes that are in the metric.
    counted: AtomicU64,
    /// The log has said that no connection is used again.
    told: AtomicBool,
}

impl App {
    /// `stall` is the longest time for which a connection may make no progress, `idle` the most connections that are
    /// kept idle.
    pub(crate) fn new(
        address: SocketAddr,
        stall: Duration,
        keep_alive: AppKeepAlive,
        idle: usize,
        metrics: Arc<Metrics>,
    ) -> Self {
        let limits = match keep_alive {
            AppKeepAlive::Auto => ReuseLimits::learning(),
            AppKeepAlive::Always | AppKeepAlive::Never => ReuseLimits::trusting(),
        };
        let (counted, told) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { address, stall, keep_alive, pool: Pool::new(limits, idle), metrics, counted, told }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// An idle connection that was used within `at_most` before `now`.
    pub(crate) fn pooled(&self, at_most: Duration, now: Instant) -> Option<UpstreamConn> {
        self.pool.take(&(), at_most, now).map(|taken| taken.conn)
    }

    /// A new connection.
    ///
    /// # Errors
    /// The kernel's, or [`io::ErrorKind::TimedOut`] after [`CONNECT_TIMEOUT`]. Nothing was sent.
    pub(crate) async fn connect(&self) -> io::Result<UpstreamConn> {
        let stream = timeout(CONNECT_TIMEOUT, Stream::connect(self.address)).await??;
        tune(&stream, self.stall)?;
        Ok(UpstreamConn::new(Conn::new(Stream::Tcp(stream))))
    }

    /// Keeps a connection for the next request, from `now` on. `announced` is the application's `Keep-Alive: timeout`.
    pub(crate) fn put(&self, conn: UpstreamConn, announced: Option<Duration>, now: Instant) {
        let unsaid = match self.keep_alive {
            AppKeepAlive::Auto => KEEP_UNSAID_WATCHED,
            AppKeepAlive::Always => KEEP_UNSAID,
            AppKeepAlive::Never => return,
        };
        let keep = announced.map_or(unsaid, |said| said.saturating_sub(KEEP_MARGIN).min(MAX_KEEP));
        if !keep.is_zero() {
            self.pool.put((), conn, keep, now);
        }
    }

    /// Records that a request met a closing connection, which had been idle for so long.
    pub(crate) fn met_closing(&self, answers: u32, idle_for: Duration) {
        self.pool.met_closing(answers, idle_for);
    }

    /// Closes connections that have expired or ended, and publishes what the others show. Returns how many rest.
    pub(crate) fn look_through(&self) -> usize {
        let contents = self.pool.look_through();
        let metrics = &self.metrics;
        metrics.set_idle("app", contents.idle);
        // The watch and the housekeeping may look at the same time, and either may come here first.
        let before = self.counted.fetch_max(contents.early_closes, Ordering::Relaxed);
        metrics.app_early_closes.inc_by(contents.early_closes.saturating_sub(before));
        let limits = contents.limits;
        if self.keep_alive == AppKeepAlive::Auto {
            metrics.app_reuse_answers.set(limits.proven_answers().into());
            metrics.app_reuse_idle_seconds.set(limits.proven_idle().as_secs_f64());
        }
        let closes_all = limits.proven_answers() == 0 && contents.early_closes >= EARLY_CLOSES_TO_TELL;
        if closes_all && !self.told.swap(true, Ordering::Relaxed) {
            tracing::info!(
                app = %self.address, early_closes = contents.early_closes,
                "the application closes connections without announcing it; each request takes a new connection"
            );
        }
        contents.resting
    }

    /// Looks at connections that rest, often, and at nothing while none does. Never returns.
    pub(crate) async fn watch(&self) {
        loop {
            self.pool.rests().await;
            while {
                sleep(LOOK_INTERVAL).await;
                self.look_through() > 0
            } {}
        }
    }
}
