//! Heads as they look on the far side of this hop (RFC 9110 section 7.6).
//!
//! # Invariants
//! - Fields pass in order and byte for byte, except those that concern one hop and the few named in
//!   [`RequestHop`] and [`ResponseHop`].
//! - Fields that concern one hop never pass, and a `Connection` option removes no field that others rely
//!   on: see [`crate::http1::fields`].
//! - A request asks for no trailers and announces none: `TE` and `Trailer` never pass.
//! - The fields that name the client are treated by [`crate::forwarded`].

use std::io::Write;
use std::ops::Range;

use crate::forwarded::{self, Fate, Forwarded, write_forwarded_for};
use crate::http1::fields::{Nominated, is_hop_by_hop};
use crate::http1::{Framing, Header, RequestHead, ResponseHead, position_in};

/// Bytes by which a head nearly always grows at most. Room for them is made at once.
const MARGIN: usize = 128;

/// Changes of a request's head besides its hop-by-hop fields.
#[derive(Debug, Clone, Default)]
pub struct RequestHop<'h> {
    /// A part of the target to cut out: the owner tag.
    pub cut: Option<Range<usize>>,
    /// Ask for an answer that is not compressed, because it will be read.
    pub identity_encoding: bool,
    /// The treatment of the fields that name the client.
    pub forwarded: Forwarded<'h>,
}

/// Changes of a response's head besides its hop-by-hop fields.
#[derive(Debug, Clone, Copy, Default)]
pub struct ResponseHop {
    /// The client's connection ends with this answer.
    pub close: bool,
    /// The client speaks HTTP/1.0, where staying open has to be said.
    pub to_http_1_0: bool,
    /// The body was read whole and changed: its length now, in place of its framing until now.
    pub content_length: Option<usize>,
}

/// Appends `head` to `out`, as the next hop should see it.
pub fn write_request(out: &mut Vec<u8>, head: &RequestHead<'_, '_>, hop: &RequestHop<'_>) {
    out.reserve(head.raw.len() + MARGIN);
    let target = head.target.as_bytes();
    out.extend_from_slice(head.method.as_bytes());
    out.push(b' ');
    match &hop.cut {
        Some(cut) => {
            out.extend_from_slice(target.get(..cut.start).unwrap_or_default());
            out.extend_from_slice(target.get(cut.end..).unwrap_or_default());
        }
        None => out.extend_from_slice(target),
    }
    // A WebSocket is asked for in HTTP/1.1: HTTP/1.0 has no upgrades (RFC 9110 section 7.8).
    let http_1_0 = head.http_1_0 && !head.websocket;
    out.extend_from_slice(if http_1_0 { b" HTTP/1.0\r\n" } else { b" HTTP/1.1\r\n" });

    let nominated = head.nominates.then(|| Nominated::of(head.headers));
    let is_nominated = |name: &str| nominated.as_ref().is_some_and(|nominated| nominated.removes(name));
    let forwarded = forwarded::Fields::new(hop.forwarded, head.headers);
    let mut fields = Fields { out, head: head.raw, run: 0..0 };
    for (at, field) in head.headers.iter().enumerate() {
        let name = field.name;
        if is_hop_by_hop(name) || is_nominated(name) {
            continue;
        }
        if hop.identity_encoding && name.eq_ignore_ascii_case("accept-encoding") {
            continue;
        }
        match forwarded.fate(at, name) {
            Fate::Pass => fields.pass(field),
            Fate::Remove => {}
            Fate::Append(address) => {
                fields.flush();
                write_forwarded_for(fields.out, field.value, address);
            }
        }
    }
    fields.flush();
    if hop.identity_encoding {
        out.extend_from_slice(b"Accept-Encoding: identity\r\n");
    }
    forwarded.finish(out);
    if head.websocket {
        out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: websocket\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends `head` to `out`, as the client should see it.
pub fn write_response(out: &mut Vec<u8>, head: &ResponseHead<'_, '_>, hop: &ResponseHop) {
    out.reserve(head.raw.len() + MARGIN);
    // What was parsed has three digits.
    let digit = |unit: u16| b"0123456789"[usize::from(head.status / unit % 10)];
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(&[digit(100), digit(10), digit(1), b' ']);
    out.extend_from_slice(head.reason.as_bytes());
    out.extend_from_slice(b"\r\n");
    let nominated = head.nominates.then(|| Nominated::of(head.headers));
    let is_nominated = |name: &str| nominated.as_ref().is_some_and(|nominated| nominated.removes(name));
    // Trailers of answers pass, unless the body was read whole.
    let is_announced = |name: &str| name.eq_ignore_ascii_case("trailer") && hop.content_length.is_none();
    let mut fields = Fields { out, head: head.raw, run: 0..0 };
    for field in head.headers {
        // Where there cannot be a body, there is no field that frames one (RFC 9112 sections 6.1, 6.2).
        let bodiless = head.status < 200 || head.status == 204;
        let reframed = (bodiless || hop.content_length.is_some())
            && (field.name.eq_ignore_ascii_case("content-length")
                || field.name.eq_ignore_ascii_case("transfer-encoding"));
        let stays = is_hop_by_hop(field.name) && !is_announced(field.name);
        if !stays && !is_nominated(field.name) && !reframed {
            fields.pass(field);
        }
    }
    fields.flush();
    if let Some(length) = hop.content_length {
        // Writing to a Vec cannot fail.
        let _ = write!(out, "Content-Length: {length}\r\n");
    }
    if head.status == 101 {
        out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: websocket\r\n");
    } else if head.status < 200 {
        // An interim answer says nothing of the connection.
    } else if hop.close || head.framing == Framing::UntilClose && hop.content_length.is_none() {
        out.extend_from_slice(b"Connection: close\r\n");
    } else if hop.to_http_1_0 {
        out.extend_from_slice(b"Connection: keep-alive\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends the fields of a head that are passed. Lines that stand next to each other and are spelled
/// as they would be written are copied together.
struct Fields<'o, 'b> {
    out: &'o mut Vec<u8>,
    head: &'b [u8],
    /// Lines of `head` that are not copied yet.
    run: Range<usize>,
}

impl Fields<'_, '_> {
    fn pass(&mut self, field: &Header<'_>) {
        if let Some(line) = line(self.head, field) {
            if self.run.end != line.start {
                self.flush();
                self.run.start = line.start;
            }
            self.run.end = line.end;
            return;
        }
        self.flush();
        for part in [field.name.as_bytes(), b": ", field.value, b"\r\n"] {
            self.out.extend_from_slice(part);
        }
    }

    /// To be called before anything else is appended.
    fn flush(&mut self) {
        let run = std::mem::take(&mut self.run);
        self.out.extend_from_slice(self.head.get(run).unwrap_or_default());
    }
}

/// Range of the line of `field` in `head`, if the line is spelled as it would be written.
fn line(head: &[u8], field: &Header<'_>) -> Option<Range<usize>> {
    let Header { name, value } = *field;
    // Both are parts of the head, so only what stands between and behind them has to be looked at.
    let (start, value_at) = (position_in(head, name.as_bytes())?, position_in(head, value)?);
    let end = value_at + value.len();
    let is_spelled_so =
        head.get(start + name.len()..value_at)? == b": " && head.get(end..end + 2)? == b"\r\n";
    is_spelled_so.then_some(start..end + 2)
}

#[cfg(test)]
mod tests;
