use super::idle::{MAX_READY, MAX_RESTING};
use super::*;
use crate::io::{Conn, Stream};
use socketio_sidecar_core::reuse::MAX_SETTLE;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

const LONG: Duration = Duration::from_secs(60);
const SIZE: usize = 1024;

async fn pair() -> (UpstreamConn, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (UpstreamConn::new(Conn::new(Stream::Tcp(ours))), listener.accept().await.unwrap().0)
}

#[tokio::test]
async fn a_quiet_connection_comes_back_once() {
    let (pool, (conn, _theirs)) = (Pool::new(ReuseLimits::trusting(), SIZE), pair().await);
    pool.put(1, conn, LONG, Instant::now());
    assert!(pool.take(&2, LONG, Instant::now()).is_none());
    assert!(pool.take(&1, LONG, Instant::now()).is_some());
    assert!(pool.take(&1, LONG, Instant::now()).is_none());
}

#[tokio::test]
async fn a_pool_keeps_no_more_than_its_size() {
    let pool = Pool::new(ReuseLimits::trusting(), 2);
    let mut theirs = Vec::new();
    for key in 0..3 {
        let (conn, their) = pair().await;
        theirs.push(their);
        pool.put(key, conn, LONG, Instant::now());
    }
    assert_eq!(pool.len(), 2);
    assert!(pool.take(&2, LONG, Instant::now()).is_none());
    assert!(pool.take(&0, LONG, Instant::now()).is_some());
}

#[tokio::test]
async fn a_connection_that_was_closed_or_spoke_is_not_used_again() {
    let pool = Pool::new(ReuseLimits::trusting(), SIZE);
    for speak in [false, true] {
        let (mut conn, mut theirs) = pair().await;
        if speak {
            theirs.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").await.unwrap();
        } else {
            drop(theirs);
        }
        // Wait until it has arrived, without reading it.
        let Stream::Tcp(stream) = &mut conn.conn.stream else { unreachable!() };
        stream.readable().await.unwrap();
        pool.put(1, conn, LONG, Instant::now());
        assert!(pool.take(&1, LONG, Instant::now()).is_none(), "speak: {speak}");
    }
}

#[tokio::test]
async fn a_connection_that_was_closed_a_moment_ago_is_not_used_again() {
    let (pool, (conn, theirs)) = (Pool::new(ReuseLimits::trusting(), SIZE), pair().await);
    pool.put(1, conn, LONG, Instant::now());
    drop(theirs);
    // Nothing is awaited, so the runtime does not hear of it.
    assert!(pool.take(&1, LONG, Instant::now()).is_none());
}

#[tokio::test]
async fn an_old_connection_is_left_for_a_request_that_may_use_it() {
    let (pool, (conn, _theirs)) = (Pool::new(ReuseLimits::trusting(), SIZE), pair().await);
    pool.put(1, conn, LONG, Instant::now());
    assert!(pool.take(&1, Duration::ZERO, Instant::now()).is_none(), "a POST wants a fresher one");
    assert!(pool.take(&1, LONG, Instant::now()).is_some(), "a GET does not");
}

#[tokio::test]
async fn what_has_expired_is_closed() {
    let (pool, (conn, _theirs)) = (Pool::new(ReuseLimits::trusting(), SIZE), pair().await);
    pool.put(1, conn, Duration::ZERO, Instant::now());
    assert_eq!(pool.look_through().idle, 0);
    assert!(pool.take(&1, LONG, Instant::now()).is_none());
}

#[tokio::test]
async fn the_pool_has_a_size() {
    let pool = Pool::new(ReuseLimits::trusting(), SIZE);
    let mut theirs = Vec::new();
    for _ in 0..=MAX_READY {
        let (conn, other) = pair().await;
        pool.put(1, conn, LONG, Instant::now());
        theirs.push(other);
    }
    assert_eq!(pool.look_through().idle, MAX_READY);
}

/// A connection that has carried so many answers, and its other side.
async fn after(answers: u32) -> (UpstreamConn, TcpStream) {
    let (conn, theirs) = pair().await;
    (UpstreamConn { answers, ..conn }, theirs)
}

#[tokio::test]
async fn a_connection_rests_until_it_has_proven_that_the_application_keeps_it() {
    let pool = Pool::new(ReuseLimits::learning(), SIZE);
    let (conn, _theirs) = after(1).await;
    let now = Instant::now();
    pool.put(1, conn, LONG, now.checked_sub(MAX_SETTLE / 4).unwrap());
    assert_eq!((pool.look_through().resting, pool.take(&1, LONG, now).is_some()), (1, false));
    let (conn, _theirs) = after(1).await;
    pool.put(1, conn, LONG, now.checked_sub(MAX_SETTLE).unwrap());
    assert_eq!(pool.look_through().resting, 0, "both are proven by the older one");
    let taken = pool.take(&1, LONG, now).expect("the younger one may be used");
    assert_eq!((taken.conn.answers, taken.conn.pooled_for, taken.was_last), (1, Some(MAX_SETTLE / 4), false));
    assert!(pool.take(&1, LONG, now).is_none(), "the older one has been idle for all that is proven");
    let (conn, _theirs) = after(2).await;
    pool.put(1, conn, LONG, now);
    assert_eq!(pool.look_through().resting, 1, "the second answer is not proven");
}

#[tokio::test]
async fn an_early_close_sends_the_others_to_rest() {
    let pool = Pool::new(ReuseLimits::learning(), SIZE);
    let now = Instant::now();
    let (conn, theirs) = after(2).await;
    pool.put(1, conn, LONG, now.checked_sub(MAX_SETTLE).unwrap());
    assert_eq!(pool.look_through().limits.proven_answers(), 2);
    drop(theirs);
    let (open, _theirs) = after(2).await;
    pool.put(1, open, LONG, now);
    let (closed, theirs) = after(1).await;
    drop(theirs);
    let Stream::Tcp(stream) = &closed.conn.stream else { unreachable!() };
    stream.readable().await.unwrap();
    pool.put(1, closed, LONG, now);
    assert!(pool.take(&1, LONG, now).is_none());
    let contents = pool.look_through();
    assert_eq!((contents.early_closes, contents.limits.proven_answers()), (2, 0));
    assert_eq!((contents.idle, contents.resting), (1, 1));
}

#[tokio::test]
async fn few_connections_rest() {
    let pool = Pool::new(ReuseLimits::learning(), SIZE);
    let mut theirs = Vec::new();
    for _ in 0..=MAX_RESTING {
        let (conn, other) = after(1).await;
        pool.put(1, conn, LONG, Instant::now());
        theirs.push(other);
    }
    assert_eq!(pool.len(), MAX_RESTING);
}
