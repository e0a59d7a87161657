//! A connection and what it has said that is not understood yet.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};

use super::{READ_SIZE, Stream};

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_SIZE]);
}

/// Longest wait for the other side to take note that we have closed.
const LINGER: Duration = Duration::from_secs(1);
/// Most bytes read and thrown away meanwhile.
const LINGER_BYTES: usize = 1 << 20;

/// A connection, and the bytes read from it that nobody has taken.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) stream: Stream,
    inbox: Vec<u8>,
    taken: usize,
}

impl Conn {
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream, inbox: Vec::new(), taken: 0 }
    }

    /// What was read and not taken.
    pub(crate) fn inbox(&self) -> &[u8] {
        &self.inbox[self.taken..]
    }

    /// Takes the first `count` bytes of the inbox away.
    pub(crate) fn take(&mut self, count: usize) {
        self.taken += count;
        if self.taken >= self.inbox.len() {
            // Freed, not kept: idle connections hold no memory.
            self.inbox = Vec::new();
            self.taken = 0;
        }
    }

    /// Reads once and adds to the inbox what came: 0 bytes at the end of the stream.
    ///
    /// The caller bounds the inbox by not calling this when it holds enough.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.poll_pass(cx, |bytes, inbox, _| {
            inbox.extend_from_slice(bytes);
            bytes.len()
        })
    }

    /// As [`Self::poll_fill`]. Cancel safe: no byte is lost when the future is dropped.
    pub(crate) async fn fill(&mut self) -> io::Result<usize> {
        std::future::poll_fn(|cx| self.poll_fill(cx)).await
    }

    /// Reads once and hands `through` what came (nothing at the end of the stream), with the inbox as
    /// the place for what it does not pass on. To be called only while the inbox is empty, unless what
    /// came is added behind what is there.
    pub(crate) fn poll_pass<T>(
        &mut self,
        cx: &mut Context<'_>,
        through: impl FnOnce(&[u8], &mut Vec<u8>, &mut Context<'_>) -> T,
    ) -> Poll<io::Result<T>> {
        let Self { stream, inbox, .. } = self;
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buf = ReadBuf::new(scratch);
            ready!(Pin::new(stream).poll_read(cx, &mut buf))?;
            Poll::Ready(Ok(through(buf.filled(), inbox, cx)))
        })
    }

    /// True while nothing was said and the other side has not closed: the state in which a pooled
    /// connection must be to be used again.
    pub(crate) fn is_quiet(&mut self) -> bool {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        self.inbox().is_empty() && self.poll_fill(&mut cx).is_pending()
    }

    /// Closes so that the other side sees a broken connection, not the end of a stream.
    pub(crate) fn abort(self) {
        if let Stream::Tcp(stream) = &self.stream {
            // If it cannot be set, the connection is broken already. (A TLS stream that ends without
            // its closing alert counts as broken by itself.)
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
        }
    }

    /// Closes in a way that lets the other side read what was sent last: says that no more will come,
    /// and throws away what still arrives, for a bounded time. Closing with unread bytes would reset
    /// the connection and could take the answer along (RFC 9112 section 9.6).
    pub(crate) async fn linger(mut self) {
        let discard = async {
            self.stream.shutdown().await?;
            let mut left = LINGER_BYTES;
            while left > 0 {
                let read = std::future::poll_fn(|cx| self.poll_pass(cx, |bytes, _, _| bytes.len())).await?;
                if read == 0 {
                    break;
                }
                left = left.saturating_sub(read);
            }
            io::Result::Ok(())
        };
        // It is closed either way.
        let _ = tokio::time::timeout(LINGER, discard).await;
    }
}
