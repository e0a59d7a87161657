//! Asks the admin port of each sidecar which configuration it has applied. Needs the pods' network.
//!
//! # Invariants
//! - A pod is hostile: its answer is bounded in size and time, and decides nothing but what the operator
//!   waits for.
//! - At rest nobody is asked: once all ready pods have applied a revision, pods that come later start
//!   with it.

use std::net::IpAddr;
use std::time::Duration;

use futures::StreamExt;
use futures::future::join;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::names::ADMIN_PORT;
use super::observed::reports::{Applied, Reports};

/// Most pods that are asked at once.
const AT_ONCE: usize = 16;
/// Longest wait for one.
const ANSWER: Duration = Duration::from_secs(2);
/// Longest wait for all; who was not asked by then lags.
const ALL: Duration = Duration::from_secs(10);
/// The longest answer that is read, in bytes.
const ANSWER_MOST: usize = 16 * 1024;

/// Asks each of `pods` (name and IP).
pub(crate) async fn fetch(pods: &[(String, String)]) -> Reports {
    let asked = pods.iter().cloned().map(|(name, ip)| async move {
        let answer = timeout(ANSWER, ask(&ip)).await;
        let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {} s", ANSWER.as_secs())));
        (name, answer)
    });
    futures::stream::iter(asked).buffer_unordered(AT_ONCE).take_until(sleep(ALL)).collect().await
}

async fn ask(ip: &str) -> Result<Applied, String> {
    let ip: IpAddr = ip.parse().map_err(|_| "it has no usable IP".to_owned())?;
    let stream = TcpStream::connect((ip, ADMIN_PORT)).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    let exchange = async move {
        let request = Request::get("/config").header("host", "sidecar").body(Empty::<Bytes>::new());
        let response = sender.send_request(request.map_err(|error| error.to_string())?).await;
        let body = Limited::new(response.map_err(|error| error.to_string())?.into_body(), ANSWER_MOST);
        let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
        serde_json::from_slice(&body).map_err(|_| "its answer is not a sidecar's".to_owned())
    };
    // The connection moves only while it is polled; it ends when the exchange has dropped its sender.
    let (answer, _) = join(exchange, connection).await;
    answer
}
