//! Attackers that are few, and send what costs most, as fast as they can.

use std::cell::Cell;
use std::io;
use std::time::Duration;

use support::hostile::corpus;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::floods::UPGRADE;
use super::{PATIENCE, Tally, Target, bump, hold, read_on, some_answer};
use crate::session::HANDSHAKE;

/// Connections of attackers at full speed.
const FEW: usize = 4;
/// Frames or chunks in one write.
const BATCH: usize = 1000;
/// Longest wait for an answer that some requests never get.
const NO_ANSWER: Duration = Duration::from_millis(100);

pub(super) async fn heads(target: Target) -> String {
    let (fits, too_large) = (large_head(31_000), large_head(34_000));
    let turn = Cell::new(0_u32);
    let tally = hold(target, target.door, FEW, None, async move |mut stream: TcpStream, tally: &Tally| {
        loop {
            turn.set(turn.get().wrapping_add(1));
            let head = if turn.get().is_multiple_of(4) { &too_large } else { &fits };
            ask(&mut stream, head.as_bytes(), tally).await?;
        }
    });
    requests(tally.await.as_ref())
}

pub(super) async fn options(target: Target) -> String {
    let fields: String = (0..90).map(|number| format!("X{number}: x\r\n")).collect();
    let options = "b,".repeat(7000);
    let head = format!("GET /healthz HTTP/1.1\r\nHost: a\r\n{fields}Connection: x,{options}b\r\n\r\n");
    let tally = hold(target, target.door, FEW, None, async move |mut stream: TcpStream, tally: &Tally| {
        loop {
            ask(&mut stream, head.as_bytes(), tally).await?;
        }
    });
    requests(tally.await.as_ref())
}

pub(super) async fn chunks(target: Target) -> String {
    let batch = "1\r\nx\r\n".repeat(BATCH);
    let tally = hold(target, target.door, FEW, None, async move |mut stream: TcpStream, tally: &Tally| {
        stream.write_all(b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await?;
        loop {
            stream.write_all(batch.as_bytes()).await?;
            bump(&tally.done);
        }
    });
    format!("{} thousand chunks", tally.await.done.get())
}

pub(super) async fn spoiled(target: Target) -> String {
    let attacks = [corpus("/at-once"), corpus(&format!("{HANDSHAKE}&sid=unknown"))].concat();
    let turn = Cell::new(0_usize);
    let tally = hold(target, target.door, FEW, None, async move |mut stream: TcpStream, tally: &Tally| {
        loop {
            turn.set(turn.get() + 1);
            let Some(attack) = attacks.get(turn.get() % attacks.len()) else { return Ok(()) };
            let whole = [&attack.head[..], &attack.body].concat();
            if attack.aborts {
                bump(&tally.done);
                return stream.write_all(&whole).await;
            }
            stream.write_all(&whole).await?;
            bump(&tally.done);
            if !some_answer(&mut stream, NO_ANSWER).await? {
                return Ok(());
            }
        }
    });
    requests(tally.await.as_ref())
}

pub(super) async fn pings(target: Target) -> String {
    // A masked ping without payload (RFC 6455 section 5.5.2).
    let batch = [0x89, 0x80, 0, 0, 0, 0].repeat(BATCH);
    let tally = hold(target, target.door, FEW, None, async move |mut stream: TcpStream, tally: &Tally| {
        stream.write_all(UPGRADE.as_bytes()).await?;
        let (mut reads, mut writes) = stream.split();
        let writing = async {
            loop {
                writes.write_all(&batch).await?;
                bump(&tally.done);
            }
        };
        tokio::select! {
            ended = read_on(&mut reads) => ended,
            failed = writing => failed,
        }
    });
    format!("{} thousand pings", tally.await.done.get())
}

pub(super) async fn tags(target: Target) -> String {
    let seed = Cell::new(1_u64);
    let tally = hold(target, target.door, FEW, None, async move |mut stream: TcpStream, tally: &Tally| {
        loop {
            let (sid, tag) = (letters(&seed, 20), letters(&seed, 42));
            let request = format!("GET {HANDSHAKE}&sid={sid}.{tag} HTTP/1.1\r\nHost: a\r\n\r\n");
            ask(&mut stream, request.as_bytes(), tally).await?;
        }
    });
    requests(tally.await.as_ref())
}

async fn ask(stream: &mut TcpStream, request: &[u8], tally: &Tally) -> io::Result<()> {
    stream.write_all(request).await?;
    bump(&tally.done);
    if some_answer(stream, PATIENCE).await? { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn requests(tally: &Tally) -> String {
    format!("{} requests on {} connections", tally.done.get(), tally.opened.get())
}

/// A head of about so many bytes in 250 fields: by default a sidecar takes 32 KiB and 256 fields.
fn large_head(bytes: usize) -> String {
    let value = "x".repeat(bytes / 250 - 9);
    let fields: String = (0..249).map(|number| format!("X-{number:03}: {value}\r\n")).collect();
    format!("GET /healthz HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

/// Letters that look random (xorshift), and differ each time.
fn letters(seed: &Cell<u64>, count: usize) -> String {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let next = || {
        let mut state = seed.get();
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        seed.set(state);
        let letter = ALPHABET.get(usize::try_from(state >> 58).unwrap_or(0));
        char::from(letter.copied().unwrap_or(b'A'))
    };
    std::iter::repeat_with(next).take(count).collect()
}
