//! Notices when the kernel holds much for a reader that takes nothing.
//!
//! An answer that the kernel takes whole leaves nothing in an [`super::Outbox`]. Without a look at the kernel, thousands
//! of readers that take nothing, or acknowledge nothing, would hold some 85 KiB each, and no budget would know.
//!
//! # Invariants
//! - The kernel holds no more bytes of those that were written than [`Settle`] counts, by its own measure.
//! - The kernel is asked once in half a free share of written bytes, and only when nothing more is to be written at once.
//! - While a connection settles, its task is woken when the kernel has room again. No timer is needed for that.

use std::task::{Context, Poll};
use std::time::Duration;

use super::Stream;
use super::budget::{Budget, KERNEL_RECEIVE_BYTES, KERNEL_SEND_BYTES};
use super::stall::Wait;

/// Bytes of the kernel's own for each piece that is sent.
const OVERHEAD: usize = 1024;

/// Longest time for which a connection settles. The budget ends it before, when it runs short, and TCP when the other
/// side acknowledges nothing.
pub(super) const SETTLE_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// Set while the kernel is asked to tell when it holds few.
const ASKED: u32 = 1 << 31;

/// What the kernel may hold of the bytes written to a connection: their number, its overhead included, and [`ASKED`]. One
/// number keeps idle connections small.
#[derive(Debug, Default)]
pub(crate) struct Settle(u32);

impl Settle {
    /// Takes note of bytes that were written.
    pub(crate) fn note(&mut self, written: u64) {
        if written == 0 {
            return;
        }
        // Small pieces may share their overhead. Beyond what the kernel can hold, only bytes show that some have gone.
        let overhead = if self.counted() < KERNEL_SEND_BYTES { OVERHEAD } else { 0 };
        let written = usize::try_from(written).unwrap_or(usize::MAX);
        self.0 = (self.0 & ASKED) | number(self.counted().saturating_add(written).saturating_add(overhead));
    }

    /// Reports whether the kernel holds more than is free, as far as it was asked.
    pub(crate) fn is_settling(&self) -> bool {
        self.0 & ASKED != 0
    }

    /// Ready when the kernel holds no more than is free, or the connection has broken, which writing to it shows.
    /// While it is pending, [`Self::interrupt`] has to be called before more is written.
    pub(crate) fn poll(&mut self, stream: &Stream, budget: &Budget, cx: &mut Context<'_>) -> Poll<()> {
        let free = budget.free();
        if self.counted() <= free && !self.is_settling() {
            return Poll::Ready(());
        }
        // As much may stay. So some more is written until the kernel is asked again.
        let few = free / 2;
        if stream.poll_holds_few(few, cx).is_pending() {
            self.0 |= ASKED;
            return Poll::Pending;
        }
        *self = Self(number(few));
        Poll::Ready(())
    }

    /// The cause for which a connection waits that settles. `is_unread`: the kernel may hold as much from the other side.
    pub(crate) fn wait(&mut self, is_unread: bool) -> Wait {
        // The kernel takes more only when the other side has acknowledged as much of what it held before.
        let renewed = self.counted() > 2 * KERNEL_SEND_BYTES;
        if renewed {
            self.0 = (self.0 & ASKED) | number(KERNEL_SEND_BYTES);
        }
        let unread = if is_unread { KERNEL_RECEIVE_BYTES } else { 0 };
        Wait::Kernel { held: self.counted().min(KERNEL_SEND_BYTES) + unread, renewed }
    }

    /// Lets the kernel take as much as ever, since more is written.
    pub(crate) fn interrupt(&mut self, stream: &Stream) {
        if self.is_settling() {
            self.0 &= !ASKED;
            stream.end_settling();
        }
    }

    fn counted(&self) -> usize {
        (self.0 & !ASKED) as usize
    }
}

/// A number of bytes, as [`Settle`] keeps it.
fn number(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX).min(ASKED - 1)
}

#[cfg(test)]
mod tests {
    use super::super::budget::tests::budget;
    use super::*;
    use std::future::poll_fn;
    use std::time::Instant;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    /// A budget with a free share of 16 KiB.
    fn share() -> Budget {
        budget(4 * 16 * 1024)
    }

    /// Both ends of a connection, the second with a small window.
    async fn pair() -> (Stream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let reader = socket.connect(listener.local_addr().unwrap()).await.unwrap();
        let (writer, _) = listener.accept().await.unwrap();
        super::super::tune(&writer, Duration::from_secs(60)).unwrap();
        let writer = Stream::Tcp(writer);
        writer.end_settling();
        (writer, reader)
    }

    /// Writes as much as the kernel takes at once, and takes note of that.
    fn write(writer: &Stream, settle: &mut Settle) -> usize {
        let Stream::Tcp(tcp) = writer else { panic!() };
        let mut written = 0;
        while let Ok(more) = tcp.try_write(&[b'x'; 10_000]) {
            written += more;
        }
        settle.note(written as u64);
        written
    }

    async fn is_settled(settle: &mut Settle, stream: &Stream) -> bool {
        poll_fn(|cx| Poll::Ready(settle.poll(stream, &share(), cx).is_ready())).await
    }

    async fn settled(settle: &mut Settle, stream: &Stream) {
        let budget = share();
        let settled = poll_fn(|cx| settle.poll(stream, &budget, cx));
        tokio::time::timeout(Duration::from_secs(10), settled).await.expect("the task is woken");
    }

    #[tokio::test]
    async fn what_the_reader_takes_settles_and_what_stays_in_the_kernel_does_not() {
        let (writer, mut reader) = pair().await;
        let mut settle = Settle::default();
        writer.tcp().writable().await.unwrap();
        let written = write(&writer, &mut settle);
        assert!((50_000..=200_000).contains(&written), "{written}");
        assert!(!is_settled(&mut settle, &writer).await);
        assert!(settle.is_settling());
        assert!(settle.counted() > written);
        let reading = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let mut taken = vec![0; written];
            reader.read_exact(&mut taken).await.unwrap();
            reader
        });
        let started = Instant::now();
        settled(&mut settle, &writer).await;
        assert!(started.elapsed() >= Duration::from_millis(90), "{:?}", started.elapsed());
        assert!(!settle.is_settling());
        assert_eq!(settle.counted(), 8 * 1024, "as much may be left");
        let _reader = reading.await.unwrap();
    }

    #[tokio::test]
    async fn few_bytes_are_not_asked_for_and_a_broken_connection_is_settled() {
        let (mut writer, reader) = pair().await;
        let mut settle = Settle::default();
        writer.write_all(&[b'x'; 50_000]).await.unwrap();
        settle.note(15 * 1024);
        assert!(is_settled(&mut settle, &writer).await, "so few are not asked for");
        settle.note(1);
        assert!(!is_settled(&mut settle, &writer).await, "each write takes room of its own");
        drop(reader);
        settled(&mut settle, &writer).await;
    }

    #[tokio::test]
    async fn after_an_interruption_the_kernel_takes_as_much_as_before() {
        let (mut writer, _reader) = pair().await;
        let mut settle = Settle::default();
        writer.write_all(&[b'x'; 30_000]).await.unwrap();
        settle.note(30_000);
        assert!(!is_settled(&mut settle, &writer).await);
        assert_eq!(write(&writer, &mut settle), 0);
        settle.interrupt(&writer);
        // The runtime hears of the room first.
        tokio::time::timeout(Duration::from_secs(10), writer.tcp().writable()).await.expect("room").unwrap();
        assert!(write(&writer, &mut settle) >= 20_000);
    }

    fn waits(settle: &mut Settle, is_unread: bool) -> (usize, bool) {
        let Wait::Kernel { held, renewed } = settle.wait(is_unread) else { panic!() };
        (held, renewed)
    }

    #[test]
    fn a_reader_that_has_taken_what_the_kernel_held_begins_anew() {
        let mut settle = Settle::default();
        settle.note(100_000);
        assert_eq!(waits(&mut settle, false), (101_024, false));
        settle.note(100_000);
        assert_eq!(waits(&mut settle, false), (KERNEL_SEND_BYTES, false), "the kernel takes no more");
        settle.note(70_000);
        assert_eq!(waits(&mut settle, false), (KERNEL_SEND_BYTES, true));
        assert_eq!(waits(&mut settle, true), (KERNEL_SEND_BYTES + KERNEL_RECEIVE_BYTES, false), "once");
        for _ in 0..1000 {
            settle.note(100);
        }
        assert_eq!(
            waits(&mut settle, false),
            (KERNEL_SEND_BYTES, false),
            "small pieces may share their overhead"
        );
        settle.note(u64::MAX / 2);
        assert_eq!(waits(&mut settle, false), (KERNEL_SEND_BYTES, true));
    }
}
