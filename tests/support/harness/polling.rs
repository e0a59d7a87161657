//! An Engine.IO 4 session over long-polling, request by request, each to whichever sidecar is named.

use std::net::SocketAddr;

use serde_json::Value;

use super::{Answer, Wire, ask, get, post};

/// Target of a handshake.
pub const HANDSHAKE: &str = "/socket.io/?EIO=4&transport=polling";

/// A session.
#[derive(Debug, Clone)]
pub struct Polling {
    /// Session id, as the client knows it.
    pub sid: String,
}

impl Polling {
    /// Opens a session.
    pub async fn open(at: SocketAddr) -> Self {
        let answer = ask(at, &get(HANDSHAKE)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let text = answer.text();
        let open = text.strip_prefix('0').unwrap_or_else(|| panic!("no open packet: {text}"));
        let open: Value = serde_json::from_str(open.split('\x1e').next().unwrap_or_default()).unwrap();
        Self { sid: open["sid"].as_str().expect("an open packet has a sid").to_owned() }
    }

    /// Opens a session and joins the main Socket.IO namespace, all at one place.
    pub async fn join(at: SocketAddr) -> Self {
        let session = Self::open(at).await;
        assert_eq!(session.post(at, "40").await.text(), "ok");
        let mut seen = String::new();
        while !seen.contains("\"hello\"") {
            seen += &session.poll(at).await.text();
        }
        session
    }

    /// The target of its requests.
    #[must_use]
    pub fn target(&self) -> String {
        format!("{HANDSHAKE}&sid={}", self.sid)
    }

    /// Session id without the owner tag.
    #[must_use]
    pub fn bare_sid(&self) -> &str {
        self.sid.split_once('.').map_or(&self.sid, |(sid, _)| sid)
    }

    /// Reports whether the sid has text behind a dot.
    #[must_use]
    pub fn is_tagged(&self) -> bool {
        self.sid.contains('.')
    }

    /// Polls, and waits for the answer.
    pub async fn poll(&self, at: SocketAddr) -> Answer {
        ask(at, &get(&self.target())).await
    }

    /// Begins a poll that will hang.
    pub async fn hang(&self, at: SocketAddr) -> Wire {
        let mut wire = Wire::connect(at).await;
        wire.send(get(&self.target())).await;
        wire
    }

    /// Sends packets.
    pub async fn post(&self, at: SocketAddr, packets: &str) -> Answer {
        ask(at, &post(&self.target(), packets)).await
    }

    /// Sends an event whose echo a poll will bring, and waits for both.
    pub async fn echo(&self, at: SocketAddr, text: &str) -> String {
        assert_eq!(self.post(at, &format!(r#"420["echo","{text}"]"#)).await.text(), "ok");
        loop {
            let seen = self.poll(at).await;
            assert_eq!(seen.status, 200, "{seen:?}");
            let seen = seen.text();
            if let Some(answer) = seen.split('\x1e').find_map(|packet| packet.strip_prefix("430")) {
                return answer.to_owned();
            }
        }
    }
}
