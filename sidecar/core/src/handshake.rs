//! The answer to a polling handshake, and how its open packet gets an owner tag.
//!
//! Engine.IO revision 4 answers `0{"sid":"…",…}`, perhaps followed by further packets behind `\x1e`;
//! JSONP puts the same into `___eio[n]("…");`. The order of keys differs between servers.
//!
//! # Invariants
//! - No more than [`MAX_OPEN_PACKET`] bytes of an answer are needed: the open packet comes first, and its
//!   end can be told without what follows. Only a JSONP answer is needed whole, and so passes unchanged if
//!   it is longer.
//! - Only the leading open packet is touched, and of it only the value of `sid`, which gets the tag
//!   appended, and `webtransport` among the `upgrades`, which is taken out: an attempt at it would carry
//!   a sid that its server has never heard of. Everything else stays byte for byte. (The Socket.IO id
//!   in a following `40{"sid":…}` is another thing.)
//! - What is not such an answer is not changed at all. Revision 3 frames its packets by length
//!   (`97:0{…}`) and is not changed: its clients derive `socket.id` from the sid.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::http1::{ResponseHead, position_in};

/// Longest beginning of an answer that is collected to be tagged, in bytes. An open packet takes some 120
/// bytes, more where an application makes long sids.
pub const MAX_OPEN_PACKET: usize = 32 * 1024;

/// Ends one packet of a payload (Engine.IO protocol revision 4, "Payload").
const RECORD_SEPARATOR: u8 = b'\x1e';

/// Reasons for which the answer to a handshake gets no tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Untagged {
    /// The content type is none that Engine.IO servers use.
    ContentType,
    /// The answer is compressed, although it was asked for without.
    Encoded,
    /// The answer is longer than [`MAX_OPEN_PACKET`], and its open packet cannot be changed on its own.
    TooLong,
    /// The content is no open packet of revision 4.
    NoOpenPacket,
}

impl Untagged {
    /// The word for metrics and logs.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::ContentType => "content_type",
            Self::Encoded => "encoded",
            Self::TooLong => "too_long",
            Self::NoOpenPacket => "no_open_packet",
        }
    }
}

/// Content types of the answers to handshakes: of engine.io, socketioxide and python-engineio, then those
/// of JSONP.
const CONTENT_TYPES: [&[u8]; 4] =
    [b"text/plain", b"application/octet-stream", b"text/javascript", b"application/javascript"];

/// Decides by its head whether a 200 answer to a handshake can be tagged. An answer without a
/// `Content-Type` can.
///
/// # Errors
/// The reason why it cannot.
pub fn check_head(head: &ResponseHead<'_, '_>) -> Result<(), Untagged> {
    if is_encoded(head) {
        return Err(Untagged::Encoded);
    }
    for field in head.headers {
        if field.name.eq_ignore_ascii_case("content-type") {
            let kind = field.value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
            if !CONTENT_TYPES.iter().any(|known| kind.eq_ignore_ascii_case(known)) {
                return Err(Untagged::ContentType);
            }
        }
    }
    Ok(())
}

/// Returns true if the content of an answer is compressed, or otherwise encoded.
#[must_use]
pub fn is_encoded(head: &ResponseHead<'_, '_>) -> bool {
    head.headers.iter().any(|field| {
        field.name.eq_ignore_ascii_case("content-encoding") && !field.value.eq_ignore_ascii_case(b"identity")
    })
}

/// The beginning of an answer, with its open packet tagged.
#[derive(Debug, PartialEq, Eq)]
pub struct TaggedBeginning {
    /// The open packet as the client gets it.
    pub packet: String,
    /// The length of the open packet that `packet` takes the place of, in bytes.
    pub replaces: usize,
}

/// Tags the open packet at the start of `beginning`, the first bytes of a longer answer. `None` where the
/// packet does not end in `beginning`, or is not to be changed.
#[must_use]
pub fn tag_beginning(beginning: &[u8], seal: impl FnOnce(&str) -> Option<String>) -> Option<TaggedBeginning> {
    let replaces = memchr::memchr(RECORD_SEPARATOR, beginning)?;
    let packet = tag_packet(std::str::from_utf8(&beginning[..replaces]).ok()?, seal)?;
    Some(TaggedBeginning { packet, replaces })
}

/// Tags the open packet that `body`, the whole body of a 200 answer, starts with, and returns the whole
/// body. `seal` makes the tag for a sid. `None` where the body is to be passed on as it is.
#[must_use]
pub fn tag_answer(body: &[u8], seal: impl FnOnce(&str) -> Option<String>) -> Option<String> {
    let body = std::str::from_utf8(body).ok()?;
    let Some(jsonp) = body.strip_prefix("___eio[") else {
        return tag_payload(body, seal);
    };
    // ___eio[<index>]("<payload as a JSON string>");
    let (index, call) = jsonp.split_once("](")?;
    let literal = call.strip_suffix(");")?;
    if !index.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let payload: String = serde_json::from_str(literal).ok()?;
    let payload = tag_payload(&payload, seal)?;
    // Legal in JSON, but line ends in older JavaScript: servers escape them, so this does too.
    let literal = serde_json::to_string(&payload).ok()?;
    let literal = literal.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
    Some(format!("___eio[{index}]({literal});"))
}

/// The fields of an open packet that matter here, as they stand in the text.
#[derive(Deserialize)]
struct OpenPacket<'p> {
    #[serde(borrow)]
    sid: &'p RawValue,
    #[serde(borrow)]
    upgrades: Option<&'p RawValue>,
}

fn tag_payload(payload: &str, seal: impl FnOnce(&str) -> Option<String>) -> Option<String> {
    let end = memchr::memchr(RECORD_SEPARATOR, payload.as_bytes()).unwrap_or(payload.len());
    let (packet, rest) = payload.split_at(end);
    let mut tagged = tag_packet(packet, seal)?;
    tagged.push_str(rest);
    Some(tagged)
}

fn tag_packet(packet: &str, seal: impl FnOnce(&str) -> Option<String>) -> Option<String> {
    // The deserializer would take an array's elements for the fields.
    let json = packet.strip_prefix('0').filter(|json| json.trim_start().starts_with('{'))?;
    let open: OpenPacket<'_> = serde_json::from_str(json).ok()?;
    let sid: String = serde_json::from_str(open.sid.get()).ok()?;
    let tag = seal(&sid)?;

    let mut edits = Vec::with_capacity(2);
    // Before the closing quote.
    edits.push((span_in(packet, open.sid.get())?.end - 1, 1, format!(".{tag}\"")));
    if let Some(upgrades) = open.upgrades {
        let names: Vec<String> = serde_json::from_str(upgrades.get()).unwrap_or_default();
        if names.iter().any(|name| name == "webtransport") {
            let kept: Vec<_> = names.iter().filter(|name| *name != "webtransport").collect();
            let span = span_in(packet, upgrades.get())?;
            edits.push((span.start, span.len(), serde_json::to_string(&kept).ok()?));
        }
    }
    edits.sort_unstable_by_key(|(start, ..)| *start);

    let mut tagged = String::with_capacity(packet.len() + tag.len() + 1);
    let mut at = 0;
    for (start, length, text) in edits {
        tagged.push_str(packet.get(at..start)?);
        tagged.push_str(&text);
        at = start + length;
    }
    tagged.push_str(packet.get(at..)?);
    Some(tagged)
}

/// Range of `part`, which is a slice of `text`, in `text`.
fn span_in(text: &str, part: &str) -> Option<std::ops::Range<usize>> {
    let start = position_in(text.as_bytes(), part.as_bytes())?;
    Some(start..start + part.len())
}

#[cfg(test)]
mod tests;
