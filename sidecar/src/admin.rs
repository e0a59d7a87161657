//! The admin port: for kubelet, Prometheus and the operator. It changes nothing.
//!
//! | path | answers |
//! | --- | --- |
//! | `/livez` | 200 while the process runs |
//! | `/readyz` | 200 when the application accepts connections, also while draining; else 503 |
//! | `/metrics` | the metrics, in Prometheus' text format |
//! | `/config` | the revision in force and its mode; why the directory's newer content is refused, if it is; how far a paced close has come, if one is under way |

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
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use crate::metrics::Metrics;
use crate::settings::Source;
use silence::{Silence, Turn};

/// Most connections at once; what comes then waits.
const CONNECTIONS: usize = 256;
/// Longest that one connection stays open.
const LIFETIME: Duration = Duration::from_secs(10);
/// Longest wait for a head.
const HEAD: Duration = Duration::from_secs(2);
/// Longest wait for the application to accept the connection that asks whether it does.
const PROBE: Duration = Duration::from_secs(1);

/// What the admin port shows.
#[derive(Debug)]
pub struct Admin {
    /// The settings in force.
    pub source: Arc<Source>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Where the application is.
    pub app: SocketAddr,
    silence: Silence,
}

impl Admin {
    /// Of the sidecar in front of `app`.
    #[must_use]
    pub fn new(source: Arc<Source>, metrics: Arc<Metrics>, app: SocketAddr) -> Self {
        Self { source, metrics, app, silence: Silence::default() }
    }

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
                let service = service_fn(|request| admin.answer(request));
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

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return Ok(text(StatusCode::METHOD_NOT_ALLOWED, "GET only\n"));
        }
        Ok(match request.uri().path() {
            "/livez" => text(StatusCode::OK, "ok\n"),
            "/readyz" => self.readiness().await,
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

    async fn readiness(&self) -> Response<Full<Bytes>> {
        let listens = matches!(timeout(PROBE, TcpStream::connect(self.app)).await, Ok(Ok(_)));
        match self.silence.note(listens, Instant::now()) {
            Some(Turn::Silent) => tracing::warn!(
                app = %self.app,
                "nobody accepts connections where the application should be; let it listen there, or give the \
                 address where it does (--app; app.port of a SocketIoCluster)"
            ),
            Some(Turn::Back) => tracing::info!(app = %self.app, "the application accepts connections now"),
            None => {}
        }
        match listens {
            true => text(StatusCode::OK, "ok\n"),
            false => text(StatusCode::SERVICE_UNAVAILABLE, "the application does not accept connections\n"),
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
