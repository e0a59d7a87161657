//! A connection from a client or a peer: one request after another, until it ends or becomes a tunnel.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use socketio_sidecar_core::http1::{Malformed, find_head_end};
use tokio::time::Instant;

use super::Proxy;
use super::listen::Held;
use super::pass::{Next, Upgraded, answer};
use super::refusal::{Asker, Refusal};
use super::tunnel::Tunnel;
use super::websocket::WebSocket;
use crate::io::{Conn, Deadline, Outbox};
use crate::metrics::Counted;
use crate::origin::Origin;
use crate::places::Place;
use crate::shutdown::Stage;

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
        // A new connection has no reason to be silent.
        let mut deadline = Deadline::new(Instant::now() + proxy.timeouts.head);
        loop {
            let read = read_head(&proxy, &mut client, (&origin, &place), &mut deadline, closing.as_mut());
            let next = match read.await {
                Ok(end) => {
                    place.work();
                    Box::pin(answer(&proxy, &mut client, (&origin, &place), end)).await
                }
                Err(NoHead::Quiet) => return,
                Err(NoHead::Refused(refusal)) => Next::Refuse(refusal, Asker::default()),
            };
            match next {
                Next::Request(since) => {
                    place.wait(since);
                    deadline.set(since + proxy.timeouts.idle);
                }
                Next::Close => return Box::pin(linger(client, &place)).await,
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
    let refused = |why: Malformed| NoHead::Refused(Refusal::Malformed(why));
    let (mut has_begun, mut searched, mut empty_lines) = (false, 0, 0);
    loop {
        // RFC 9112 section 2.2: ignore at least one empty line before a request. A second one is refused with the head.
        if empty_lines == 0 && client.inbox().starts_with(b"\r\n") {
            client.take(2);
            (searched, empty_lines) = (0, 1);
        }
        if !client.inbox().is_empty() {
            if let Some(end) = find_head_end(client.inbox(), searched, limit).map_err(refused)? {
                return Ok(end);
            }
            searched = client.inbox().len();
        }
        if !has_begun && (searched > 0 || empty_lines > 0) {
            has_begun = true;
            place.begin(Instant::now());
            deadline.set(deadline.at().min(Instant::now() + proxy.timeouts.head));
        }
        let read = poll_fn(|cx| {
            if let Poll::Ready(read) = client.poll_fill(cx, limit) {
                return Poll::Ready(Some(read));
            }
            let ended = !has_begun && closing.as_mut().poll(cx).is_ready();
            if place.is_asked() {
                if client.is_quiet(true) || has_begun {
                    return Poll::Ready(Some(Ok(0)));
                }
                // A request has come. The runtime has not heard of it yet, and will wake this task.
                place.wait(Instant::now());
            }
            if ended || deadline.poll(cx).is_ready() { Poll::Ready(None) } else { Poll::Pending }
        });
        match read.await {
            Some(Ok(read)) if read > 0 => {}
            None if has_begun => return Err(NoHead::Refused(Refusal::HeadTimeout)),
            _ => return Err(NoHead::Quiet),
        }
    }
}

/// Closes so that the client can read what was sent last, unless its place is needed before that.
async fn linger(client: Conn, place: &Place) {
    place.wait(Instant::now());
    tokio::select! {
        biased;
        () = client.stream.linger() => {}
        () = place.asked() => {}
    }
}

/// Answers in place of the application, and closes.
async fn refuse(
    proxy: &Proxy,
    mut client: Conn,
    (origin, place): (&Origin, &Place),
    refusal: Refusal,
    asker: &Asker,
) {
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
    let sent = poll_fn(|cx| outbox.poll_drain(&mut client.stream, cx));
    if let Ok(Ok(())) = tokio::time::timeout(proxy.timeouts.head, sent).await
        && !place.is_asked()
    {
        // Nobody waits for the place.
        linger(client, place).await;
    }
}
