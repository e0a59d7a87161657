//! The places between two messages are the same whether a stream comes whole or byte by byte.

use socketio_sidecar_core::websocket::Messages;

/// Checks one input.
pub fn check(bytes: &[u8]) {
    let (mut whole, mut slow, mut at) = (Messages::default(), Messages::default(), 0);
    while at < bytes.len() {
        let followed = whole.follow_one(&bytes[at..]);
        assert!(followed > 0);
        for byte in &bytes[at..at + followed - 1] {
            assert_eq!(slow.follow_one(std::slice::from_ref(byte)), 1);
            assert!(!slow.is_between());
        }
        at += followed;
        slow.follow(&bytes[at - 1..at]);
        assert_eq!(slow, whole);
    }
}
