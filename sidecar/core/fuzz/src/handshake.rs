//! Answers to handshakes: tagging an answer and cutting the tag out again gives the same answer.

use socketio_sidecar_core::handshake::{tag_answer, tag_beginning};

/// A tag that no answer holds by itself; see below.
const TAG: &str = "~~TAG~~";

/// Checks one input.
pub fn check(body: &[u8]) {
    if body.windows(TAG.len()).any(|part| part == TAG.as_bytes()) {
        return;
    }
    let seal = |_: &str| Some(TAG.to_owned());
    let tagged = tag_answer(body, seal);
    // Revision 3 frames by length, and stays as it is.
    let digits = body.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if digits > 0 && body.get(digits) == Some(&b':') {
        assert_eq!(tagged, None);
    }
    let Some(tagged) = tagged else { return };
    let dotted = format!(".{TAG}");
    assert!(tagged.contains(&dotted));
    // The list of upgrades may lose an entry; the rest is byte for byte the same.
    let loses_nothing = !body.windows(12).any(|part| part == b"webtransport");
    if body.starts_with(b"0") {
        if loses_nothing {
            assert_eq!(tagged.replacen(&dotted, "", 1).as_bytes(), body);
        }
        if let Some(beginning) = tag_beginning(body, seal) {
            let rest = &body[beginning.replaces..];
            assert_eq!([beginning.packet.as_bytes(), rest].concat(), tagged.as_bytes());
        }
    } else if let (Some(before), Some(after)) = (payload_of(body), payload_of(tagged.as_bytes())) {
        // The string of JSONP may be spelled in several ways; what it says is the same.
        assert!(
            !loses_nothing || after.replacen(&dotted, "", 1) == before || before.contains("\\u"),
            "{after}"
        );
    } else {
        panic!("neither a payload nor JSONP was tagged");
    }
}

/// The payload in a JSONP answer.
fn payload_of(body: &[u8]) -> Option<String> {
    let call = std::str::from_utf8(body).ok()?.split_once("](")?.1.strip_suffix(");")?;
    serde_json::from_str(call).ok()
}
