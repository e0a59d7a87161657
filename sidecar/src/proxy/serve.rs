//! A connection from a client or a peer: one request after another, until it ends or becomes a tunnel.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use socketio_sidecar_core::http1::{Malformed, find_head_end};
use tokio::time::Instant;

use super::Proxy;
use super::exchange::FREE_AHEAD;
use super::listen::Held;
use super::pass::{Next, Upgraded, answer};
use super::refusal::{Asker, Refusal};
use super::tunnel::Tunnel;
use super::websocket::WebSocket;
use crate::io::{Conn, Deadline, Outbox, Stall, StallAlarm, Stream, Wait};
use crate::metrics::Counted;
use crate::origin::{Origin, Side};
use crate::places::Place;
use crate::shutdown::Stage;

/// Most bytes of an incomplete head that are held without a charge. Most heads are shorter, or come at once.
const FREE_HEAD: usize = 4 * 1024;

/// Reason why no head came.
enum NoHead {
    /// The connection ended, was idle for long enough, or leaves its place to another. Nothing is owed.
    Quiet,
    Refused(Refusal),
}

/// Serves `client` until it ends. What is `held` goes with the connection, into the tunnel too; its `place` does not.
///
/// Thousands of connections are idle at once. So futures that an idle connection does not need are boxed.
#[allow(clippy::manual_async_fn, reason = "an async fn has room for its arguments twice")]
pub(super) fn serve(
    proxy: Arc<Proxy>,
    mut client: Conn,
    origin: Origin,
    place: Place,
    held: Held,
) -> impl Future<Output = ()> {
    async move {
        poll_fn(|cx| {
            place.listen(cx);
            Poll::Ready(())
        })
        .await;
        // Both are kept from request to request: to arm them anew would cost each one more than its parsing.
        let mut closing = pin!(proxy.shutdown.reached(Stage::Closing));
        let first = match origin.side {
            // A new connection has no reason to be silent.
            Side::Client => proxy.timeouts.head,
            // Peers make connections before they need them.
            Side::Peer => proxy.timeouts.idle,
        };
        let mut deadline = Deadline::new(Instant::now() + first);
        loop {
            let read = read_head(&proxy, &mut client, (&origin, &place), &mut deadline, closing.as_mut());
            let next = match read.await {
                Ok(end) => {
                    place.work();
                    Box::pin(answer(&proxy, &mut client, (&origin, &place), end)).await
                }
                Err(NoHead::Quiet) if client.stream.has_delivered() => return,
                // The end of an answer may be on its way.
                Err(NoHead::Quiet) => Next::Close,
                Err(NoHead::Refused(refusal)) => Next::Refuse(refusal, Asker::default()),
            };
            match next {
                Next::Request(mut since) => {
                    if !has_settled(&proxy, &mut client).await {
                        if !Box::pin(settle(&proxy, &mut client)).await {
                            return client.stream.abort();
                        }
                        since = Instant::now();
                    }
                    place.wait(since);
                    deadline.set(since + proxy.timeouts.idle);
                }
                Next::Close => return Box::pin(linger(client.into_parts().0, &place)).await,
                Next::Abort => return client.stream.abort(),
                Next::Tunnel(tunnel) => {
                    let Upgraded { onward, messages, way, session, permit, ticket } = *tunnel;
                    let tunnel =
                        Tunnel::new(client, onward, messages, proxy.timeouts.stall, proxy.budget.clone());
                    // A task of its own, so that a tunnel does not keep the space that requests need.
                    let open = proxy.metrics.websockets.with_label_values(&[origin.side.label()]);
                    let held = (held, place.stay(), (permit, ticket), Counted::new(open));
                    let websocket = WebSocket::new(&proxy, tunnel, (way, session), &origin, held);
                    return proxy.shutdown.spawn_tunnel(websocket.run());
                }
                Next::Refuse(refusal, asker) => {
                    return Box::pin(refuse(&proxy, client, (&origin, &place), refusal, &asker)).await;
                }
            }
        }
    }
}

/// Waits for a head until `deadline`, and returns its length. What comes in its place is bounded in time
/// and size.
async fn read_head(
    proxy: &Proxy,
    client: &mut Conn,
    (origin, place): (&Origin, &Place),
    deadline: &mut Deadline,
    mut closing: Pin<&mut impl Future<Output = ()>>,
) -> Result<usize, NoHead> {
    let limit = proxy.heads.from(origin.side).bytes;
    if client.inbox().is_empty() {
        let begun = poll_fn(|cx| {
            if let Poll::Ready(read) = client.poll_fill(cx, limit) {
                return Poll::Ready(matches!(read, Ok(1..)));
            }
            if place.is_asked() || deadline.poll(cx).is_ready() {
                if client.is_quiet(true) {
                    return Poll::Ready(false);
                }
                // A request has come. The runtime has not heard of it yet, and will wake this task.
                let now = Instant::now();
                place.wait(now);
                deadline.set(now + proxy.timeouts.head);
                let _ = deadline.poll(cx);
            }
            closing.as_mut().poll(cx).map(|()| false)
        });
        if !begun.await {
            return Err(NoHead::Quiet);
        }
    }
    // Most heads come at once.
    match if starts_with_empty_line(client) { Ok(None) } else { find_head_end(client.inbox(), 0, limit) } {
        Ok(Some(end)) => Ok(end),
        Ok(None) => Box::pin(complete_head(proxy, client, place, deadline, limit)).await,
        Err(why) => Err(NoHead::Refused(Refusal::Malformed(why))),
    }
}

/// Waits for the rest of a head of `limit` bytes at most, of which a part has come.
async fn complete_head(
    proxy: &Proxy,
    client: &mut Conn,
    place: &Place,
    deadline: &mut Deadline,
    limit: usize,
) -> Result<usize, NoHead> {
    let head_timeout = proxy.timeouts.head;
    place.begin(Instant::now());
    deadline.set(Instant::now() + head_timeout);
    let mut alarm = StallAlarm::default();
    let mut searched = 0;
    // RFC 9112 section 2.2: ignore at least one empty line before a request. A second one is refused with the head.
    let mut may_be_empty = true;
    loop {
        if may_be_empty && starts_with_empty_line(client) {
            client.take(2);
            (searched, may_be_empty) = (0, false);
        }
        match find_head_end(client.inbox(), searched, limit) {
            Ok(Some(end)) => return Ok(end),
            Ok(None) => searched = client.inbox().len(),
            Err(why) => return Err(NoHead::Refused(Refusal::Malformed(why))),
        }
        let more = poll_fn(|cx| {
            if let Poll::Ready(read) = client.poll_fill(cx, limit) {
                return Poll::Ready(if matches!(read, Ok(1..)) { Ok(()) } else { Err(NoHead::Quiet) });
            }
            if place.is_asked() {
                return Poll::Ready(Err(NoHead::Quiet));
            }
            let wait = match client.held() {
                ..=FREE_HEAD => Wait::Nothing,
                held => Wait::Here { held, limit: head_timeout },
            };
            if alarm.poll(cx, wait, &proxy.budget) == Poll::Ready(Stall::Budget) {
                return Poll::Ready(Err(NoHead::Refused(Refusal::OverBudget)));
            }
            deadline.poll(cx).map(|()| Err(NoHead::Refused(Refusal::HeadTimeout)))
        });
        more.await?;
        alarm.progress();
    }
}

fn starts_with_empty_line(client: &Conn) -> bool {
    client.inbox().starts_with(b"\r\n")
}

/// Asks, without waiting, whether the client has taken most of what it was sent.
async fn has_settled(proxy: &Proxy, client: &mut Conn) -> bool {
    poll_fn(|cx| Poll::Ready(poll_settled(proxy, client, cx).is_ready())).await
}

fn poll_settled(proxy: &Proxy, client: &mut Conn, cx: &mut Context<'_>) -> Poll<()> {
    let (settle, stream) = client.settle();
    settle.poll(stream, &proxy.budget, cx)
}

/// Waits until the client has taken most of what it was sent, and reads no more than the beginning of its next request
/// meanwhile. What the kernel holds is charged to the budget. False when that has no more room.
async fn settle(proxy: &Proxy, client: &mut Conn) -> bool {
    let mut alarm = StallAlarm::default();
    let mut has_ended = false;
    poll_fn(|cx| {
        while !has_ended && client.inbox().len() < FREE_AHEAD {
            match client.poll_fill(cx, FREE_AHEAD) {
                Poll::Pending => break,
                Poll::Ready(read) => has_ended = !matches!(read, Ok(1..)),
            }
        }
        if poll_settled(proxy, client, cx).is_ready() {
            return Poll::Ready(true);
        }
        let is_full = client.inbox().len() >= FREE_AHEAD;
        let wait = client.settle().0.wait(is_full);
        alarm.poll(cx, wait, &proxy.budget).map(|_| {
            proxy.metrics.count_failure(Refusal::OverBudget.cause());
            false
        })
    })
    .await
}

/// Closes so that the client can read what was sent last, unless its place is needed before that.
async fn linger(mut client: Stream, place: &Place) {
    place.wait(Instant::now());
    tokio::select! {
        biased;
        () = client.linger() => {}
        () = place.asked() => {}
    }
    client.close();
}

/// Answers in place of the application, and closes.
async fn refuse(
    proxy: &Proxy,
    client: Conn,
    (origin, place): (&Origin, &Place),
    refusal: Refusal,
    asker: &Asker,
) {
    // What was read takes no memory while the client reads the refusal.
    let (mut client, _) = client.into_parts();
    proxy.metrics.count_failure(refusal.cause());
    if let Refusal::Malformed(why) = refusal {
        let (peer, from) = (origin.peer, origin.side.label());
        proxy.metrics.count_malformed(from);
        if why == Malformed::Http2 && proxy.http2_log.is_due() {
            tracing::warn!(%peer, from, %why, "refused HTTP/2; further refusals are not logged for a minute");
        }
        tracing::debug!(%peer, from, %why, "refused a request");
    }
    let mut outbox = Outbox::of(refusal.render(asker).into_bytes());
    let sent = poll_fn(|cx| outbox.poll_drain(&mut client, cx));
    if let Ok(Ok(())) = tokio::time::timeout(proxy.timeouts.head, sent).await
        && !place.is_asked()
    {
        // Nobody waits for the place.
        linger(client, place).await;
    }
}
