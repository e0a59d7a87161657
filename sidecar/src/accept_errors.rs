//! Errors of accepting connections: logged at most once a second, with their number.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// Wait after a failure to accept, which is mostly a lack of descriptors.
const PAUSE: Duration = Duration::from_millis(100);
/// Shortest time between two lines of the log.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// The errors of one listener.
#[derive(Debug)]
pub(crate) struct AcceptErrors {
    listener: &'static str,
    last_line: Option<Instant>,
    count: u64,
}

impl AcceptErrors {
    pub(crate) fn new(listener: &'static str) -> Self {
        Self { listener, last_line: None, count: 0 }
    }

    /// Accepts the next connection, however often that fails before. Cancel safe.
    pub(crate) async fn accept(&mut self, socket: &TcpListener) -> (TcpStream, SocketAddr) {
        loop {
            match socket.accept().await {
                Ok(accepted) => return accepted,
                Err(error) => self.pause_after(&error).await,
            }
        }
    }

    /// Logs, and waits until accepting may work again. A connection that was given up before it was accepted
    /// is nobody's problem.
    async fn pause_after(&mut self, error: &io::Error) {
        if error.kind() == io::ErrorKind::ConnectionAborted {
            return;
        }
        self.count += 1;
        if self.last_line.is_none_or(|last| last.elapsed() >= LOG_INTERVAL) {
            let (port, errors) = (self.listener, self.count);
            tracing::warn!(port, errors, %error, "cannot accept connections; trying again");
            (self.last_line, self.count) = (Some(Instant::now()), 0);
        }
        tokio::time::sleep(PAUSE).await;
    }
}
