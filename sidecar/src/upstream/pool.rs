//! Idle connections, kept for the next request.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::io::Conn;

/// Most idle connections kept to one other side.
const PER_KEY: usize = 128;
/// Most idle connections kept in one pool.
const TOTAL: usize = 1024;

/// For how long after its last answer only the runtime is asked whether a connection is still open. What
/// arrived since it last asked the kernel, within one turn of its loop, it does not know; to ask the
/// kernel here as well would cost a busy sidecar one system call in five.
const JUST_LEFT: Duration = Duration::from_millis(10);

/// Idle connections by the other side's key, the one used last first.
#[derive(Debug)]
pub(super) struct Pool<K> {
    idle: Mutex<Idle<K>>,
}

#[derive(Debug)]
struct Idle<K> {
    by_key: HashMap<K, Vec<Entry>>,
    total: usize,
}

#[derive(Debug)]
struct Entry {
    conn: Conn,
    since: Instant,
    until: Instant,
}

impl<K: Eq + Hash> Pool<K> {
    pub(super) fn new() -> Self {
        Self { idle: Mutex::new(Idle { by_key: HashMap::new(), total: 0 }) }
    }

    /// A connection to `key` that is quiet and has been idle for less than `at_most`, if there is one.
    pub(super) fn take(&self, key: &K, at_most: Duration, now: Instant) -> Option<Conn> {
        let mut idle = self.lock();
        loop {
            let entries = idle.by_key.get_mut(key)?;
            // The last one is the freshest; if it is too old for this request, so are the others.
            if now.duration_since(entries.last()?.since) >= at_most {
                return None;
            }
            let entry = entries.pop()?;
            idle.total -= 1;
            let ask_kernel = now.duration_since(entry.since) >= JUST_LEFT;
            if entry.until > now && entry.conn.is_quiet(ask_kernel) {
                return Some(entry.conn);
            }
        }
    }

    /// Keeps `conn`, which is idle `since` then, for `keep`, unless the pool is full.
    pub(super) fn put(&self, key: K, conn: Conn, keep: Duration, since: Instant) {
        let mut idle = self.lock();
        if idle.total >= TOTAL {
            return;
        }
        let entries = idle.by_key.entry(key).or_default();
        if entries.len() < PER_KEY {
            entries.push(Entry { conn, since, until: since + keep });
            idle.total += 1;
        }
    }

    /// Closes what nobody came back for, and returns how many connections are left.
    pub(super) fn reap(&self) -> usize {
        let now = Instant::now();
        let mut idle = self.lock();
        idle.by_key.retain(|_, entries| {
            entries.retain(|entry| entry.until > now);
            !entries.is_empty()
        });
        idle.total = idle.by_key.values().map(Vec::len).sum();
        idle.total
    }

    fn lock(&self) -> MutexGuard<'_, Idle<K>> {
        // Nothing in here panics while the lock is held; and an idle connection more or less is no harm.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::Stream;
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    const LONG: Duration = Duration::from_secs(60);

    async fn pair() -> (Conn, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Conn::new(Stream::Tcp(ours)), listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn a_quiet_connection_comes_back_once() {
        let (pool, (conn, _theirs)) = (Pool::new(), pair().await);
        pool.put(1, conn, LONG, Instant::now());
        assert!(pool.take(&2, LONG, Instant::now()).is_none());
        assert!(pool.take(&1, LONG, Instant::now()).is_some());
        assert!(pool.take(&1, LONG, Instant::now()).is_none());
    }

    #[tokio::test]
    async fn a_connection_that_was_closed_or_spoke_is_not_used_again() {
        let pool = Pool::new();
        for speak in [false, true] {
            let (mut conn, mut theirs) = pair().await;
            if speak {
                theirs.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").await.unwrap();
            } else {
                drop(theirs);
            }
            // Wait until it has arrived, without reading it.
            let Stream::Tcp(stream) = &mut conn.stream else { unreachable!() };
            stream.readable().await.unwrap();
            pool.put(1, conn, LONG, Instant::now());
            assert!(pool.take(&1, LONG, Instant::now()).is_none(), "speak: {speak}");
        }
    }

    #[tokio::test]
    async fn a_connection_that_was_closed_a_moment_ago_is_not_used_again_after_a_while() {
        let (pool, (conn, theirs)) = (Pool::new(), pair().await);
        pool.put(1, conn, LONG, Instant::now());
        drop(theirs);
        // Nothing is awaited, so the runtime does not hear of it.
        std::thread::sleep(JUST_LEFT);
        assert!(pool.take(&1, LONG, Instant::now()).is_none());
    }

    #[tokio::test]
    async fn an_old_connection_is_left_for_a_request_that_may_use_it() {
        let (pool, (conn, _theirs)) = (Pool::new(), pair().await);
        pool.put(1, conn, LONG, Instant::now());
        assert!(pool.take(&1, Duration::ZERO, Instant::now()).is_none(), "a POST wants a fresher one");
        assert!(pool.take(&1, LONG, Instant::now()).is_some(), "a GET does not");
    }

    #[tokio::test]
    async fn what_has_expired_is_closed() {
        let (pool, (conn, _theirs)) = (Pool::new(), pair().await);
        pool.put(1, conn, Duration::ZERO, Instant::now());
        assert_eq!(pool.reap(), 0);
        assert!(pool.take(&1, LONG, Instant::now()).is_none());
    }

    #[tokio::test]
    async fn the_pool_has_a_size() {
        let pool = Pool::new();
        let mut theirs = Vec::new();
        for _ in 0..=PER_KEY {
            let (conn, other) = pair().await;
            pool.put(1, conn, LONG, Instant::now());
            theirs.push(other);
        }
        assert_eq!(pool.reap(), PER_KEY);
    }
}
