//! A request and its answer, both streamed, in both directions at once.
//!
//! The exchange is a single state machine over the two connections, polled as a whole. So there is no
//! shared state, no lock and no task of its own; dropping it at any point drops nothing but what both
//! connections would lose anyway, and a connection whose exchange did not complete is never used again.
//!
//! # Invariants
//! - Each side is read only while the other has taken what was read before (backpressure).
//! - An answer may come before the request is complete; then the client's connection closes after it.
//! - Chunked bodies pass normalised: what a client puts into extensions and trailers reaches nobody.
//! - The connection onward is used again only when both sides must agree where the answer ended: the request was
//!   HTTP/1.1, had no `Expect`, chunk extension or trailer, and was sent before its answer began.
//! - The client is watched until its answer is complete. When it goes away, the exchange ends. A client that
//!   only says that it will send no more (a half-close) is answered, unless its request is a poll or from a
//!   peer. The two cannot be told apart at first: a client that has gone is noticed when the answer is
//!   written to it, or at the latest when the answer has made no progress for the stall timeout.
//! - What the kernel holds of an answer, beyond what is free, is charged to the budget while more of the answer is to come.
//!   Afterwards [`super::serve`] does that, so that the connection onward is free.
//! - A request's body has a total time as well, so that trickling does not keep a connection for ever. An
//!   answer has none.
//! - The connection may lose its place to a newcomer while the client is to send the rest of a body, and only then. It keeps
//!   the place once the body is complete, once the answer has begun, and while the other side does not take the body.
//! - Waiting for an answer has no limit (polls hang by design); a body under way that makes no progress
//!   for the stall timeout ends the exchange.

mod answer;

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use socketio_sidecar_core::handshake::Untagged;
use socketio_sidecar_core::http1::{Body, Followed, Malformed};
use socketio_sidecar_core::websocket::Messages;
use tokio::time::Instant;

use super::request::Request;
use super::{Proxy, Timeouts};
use crate::io::{Conn, Outbox, Stall, StallAlarm, Stream, Wait};
use crate::places::Place;
use crate::shutdown::Stage;
use answer::Phase;

/// Most bytes of further requests that are held without a charge while a client waits, in time without a limit. More
/// of them are charged to the budget, and held until the answer has stalled for the stall timeout.
pub(super) const FREE_AHEAD: usize = 4 * 1024;

/// Complete end of an exchange.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The answer is complete.
    Complete(Completed),
    /// 101: both connections now carry WebSocket frames, of which these were passed with it.
    Switched(Messages),
}

/// A complete answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Completed {
    /// The client's connection can carry another request.
    pub(super) reuse_client: bool,
    /// The connection onward can carry another request.
    pub(super) reuse_onward: bool,
    /// For how long the other side says it will keep it.
    pub(super) keep_alive: Option<Duration>,
    /// The answer was a handshake's, and is now tagged.
    pub(super) tagged: bool,
    /// The reason why a handshake's answer got no tag.
    pub(super) untagged: Option<Untagged>,
    /// The application said that it does not know the session.
    pub(super) unknown_session: bool,
}

/// Reason why an exchange ended without a complete answer. Both connections are of no further use, except
/// that the client's can still take a refusal while nothing was written to it.
#[derive(Debug)]
pub(super) enum Failure {
    /// The connection onward broke before it took anything: the request can be sent elsewhere.
    Unsent(io::Error),
    /// The connection onward ended after it had taken the request, before a byte of an answer.
    Unanswered(io::Error),
    /// The client closed its connection, or it broke.
    ClientGone,
    /// The client has sent too much of further requests behind this one.
    Flooded,
    /// The client's body is malformed.
    BadRequest(Malformed),
    /// The connection onward broke or ended before the answer was complete.
    Broken(io::Error),
    /// The answer is malformed.
    BadAnswer(Malformed),
    /// The request's body has stopped coming.
    Stalled,
    /// The request is not taken, or its answer is not given or not taken, for too long.
    AnswerStalled,
    /// Bytes that wait for a reader found no more room in the budget.
    OverBudget,
    /// The request's body took too long in all, or for the place that its connection holds.
    BodyTimeout,
}

/// A request and its answer.
#[derive(Debug)]
pub(super) struct Exchange<'c> {
    client: &'c mut Conn,
    place: &'c Place,
    onward: &'c mut Conn,
    request: &'c mut Request,
    to_client: &'c mut Outbox,
    phase: Phase,
    completed: Completed,
    /// The answer began before the request was sent. What follows may belong to this answer, or be a second one.
    answered_early: bool,
    /// The connection onward no longer takes the request, but may still have an answer to it.
    request_refused: Option<io::Error>,
    proxy: &'c Proxy,
    /// The client said that it will send no more, and still waits for the answer.
    half_closed: bool,
    request_alarm: StallAlarm,
    answer_alarm: StallAlarm,
    /// Never put off.
    body_alarm: StallAlarm,
    /// For what the client sends ahead. Put off while the answer comes.
    ahead_alarm: StallAlarm,
}

impl<'c> Exchange<'c> {
    pub(super) fn new(
        (client, place): (&'c mut Conn, &'c Place),
        onward: &'c mut Conn,
        request: &'c mut Request,
        to_client: &'c mut Outbox,
        proxy: &'c Proxy,
    ) -> Self {
        Self {
            client,
            place,
            onward,
            request,
            to_client,
            phase: Phase::default(),
            completed: Completed::default(),
            answered_early: false,
            request_refused: None,
            proxy,
            half_closed: false,
            request_alarm: StallAlarm::default(),
            answer_alarm: StallAlarm::default(),
            body_alarm: StallAlarm::default(),
            ahead_alarm: StallAlarm::default(),
        }
    }

    /// Runs the exchange to its end.
    pub(super) fn run(mut self) -> impl Future<Output = Result<Outcome, Failure>> {
        poll_fn(move |cx| self.poll(cx))
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Outcome, Failure>> {
        loop {
            // Each goes on until it waits for something that wakes this task, except that no more of the
            // answer is received while some of it is still to be sent.
            let written = self.to_client.written();
            let sent = self.send_request(cx)?;
            self.watch_client(cx)?;
            let received = self.receive_answer(cx)?;
            let passed = self.send_answer(cx)?;
            self.client.settle().0.note(self.to_client.written() - written);
            if self.to_client.is_empty() {
                if let Phase::Switched(messages) = self.phase {
                    return Poll::Ready(Ok(Outcome::Switched(messages)));
                }
                if matches!(self.phase, Phase::Complete) {
                    return Poll::Ready(Ok(self.complete()));
                }
            }
            if sent {
                self.request_alarm.progress();
            }
            if received || passed {
                self.answer_alarm.progress();
                self.ahead_alarm.progress();
            }
            if !passed {
                break;
            }
        }
        self.poll_stalled(cx)
    }

    /// Reports whether the client's connection ends with this answer. Asked when the answer comes, which may be
    /// long after the request.
    fn closes(&self) -> bool {
        let stopping = self.proxy.shutdown.stage() > Stage::Serving;
        stopping || !self.request.answer.keep_alive || !self.is_sent()
    }

    /// The whole request has been handed to the connection onward.
    fn is_sent(&self) -> bool {
        self.request.body.is_complete() && self.request.outbox.is_empty()
    }

    fn complete(&mut self) -> Outcome {
        let sent = self.is_sent();
        let mut completed = std::mem::take(&mut self.completed);
        completed.reuse_client &= sent;
        completed.reuse_onward &= sent
            && self.request.allows_reuse
            && !self.request.body.carried_unusual()
            && !self.answered_early
            && self.onward.inbox().is_empty()
            && self.request_refused.is_none();
        Outcome::Complete(completed)
    }

    /// Sends the head and what has come of the body.
    fn send_request(&mut self, cx: &mut Context<'_>) -> Result<bool, Failure> {
        let mut progress = false;
        while self.request_refused.is_none() {
            self.request.take_body(self.client).map_err(Failure::BadRequest)?;
            let Request { outbox, body, .. } = &mut *self.request;
            if !outbox.is_empty() {
                match outbox.poll_drain(&mut self.onward.stream, cx) {
                    Poll::Pending => break,
                    Poll::Ready(Ok(())) => progress = true,
                    Poll::Ready(Err(error)) if !outbox.may_have_sent(&self.onward.stream) => {
                        return Err(Failure::Unsent(error));
                    }
                    Poll::Ready(Err(error)) => self.request_refused = Some(error),
                }
                continue;
            }
            if body.is_complete() {
                break;
            }
            let written = if self.client.inbox().is_empty() {
                let onward = &mut self.onward.stream;
                let passed = self.client.poll_pass(cx, |bytes, inbox, cx| {
                    if bytes.is_empty() {
                        return Err(Failure::ClientGone);
                    }
                    let (own, written) =
                        pass_through(body, bytes, outbox, onward, cx).map_err(Failure::BadRequest)?;
                    inbox.extend_from_slice(&bytes[own..]);
                    Ok(written)
                });
                match passed {
                    Poll::Pending => break,
                    Poll::Ready(passed) => passed.map_err(|_| Failure::ClientGone)??,
                }
            } else {
                let onward = &mut self.onward.stream;
                let (own, written) = pass_through(body, self.client.inbox(), outbox, onward, cx)
                    .map_err(Failure::BadRequest)?;
                self.client.take(own);
                written
            };
            self.request_refused = written.err();
            progress = true;
        }
        Ok(progress)
    }

    /// Notices when the client goes away while it waits. The beginning of the client's next request is kept,
    /// up to `max_ahead` bytes. Beyond them the end of the client could not be noticed, and so the client is let go.
    fn watch_client(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        while self.request.body.is_complete() && !self.phase.is_over() && !self.half_closed {
            if self.client.inbox().len() >= self.request.max_ahead {
                return Err(Failure::Flooded);
            }
            if self.client.inbox().len() <= FREE_AHEAD && self.client.held() > FREE_AHEAD {
                // Room that was made for the request's head.
                self.client.shrink();
            }
            match self.client.poll_fill(cx, self.request.max_ahead) {
                Poll::Pending => break,
                Poll::Ready(Ok(read)) if read > 0 => {}
                Poll::Ready(Ok(_)) if !self.request.ends_with_client => self.half_closed = true,
                Poll::Ready(_) => return Err(Failure::ClientGone),
            }
        }
        Ok(())
    }

    /// True when all that waited was sent.
    fn send_answer(&mut self, cx: &mut Context<'_>) -> Result<bool, Failure> {
        if self.to_client.is_empty() {
            return Ok(false);
        }
        let (settle, stream) = self.client.settle();
        settle.interrupt(stream);
        match self.to_client.poll_drain(stream, cx) {
            Poll::Pending => Ok(false),
            Poll::Ready(Ok(())) => Ok(true),
            Poll::Ready(Err(_)) => Err(Failure::ClientGone),
        }
    }

    /// Nothing moves. That is a poll's normal state; while a body is under way it has a limit.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<Result<Outcome, Failure>> {
        let sending = self.request_refused.is_none() && !self.is_sent();
        let answering = self.phase.is_collecting() || self.half_closed;
        let Timeouts { stall, body, .. } = self.proxy.timeouts;
        let budget = &self.proxy.budget;
        // Charged only while bytes wait for a reader: not while more is to come of what is read whole.
        let waits = sending && !self.request.outbox.is_empty();
        let held = if waits { self.request.outbox.held() + self.client.held() } else { 0 };
        let wait = if sending { Wait::Progress { held, limit: stall } } else { Wait::Nothing };
        let request = self.request_alarm.poll(cx, wait, budget);
        let wait = if !self.to_client.is_empty() {
            Wait::Progress { held: self.to_client.held() + self.onward.held(), limit: stall }
        } else if let (settle, stream) = self.client.settle()
            && settle.poll(stream, budget, cx).is_pending()
        {
            settle.wait(false)
        } else if answering {
            Wait::Progress { held: 0, limit: stall }
        } else {
            Wait::Nothing
        };
        let answer = self.answer_alarm.poll(cx, wait, budget);
        let has_body = self.request_refused.is_none() && !self.request.body.is_complete();
        let wait = if has_body { Wait::Progress { held: 0, limit: body } } else { Wait::Nothing };
        if self.body_alarm.poll(cx, wait, budget).is_ready() || self.loses_place(has_body) {
            return Poll::Ready(Err(Failure::BodyTimeout));
        }
        let ahead = if self.request.body.is_complete() { self.client.held() } else { 0 };
        let wait = match ahead {
            ..=FREE_AHEAD => Wait::Nothing,
            held => Wait::Here { held, limit: stall },
        };
        match self.ahead_alarm.poll(cx, wait, budget) {
            Poll::Ready(Stall::NoProgress) => return Poll::Ready(Err(Failure::Flooded)),
            Poll::Ready(Stall::Budget) => return Poll::Ready(Err(Failure::OverBudget)),
            Poll::Pending => {}
        }
        let failure = match (request, answer) {
            (Poll::Pending, Poll::Pending) => return Poll::Pending,
            (Poll::Ready(Stall::Budget), _) | (_, Poll::Ready(Stall::Budget)) => Failure::OverBudget,
            (Poll::Ready(Stall::NoProgress), _) if !waits => Failure::Stalled,
            _ => Failure::AnswerStalled,
        };
        Poll::Ready(Err(failure))
    }

    /// Marks the place for what the client has still to send. True where a newcomer gets the place.
    fn loses_place(&self, has_body: bool) -> bool {
        if !has_body || self.phase.has_begun() {
            if !self.place.is_busy() {
                // Declines, if the connection was asked in the meantime.
                self.place.work();
            }
            return false;
        }
        let is_asked = self.place.is_asked();
        if self.place.is_busy() || (is_asked && !self.request.outbox.is_empty()) {
            // The client is not to blame while the other side does not take the body: its time begins anew.
            self.place.receive(Instant::now());
            return false;
        }
        // The kernel may hold the rest of the body. The runtime wakes this task when it hears of that.
        is_asked && self.client.is_quiet(true)
    }
}

/// Writes what passes of `bytes` at once if nothing is waiting. Returns how many of them belong to `body`.
///
/// # Errors
/// [`Malformed::Chunk`]; nothing was written then, and `outbox` is of no further use.
fn pass_through(
    body: &mut Body,
    bytes: &[u8],
    outbox: &mut Outbox,
    stream: &mut Stream,
    cx: &mut Context<'_>,
) -> Result<(usize, io::Result<()>), Malformed> {
    let Followed { own, is_rewritten } = body.follow(bytes, outbox.buffer())?;
    let written = if !is_rewritten {
        outbox.write_through(stream, cx, &bytes[..own])
    } else if let Poll::Ready(drained) = outbox.poll_drain(stream, cx) {
        drained
    } else {
        Ok(())
    };
    Ok((own, written))
}
