//! The admin port: for kubelet and Prometheus. It changes nothing.
//!
//! | path | answers |
//! | --- | --- |
//! | `/livez` | 200 while the process runs. A leader that hangs loses its lease and ends by itself |
//! | `/readyz` | 200 while the API server answers and, as leader, once the SocketIoClusters are listed; else 503 |
//! | `/metrics` | the metrics, in Prometheus' text format |

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout};

use crate::metrics::Metrics;

/// Most connections at once; what comes then waits.
const CONNECTIONS: usize = 64;
/// Longest that one connection stays open.
const LIFETIME: Duration = Duration::from_secs(10);
/// Longest wait for a head.
const HEAD: Duration = Duration::from_secs(2);
/// For how long an answer of the API server counts. The Lease is read or renewed more often than that.
const FRESH: Duration = Duration::from_secs(15);

/// Health of this process: the API server's last answer, and the state of its caches.
#[derive(Debug)]
pub struct Health {
    /// Time of the API server's last answer.
    answered: watch::Sender<Option<Instant>>,
    /// A leader's caches are filled for the first time.
    listing: AtomicBool,
}

impl Default for Health {
    fn default() -> Self {
        Self { answered: watch::Sender::new(None), listing: AtomicBool::new(false) }
    }
}

impl Health {
    /// The API server has answered as it should.
    pub fn api_server_answered(&self) {
        self.answered.send_replace(Some(Instant::now()));
    }

    /// Records that this process leads, and has not listed the SocketIoClusters yet.
    pub fn begins_listing(&self) {
        self.listing.store(true, Ordering::Relaxed);
    }

    /// Records that this process has listed all SocketIoClusters.
    pub fn has_listed(&self) {
        self.listing.store(false, Ordering::Relaxed);
    }

    /// Returns the reason why this process is not ready.
    ///
    /// A standby watches nothing and has nothing to list: it is ready to take over while it reads the Lease. A leader
    /// becomes ready once it has listed the SocketIoClusters. Without the right to list them, or without their
    /// definition, it never becomes ready, so `helm install --wait` fails.
    pub(crate) fn missing(&self) -> Option<&'static str> {
        if !self.answered.borrow().is_some_and(|answered| answered.elapsed() < FRESH) {
            return Some("the API server does not answer\n");
        }
        let listing = self.listing.load(Ordering::Relaxed);
        listing.then_some("the SocketIoClusters are not listed yet; the log says why if it does not end\n")
    }
}

/// The admin server.
#[derive(Debug)]
pub struct Admin {
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Health of this process.
    pub health: Arc<Health>,
}

impl Admin {
    /// Serves until dropped.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections on the admin port; trying again");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let admin = self.clone();
            tokio::spawn(async move {
                let service = service_fn(|request| {
                    let answer = admin.answer(&request);
                    async { Ok::<_, Infallible>(answer) }
                });
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEAD)
                    .keep_alive(false)
                    .serve_connection(TokioIo::new(stream), service);
                // How a probe's connection ends is of no interest.
                let _ = timeout(LIFETIME, connection).await;
                drop(place);
            });
        }
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return text(StatusCode::METHOD_NOT_ALLOWED, "GET only\n");
        }
        match request.uri().path() {
            "/livez" => text(StatusCode::OK, "ok\n"),
            "/readyz" => match self.health.missing() {
                None => text(StatusCode::OK, "ok\n"),
                Some(missing) => text(StatusCode::SERVICE_UNAVAILABLE, missing),
            },
            "/metrics" => typed(StatusCode::OK, "text/plain; version=0.0.4", self.metrics.render()),
            _ => text(StatusCode::NOT_FOUND, "there are /livez, /readyz and /metrics\n"),
        }
    }
}

fn text(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    typed(status, "text/plain; charset=utf-8", body)
}

fn typed(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_ready_while_the_api_server_answers_and_as_a_leader_once_it_knows_the_objects() {
        let health = Health::default();
        assert!(health.missing().is_some());
        health.api_server_answered();
        assert_eq!(health.missing(), None, "a standby lists nothing");
        health.begins_listing();
        assert!(health.missing().unwrap().contains("not listed yet"));
        health.has_listed();
        tokio::time::advance(FRESH - Duration::from_millis(1)).await;
        assert_eq!(health.missing(), None);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(health.missing().unwrap().contains("does not answer"));
    }
}
