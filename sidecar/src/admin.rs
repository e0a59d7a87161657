//! The admin port: for kubelet, Prometheus and the operator. It changes nothing.
//!
//! | path | answers |
//! | --- | --- |
//! | `/livez` | 200 while the process runs |
//! | `/readyz` | 200 when the application accepts connections and clients find a place, also while draining; else 503 |
//! | `/metrics` | the metrics, in Prometheus' text format |
//! | `/config` | the revision in force and its mode; why the directory's newer content is refused, if it is; how far a paced close has come, if one is under way |
//!
//! # Invariants
//! - Strangers cannot keep a probe out. Every connection is accepted; when all places are taken, the connection that has
//!   waited longest for its head is closed.
//! - Memory is bounded: [`MAX_CONNECTIONS`] places, [`MAX_HEAD_BYTES`] each, and small socket buffers ([`RECEIVE_BUFFER_BYTES`]).
//! - Any number of `/readyz` requests share one connection to the application at a time.

mod readiness;
mod silence;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

use crate::accept_errors::AcceptErrors;
use crate::metrics::Metrics;
use crate::places::{Ages, Place, Places};
use crate::settings::Source;
use readiness::Readiness;

/// Most connections at once.
pub(crate) const MAX_CONNECTIONS: usize = 256;
/// Size of the kernel's receive buffer of a connection.
pub(crate) const RECEIVE_BUFFER_BYTES: usize = 8 << 10;
/// Longest head, and size of a connection's buffer: the least that hyper allows.
const MAX_HEAD_BYTES: usize = 8 << 10;
/// Longest that one connection stays open.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest wait for a head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest wait of a newcomer for the place of a connection that was asked to leave.
const PLACE_TIMEOUT: Duration = Duration::from_secs(1);
/// Connections leave as soon as others come: a probe's head comes with its connection.
const AGES: Ages = Ages { waiting: Duration::ZERO, beginning: Duration::ZERO, receiving: Duration::MAX };

/// State that the admin port shows.
#[derive(Debug)]
pub struct Admin {
    /// The settings in force.
    pub source: Arc<Source>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    readiness: Readiness,
    places: Arc<Places>,
}

impl Admin {
    /// The admin port of the sidecar in front of `app`, whose clients have these places; `limit` is for connections to the admin port.
    pub(crate) fn new(
        source: Arc<Source>,
        metrics: Arc<Metrics>,
        app: SocketAddr,
        clients: Arc<Places>,
        limit: usize,
    ) -> Self {
        let places = Places::with(limit, limit, false, AGES);
        Self { source, metrics, readiness: Readiness::new(app, clients), places }
    }

    /// Serves until dropped.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        let mut errors = AcceptErrors::new("admin");
        loop {
            let (stream, peer) = errors.accept(&listener).await;
            let evicted = self.metrics.evicted.with_label_values(&["admin"]);
            let entered = timeout(PLACE_TIMEOUT, self.places.enter(peer.ip(), || evicted.inc())).await;
            match entered {
                Ok(place) => drop(tokio::spawn(self.clone().serve_connection(stream, place))),
                // All places are busy with answers, each of which ends soon.
                Err(_) => self.metrics.refused.with_label_values(&["admin_limit"]).inc(),
            }
        }
    }

    async fn serve_connection(self: Arc<Self>, stream: TcpStream, place: Place) {
        let service = service_fn(async |request| {
            place.work();
            let answer = self.answer(request).await;
            // Whoever does not read the answer is in nobody's way.
            place.wait(Instant::now());
            answer
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .keep_alive(false)
            .max_buf_size(MAX_HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), service);
        tokio::select! {
            // How a probe's connection ends is of no interest.
            _ = timeout(CONNECTION_TIMEOUT, connection) => {}
            () = place.asked() => {}
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return Ok(text(StatusCode::METHOD_NOT_ALLOWED, "GET only\n"));
        }
        Ok(match request.uri().path() {
            "/livez" => text(StatusCode::OK, "ok\n"),
            "/readyz" => match self.readiness.check().await {
                Ok(()) => text(StatusCode::OK, "ok\n"),
                Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, why.sentence()),
            },
            "/metrics" => typed(StatusCode::OK, "text/plain; version=0.0.4", self.metrics.render()),
            "/config" => {
                let applied = self.source.applied();
                let config = &applied.settings.config;
                let closing = applied.seconds_to_close().map(
                    |left| json!({"secondsLeft": left, "tunnelsLeft": self.metrics.tunnels_to_close.get()}),
                );
                let shown = json!({
                    "revision": config.revision, "mode": config.mode, "refused": self.source.refusal(),
                    "closing": closing,
                });
                typed(StatusCode::OK, "application/json", format!("{shown}\n"))
            }
            _ => text(StatusCode::NOT_FOUND, "there are /livez, /readyz, /metrics and /config\n"),
        })
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
