//! The answer's half of an exchange.

use std::io;
use std::task::{Context, Poll};

use socketio_sidecar_core::handshake::{MAX_ANSWER, tag_answer};
use socketio_sidecar_core::hop::{ResponseHop, write_response};
use socketio_sidecar_core::http1::{Body, Framing, Malformed, ResponseHead, find_head_end, header_slots};
use socketio_sidecar_core::websocket::Messages;

use super::{Exchange, Failure, pass_through};
use crate::proxy::request::Reading;

/// Most interim (1xx) answers before the final one.
const INTERIM_MOST: u8 = 16;
/// Most bytes of an answer held while it is read: its head and what is collected, chunk framing included.
const ANSWER_MOST: usize = 2 * MAX_ANSWER;
/// Most bytes of an error that are read to see what it says.
const ERROR_MOST: usize = 4096;

/// How far the answer has come.
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
        match self.onward.poll_fill(cx, ANSWER_MOST) {
            Poll::Pending => Ok(Poll::Pending),
            Poll::Ready(Ok(read)) if read > 0 => Ok(Poll::Ready(())),
            Poll::Ready(Ok(_)) => self.ended().map(Poll::Ready),
            Poll::Ready(Err(error)) => Err(Failure::Broken(self.request_refused.take().unwrap_or(error))),
        }
    }

    /// The connection onward has ended: that completes a body until close, and breaks everything else.
    fn ended(&mut self) -> Result<(), Failure> {
        match &self.phase {
            Phase::Passing(Body::UntilClose) => self.phase = Phase::Complete,
            Phase::Collecting { body: Body::UntilClose, .. } => {
                self.collect(true)?;
            }
            _ => {
                let error = self.request_refused.take();
                return Err(Failure::Broken(error.unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into())));
            }
        }
        Ok(())
    }

    /// Looks for the head; true when there was one.
    fn receive_head(&mut self) -> Result<bool, Failure> {
        let close = self.closes();
        let Phase::Head { searched, interim } = &mut self.phase else { return Ok(false) };
        let Some(end) = find_head_end(self.onward.inbox(), *searched).map_err(Failure::BadAnswer)? else {
            *searched = self.onward.inbox().len();
            return Ok(false);
        };
        let rules = &self.request.answer;
        let mut slots = header_slots();
        let head = ResponseHead::parse(&self.onward.inbox()[..end], rules.to_head, &mut slots);
        let head = head.map_err(Failure::BadAnswer)?;
        let hop = ResponseHop { close, to_http_1_0: rules.to_http_1_0, content_length: None };
        let next = match head.status {
            101 if rules.websocket => Phase::Switched(Messages::default()),
            101 => return Err(Failure::BadAnswer(Malformed::Syntax)),
            100..200 => {
                if *interim == INTERIM_MOST {
                    return Err(Failure::BadAnswer(Malformed::TooLarge));
                }
                Phase::Head { searched: 0, interim: *interim + 1 }
            }
            _ => {
                self.completed.reuse_onward = head.keep_alive;
                self.completed.keep_alive = head.keep_alive_timeout;
                if let Some(limit) = limit_to_read(&rules.reading, &head) {
                    let body = Body::of_answer(head.framing);
                    self.phase = Phase::Collecting { head: end, seen: end, body, limit };
                    return Ok(true);
                }
                self.completed.reuse_client = !hop.close && head.framing != Framing::UntilClose;
                Phase::Passing(Body::of_answer(head.framing))
            }
        };
        write_response(self.to_client.buffer(), &head, &hop);
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
        let (to_client, client) = (&mut *self.to_client, &mut self.client.stream);
        let passed = self.onward.poll_pass(cx, |bytes, inbox, cx| {
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
        let head = ResponseHead::parse(&inbox[..head_end], rules.to_head, &mut slots);
        let head = head.map_err(Failure::BadAnswer)?;
        let mut content = Vec::with_capacity(end - head_end);
        Body::of_answer(head.framing)
            .follow_content(&inbox[head_end..end], |piece| content.extend_from_slice(piece))
            .map_err(Failure::BadAnswer)?;

        let tagged = match &rules.reading {
            Reading::Tag(applied) if complete => {
                tag_answer(&content, |sid| applied.settings.keys.seal(sid, &applied.own))
            }
            Reading::Observe => {
                self.completed.unknown_session = says_unknown_session(&content);
                None
            }
            _ => None,
        };
        let replaced = tagged.as_deref().map(str::as_bytes);
        let until_close = head.framing == Framing::UntilClose && replaced.is_none();
        let hop = ResponseHop {
            close: self.closes(),
            to_http_1_0: rules.to_http_1_0,
            content_length: replaced.map(<[u8]>::len),
        };
        write_response(self.to_client.buffer(), &head, &hop);
        let mut body = Body::of_answer(head.framing);
        match replaced {
            Some(replaced) => self.to_client.push(replaced),
            None => {
                let passed = body.append(&inbox[head_end..end], self.to_client.buffer());
                passed.map_err(Failure::BadAnswer)?;
            }
        }
        self.completed.reuse_client = !hop.close && !until_close;
        self.completed.tagged = tagged.is_some();
        self.onward.take(end);
        self.phase = if complete { Phase::Complete } else { Phase::Passing(body) };
        Ok(true)
    }
}

/// How much of an answer to read before it is passed on, if it is to be read at all.
fn limit_to_read(reading: &Reading, head: &ResponseHead<'_, '_>) -> Option<usize> {
    let limit = match reading {
        Reading::Tag(_) if head.status == 200 => MAX_ANSWER,
        Reading::Observe if head.status == 400 => ERROR_MOST,
        _ => return None,
    };
    let plain = |value: &[u8]| value.eq_ignore_ascii_case(b"identity");
    let mut fields = head.headers.iter();
    let encoded =
        fields.any(|field| field.name.eq_ignore_ascii_case("content-encoding") && !plain(field.value));
    (!encoded && head.framing != Framing::Empty).then_some(limit)
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
