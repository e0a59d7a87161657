//! Notices when the kernel holds much for a reader that takes nothing.
//!
//! An answer that the kernel takes whole leaves nothing in an [`super::Outbox`]. Without a look at the kernel, thousands
//! of readers that take nothing would hold some 200 KiB each, and no budget would know.
//!
//! # Invariants
//! - The kernel is asked once in [`UNSEEN_BYTES`] written bytes, and only when nothing more is to be written at once.
//! - While a connection settles, its task is woken when the kernel has room again. No timer is needed for that.

use std::task::{Context, Poll};
use std::time::Duration;

use super::Stream;

/// Bytes that may be written without a look at what the kernel holds.
const UNSEEN_BYTES: u32 = 16 * 1024;

/// Longest time for which a connection settles. The budget ends it before, when it runs short, and TCP when the other
/// side acknowledges nothing.
pub(super) const SETTLE_TIMEOUT: Duration = Duration::from_secs(15 * 60);

/// Bytes written since the kernel was last seen to hold few; more than [`UNSEEN_BYTES`] while the connection settles.
#[derive(Debug, Default)]
pub(crate) struct Settle(u32);

impl Settle {
    /// Ready when the kernel holds few bytes, `written` ones included, which were not given here before. They are taken
    /// note of when it is ready.
    pub(crate) fn poll(&mut self, written: u64, stream: &Stream, cx: &mut Context<'_>) -> Poll<()> {
        let unseen = u64::from(self.0) + written;
        if let Ok(unseen @ ..=UNSEEN_BYTES) = u32::try_from(unseen) {
            self.0 = unseen;
            return Poll::Ready(());
        }
        let settled = stream.poll_settled(cx);
        self.0 = if settled.is_ready() { 0 } else { UNSEEN_BYTES + 1 };
        settled
    }

    /// Lets the kernel take as much as before, since more is written.
    pub(crate) fn interrupt(&mut self, stream: &Stream) {
        if self.0 > UNSEEN_BYTES {
            stream.end_settling();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::time::Instant;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    /// Both ends of a connection, the second with a small window.
    async fn pair() -> (Stream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let reader = socket.connect(listener.local_addr().unwrap()).await.unwrap();
        let (writer, _) = listener.accept().await.unwrap();
        super::super::tune(&writer, Duration::from_secs(60)).unwrap();
        (Stream::Tcp(writer), reader)
    }

    async fn is_settled(settle: &mut Settle, written: u64, stream: &Stream) -> bool {
        poll_fn(|cx| Poll::Ready(settle.poll(written, stream, cx).is_ready())).await
    }

    #[tokio::test]
    async fn what_the_reader_takes_settles_and_what_stays_in_the_kernel_does_not() {
        let (mut writer, mut reader) = pair().await;
        let mut settle = Settle::default();
        writer.write_all(&[b'x'; 100_000]).await.unwrap();
        assert!(!is_settled(&mut settle, 100_000, &writer).await);
        let reading = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let mut taken = vec![0; 100_000];
            reader.read_exact(&mut taken).await.unwrap();
            reader
        });
        let started = Instant::now();
        tokio::time::timeout(Duration::from_secs(10), poll_fn(|cx| settle.poll(100_000, &writer, cx)))
            .await
            .expect("the task is woken when the reader takes the bytes");
        assert!(started.elapsed() >= Duration::from_millis(90), "{:?}", started.elapsed());
        assert!(is_settled(&mut settle, 16 * 1024, &writer).await);
        let _reader = reading.await.unwrap();
    }

    #[tokio::test]
    async fn few_bytes_are_not_asked_for_and_a_broken_connection_is_settled() {
        let (mut writer, reader) = pair().await;
        let mut settle = Settle::default();
        writer.write_all(&[b'x'; 100_000]).await.unwrap();
        assert!(is_settled(&mut settle, 16 * 1024, &writer).await, "so few are not asked for");
        assert!(!is_settled(&mut settle, 100_000, &writer).await);
        drop(reader);
        tokio::time::timeout(Duration::from_secs(10), poll_fn(|cx| settle.poll(100_000, &writer, cx)))
            .await
            .expect("a reset wakes the task");
    }

    #[tokio::test]
    async fn after_an_interruption_the_kernel_takes_as_much_as_before() {
        let (mut writer, _reader) = pair().await;
        let mut settle = Settle::default();
        writer.write_all(&[b'x'; 50_000]).await.unwrap();
        assert!(!is_settled(&mut settle, 50_000, &writer).await);
        let write = |writer: &mut Stream| {
            let Stream::Tcp(tcp) = writer else { panic!() };
            tcp.try_write(&[b'x'; 20_000]).unwrap_or(0)
        };
        assert_eq!(write(&mut writer), 0);
        settle.interrupt(&writer);
        // The runtime hears of the room first.
        let Stream::Tcp(tcp) = &writer else { panic!() };
        tokio::time::timeout(Duration::from_secs(10), tcp.writable()).await.expect("it has room").unwrap();
        assert_eq!(write(&mut writer), 20_000);
    }
}
