//! Heads of requests: a head that is accepted is rebuilt into one that is accepted and means the same.

use socketio_sidecar_core::hop::{RequestHop, write_request};
use socketio_sidecar_core::http1::{MAX_HEAD, RequestHead, find_head_end, header_slots};

/// Checks one input.
pub fn check(bytes: &[u8]) {
    let Ok(Some(end)) = find_head_end(bytes, 0, MAX_HEAD) else { return };
    let mut slots = header_slots();
    let Ok(head) = RequestHead::parse(&bytes[..end], &mut slots) else { return };
    let mut out = Vec::new();
    write_request(&mut out, &head, &RequestHop::default());
    assert_eq!(
        find_head_end(&out, 0, MAX_HEAD),
        Ok(Some(out.len())),
        "the rebuilt head ends where it should"
    );
    let mut slots = header_slots();
    let again = RequestHead::parse(&out, &mut slots).expect("a rebuilt head is accepted");
    assert_eq!((head.method, head.target, head.framing), (again.method, again.target, again.framing));
    // A WebSocket of an HTTP/1.0 client is asked for in HTTP/1.1.
    let http_1_0 = head.http_1_0 && !head.websocket;
    assert_eq!((http_1_0, head.websocket), (again.http_1_0, again.websocket));
}
