//! A PROXY protocol header has one reading, whatever stands behind it and however it arrives.

use socketio_sidecar_core::proxy_protocol::{MAX_V2_BYTES, parse};

/// Checks one input.
pub fn check(bytes: &[u8]) {
    let whole = parse(bytes);
    if let Ok(Some(header)) = whole {
        assert!(header.length <= bytes.len() && header.length <= MAX_V2_BYTES);
        assert_eq!(parse(&bytes[..header.length]), whole);
        assert_eq!(parse(&bytes[..header.length - 1]), Ok(None));
    }
    if whole == Ok(None) {
        assert!(bytes.len() < MAX_V2_BYTES);
    }
    for end in 0..bytes.len().min(256) {
        let earlier = parse(&bytes[..end]);
        assert!(earlier == Ok(None) || earlier == whole);
    }
}
