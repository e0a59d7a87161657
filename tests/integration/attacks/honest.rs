//! Honest clients: connections that send one good request again and again, and note every wrong answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Longest wait for an answer, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(10);
/// Most faults that are kept.
const MAX_FAULTS: usize = 20;

/// Clients that run until they are asked what they saw.
#[derive(Debug)]
pub(super) struct Honest {
    clients: JoinSet<Vec<String>>,
    asked: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

/// Requests that were answered, and everything that went wrong.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) asked: usize,
    pub(super) faults: Vec<String>,
}

impl Honest {
    /// Starts a client for each of these requests, each on a connection of its own.
    pub(super) fn start(requests: Vec<(SocketAddr, String)>) -> Self {
        let (asked, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let mut clients = JoinSet::new();
        for (at, request) in requests {
            clients.spawn(run(at, request, asked.clone(), stop.clone()));
        }
        Self { clients, asked, stop }
    }

    /// Waits until they have asked `least` times, then ends them.
    pub(super) async fn end(self, least: usize) -> Seen {
        let enough = async {
            while self.asked.load(Ordering::Relaxed) < least {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let in_time = timeout(PATIENCE, enough).await;
        self.stop.store(true, Ordering::Relaxed);
        let mut faults = self.clients.join_all().await.concat();
        if in_time.is_err() {
            faults.push(format!("fewer than {least} answers within {} s", PATIENCE.as_secs()));
        }
        Seen { asked: self.asked.load(Ordering::Relaxed), faults }
    }
}

async fn run(at: SocketAddr, request: String, asked: Arc<AtomicUsize>, stop: Arc<AtomicBool>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut kept = None;
    while !stop.load(Ordering::Relaxed) && faults.len() < MAX_FAULTS {
        match timeout(PATIENCE, exchange(&mut kept, at, &request)).await {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => faults.push(fault),
            Err(_) => {
                kept = None;
                faults.push("no answer".to_owned());
            }
        }
        asked.fetch_add(1, Ordering::Relaxed);
    }
    faults
}

/// Sends one request, on the connection that is kept if there is one.
async fn exchange(kept: &mut Option<TcpStream>, at: SocketAddr, request: &str) -> Result<(), String> {
    let mut stream = match kept.take() {
        Some(stream) => stream,
        None => {
            let stream = TcpStream::connect(at).await.map_err(|error| format!("connect: {error}"))?;
            stream.set_nodelay(true).map_err(|error| error.to_string())?;
            stream
        }
    };
    stream.write_all(request.as_bytes()).await.map_err(|error| format!("write: {error}"))?;
    let mut answer = Vec::new();
    let end = loop {
        let read = stream.read_buf(&mut answer).await;
        if let Some(end) = end_of(&answer) {
            break end;
        }
        match read {
            Ok(0) => return Err(format!("the connection ended after {}", answer.escape_ascii())),
            Ok(_) => {}
            Err(error) => return Err(format!("read: {error}, after {}", answer.escape_ascii())),
        }
    };
    if !answer.starts_with(b"HTTP/1.1 200 ") || answer.len() != end {
        return Err(format!("answered {}", answer.escape_ascii()));
    }
    let head = String::from_utf8_lossy(&answer);
    if !head.to_ascii_lowercase().contains("connection: close") {
        *kept = Some(stream);
    }
    Ok(())
}

/// The length of an answer that is complete, all of which have a Content-Length here.
fn end_of(answer: &[u8]) -> Option<usize> {
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    let end = head + length.map_or(0, |length| length.trim().parse().unwrap_or(0));
    (answer.len() >= end).then_some(end)
}
