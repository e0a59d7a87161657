//! Bytes that are still to be written to a connection.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use super::{READ_SIZE, Stream};

/// Bytes on their way into a stream. Dropping it loses them: only a connection that is given up may
/// have its outbox dropped.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    at: usize,
    /// A TLS stream may hold a record back.
    unflushed: bool,
    written: u64,
    /// Bytes that were written stay, to be written again.
    retained: bool,
}

impl Outbox {
    /// Makes an outbox with `bytes` to write.
    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        Self { bytes, ..Self::default() }
    }

    /// True when everything has been handed to the kernel.
    pub(crate) fn is_empty(&self) -> bool {
        self.at == self.bytes.len() && !self.unflushed
    }

    /// Bytes of memory that are held. What a TLS stream holds back counts as one read.
    pub(crate) fn held(&self) -> usize {
        self.bytes.capacity() + if self.unflushed { READ_SIZE } else { 0 }
    }

    /// False where provably nothing was sent though writing to `stream` has failed. A TLS stream may have sent a record
    /// before it failed.
    pub(crate) fn may_have_sent(&self, stream: &Stream) -> bool {
        self.written > 0 || matches!(stream, Stream::Tls(_))
    }

    /// Returns the number of bytes that the stream has taken so far.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Keeps what is written from now on, until [`Self::release`].
    pub(crate) fn retain(&mut self) {
        self.retained = true;
    }

    /// Frees what was written and kept.
    pub(crate) fn release(&mut self) {
        if std::mem::take(&mut self.retained) {
            self.bytes.drain(..std::mem::take(&mut self.at));
            self.bytes.shrink_to_fit();
        }
    }

    /// Makes everything that was kept to be written again, to another stream; false when nothing was kept.
    pub(crate) fn rewind(&mut self) -> bool {
        let retained = std::mem::take(&mut self.retained);
        if retained {
            *self = Self::of(std::mem::take(&mut self.bytes));
        }
        retained
    }

    /// Adds bytes, to be written together with what else is here.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The buffer itself, to append a head to.
    pub(crate) fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Writes `bytes` at once if nothing is waiting, and keeps what the stream does not take.
    pub(crate) fn write_through(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> io::Result<()> {
        if self.at < self.bytes.len() {
            self.push(bytes);
            return Ok(());
        }
        let taken = match Pin::new(&mut *stream).poll_write(cx, bytes) {
            Poll::Ready(taken) => taken?,
            Poll::Pending => 0,
        };
        self.note(taken, stream);
        self.push(&bytes[taken..]);
        if taken == bytes.len() {
            let _ = self.poll_flush(stream, cx)?;
        }
        Ok(())
    }

    /// Writes what is waiting; ready when nothing is.
    ///
    /// # Errors
    /// The stream's; it is then of no further use.
    pub(crate) fn poll_drain(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.at < self.bytes.len() {
            let taken = ready!(Pin::new(&mut *stream).poll_write(cx, &self.bytes[self.at..]))?;
            if taken == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.at += taken;
            self.note(taken, stream);
        }
        if !self.retained {
            // Freed, not kept: idle connections hold no memory.
            self.bytes = Vec::new();
            self.at = 0;
        }
        self.poll_flush(stream, cx)
    }

    fn poll_flush(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.unflushed {
            ready!(Pin::new(stream).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn note(&mut self, taken: usize, stream: &Stream) {
        self.written += taken as u64;
        self.unflushed |= taken > 0 && matches!(stream, Stream::Tls(_));
    }
}
