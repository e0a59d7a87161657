//! Which configuration each sidecar has applied: asked of its admin port. Needs the pods' network.
//!
//! # Invariants
//! - A pod is hostile: its answer is bounded in size and time, and decides nothing but what the operator
//!   waits for.
//! - At rest nobody is asked: once all ready pods have applied a revision, pods that come later start
//!   with it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use futures::StreamExt;
use futures::future::join;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::names::ADMIN_PORT;
use crate::crd::SocketIoCluster;

/// How many pods are asked at once.
const AT_ONCE: usize = 16;
/// Longest wait for one.
const ANSWER: Duration = Duration::from_secs(2);
/// Longest wait for all; who was not asked by then lags.
const ALL: Duration = Duration::from_secs(10);
/// The longest answer that is read, in bytes.
const ANSWER_MOST: usize = 16 * 1024;

/// By pod, the revision that its sidecar has applied; or why it could not be asked.
pub(crate) type Reports = BTreeMap<String, Result<Applied, String>>;

/// What a sidecar says of its configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Applied {
    /// The revision in force.
    pub(crate) revision: String,
    /// Why it refuses the newest one.
    #[serde(default)]
    pub(crate) refused: Option<String>,
}

/// Whether some step waits for them.
pub(crate) fn are_of_interest(cluster: &SocketIoCluster) -> bool {
    let Some(status) = &cluster.status else { return false };
    cluster.metadata.deletion_timestamp.is_some() || status.applied_revision != status.revision
}

/// Asks each of `pods` (name and IP).
pub(crate) async fn fetch(pods: &[(String, String)]) -> Reports {
    let asked = pods.iter().cloned().map(|(name, ip)| async move {
        let answer = timeout(ANSWER, ask(&ip)).await;
        let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {} s", ANSWER.as_secs())));
        (name, answer)
    });
    futures::stream::iter(asked).buffer_unordered(AT_ONCE).take_until(sleep(ALL)).collect().await
}

/// The pods that have not applied `revision`, each with what is known about why.
pub(crate) fn lagging(pods: &[(String, String)], reports: &Reports, revision: &str) -> Vec<String> {
    let lags = |name: &String| match reports.get(name) {
        Some(Ok(applied)) if applied.revision == revision => None,
        Some(Ok(Applied { refused: Some(_), .. })) => Some(format!("{name} (which refuses it: see its log)")),
        Some(Ok(_)) | None => Some(name.clone()),
        Some(Err(why)) => Some(format!(
            "{name} (its port {ADMIN_PORT} cannot be reached: {why}; let the operator's namespace through)"
        )),
    };
    pods.iter().filter_map(|(name, _)| lags(name)).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_lags_until_it_says_the_revision_and_why_is_said() {
        let pods: Vec<_> = ["a", "b", "c", "d", "e"].map(|name| (name.to_owned(), String::new())).to_vec();
        let applied = |revision: &str, refused: Option<&str>| {
            Ok(Applied { revision: revision.to_owned(), refused: refused.map(str::to_owned) })
        };
        let reports = Reports::from([
            ("a".to_owned(), applied("2", None)),
            ("b".to_owned(), applied("1", None)),
            ("c".to_owned(), applied("1", Some("config.json: no"))),
            ("d".to_owned(), Err("connection refused".to_owned())),
        ]);
        let lagging = lagging(&pods, &reports, "2");
        assert_eq!(lagging.len(), 4);
        assert_eq!(lagging[0], "b");
        assert!(lagging[1].contains("refuses it: see its log") && !lagging[1].contains("config.json"));
        assert!(lagging[2].contains("cannot be reached: connection refused"));
        assert_eq!(lagging[3], "e");
    }
}
