//! Heads of answers: a head that is accepted is rebuilt into one that is accepted
//! and means the same.

use socketio_sidecar_core::hop::{ResponseHop, write_response};
use socketio_sidecar_core::http1::{MAX_HEAD, ResponseHead, find_head_end, header_slots};

/// Checks one input.
pub fn check(bytes: &[u8]) {
    let Ok(Some(end)) = find_head_end(bytes, 0, MAX_HEAD) else { return };
    for to_head in [false, true] {
        let mut slots = header_slots();
        let Ok(head) = ResponseHead::parse(&bytes[..end], to_head, &mut slots) else { continue };
        let mut out = Vec::new();
        write_response(&mut out, &head, &ResponseHop::default());
        assert_eq!(
            find_head_end(&out, 0, MAX_HEAD),
            Ok(Some(out.len())),
            "the rebuilt head ends where it should"
        );
        let mut slots = header_slots();
        let again = ResponseHead::parse(&out, to_head, &mut slots).expect("a rebuilt head is accepted");
        assert_eq!((head.status, head.framing), (again.status, again.framing));
    }
}
