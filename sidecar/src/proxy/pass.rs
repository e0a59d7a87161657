//! The passage of a request: sent onward as its head says, and answered.
//!
//! # Invariants
//! - A request that counts for the client of a trusted proxy counts until it is answered, or until the WebSocket that
//!   it opened ends. A connection that lingers afterwards does not count.

use std::sync::Arc;
use std::time::Duration;

use socketio_sidecar_core::handshake::Untagged;
use socketio_sidecar_core::http1::Malformed;
use socketio_sidecar_core::websocket::Messages;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::Proxy;
use super::exchange::{Completed, Exchange, Failure, Outcome};
use super::refusal::{Asker, Refusal};
use super::request::Request;
use super::route::{NoWay, Way};
use super::session::Session;
use crate::io::{Conn, Outbox};
use crate::origin::{Origin, Side};
use crate::places::Place;
use crate::settings::Applied;
use crate::sources::Ticket;
use crate::upstream::{OwnerGone, UpstreamConn};

/// Fate of a connection after a request.
pub(super) enum Next {
    /// Another request may come, and the connection is idle since then.
    Request(Instant),
    /// The connection ends, in a way that lets the client read the answer.
    Close,
    /// The connection breaks, so that nobody takes half an answer for a whole one.
    Abort,
    Tunnel(Box<Upgraded>),
    Refuse(Refusal, Asker),
}

/// A connection onward that now carries WebSocket frames.
pub(super) struct Upgraded {
    pub(super) onward: Conn,
    pub(super) messages: Messages,
    pub(super) way: Way,
    pub(super) session: Option<Session>,
    pub(super) permit: Option<OwnedSemaphorePermit>,
    pub(super) ticket: Option<Box<Ticket>>,
}

/// Reads the head of a request, which is the first `end` bytes, sends the request onward and passes its answer.
#[allow(clippy::manual_async_fn, reason = "an async fn has room for its arguments twice")]
pub(super) fn answer(
    proxy: &Proxy,
    client: &mut Conn,
    (origin, place): (&Origin, &Place),
    end: usize,
) -> impl Future<Output = Next> {
    async move {
        let applied = proxy.source.applied();
        let prepared = Request::prepare(proxy, &client.inbox()[..end], origin, &applied);
        client.take(end);
        let mut request = match prepared {
            Ok(request) => request,
            Err(why) => return Next::Refuse(Refusal::Malformed(why), Asker::default()),
        };
        let passed = pass(proxy, (client, place), &mut request, &applied, origin.side).await;
        passed.unwrap_or_else(|refusal| Next::Refuse(refusal, request.asker))
    }
}

/// Sends a request onward and passes its answer.
async fn pass(
    proxy: &Proxy,
    (client, place): (&mut Conn, &Place),
    request: &mut Request,
    applied: &Arc<Applied>,
    side: Side,
) -> Result<Next, Refusal> {
    let mut way = request.way?;
    let permit = match request.answer.websocket {
        true => {
            let websockets = proxy.doors.of(side).websockets.clone();
            Some(websockets.try_acquire_owned().map_err(|_| Refusal::TooManyWebSockets)?)
        }
        false => None,
    };
    let started = Instant::now();
    let (mut fresh, mut now) = (false, started);
    loop {
        let mut onward = match proxy.connect(way, applied, (&mut *client, &mut *request), fresh, now).await {
            Ok(onward) => onward,
            Err(NoWay::OwnerGone(gone)) => {
                // The application answers, so that the error has its dialect and its CORS fields. The
                // tag stays on the sid: without it, it could be another session's sid here.
                proxy.metrics.count_owner_gone(gone.reason());
                (way, fresh, now) = (Way::App, false, Instant::now());
                continue;
            }
            Err(NoWay::Refused(refusal, error)) => {
                tracing::warn!(to = way.label(), %error, cause = refusal.cause(), "no connection onward");
                return Err(refusal);
            }
            Err(NoWay::Client(failure)) => {
                return explain(proxy, way, &failure, false).map_or(Ok(Next::Abort), Err);
            }
        };
        if onward.pooled_for.is_some() && way == Way::App && request.is_repeatable {
            request.outbox.retain();
        }
        let mut to_client = Outbox::default();
        let from = (&mut *client, place);
        let exchange = Exchange::new(from, &mut onward.conn, request, &mut to_client, proxy);
        let ended = exchange.run().await;
        let failure = match ended {
            Ok(Outcome::Switched(messages)) => {
                let (onward, session, ticket) = (onward.conn, request.session, request.ticket.take());
                return Ok(Next::Tunnel(Box::new(Upgraded {
                    onward,
                    messages,
                    way,
                    session,
                    permit,
                    ticket,
                })));
            }
            Ok(Outcome::Complete(completed)) => {
                let seconds = match way {
                    Way::App => &proxy.metrics.local_seconds,
                    Way::Owner(_) => &proxy.metrics.forward_seconds,
                };
                let ended = Instant::now();
                seconds.observe((ended - started).as_secs_f64());
                return Ok(conclude(proxy, way, onward, &completed, ended));
            }
            Err(failure) => failure,
        };
        if let Some(reason) = repeat(proxy, way, &onward, request, &failure, now.elapsed()) {
            proxy.metrics.count_retry(reason);
            fresh = true;
            continue;
        }
        let explained = explain(proxy, way, &failure, onward.conn.stream.is_lost());
        if !request.outbox.is_empty() {
            // The kernel would hold for the other side what it does not read.
            onward.conn.stream.abort();
        }
        return match explained {
            Some(refusal) if to_client.written() == 0 => Err(refusal),
            Some(refusal) => {
                // Too late for a refusal.
                proxy.metrics.count_failure(refusal.cause());
                Ok(Next::Abort)
            }
            None => Ok(Next::Abort),
        };
    }
}

/// Longest time from sending a request to the end of a connection that was closing then. A connection that ends
/// later has met something else: a server that gave up on the request, for example.
const MAX_CLOSING: Duration = Duration::from_millis(500);

/// Decides whether a request is sent again, on a new connection, and why. Only a connection that was idle before
/// may have been closing when the request was sent, `after` before its end.
fn repeat(
    proxy: &Proxy,
    way: Way,
    onward: &UpstreamConn,
    request: &mut Request,
    failure: &Failure,
    after: Duration,
) -> Option<&'static str> {
    let idle_for = onward.pooled_for?;
    if after > MAX_CLOSING && !matches!(failure, Failure::Unsent(_)) {
        return None;
    }
    if way == Way::App && matches!(failure, Failure::Unsent(_) | Failure::Unanswered(_)) {
        proxy.app.met_closing(onward.answers, idle_for);
    }
    match failure {
        Failure::Unsent(_) => Some("unsent"),
        Failure::Unanswered(_) if request.outbox.rewind() => Some("unanswered"),
        _ => None,
    }
}

/// Counts an answer that is complete `now`, and gives the connection onward back.
fn conclude(proxy: &Proxy, way: Way, mut onward: UpstreamConn, completed: &Completed, now: Instant) -> Next {
    if completed.tagged {
        proxy.metrics.tagged.inc();
    }
    if let Some(why) = completed.untagged {
        count_untagged(proxy, why);
    }
    if completed.unknown_session {
        proxy.metrics.would_have_failed.inc();
    }
    if completed.reuse_onward {
        onward.answers = onward.answers.saturating_add(1);
        proxy.keep(way, onward, completed.keep_alive, now);
    }
    if completed.reuse_client { Next::Request(now) } else { Next::Close }
}

/// Counts a handshake's answer that got no tag, and logs it, at most once a minute.
fn count_untagged(proxy: &Proxy, why: Untagged) {
    proxy.metrics.count_untagged(why.label());
    if proxy.untagged_log.is_due() {
        let reason = why.label();
        tracing::warn!(reason, "a handshake got no owner tag: its session is served by this pod only");
    }
}

/// Maps a failure to a refusal, which the caller counts. `None` where there is nobody to answer; such a failure is
/// counted here.
fn explain(proxy: &Proxy, way: Way, failure: &Failure, is_owner_lost: bool) -> Option<Refusal> {
    match failure {
        Failure::ClientGone => {
            proxy.metrics.count_failure("client_gone");
            None
        }
        Failure::Flooded => {
            proxy.metrics.count_failure("flooded");
            None
        }
        Failure::BadRequest(why) => Some(Refusal::Malformed(*why)),
        Failure::Stalled => Some(Refusal::Stalled),
        Failure::AnswerStalled => Some(Refusal::AnswerStalled),
        Failure::OverBudget => Some(Refusal::OverBudget),
        Failure::BodyTimeout => Some(Refusal::BodyTimeout),
        Failure::BadAnswer(why) => {
            proxy.metrics.count_malformed(way.label());
            let setting = match why {
                Malformed::TooLong => "--max-answer-head",
                Malformed::TooManyFields => "--max-fields",
                _ => {
                    tracing::warn!(from = way.label(), %why, "refused an answer");
                    return Some(Refusal::BadGateway);
                }
            };
            tracing::warn!(from = way.label(), %why, "refused an answer; {setting} sets the limit");
            Some(Refusal::AnswerHeadTooLarge)
        }
        Failure::Unsent(_) | Failure::Unanswered(_) | Failure::Broken(_) if is_owner_lost => {
            proxy.metrics.count_owner_gone(OwnerGone::Vanished.reason());
            Some(Refusal::OwnerVanished)
        }
        Failure::Unsent(error) | Failure::Unanswered(error) | Failure::Broken(error) => {
            tracing::info!(to = way.label(), %error, "the connection onward broke");
            Some(Refusal::BadGateway)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::future_size::size_of_future;

    #[test]
    fn a_request_takes_no_more_room_than_the_allocators_fast_path_has() {
        // glibc keeps freed blocks of up to 1,032 bytes for the thread.
        let size = size_of_future(|(proxy, client, from, end)| answer(proxy, client, from, end));
        assert!(size <= 1032, "{size}");
    }
}
