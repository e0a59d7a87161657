//! Applications that are no Socket.IO servers: one that notes all it is sent, one scripted by the test.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::{WAIT, Wire};

/// An application that answers every request in the same way and notes what it was sent.
#[derive(Debug)]
pub struct Recorder {
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    heads: Vec<String>,
    bodies: Vec<Vec<u8>>,
    connections: usize,
}

impl Recorder {
    /// Listens, and answers each complete request with `answer`, until the test ends.
    pub async fn start(at: SocketAddr, answer: &'static str) -> Self {
        let listener = TcpListener::bind(at).await.expect("the address is ours");
        let seen = Arc::new(Mutex::new(Seen::default()));
        let noted = seen.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                note(&noted, |seen| seen.connections += 1);
                tokio::spawn(record(stream, noted.clone(), answer));
            }
        });
        Self { seen }
    }

    /// The heads of all requests so far.
    #[must_use]
    pub fn heads(&self) -> Vec<String> {
        self.seen.lock().expect("noting does not panic").heads.clone()
    }

    /// The bodies of all requests so far, without chunk framing.
    #[must_use]
    pub fn bodies(&self) -> Vec<Vec<u8>> {
        self.seen.lock().expect("noting does not panic").bodies.clone()
    }

    /// Number of connections that the application has accepted.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.seen.lock().expect("noting does not panic").connections
    }
}

fn note(seen: &Mutex<Seen>, change: impl FnOnce(&mut Seen)) {
    change(&mut seen.lock().expect("noting does not panic"));
}

async fn record(stream: TcpStream, seen: Arc<Mutex<Seen>>, answer: &'static str) {
    let mut wire = Wire::new(stream);
    while wire.has_more().await {
        let head = wire.head().await;
        note(&seen, |seen| seen.heads.push(head.clone()));
        let body = wire.body(&head).await;
        note(&seen, |seen| seen.bodies.push(body));
        if wire.try_send(answer).await.is_err() {
            return;
        }
    }
}

/// An application whose every byte the test writes.
#[derive(Debug)]
pub struct Scripted {
    listener: TcpListener,
}

impl Scripted {
    /// Listens.
    pub async fn bind(at: SocketAddr) -> Self {
        Self { listener: TcpListener::bind(at).await.expect("the address is ours") }
    }

    /// The next connection.
    pub async fn accept(&self) -> Wire {
        Wire::new(self.accept_stream().await)
    }

    /// The next connection, as the kernel gives it.
    pub async fn accept_stream(&self) -> TcpStream {
        let accepted = timeout(WAIT, self.listener.accept()).await.expect("somebody connects");
        accepted.expect("a connection can be accepted").0
    }

    /// Makes sure that nobody has connected until now.
    pub async fn nobody_came(&self) {
        let moment = std::time::Duration::from_millis(100);
        assert!(timeout(moment, self.listener.accept()).await.is_err(), "somebody connected");
    }
}
