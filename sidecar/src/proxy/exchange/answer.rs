//! The answer's half of an exchange.

use std::borrow::Cow;
use std::io;
use std::task::{Context, Poll};

use socketio_sidecar_core::handshake::{
    MAX_OPEN_PACKET, TaggedBeginning, Untagged, check_head, is_encoded, tag_answer, tag_beginning,
};
use socketio_sidecar_core::hop::{ResponseHop, write_response};
use socketio_sidecar_core::http1::{Body, Framing, Malformed, ResponseHead, find_head_end, header_slots};
use socketio_sidecar_core::websocket::Messages;

use super::{Exchange, Failure, pass_through};
use crate::proxy::request::Reading;

/// Most interim (1xx) answers before the final one.
const INTERIM_MOST: u8 = 16;
/// Most bytes of an answer held behind its head while it is read: what is collected, chunk framing included,
/// and the byte that shows that the answer is longer.
const MAX_HELD: usize = MAX_OPEN_PACKET + 1;
/// Most bytes of an error that are read to see what it says.
const ERROR_MOST: usize = 4096;

/// Progress of the answer.
#[derive(Debug)]
pub(super) enum Phase {
    /// Waiting for its head, of which so many bytes were searched, after so many interim ones.
    Head {
        searched: usize,
        interim: u8,
    },
    /// Collecting the body in the inbox, behind the head of this length, up to a limit.
    Collecting {
        head: usize,
        seen: usize,
        body: Body,
        limit: usize,
    },
    /// Passing the body.
    Passing(Body),
    Complete,
    /// To WebSocket frames, of which these came with the head.
    Switched(Messages),
}

impl Default for Phase {
    fn default() -> Self {
        Self::Head { searched: 0, interim: 0 }
    }
}

impl Phase {
    /// Nothing more is to come.
    pub(super) fn is_over(&self) -> bool {
        matches!(self, Self::Complete | Self::Switched(_))
    }

    /// The final answer has begun.
    pub(super) fn has_begun(&self) -> bool {
        !matches!(self, Self::Head { .. })
    }

    /// The answer has begun, and the client has seen none of it.
    pub(super) fn is_collecting(&self) -> bool {
        matches!(self, Self::Collecting { .. })
    }
}

impl Exchange<'_> {
    /// Takes in what has come of the answer.
    pub(super) fn receive_answer(&mut self, cx: &mut Context<'_>) -> Result<bool, Failure> {
        let mut progress = false;
        // At most one read's worth of the answer is held for a client that does not take it.
        while !self.phase.is_over() && self.to_client.is_empty() {
            let stepped = match &self.phase {
                Phase::Head { .. } => self.receive_head()?,
                Phase::Collecting { .. } => self.collect(false)?,
                Phase::Passing(_) => self.pass(cx)?,
                Phase::Complete | Phase::Switched(_) => break,
            };
            if stepped {
                progress = true;
                continue;
            }
            match self.read_on(cx)? {
                Poll::Pending => break,
                Poll::Ready(()) => progress = true,
            }
        }
        Ok(progress)
    }

    /// Reads more, and deals with the end of the stream.
    fn read_on(&mut self, cx: &mut Context<'_>) -> Result<Poll<()>, Failure> {
        match self.onward.poll_fill(cx, self.request.answer.limits.bytes + MAX_HELD) {
            Poll::Pending => Ok(Poll::Pending),
            Poll::Ready(Ok(read)) if read > 0 => Ok(Poll::Ready(())),
            Poll::Ready(Ok(_)) => self.ended().map(Poll::Ready),
            Poll::Ready(Err(error)) => Err(self.broken(error)),
        }
    }

    /// The failure of a connection onward that has ended with `error`.
    fn broken(&mut self, error: io::Error) -> Failure {
        let error = self.request_refused.take().unwrap_or(error);
        match self.phase {
            Phase::Head { searched: 0, interim: 0 } if self.onward.inbox().is_empty() => {
                Failure::Unanswered(error)
            }
            _ => Failure::Broken(error),
        }
    }

    /// The connection onward has ended: that completes a body until close, and breaks everything else.
    fn ended(&mut self) -> Result<(), Failure> {
        match &self.phase {
            Phase::Passing(Body::UntilClose) => self.phase = Phase::Complete,
            Phase::Collecting { body: Body::UntilClose, .. } => {
                self.collect(true)?;
            }
            _ => return Err(self.broken(io::ErrorKind::UnexpectedEof.into())),
        }
        Ok(())
    }

    /// Looks for the head; true when there was one.
    fn receive_head(&mut self) -> Result<bool, Failure> {
        if !self.onward.inbox().is_empty() {
            self.answered_early |= !self.is_sent();
            self.request.outbox.release();
        }
        let close = self.closes();
        let Phase::Head { searched, interim } = &mut self.phase else { return Ok(false) };
        let rules = &self.request.answer;
        let end = find_head_end(self.onward.inbox(), *searched, rules.limits.bytes);
        let Some(end) = end.map_err(Failure::BadAnswer)? else {
            *searched = self.onward.inbox().len();
            return Ok(false);
        };
        let mut slots = header_slots();
        let slots = rules.limits.of_slots(&mut slots);
        let head = ResponseHead::parse(&self.onward.inbox()[..end], rules.to_head, slots);
        let head = head.map_err(Failure::BadAnswer)?;
        let hop = ResponseHop { close, to_http_1_0: rules.to_http_1_0, content_length: None };
        let next = match head.status {
            101 if rules.websocket => Phase::Switched(Messages::default()),
            101 => return Err(Failure::BadAnswer(Malformed::Syntax)),
            // The upgrade was asked for in HTTP/1.1, and so may be refused in chunks. The client does not know them
            // (RFC 9112 section 6.1).
            _ if rules.websocket && rules.to_http_1_0 && head.framing == Framing::Chunked => {
                return Err(Failure::BadAnswer(Malformed::TransferEncoding));
            }
            100..200 => {
                if *interim == INTERIM_MOST {
                    return Err(Failure::BadAnswer(Malformed::TooManyInterim));
                }
                Phase::Head { searched: 0, interim: *interim + 1 }
            }
            _ => {
                self.completed.reuse_onward = head.keep_alive;
                self.completed.keep_alive = head.keep_alive_timeout;
                let limit = limit_to_read(&rules.reading, &head);
                self.completed.untagged = limit.err();
                if let Ok(Some(limit)) = limit {
                    let body = Body::of_answer(head.framing);
                    self.phase = Phase::Collecting { head: end, seen: end, body, limit };
                    return Ok(true);
                }
                self.completed.reuse_client = !hop.close && head.framing != Framing::UntilClose;
                Phase::Passing(Body::of_answer(head.framing))
            }
        };
        // HTTP/1.0 knows no interim answers (RFC 9110 section 15.2).
        if !(rules.to_http_1_0 && matches!(next, Phase::Head { .. })) {
            write_response(self.to_client.buffer(), &head, &hop);
        }
        self.onward.take(end);
        self.phase = next;
        self.pass_inbox()?;
        Ok(true)
    }

    /// Adds what came behind the head to the head, so that both go out in one write.
    fn pass_inbox(&mut self) -> Result<(), Failure> {
        match &mut self.phase {
            Phase::Passing(body) => {
                let own = body.append(self.onward.inbox(), self.to_client.buffer());
                self.onward.take(own.map_err(Failure::BadAnswer)?);
                if body.is_complete() {
                    self.phase = Phase::Complete;
                }
            }
            Phase::Switched(messages) => {
                messages.follow(self.onward.inbox());
                self.to_client.push(self.onward.inbox());
                self.onward.take(self.onward.inbox().len());
            }
            _ => {}
        }
        Ok(())
    }

    /// Passes one read's worth of the body; true when something was passed.
    fn pass(&mut self, cx: &mut Context<'_>) -> Result<bool, Failure> {
        if !self.onward.inbox().is_empty() {
            self.pass_inbox()?;
            return Ok(true);
        }
        let Phase::Passing(body) = &mut self.phase else { return Ok(false) };
        let (to_client, (settle, client)) = (&mut *self.to_client, self.client.settle());
        let passed = self.onward.poll_pass(cx, |bytes, inbox, cx| {
            settle.interrupt(client);
            let (own, written) =
                pass_through(body, bytes, to_client, client, cx).map_err(Failure::BadAnswer)?;
            inbox.extend_from_slice(&bytes[own..]);
            written.map_err(|_| Failure::ClientGone)?;
            Ok(bytes.is_empty())
        });
        match passed {
            Poll::Pending => return Ok(false),
            Poll::Ready(Err(error)) => return Err(Failure::Broken(error)),
            Poll::Ready(Ok(ended)) => {
                if ended? {
                    self.ended()?;
                }
            }
        }
        if let Phase::Passing(body) = &self.phase
            && body.is_complete()
        {
            self.phase = Phase::Complete;
        }
        Ok(true)
    }

    /// Goes on over a body that is read before it is passed; true when it could be passed.
    fn collect(&mut self, ended: bool) -> Result<bool, Failure> {
        let Phase::Collecting { head, seen, body, limit } = &mut self.phase else { return Ok(false) };
        let head_end = *head;
        *seen += body.follow_content(&self.onward.inbox()[*seen..], |_| ()).map_err(Failure::BadAnswer)?;
        let complete = body.is_complete() || ended;
        let end = *seen;
        if !complete && end - head_end <= *limit {
            return Ok(false);
        }
        let rules = &self.request.answer;
        let mut slots = header_slots();
        let inbox = self.onward.inbox();
        let head = ResponseHead::parse(&inbox[..head_end], rules.to_head, rules.limits.of_slots(&mut slots));
        let head = head.map_err(Failure::BadAnswer)?;
        let own = &inbox[head_end..end];
        let content = content_of(head.framing, own).map_err(Failure::BadAnswer)?;
        let mut edit = None;
        match &rules.reading {
            Reading::Tag(applied) => {
                let seal = |sid: &str| applied.settings.keys.seal(sid, &applied.own);
                let edited = if complete {
                    Edit::of_whole(&content, own.len(), seal)
                } else {
                    Edit::of_beginning(own, head.framing, seal)
                };
                match edited {
                    Ok(edited) => edit = Some(edited),
                    Err(why) => self.completed.untagged = Some(why),
                }
            }
            Reading::Observe => self.completed.unknown_session = says_unknown_session(&content),
            Reading::Pass => {}
        }
        let until_close = head.framing == Framing::UntilClose && edit.is_none();
        let hop = ResponseHop {
            close: self.closes(),
            to_http_1_0: rules.to_http_1_0,
            content_length: edit.as_ref().map(|edit| edit.content_length),
        };
        write_response(self.to_client.buffer(), &head, &hop);
        let mut body = Body::of_answer(head.framing);
        if let Some(edit) = &edit {
            self.to_client.push(edit.text.as_bytes());
            // What follows has a length: chunked answers are replaced whole.
            self.to_client.push(&own[edit.replaces..]);
            body.follow_content(own, |_| ()).map_err(Failure::BadAnswer)?;
        } else {
            body.append(own, self.to_client.buffer()).map_err(Failure::BadAnswer)?;
        }
        self.completed.reuse_client = !hop.close && !until_close;
        self.completed.tagged = edit.is_some();
        self.onward.take(end);
        self.phase = if complete { Phase::Complete } else { Phase::Passing(body) };
        Ok(true)
    }
}

/// A change at the beginning of a collected answer.
struct Edit {
    text: String,
    /// The bytes that `text` takes the place of, chunk framing included.
    replaces: usize,
    /// The new length of the whole body.
    content_length: usize,
}

impl Edit {
    /// Tags a complete answer with this `content`, whose body took `length` bytes on the wire.
    fn of_whole(
        content: &[u8],
        length: usize,
        seal: impl FnOnce(&str) -> Option<String>,
    ) -> Result<Self, Untagged> {
        let text = tag_answer(content, seal).ok_or(Untagged::NoOpenPacket)?;
        Ok(Self { replaces: length, content_length: text.len(), text })
    }

    /// Tags an answer of which `beginning` is here. The new length of a chunked answer is not known, and so
    /// that passes as it is.
    fn of_beginning(
        beginning: &[u8],
        framing: Framing,
        seal: impl FnOnce(&str) -> Option<String>,
    ) -> Result<Self, Untagged> {
        let Framing::Length(length) = framing else { return Err(Untagged::TooLong) };
        let TaggedBeginning { packet, replaces } = tag_beginning(beginning, seal).ok_or(Untagged::TooLong)?;
        let content_length = usize::try_from(length).ok().and_then(|length| length.checked_sub(replaces));
        let content_length = content_length.and_then(|length| length.checked_add(packet.len()));
        Ok(Self { replaces, content_length: content_length.ok_or(Untagged::TooLong)?, text: packet })
    }
}

/// The content of the collected bytes of a body. Only chunked content is copied.
fn content_of(framing: Framing, own: &[u8]) -> Result<Cow<'_, [u8]>, Malformed> {
    if framing != Framing::Chunked {
        return Ok(Cow::Borrowed(own));
    }
    let mut content = Vec::new();
    Body::of_answer(framing).follow_content(own, |piece| content.extend_from_slice(piece))?;
    Ok(Cow::Owned(content))
}

/// Bytes of an answer to read before it is passed on, if it is to be read at all; or the reason why it is not.
fn limit_to_read(reading: &Reading, head: &ResponseHead<'_, '_>) -> Result<Option<usize>, Untagged> {
    let limit = match reading {
        _ if head.framing == Framing::Empty => return Ok(None),
        Reading::Tag(_) if head.status == 200 => {
            check_head(head)?;
            MAX_OPEN_PACKET
        }
        Reading::Observe if head.status == 400 && !is_encoded(head) => ERROR_MOST,
        _ => return Ok(None),
    };
    Ok(Some(limit))
}

/// Engine.IO's error 1: JSON over polling, its text alone over WebSocket.
fn says_unknown_session(body: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct EngineIoError {
        code: u8,
    }
    body == b"Session ID unknown"
        || serde_json::from_slice::<EngineIoError>(body).is_ok_and(|error| error.code == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_engine_ios_error_1_is_an_unknown_session() {
        assert!(says_unknown_session(br#"{"code":1,"message":"Session ID unknown"}"#));
        assert!(says_unknown_session(b"Session ID unknown"));
        for other in
            [&br#"{"code":3,"message":"Bad request"}"#[..], b"", b"{}", br#"{"error":"Session ID unknown"}"#]
        {
            assert!(!says_unknown_session(other));
        }
    }
}
