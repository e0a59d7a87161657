//! Reading and forwarding a stream in the steps of the sidecar's connection loop.
//!
//! This is the only place of these tests that calls `http1` and `hop`. Bodies are followed whole and byte
//! by byte: the latter finds the last byte that can have been passed on before a refusal.

use socketio_sidecar_core::hop::{RequestHop, ResponseHop, write_request, write_response};
use socketio_sidecar_core::http1::{Body, Framing, Header, Malformed, RequestHead, ResponseHead};
use socketio_sidecar_core::http1::{MAX_HEAD, find_head_end, header_slots};

use super::reading::{End, Fields, Message, Reading};

/// A stream as we read it.
#[derive(Debug)]
pub(super) struct Ours {
    pub(super) reading: Reading,
    /// Bytes that the next hop is sent. After a refusal, the last message is incomplete.
    pub(super) onward: Vec<u8>,
    /// Position at which the last complete message ends.
    pub(super) used: usize,
    /// The last message ends only with the connection.
    pub(super) until_close: bool,
}

/// Reads requests, and writes them on as `hop` says.
pub(super) fn requests(bytes: &[u8], hop: &RequestHop<'_>) -> Ours {
    let mut ours = Ours::new();
    let mut at = 0;
    while ours.reading.end == End::Waiting && at < bytes.len() {
        // One empty line before a request is ignored.
        let empty = if bytes[at..].starts_with(b"\r\n") { 2 } else { 0 };
        let head = &bytes[at + empty..];
        let end = match find_head_end(head, 0, MAX_HEAD) {
            Ok(Some(end)) => end,
            Ok(None) => break,
            Err(why) => return ours.refused(why),
        };
        let mut slots = header_slots();
        let head = match RequestHead::parse(&head[..end], &mut slots) {
            Ok(head) => head,
            Err(why) => return ours.refused(why),
        };
        at += empty + end;
        write_request(&mut ours.onward, &head, hop);
        let (body, complete) = match ours.follow(Body::of_request(head.framing), &bytes[at..]) {
            Ok((body, own, complete)) => {
                at += own;
                (body, complete)
            }
            Err(why) => return ours.refused(why),
        };
        if !complete {
            break;
        }
        ours.used = at;
        ours.reading.messages.push(Message {
            start: [head.method.to_owned(), head.target.to_owned()],
            http_1_0: head.http_1_0,
            fields: fields(head.headers),
            body,
        });
        if head.websocket {
            ours.reading.end = End::Upgraded;
        } else if !head.keep_alive {
            ours.reading.end = End::Closed;
        }
    }
    ours
}

/// Reads one answer and the interim ones before it, and writes them on as `hop` says. What stands
/// behind it is not read: nothing was asked for.
pub(super) fn answer(bytes: &[u8], to_head: bool, hop: &ResponseHop) -> Ours {
    let mut ours = Ours::new();
    let mut at = 0;
    loop {
        let end = match find_head_end(&bytes[at..], 0, MAX_HEAD) {
            Ok(Some(end)) => end,
            Ok(None) => return ours,
            Err(why) => return ours.refused(why),
        };
        let mut slots = header_slots();
        let head = match ResponseHead::parse(&bytes[at..at + end], to_head, &mut slots) {
            Ok(head) => head,
            Err(why) => return ours.refused(why),
        };
        at += end;
        write_response(&mut ours.onward, &head, hop);
        let written = ours.onward.len();
        let (body, own, complete) = match ours.follow(Body::of_answer(head.framing), &bytes[at..]) {
            Ok(followed) => followed,
            Err(why) => return ours.refused(why),
        };
        ours.until_close = head.framing == Framing::UntilClose;
        if !complete && !ours.until_close {
            return ours;
        }
        if hop.content_length.is_some() {
            ours.onward.truncate(written);
            ours.onward.extend_from_slice(&body);
        }
        at += own;
        ours.used = at;
        ours.reading.messages.push(Message {
            start: [head.status.to_string(), head.reason.to_owned()],
            http_1_0: head.http_1_0,
            fields: fields(head.headers),
            body,
        });
        if head.status == 101 {
            ours.reading.end = End::Upgraded;
            return ours;
        }
        if head.status >= 200 {
            ours.reading.end = End::Closed;
            return ours;
        }
    }
}

impl Ours {
    fn new() -> Self {
        let reading = Reading { messages: Vec::new(), end: End::Waiting };
        Self { reading, onward: Vec::new(), used: 0, until_close: false }
    }

    fn refused(mut self, why: Malformed) -> Self {
        self.reading.end = End::Refused(why.to_string());
        self
    }

    /// Follows a body from its beginning: its content, how many bytes are its own, and whether it is complete.
    fn follow(&mut self, beginning: Body, bytes: &[u8]) -> Result<(Vec<u8>, usize, bool), Malformed> {
        let (mut content, mut passed) = (Vec::new(), Vec::new());
        let mut body = beginning.clone();
        let whole = body.follow_content(bytes, |piece| content.extend_from_slice(piece));
        assert_eq!(beginning.clone().append(bytes, &mut passed), whole, "it depends on what is asked for");
        let mut slowly = beginning;
        let (mut own, mut slowly_passed) = (0, Vec::new());
        while own < bytes.len() && !slowly.is_complete() {
            if let Err(why) = slowly.append(&bytes[own..=own], &mut slowly_passed) {
                assert_eq!(whole, Err(why), "a body is refused byte by byte only");
                break;
            }
            own += 1;
        }
        self.onward.extend_from_slice(&slowly_passed);
        let whole = whole?;
        assert_eq!(
            (whole, body.is_complete(), passed),
            (own, slowly.is_complete(), slowly_passed),
            "it depends on how a body is cut"
        );
        Ok((content, own, body.is_complete()))
    }
}

fn fields(headers: &[Header<'_>]) -> Fields {
    Fields::new(headers.iter().map(|field| (field.name, field.value)))
}
