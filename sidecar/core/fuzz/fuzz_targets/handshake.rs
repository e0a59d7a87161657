//! Whatever an application answers, tagging it and cutting the tag out again gives the same answer.

#![no_main]

use libfuzzer_sys::fuzz_target;
use socketio_sidecar_core::handshake::tag_answer;

/// A tag that no answer holds by itself; see below.
const TAG: &str = "~~TAG~~";

fuzz_target!(|body: &[u8]| {
    if body.windows(TAG.len()).any(|part| part == TAG.as_bytes()) {
        return;
    }
    let Some(tagged) = tag_answer(body, |_| Some(TAG.to_owned())) else { return };
    let dotted = format!(".{TAG}");
    assert!(tagged.contains(&dotted));
    // Without the list of upgrades, which may lose an entry, and JSONP, whose string may be spelled
    // in several ways, the rest is byte for byte the same.
    if body.starts_with(b"0") && !body.windows(12).any(|part| part == b"webtransport") {
        assert_eq!(tagged.replacen(&dotted, "", 1).as_bytes(), body);
    }
});
