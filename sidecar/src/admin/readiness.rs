//! Decides whether this pod can take requests.
//!
//! # Invariants
//! - Requests that come at the same time share one connection to the application.
//! - A pod whose places for clients are all busy is not ready: another connection would wait without an answer. The sessions
//!   that it holds are still reached through the peers, which have places of their own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::silence::{Silence, Turn};
use crate::places::Places;

/// Longest wait for the application to accept the connection that asks whether it does.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// Time for which the application's acceptance of a connection is believed.
const PROBE_INTERVAL: Duration = Duration::from_millis(100);
/// Longest wait of a newcomer for a place until the pod counts as full.
const FULL_AFTER: Duration = Duration::from_secs(2);

/// The answers that `/readyz` depends on.
#[derive(Debug)]
pub(super) struct Readiness {
    app: SocketAddr,
    clients: Arc<Places>,
    last_probe: Mutex<Option<(Instant, bool)>>,
    silence: Silence,
}

/// Reasons why the pod is not ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotReady {
    AppUnreachable,
    Full,
}

impl NotReady {
    pub(super) const fn sentence(self) -> &'static str {
        match self {
            Self::AppUnreachable => "the application does not accept connections\n",
            Self::Full => {
                "the limit of client connections is reached, and none of them is idle; raise --max-connections \
                 (sidecar.maxConnections of a SocketIoCluster) or add pods\n"
            }
        }
    }
}

impl Readiness {
    pub(super) fn new(app: SocketAddr, clients: Arc<Places>) -> Self {
        Self { app, clients, last_probe: Mutex::default(), silence: Silence::default() }
    }

    /// Decides whether the pod can take requests.
    ///
    /// # Errors
    /// The reason, if it cannot.
    pub(super) async fn check(&self) -> Result<(), NotReady> {
        if !self.app_listens().await {
            return Err(NotReady::AppUnreachable);
        }
        if self.clients.full_for().is_some_and(|waited| waited >= FULL_AFTER) {
            return Err(NotReady::Full);
        }
        Ok(())
    }

    async fn app_listens(&self) -> bool {
        let asked = Instant::now();
        let mut last = self.last_probe.lock().await;
        // The probe that was under way answers everybody who waited for it.
        if let Some((ended, listens)) = *last
            && (ended >= asked || (listens && ended.elapsed() < PROBE_INTERVAL))
        {
            return listens;
        }
        let listens = matches!(timeout(PROBE_TIMEOUT, TcpStream::connect(self.app)).await, Ok(Ok(_)));
        let now = Instant::now();
        *last = Some((now, listens));
        match self.silence.note(listens, now) {
            Some(Turn::Silent) => tracing::warn!(
                app = %self.app,
                "nobody accepts connections where the application should be; let it listen there, or give the \
                 address where it does (--app; app.port of a SocketIoCluster)"
            ),
            Some(Turn::Back) => tracing::info!(app = %self.app, "the application accepts connections now"),
            None => {}
        }
        listens
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn requests_at_the_same_time_share_one_connection_to_the_application() {
        let app = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let readiness = Arc::new(Readiness::new(app.local_addr().unwrap(), Places::new(1, 1)));
        let checks: Vec<_> = (0..100)
            .map(|_| {
                let readiness = readiness.clone();
                tokio::spawn(async move { readiness.check().await })
            })
            .collect();
        for check in checks {
            assert_eq!(check.await.unwrap(), Ok(()));
        }
        app.accept().await.unwrap();
        assert!(timeout(Duration::from_millis(50), app.accept()).await.is_err(), "there was another one");
    }

    #[tokio::test]
    async fn an_application_that_has_gone_is_seen_at_the_next_request() {
        let app = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let readiness = Readiness::new(app.local_addr().unwrap(), Places::new(1, 1));
        assert_eq!(readiness.check().await, Ok(()));
        drop(app);
        tokio::time::sleep(PROBE_INTERVAL).await;
        for _ in 0..2 {
            assert_eq!(readiness.check().await, Err(NotReady::AppUnreachable));
        }
    }
}
