//! A TCP connection, plain or under TLS.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, Interest, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::READ_SIZE;
use super::peer::PeerStream;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_SIZE]);
}

/// Time by which TCP waits longer than the stall timeout. Linux ends a connection by `TCP_USER_TIMEOUT` also
/// when the other side lives and does not read, which is for the stall timeout to decide.
const MARGIN: Duration = Duration::from_secs(15);

/// Receive buffer of every connection, in bytes. The kernel doubles it for its own overhead. Its own limit
/// grows to several MiB with a sender that is read fast at first.
pub(crate) const RECEIVE_BUFFER: usize = 64 * 1024;

/// Send buffer of every connection, in bytes. The kernel doubles it for its own overhead. Its own limit grows to 4 MiB
/// with a client that acknowledges fast at first.
pub(crate) const SEND_BUFFER: usize = 64 * 1024;

/// Silence before a connection is probed, and time between two probes.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// Longest that a closed connection lingers for the other side to close as well: in all, and since it
/// last said anything.
const LINGER: Duration = Duration::from_secs(30);
const LINGER_SILENCE: Duration = Duration::from_secs(5);
/// Most bytes read and thrown away meanwhile.
const LINGER_BYTES: usize = 1 << 20;

/// A TCP connection, plain or under TLS.
#[derive(Debug)]
pub(crate) enum Stream {
    /// From clients and edges, and to the application.
    Tcp(TcpStream),
    /// Between peers. Boxed, since its state is large and most connections have none.
    Tls(Box<PeerStream>),
}

/// Sets what every connection needs: no delay for small packets, and an end for dead peers, which
/// nothing else finds, since a hanging poll has no response timeout: `stall` and 15 s after they last
/// acknowledged anything.
pub(crate) fn tune(stream: &TcpStream, stall: Duration) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(stall + MARGIN))?;
    Ok(())
}

impl Stream {
    /// Reports whether the connection was ended because the peer's pod has vanished.
    pub(crate) fn is_lost(&self) -> bool {
        matches!(self, Self::Tls(stream) if stream.is_lost())
    }

    /// Connects, with buffers of [`RECEIVE_BUFFER`] and [`SEND_BUFFER`] bytes, which have to be set before.
    pub(crate) async fn connect(to: SocketAddr) -> io::Result<TcpStream> {
        let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        let options = SockRef::from(&socket);
        options.set_recv_buffer_size(RECEIVE_BUFFER)?;
        options.set_send_buffer_size(SEND_BUFFER)?;
        socket.connect(to).await
    }

    /// Reads once, `most` bytes and [`READ_SIZE`] at most, and hands `through` what came: nothing at the
    /// end of the stream.
    pub(crate) fn poll_pass<T>(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
        through: impl FnOnce(&[u8], &mut Context<'_>) -> T,
    ) -> Poll<io::Result<T>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buf = ReadBuf::new(&mut scratch[..most.min(READ_SIZE)]);
            ready!(Pin::new(self).poll_read(cx, &mut buf))?;
            Poll::Ready(Ok(through(buf.filled(), cx)))
        })
    }

    /// Closes so that the other side sees a broken connection, not the end of a stream. The kernel drops what it
    /// still held for the other side, which would take memory until the other side reads it.
    pub(crate) fn abort(self) {
        // If it cannot be set, the connection is broken already.
        let _ = SockRef::from(self.tcp()).set_linger(Some(Duration::ZERO));
    }

    /// Ready when the kernel holds so `few` bytes of those that were written, its overhead included: both what it has not
    /// sent and what the other side has not acknowledged. Also ready when the connection has broken, and after the end of
    /// sending, when the kernel does not tell.
    ///
    /// While it is pending, the kernel takes little, until [`Self::end_settling`] is called.
    pub(super) fn poll_holds_few(&self, few: usize, cx: &mut Context<'_>) -> Poll<()> {
        let tcp = self.tcp();
        // Linux doubles the number, and has room when two thirds of that are held. Its least is 4,608 bytes.
        set_send_buffer(tcp, few / 4 * 3);
        loop {
            // tokio remembers that the connection was writable. What it hears from now on is news.
            let _ =
                tcp.try_io(Interest::WRITABLE, || io::Result::<()>::Err(io::ErrorKind::WouldBlock.into()));
            if !is_full(tcp) {
                self.end_settling();
                return Poll::Ready(());
            }
            // The kernel reports the moment when it has room again, since it was asked when it had none.
            if tcp.poll_write_ready(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Lets the kernel take as much as ever.
    pub(super) fn end_settling(&self) {
        set_send_buffer(self.tcp(), SEND_BUFFER);
    }

    /// The connection below TLS, or the connection itself.
    pub(super) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Tcp(stream) => stream,
            Self::Tls(stream) => stream.tls.get_ref().0,
        }
    }

    /// Lets the other side read what was sent last: waits until it has acknowledged that, says that no more will come, and
    /// throws away what still arrives, each for a bounded time. Closing with unread bytes would reset the connection and
    /// could take the answer along (RFC 9112 section 9.6). To be followed by [`Self::close`]. Cancel safe.
    pub(crate) async fn linger(&mut self) {
        if timeout(LINGER_SILENCE, poll_fn(|cx| self.poll_holds_few(0, cx))).await.is_err() {
            return;
        }
        let discard = async {
            self.shutdown().await?;
            let mut left = LINGER_BYTES;
            while left > 0 {
                let read = poll_fn(|cx| self.poll_pass(cx, READ_SIZE, |bytes, _| bytes.len()));
                match timeout(LINGER_SILENCE, read).await {
                    Ok(Ok(read)) if read > 0 => left = left.saturating_sub(read),
                    _ => break,
                }
            }
            io::Result::Ok(())
        };
        // It is closed either way.
        let _ = timeout(LINGER, discard).await;
    }

    /// Reports whether the other side has acknowledged all that was sent, but for 3 KiB. After the end of sending the kernel
    /// does not tell, and this is true. To be asked only when no more will be sent.
    pub(crate) fn has_delivered(&self) -> bool {
        set_send_buffer(self.tcp(), 0);
        !is_full(self.tcp())
    }

    /// Closes. What the other side has not acknowledged is dropped: the kernel would hold it for more than a minute, and
    /// nobody would count it.
    pub(crate) fn close(self) {
        if !self.has_delivered() {
            self.abort();
        }
    }
}

/// Sets the send buffer. Where it cannot be set, the connection is broken already.
fn set_send_buffer(stream: &TcpStream, bytes: usize) {
    let _ = SockRef::from(stream).set_send_buffer_size(bytes);
}

/// Asks the kernel whether it takes no more for this connection.
fn is_full(stream: &TcpStream) -> bool {
    let mut asked = [PollFd::new(stream, PollFlags::OUT)];
    matches!(poll(&mut asked, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(0))
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(&mut stream.tls).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(_) => Poll::Ready(Ok(())),
            Self::Tls(stream) => Pin::new(&mut stream.tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(&mut stream.tls).poll_shutdown(cx),
        }
    }
}
