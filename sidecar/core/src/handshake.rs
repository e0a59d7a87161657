//! The answer to a polling handshake, and how its open packet gets an owner tag.
//!
//! Engine.IO revision 4 answers `0{"sid":"…",…}`, perhaps followed by further packets behind `\x1e`;
//! JSONP puts the same into `___eio[n]("…");`. The order of keys differs between servers.
//!
//! # Invariants
//! - Only the leading open packet is touched, and of it only the value of `sid`, which gets the tag
//!   appended, and `webtransport` among the `upgrades`, which is taken out: an attempt at it would carry
//!   a sid that its server has never heard of. Everything else stays byte for byte. (The Socket.IO id
//!   in a following `40{"sid":…}` is another thing.)
//! - What is not such an answer is not changed at all. Revision 3 frames its packets by length
//!   (`97:0{…}`) and is not changed: its clients derive `socket.id` from the sid.

use serde::Deserialize;
use serde_json::value::RawValue;

/// Longest answer that is read to be tagged, in bytes. Engine.IO's own `maxPayload` is 1,000,000.
pub const MAX_ANSWER: usize = 1 << 20;

/// Ends one packet of a payload (Engine.IO protocol revision 4, "Payload").
const RECORD_SEPARATOR: char = '\x1e';

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
    let (packet, rest) = payload.split_at(payload.find(RECORD_SEPARATOR).unwrap_or(payload.len()));
    // The deserializer would take an array's elements for the fields.
    let json = packet.strip_prefix('0').filter(|json| json.trim_start().starts_with('{'))?;
    let open: OpenPacket<'_> = serde_json::from_str(json).ok()?;
    let sid: String = serde_json::from_str(open.sid.get()).ok()?;
    let tag = seal(&sid)?;

    let mut edits = Vec::with_capacity(2);
    // Before the closing quote.
    edits.push((span_in(packet, open.sid.get()).end - 1, 1, format!(".{tag}\"")));
    if let Some(upgrades) = open.upgrades {
        let names: Vec<String> = serde_json::from_str(upgrades.get()).unwrap_or_default();
        if names.iter().any(|name| name == "webtransport") {
            let kept: Vec<_> = names.iter().filter(|name| *name != "webtransport").collect();
            let span = span_in(packet, upgrades.get());
            edits.push((span.start, span.len(), serde_json::to_string(&kept).ok()?));
        }
    }
    edits.sort_unstable_by_key(|(start, ..)| *start);

    let mut body = String::with_capacity(payload.len() + tag.len() + 1);
    let mut at = 0;
    for (start, length, text) in edits {
        body.push_str(packet.get(at..start)?);
        body.push_str(&text);
        at = start + length;
    }
    body.push_str(packet.get(at..)?);
    body.push_str(rest);
    Some(body)
}

/// Where in `text` its part `part` stands.
fn span_in(text: &str, part: &str) -> std::ops::Range<usize> {
    let start = part.as_ptr() as usize - text.as_ptr() as usize;
    start..start + part.len()
}

#[cfg(test)]
mod tests;
