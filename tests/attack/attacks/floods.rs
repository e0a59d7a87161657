//! Attackers that are many.

use std::io;
use std::time::Instant;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{PATIENCE, Tally, Target, admin_door, bump, hold, peer_door, read_on, some_answer};
use crate::session::HANDSHAKE;

/// Clients of the reconnect storm.
const STORM: u64 = 5000;
/// The first bytes of a TLS handshake, whose rest never comes.
const CLIENT_HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

pub(super) const UPGRADE: &str = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\n\
    Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

const ONE_REQUEST: &str = "GET /at-once HTTP/1.1\r\nHost: a\r\n\r\n";

pub(super) async fn idle(target: Target) -> String {
    let tally = hold(target, target.door, 6000, None, async |stream: TcpStream, _: &Tally| {
        ask_and_stay(stream, ONE_REQUEST).await
    });
    tally.await.held()
}

pub(super) async fn few_descriptors(target: Target) -> String {
    let tally = hold(target, target.door, 1000, None, async |stream: TcpStream, _: &Tally| {
        ask_and_stay(stream, ONE_REQUEST).await
    });
    tally.await.held()
}

pub(super) async fn websockets(target: Target) -> String {
    let tally = hold(target, target.door, 4096, None, async |stream: TcpStream, _: &Tally| {
        ask_and_stay(stream, UPGRADE).await
    });
    tally.await.held()
}

pub(super) async fn peers(target: Target) -> String {
    let tally = hold(target, peer_door(), 6000, None, async |mut stream: TcpStream, tally: &Tally| {
        if tally.opened.get().is_multiple_of(2) {
            stream.write_all(CLIENT_HELLO).await?;
        }
        read_on(&mut stream).await
    });
    tally.await.held()
}

pub(super) async fn admin(target: Target) -> String {
    let half_a_head = format!("GET /readyz HTTP/1.1\r\nHost: a\r\nX-Large: {}", "x".repeat(60_000));
    let tally = hold(target, admin_door(), 3000, None, async move |mut stream: TcpStream, tally: &Tally| {
        if tally.opened.get().is_multiple_of(2) {
            stream.write_all(half_a_head.as_bytes()).await?;
        }
        read_on(&mut stream).await
    });
    tally.await.held()
}

pub(super) async fn storm(target: Target) -> String {
    let began = Instant::now();
    let last = std::rc::Rc::new(std::cell::Cell::new(began));
    let noted = last.clone();
    let tally = hold(target, target.door, 5000, None, async move |mut stream: TcpStream, tally: &Tally| {
        stream.write_all(format!("GET {HANDSHAKE} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await?;
        if some_answer(&mut stream, PATIENCE).await? && tally.done.get() < STORM {
            bump(&tally.done);
            noted.set(Instant::now());
        }
        // One session each.
        std::future::pending::<io::Result<()>>().await
    });
    let done = tally.await.done.get();
    format!("{done} of {STORM} sessions opened within {:.1} s", (last.get() - began).as_secs_f64())
}

/// Sends one request, and keeps the connection until the other side ends it.
async fn ask_and_stay(mut stream: TcpStream, request: &str) -> io::Result<()> {
    stream.write_all(request.as_bytes()).await?;
    read_on(&mut stream).await
}
