//! A chunked body is read the same whether it comes whole or byte by byte.

#![no_main]

use libfuzzer_sys::fuzz_target;
use socketio_sidecar_core::http1::chunked::ChunkedBody;

fuzz_target!(|bytes: &[u8]| {
    let (mut whole, mut data) = (ChunkedBody::default(), Vec::new());
    let verdict = whole.follow(bytes, |piece| data.extend_from_slice(piece));
    let (mut slow, mut slow_data, mut used) = (ChunkedBody::default(), Vec::new(), 0);
    for byte in bytes {
        match slow.follow(std::slice::from_ref(byte), |piece| slow_data.extend_from_slice(piece)) {
            Ok(one) => used += one,
            Err(error) => {
                assert_eq!(verdict, Err(error));
                return;
            }
        }
    }
    assert_eq!(verdict, Ok(used));
    assert_eq!((whole.is_complete(), data), (slow.is_complete(), slow_data));
});
