//! A connection and what it has said that is not understood yet.

use std::io;
use std::mem::MaybeUninit;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::Interest;

use super::{READ_SIZE, Settle, Stream};

/// A connection, and the bytes read from it that nobody has taken.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) stream: Stream,
    inbox: Vec<u8>,
    /// A number of 32 bits keeps idle connections small. The inbox is never that long.
    taken: u32,
    settle: Settle,
}

impl Conn {
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream, inbox: Vec::new(), taken: 0, settle: Settle::default() }
    }

    /// The connection alone, and what was read and not taken.
    pub(crate) fn into_parts(mut self) -> (Stream, Vec<u8>) {
        self.settle.interrupt(&self.stream);
        self.inbox.drain(..self.taken as usize);
        (self.stream, self.inbox)
    }

    /// What the kernel may hold of the bytes that were written, and the connection that they were written to.
    pub(crate) fn settle(&mut self) -> (&mut Settle, &mut Stream) {
        (&mut self.settle, &mut self.stream)
    }

    /// Bytes that were read and not taken.
    pub(crate) fn inbox(&self) -> &[u8] {
        &self.inbox[self.taken as usize..]
    }

    /// Bytes of memory that the inbox holds.
    pub(crate) fn held(&self) -> usize {
        self.inbox.capacity()
    }

    /// Frees room of the inbox that holds nothing.
    pub(crate) fn shrink(&mut self) {
        self.inbox.drain(..std::mem::take(&mut self.taken) as usize);
        self.inbox.shrink_to_fit();
    }

    /// Takes the first `count` bytes of the inbox away.
    pub(crate) fn take(&mut self, count: usize) {
        let taken = self.taken as usize + count;
        self.taken = u32::try_from(taken).unwrap_or(u32::MAX);
        if taken >= self.inbox.len() {
            // Freed, not kept: idle connections hold no memory.
            self.inbox = Vec::new();
            self.taken = 0;
        }
    }

    /// Reads once and adds to the inbox what came, up to `limit` bytes in all: 0 bytes at the end of the
    /// stream. To be called only while the inbox holds less.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>, limit: usize) -> Poll<io::Result<usize>> {
        let most = limit.saturating_sub(self.inbox().len());
        self.poll_read(cx, most, |bytes, inbox, _| {
            let needed = inbox.len() + bytes.len();
            if needed > inbox.capacity() {
                // Room is doubled, but never made beyond the limit: heads that stay incomplete cost no more.
                let room = (2 * inbox.capacity()).min(limit).max(needed);
                inbox.reserve_exact(room - inbox.len());
            }
            inbox.extend_from_slice(bytes);
            bytes.len()
        })
    }

    /// Reads once and hands `through` what came (nothing at the end of the stream), with the inbox as
    /// the place for what it does not pass on. To be called only while the inbox is empty.
    pub(crate) fn poll_pass<T>(
        &mut self,
        cx: &mut Context<'_>,
        through: impl FnOnce(&[u8], &mut Vec<u8>, &mut Context<'_>) -> T,
    ) -> Poll<io::Result<T>> {
        self.poll_read(cx, READ_SIZE, through)
    }

    fn poll_read<T>(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
        through: impl FnOnce(&[u8], &mut Vec<u8>, &mut Context<'_>) -> T,
    ) -> Poll<io::Result<T>> {
        let Self { stream, inbox, taken, .. } = self;
        stream.poll_pass(cx, most, |bytes, cx| {
            // What was taken goes first, so that a client which always leaves something behind cannot
            // make the inbox grow.
            inbox.drain(..std::mem::take(taken) as usize);
            through(bytes, inbox, cx)
        })
    }

    /// True while nothing was said and the other side has not closed: the state in which a pooled
    /// connection must be to be used again. The runtime says so for free, but may not have heard of it
    /// yet; the kernel is certain, and is asked where the runtime says otherwise or `ask_kernel` is set.
    ///
    /// Under TLS a peer says nothing of its own: [`crate::settings::PeerTls`] sends no session tickets.
    pub(crate) fn is_quiet(&self, ask_kernel: bool) -> bool {
        self.inbox().is_empty() && !self.stream.is_lost() && self.is_silent(ask_kernel)
    }

    /// True while the socket has neither bytes to read nor an end.
    fn is_silent(&self, ask_kernel: bool) -> bool {
        let tcp = self.stream.tcp();
        let peek = || SockRef::from(tcp).peek(&mut [MaybeUninit::uninit()]);
        let peeked = if ask_kernel { peek() } else { tcp.try_io(Interest::READABLE, peek) };
        peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::{Outbox, PeerConns};
    use crate::settings::PeerTls;
    use socketio_sidecar_core::certificates::CertificateAuthority;
    use socketio_sidecar_core::config::peer_name;
    use socketio_sidecar_core::owner_tag::PodDigest;
    use std::future::poll_fn;
    use std::sync::Arc;
    use std::time::{Duration, SystemTime};
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};
    use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

    async fn fill(conn: &mut Conn, limit: usize) {
        poll_fn(|cx| conn.poll_fill(cx, limit)).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_always_left_behind_does_not_make_the_inbox_grow() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut theirs = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut ours = Conn::new(Stream::Tcp(listener.accept().await.unwrap().0));
        for _ in 0..100 {
            theirs.write_all(&[b'x'; 10_000]).await.unwrap();
            while ours.inbox().len() < 10_000 {
                fill(&mut ours, 16_384).await;
            }
            ours.take(ours.inbox().len() - 1);
        }
        assert!(ours.inbox.capacity() <= 65_536, "{}", ours.inbox.capacity());
    }

    /// Two ends of a connection under TLS, after the handshake. The first one is of `conns`.
    async fn tls_pair(conns: &Arc<PeerConns>) -> (Conn, TlsStream<TcpStream>) {
        let (now, day) = (SystemTime::now(), Duration::from_secs(86_400));
        let authority = CertificateAuthority::generate("test").unwrap();
        let leaf = authority.issue("test", now, day).unwrap();
        let ca = authority.certificate(now, day).unwrap();
        let name = peer_name(PodDigest([1; 8]), "test");
        let tls =
            PeerTls::new(ca.as_bytes(), leaf.certificate.as_bytes(), leaf.key.as_bytes(), &name).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (theirs, ours) = tokio::join!(
            async {
                let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
                TlsConnector::from(tls.client.clone()).connect(name.clone().try_into().unwrap(), stream).await
            },
            async {
                let stream = listener.accept().await.unwrap().0;
                TlsAcceptor::from(tls.server.clone()).accept(stream).await
            },
        );
        let ours = conns.add(ours.unwrap().into());
        (Conn::new(Stream::Tls(Box::new(ours))), theirs.unwrap().into())
    }

    #[tokio::test]
    async fn a_peer_says_nothing_after_the_handshake() {
        let (ours, theirs) = tls_pair(&Arc::default()).await;
        let theirs = Arc::<PeerConns>::default().add(theirs);
        let theirs = Conn::new(Stream::Tls(Box::new(theirs)));
        // Loopback has delivered what either side wrote.
        assert!(ours.is_quiet(true) && theirs.is_quiet(true));
    }

    #[tokio::test]
    async fn a_connection_with_a_pod_that_has_vanished_is_not_quiet() {
        let conns = Arc::<PeerConns>::default();
        let (ours, _theirs) = tls_pair(&conns).await;
        assert!(ours.is_quiet(false) && ours.is_quiet(true));
        conns.end_all();
        assert!(!ours.is_quiet(false) && !ours.is_quiet(true));
    }

    #[tokio::test]
    async fn what_tls_holds_back_from_the_kernel_counts_as_held() {
        let (mut ours, _silent) = tls_pair(&Arc::default()).await;
        let mut outbox = Outbox::default();
        poll_fn(|cx| {
            while outbox.is_empty() {
                outbox.write_through(&mut ours.stream, cx, &[b'x'; 1000]).unwrap();
            }
            Poll::Ready(())
        })
        .await;
        assert!(outbox.held() > 0);
    }

    #[tokio::test]
    async fn the_inbox_is_not_filled_beyond_its_limit() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut theirs = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut ours = Conn::new(Stream::Tcp(listener.accept().await.unwrap().0));
        theirs.write_all(&[b'x'; 5_000]).await.unwrap();
        while ours.inbox().len() < 1_000 {
            fill(&mut ours, 1_000).await;
        }
        assert_eq!(ours.inbox().len(), 1_000);
    }
}
