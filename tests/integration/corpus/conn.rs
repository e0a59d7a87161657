//! A raw client's connection, which reads answers as strictly as RFC 9112 allows and reports what is wrong.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::format::{Step, encode};

/// Longest wait for bytes that should come at once, on a machine that is busy.
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// A `wait` of the corpus.
pub(super) const PAUSE: Duration = Duration::from_millis(60);

/// A connection and the bytes that were read ahead.
#[derive(Debug)]
pub(super) struct Conn {
    stream: TcpStream,
    ahead: Vec<u8>,
}

/// A message's head.
#[derive(Debug, Clone, Default)]
pub(super) struct Head {
    pub(super) line: String,
    pub(super) fields: Vec<(String, String)>,
}

/// An answer.
#[derive(Clone, Default)]
pub(super) struct Answer {
    pub(super) interim: Vec<u16>,
    pub(super) status: u16,
    pub(super) head: Head,
    pub(super) body: Vec<u8>,
    pub(super) trailers: Vec<(String, String)>,
    /// The connection ended before the answer did.
    pub(super) cut: bool,
}

impl Head {
    fn parse(text: &[u8]) -> Result<Self, String> {
        let text = latin1(text);
        let mut lines = text.split("\r\n");
        let line = lines.next().unwrap_or_default().to_owned();
        let fields = lines.map(|line| {
            let (name, value) = line.split_once(':').ok_or_else(|| format!("no field: {line:?}"))?;
            Ok::<_, String>((name.to_owned(), value.trim().to_owned()))
        });
        Ok(Self { line, fields: fields.collect::<Result<_, _>>()? })
    }

    /// All values of the fields of this name.
    pub(super) fn values<'h>(&'h self, name: &'h str) -> impl Iterator<Item = &'h str> {
        let fields = self.fields.iter().filter(move |(field, _)| field.eq_ignore_ascii_case(name));
        fields.map(|(_, value)| value.as_str())
    }

    /// True where `Connection` says that the connection ends.
    pub(super) fn closes(&self) -> bool {
        self.values("connection").any(|value| value.eq_ignore_ascii_case("close"))
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { interim, status, head, body, trailers, cut } = self;
        let body = short(body);
        write!(f, "{status} {:?} {body:?}, interim {interim:?}, trailers {trailers:?}", head.fields)?;
        f.write_str(if *cut { ", cut" } else { "" })
    }
}

impl Conn {
    pub(super) async fn to(address: SocketAddr) -> Result<Self, String> {
        let connected = timeout(LONGEST_WAIT, TcpStream::connect(address)).await;
        let stream = connected.map_err(|_| "no connection")?.map_err(|error| error.to_string())?;
        Ok(Self::new(stream))
    }

    pub(super) fn new(stream: TcpStream) -> Self {
        // Only slower without it.
        let _ = stream.set_nodelay(true);
        Self { stream, ahead: Vec::new() }
    }

    /// Plays `steps`, and sends `behind` together with the last bytes.
    pub(super) async fn play(
        &mut self,
        steps: &[Step],
        names: &[(&str, &str)],
        behind: &str,
    ) -> Result<(), String> {
        for (at, step) in steps.iter().enumerate() {
            match step {
                Step::Send(text) => {
                    let mut bytes = encode(text, names)?;
                    if at + 1 == steps.len() {
                        bytes.extend_from_slice(behind.as_bytes());
                    }
                    self.send(&bytes).await;
                }
                Step::Wait => sleep(PAUSE).await,
                Step::End => {
                    let _ = self.stream.shutdown().await;
                }
            }
        }
        Ok(())
    }

    /// Sends to a side that may be gone.
    pub(super) async fn send(&mut self, bytes: &[u8]) {
        let _ = timeout(LONGEST_WAIT, self.stream.write_all(bytes)).await;
    }

    /// Reads once; false at the end, be it a clean one or a reset.
    async fn read(&mut self) -> Result<bool, String> {
        match timeout(LONGEST_WAIT, self.stream.read_buf(&mut self.ahead)).await {
            Ok(read) => Ok(matches!(read, Ok(1..))),
            Err(_) => Err(format!("nothing came, after {:?}", short(&self.ahead))),
        }
    }

    /// Reads a head, or nothing where the connection ends before its first byte.
    pub(super) async fn head(&mut self) -> Result<Option<Head>, String> {
        loop {
            if let Some(at) = self.ahead.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let head: Vec<u8> = self.ahead.drain(..at + 4).collect();
                return Head::parse(&head[..at]).map(Some);
            }
            if !self.read().await? {
                return if self.ahead.is_empty() {
                    Ok(None)
                } else {
                    Err(format!("half a head: {:?}", short(&self.ahead)))
                };
            }
        }
    }

    /// Reads so many bytes; fewer where the connection ends.
    pub(super) async fn exactly(&mut self, count: usize) -> Result<Vec<u8>, String> {
        while self.ahead.len() < count && self.read().await? {}
        let count = count.min(self.ahead.len());
        Ok(self.ahead.drain(..count).collect())
    }

    /// Reads to the end.
    pub(super) async fn rest(&mut self) -> Result<Vec<u8>, String> {
        while self.read().await? {}
        Ok(std::mem::take(&mut self.ahead))
    }

    /// Reads a line without its CRLF, or nothing where the connection ends before its end.
    async fn line(&mut self) -> Result<Option<Vec<u8>>, String> {
        loop {
            if let Some(at) = self.ahead.windows(2).position(|bytes| bytes == b"\r\n") {
                let line: Vec<u8> = self.ahead.drain(..at + 2).collect();
                return Ok(Some(line[..at].to_vec()));
            }
            if !self.read().await? {
                return Ok(None);
            }
        }
    }

    /// Reads the final answer and the interim ones before it; nothing where there is none.
    pub(super) async fn answer(&mut self, to_head: bool) -> Result<Option<Answer>, String> {
        let mut answer = Answer::default();
        loop {
            let Some(head) = self.head().await? else { return Ok(None) };
            let status = head.line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
            let status = status.and_then(|status| status.parse().ok());
            answer.status = status.ok_or_else(|| format!("no status line: {:?}", head.line))?;
            answer.head = head;
            if answer.status == 101 || answer.status >= 200 {
                break;
            }
            answer.interim.push(answer.status);
        }
        if to_head || matches!(answer.status, 101 | 204 | 304) {
            return Ok(Some(answer));
        }
        let lengths: Vec<String> = answer.head.values("content-length").map(str::to_owned).collect();
        let codings: Vec<String> = answer.head.values("transfer-encoding").map(str::to_owned).collect();
        match (&lengths[..], &codings[..]) {
            ([length], []) => {
                let length = length.parse().map_err(|_| format!("Content-Length: {length}"))?;
                answer.body = self.exactly(length).await?;
                answer.cut = answer.body.len() < length;
            }
            ([], [coding]) if coding.eq_ignore_ascii_case("chunked") => self.chunks(&mut answer).await?,
            ([], []) if answer.head.closes() => answer.body = self.rest().await?,
            _ => return Err(format!("the body of this answer has no one end: {:?}", answer.head)),
        }
        Ok(Some(answer))
    }

    async fn chunks(&mut self, answer: &mut Answer) -> Result<(), String> {
        answer.cut = true;
        loop {
            let Some(size) = self.line().await? else { return Ok(()) };
            let text = latin1(&size);
            if text.is_empty() || text.len() > 15 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(format!("a chunk of size {text:?}"));
            }
            let size = usize::from_str_radix(&text, 16).map_err(|error| error.to_string())?;
            if size == 0 {
                break;
            }
            let mut chunk = self.exactly(size + 2).await?;
            if chunk.len() < size + 2 {
                answer.body.extend_from_slice(&chunk[..chunk.len().min(size)]);
                return Ok(());
            }
            if chunk.split_off(size) != b"\r\n" {
                return Err("a chunk without its end".to_owned());
            }
            answer.body.extend(chunk);
        }
        let mut trailers = vec![b"".to_vec()];
        loop {
            match self.line().await? {
                None => return Ok(()),
                Some(line) if line.is_empty() => break,
                Some(line) => trailers.push(line),
            }
        }
        answer.trailers = Head::parse(&trailers.join(&b"\r\n"[..]))?.fields;
        answer.cut = false;
        Ok(())
    }
}

/// Bytes as characters, one each.
pub(super) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// The first of `bytes`, for messages.
pub(super) fn short(bytes: &[u8]) -> String {
    latin1(&bytes[..bytes.len().min(300)])
}
