//! Connections between peers, all of which end at once when the other pod has vanished.
//!
//! # Invariants
//! - A connection of a vanished pod fails to read with [`io::ErrorKind::TimedOut`], and the task that reads it is woken.
//!   Bytes that came before are delivered first.
//! - Reading takes no lock, except when another task begins to read.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

/// Time without an answer to a probe after which the kernel ends a watch connection. The kernel probes each
/// second and looks at this time with each probe, so that a watch ends 4 s after its last answer.
const WATCH_TIMEOUT: Duration = Duration::from_millis(3500);

/// Silence before a watch connection is probed, and time between two probes.
pub(crate) const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// Open connections with one pod.
#[derive(Debug, Default)]
pub(crate) struct PeerConns {
    was_heard: AtomicBool,
    conns: Mutex<Vec<Weak<Shared>>>,
}

/// Part of a connection that others can reach.
#[derive(Debug)]
struct Shared {
    conns: Arc<PeerConns>,
    is_lost: AtomicBool,
    /// Task that reads the connection.
    reader: Mutex<Option<Waker>>,
}

/// A connection under TLS with a peer.
#[derive(Debug)]
pub(crate) struct PeerStream {
    pub(super) tls: TlsStream<TcpStream>,
    shared: Arc<Shared>,
    /// Copy of the waker in `shared`.
    reader: Option<Waker>,
}

impl PeerConns {
    /// Adds a connection with this pod.
    pub(crate) fn add(self: &Arc<Self>, tls: TlsStream<TcpStream>) -> PeerStream {
        let shared = Arc::new(Shared {
            conns: self.clone(),
            is_lost: AtomicBool::new(false),
            reader: Mutex::default(),
        });
        let mut conns = lock(&self.conns);
        if conns.len() == conns.capacity() {
            conns.retain(|conn| conn.strong_count() > 0);
        }
        conns.push(Arc::downgrade(&shared));
        PeerStream { tls, shared, reader: None }
    }

    /// Ends all connections with the pod, and returns their number.
    pub(crate) fn end_all(&self) -> usize {
        let conns = std::mem::take(&mut *lock(&self.conns));
        let ended = conns.iter().filter_map(Weak::upgrade).inspect(|conn| conn.end());
        ended.count()
    }

    /// Reports whether bytes came from the pod since this was asked last.
    pub(crate) fn take_heard(&self) -> bool {
        self.was_heard.swap(false, Ordering::Relaxed)
    }
}

impl Shared {
    fn end(&self) {
        self.is_lost.store(true, Ordering::Release);
        if let Some(reader) = &*lock(&self.reader) {
            reader.wake_by_ref();
        }
    }
}

impl PeerStream {
    /// Reports whether the other pod has vanished.
    pub(super) fn is_lost(&self) -> bool {
        self.shared.is_lost.load(Ordering::Acquire)
    }

    /// Has the task of `cx` woken when the connection is ended.
    fn listen(&mut self, cx: &Context<'_>) {
        if !self.reader.as_ref().is_some_and(|reader| reader.will_wake(cx.waker())) {
            self.reader = Some(cx.waker().clone());
            lock(&self.shared.reader).clone_from(&self.reader);
        }
    }
}

impl AsyncRead for PeerStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let read = Pin::new(&mut this.tls).poll_read(cx, buf);
        if read.is_pending() {
            this.listen(cx);
            if this.is_lost() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        } else if buf.filled().len() > before && !this.shared.conns.was_heard.load(Ordering::Relaxed) {
            this.shared.conns.was_heard.store(true, Ordering::Relaxed);
        }
        read
    }
}

/// Makes the kernel find out within 4 s that the other side of this idle connection has vanished.
pub(crate) fn tune_watch(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(WATCH_INTERVAL).with_interval(WATCH_INTERVAL);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(WATCH_TIMEOUT))?;
    Ok(())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it is held.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
