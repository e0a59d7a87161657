//! A chunked body is read and normalised the same whether it comes whole or byte by byte.

use socketio_sidecar_core::http1::{Body, Framing};

/// Checks one input.
pub fn check(bytes: &[u8]) {
    for body in [Body::of_request(Framing::Chunked), Body::of_answer(Framing::Chunked)] {
        let (mut content, mut passed) = (Vec::new(), Vec::new());
        let verdict = body.clone().follow_content(bytes, |piece| content.extend_from_slice(piece));
        let mut whole = body.clone();
        assert_eq!(whole.append(bytes, &mut passed), verdict);

        let (mut slow, mut slowly_passed, mut used) = (body.clone(), Vec::new(), 0);
        for byte in bytes {
            match slow.append(std::slice::from_ref(byte), &mut slowly_passed) {
                Ok(own) => used += own,
                Err(error) => {
                    assert_eq!(verdict, Err(error));
                    break;
                }
            }
        }
        if verdict.is_err() {
            continue;
        }
        assert_eq!(verdict, Ok(used));
        assert_eq!((whole.is_complete(), &passed), (slow.is_complete(), &slowly_passed));

        // The next hop finds the same content in it, and nothing to remove.
        let (mut again, mut content_again, mut passed_again) = (body, Vec::new(), Vec::new());
        assert_eq!(again.clone().append(&passed, &mut passed_again), Ok(passed.len()));
        assert_eq!(passed_again, passed);
        assert_eq!(
            again.follow_content(&passed, |piece| content_again.extend_from_slice(piece)),
            Ok(passed.len())
        );
        assert_eq!((content_again, again.is_complete()), (content, whole.is_complete()));
    }
}
