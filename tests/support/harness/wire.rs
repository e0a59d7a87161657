//! HTTP byte by byte, from either side.

use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::WAIT;

/// Anything that carries bytes both ways.
pub trait Carrier: AsyncRead + AsyncWrite + Unpin + Send + Debug {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + Debug> Carrier for T {}

/// A connection, and what was read from it ahead.
#[derive(Debug)]
pub struct Wire {
    carrier: Box<dyn Carrier>,
    ahead: Vec<u8>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The whole head, with its empty line.
    pub head: String,
    /// The body, without chunk framing.
    pub body: Vec<u8>,
}

/// `GET target`.
#[must_use]
pub fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n")
}

/// `POST target`, with a body as Engine.IO clients send it.
#[must_use]
pub fn post(target: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST {target} HTTP/1.1\r\nHost: test\r\nContent-Type: text/plain;charset=UTF-8\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// Sends one request on a connection of its own.
pub async fn ask(to: SocketAddr, request: &str) -> Answer {
    let mut wire = Wire::connect(to).await;
    wire.send(request).await;
    wire.answer().await
}

impl Wire {
    /// A new connection.
    pub async fn connect(to: SocketAddr) -> Self {
        let stream = timeout(WAIT, TcpStream::connect(to)).await.expect("a connection within the wait");
        let stream = stream.unwrap_or_else(|error| panic!("cannot connect to {to}: {error}"));
        stream.set_nodelay(true).expect("it is connected");
        Self::new(stream)
    }

    /// A connection that is there.
    #[must_use]
    pub fn new(carrier: impl Carrier + 'static) -> Self {
        Self { carrier: Box::new(carrier), ahead: Vec::new() }
    }

    /// A connection of which something was read already.
    #[must_use]
    pub fn with_ahead(carrier: impl Carrier + 'static, ahead: Vec<u8>) -> Self {
        Self { carrier: Box::new(carrier), ahead }
    }

    /// Sends.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).await.expect("the other side takes it");
    }

    /// Sends to a side that takes its time, without a limit.
    pub async fn send_patiently(&mut self, bytes: &[u8]) {
        self.carrier.write_all(bytes).await.expect("the other side takes it");
    }

    /// Sends to a side that may be gone.
    ///
    /// # Errors
    /// The connection's.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        let sent = timeout(WAIT, async {
            self.carrier.write_all(bytes.as_ref()).await?;
            self.carrier.flush().await
        });
        sent.await.expect("the other side takes what is sent to it")
    }

    /// Says that nothing more will be sent.
    pub async fn finish(&mut self) {
        self.carrier.shutdown().await.expect("the connection is open");
    }

    /// Reads once; 0 bytes at the end.
    async fn read(&mut self) -> io::Result<usize> {
        timeout(WAIT, self.carrier.read_buf(&mut self.ahead)).await.unwrap_or_else(|_| {
            panic!("nothing came within the wait, after {:?}", String::from_utf8_lossy(&self.ahead))
        })
    }

    async fn more(&mut self) {
        let read = self.read().await;
        let so_far = || String::from_utf8_lossy(&self.ahead).chars().take(2000).collect::<String>();
        assert!(matches!(read, Ok(1..)), "the connection ended ({read:?}) after {:?}", so_far());
    }

    /// Reads a head, with its empty line.
    pub async fn head(&mut self) -> String {
        loop {
            if let Some(at) = find(&self.ahead, b"\r\n\r\n") {
                let head = self.ahead.drain(..at + 4).collect();
                return String::from_utf8(head).expect("heads are text here");
            }
            self.more().await;
        }
    }

    /// Waits for the first byte of what comes next; false at the end.
    pub async fn has_more(&mut self) -> bool {
        // Without a limit: a connection may be idle for as long as the test runs.
        !self.ahead.is_empty() || matches!(self.carrier.read_buf(&mut self.ahead).await, Ok(1..))
    }

    /// Reads so many bytes.
    pub async fn exactly(&mut self, count: usize) -> Vec<u8> {
        while self.ahead.len() < count {
            self.more().await;
        }
        self.ahead.drain(..count).collect()
    }

    /// Reads exactly this.
    pub async fn expect(&mut self, text: &str) {
        let read = self.exactly(text.len()).await;
        assert_eq!(String::from_utf8_lossy(&read), text);
    }

    /// Reads the answer to a request other than HEAD; an interim one too.
    pub async fn answer(&mut self) -> Answer {
        let head = self.head().await;
        let body = match status_of(&head) {
            100..200 | 204 | 304 => Vec::new(),
            _ => self.body(&head).await,
        };
        Answer { status: status_of(&head), head, body }
    }

    /// Reads the answer to a HEAD request.
    pub async fn answer_to_head(&mut self) -> Answer {
        let head = self.head().await;
        Answer { status: status_of(&head), head, body: Vec::new() }
    }

    /// Reads the body that `head`, of a request or an answer, announces.
    pub async fn body(&mut self, head: &str) -> Vec<u8> {
        if let Some(length) = header(head, "content-length") {
            return self.exactly(length.parse().expect("a length is a number")).await;
        }
        if header(head, "transfer-encoding").is_some() {
            let mut body = Vec::new();
            loop {
                let size = self.line().await;
                let size = usize::from_str_radix(size.split(';').next().unwrap_or_default(), 16);
                let chunk = self.exactly(size.expect("a chunk has a size")).await;
                if chunk.is_empty() {
                    while !self.line().await.is_empty() {}
                    return body;
                }
                body.extend(chunk);
                assert_eq!(self.exactly(2).await, b"\r\n");
            }
        }
        if head.starts_with("HTTP/") { self.rest().await } else { Vec::new() }
    }

    async fn line(&mut self) -> String {
        loop {
            if let Some(at) = find(&self.ahead, b"\r\n") {
                let line: Vec<u8> = self.ahead.drain(..at + 2).collect();
                return String::from_utf8(line[..at].to_vec()).expect("lines are text");
            }
            self.more().await;
        }
    }

    /// Reads to the end, be it a clean one or a reset.
    pub async fn rest(&mut self) -> Vec<u8> {
        while let Ok(1..) = self.read().await {}
        std::mem::take(&mut self.ahead)
    }

    /// Waits for the end, before which nothing more may come.
    pub async fn ended(&mut self) {
        let rest = self.rest().await;
        assert!(rest.is_empty(), "{:?}", String::from_utf8_lossy(&rest));
    }

    /// Makes sure that nothing comes, and that it stays open, for a moment.
    pub async fn is_silent(&mut self, moment: std::time::Duration) {
        let read = timeout(moment, self.carrier.read_buf(&mut self.ahead)).await;
        assert!(read.is_err(), "{read:?}: {:?}", String::from_utf8_lossy(&self.ahead));
    }
}

impl Answer {
    /// A field's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("the body is text")
    }

    /// Engine.IO's own "Session ID unknown".
    #[must_use]
    pub fn is_unknown_session(&self) -> bool {
        self.status == 400 && self.text() == r#"{"code":1,"message":"Session ID unknown"}"#
    }
}

/// The value of the first field of that name.
#[must_use]
pub fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().skip(1).find_map(|line| {
        let (field, value) = line.split_once(':')?;
        field.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

fn status_of(head: &str) -> u16 {
    head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{head:?}"))
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
