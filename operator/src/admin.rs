//! The admin port: for kubelet and Prometheus. It changes nothing.
//!
//! | path | answers |
//! | --- | --- |
//! | `/livez` | 200 while the process runs. A leader that hangs loses its lease and ends by itself |
//! | `/readyz` | 200 while the API server answers, as leader and as standby; else 503 |
//! | `/metrics` | the metrics, in Prometheus' text format |

use std::convert::Infallible;
use std::sync::Arc;
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

/// When the API server last answered.
#[derive(Debug)]
pub struct Health(watch::Sender<Option<Instant>>);

impl Default for Health {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Health {
    /// The API server has answered as it should.
    pub fn api_server_answered(&self) {
        self.0.send_replace(Some(Instant::now()));
    }

    fn is_ready(&self) -> bool {
        self.0.borrow().is_some_and(|answered| answered.elapsed() < FRESH)
    }
}

/// What the admin port shows.
#[derive(Debug)]
pub struct Admin {
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Whether the API server answers.
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
            "/readyz" if self.health.is_ready() => text(StatusCode::OK, "ok\n"),
            "/readyz" => text(StatusCode::SERVICE_UNAVAILABLE, "the API server does not answer\n"),
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
    async fn it_is_ready_while_the_api_server_answers() {
        let health = Health::default();
        assert!(!health.is_ready());
        health.api_server_answered();
        tokio::time::advance(FRESH - Duration::from_millis(1)).await;
        assert!(health.is_ready());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!health.is_ready());
    }
}
