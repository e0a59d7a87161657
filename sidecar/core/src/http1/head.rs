//! Finds the end of a head, and checks its line endings on the way.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use super::Malformed;

static EMPTY_LINE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\r\n\r\n"));

/// Finds the end of the head that starts at the beginning of `buf`.
///
/// Returns the head's length with its final empty line, or `None` while more bytes are needed.
/// `searched` is how many bytes of `buf` an earlier call has already seen, so that a head that comes
/// byte by byte is searched once. `limit` is the longest head accepted, in bytes.
///
/// # Errors
/// [`Malformed::LineEnding`] at the first LF without CR or CR without LF, so that a client which
/// ends lines differently is refused at once instead of waiting for a head that never ends.
/// [`Malformed::TooLong`] when no head ends within `limit` bytes.
pub fn find_head_end(buf: &[u8], searched: usize, limit: usize) -> Result<Option<usize>, Malformed> {
    // A CR may have been the last byte seen, and an empty line spans four bytes.
    let start = searched.saturating_sub(3).min(buf.len());
    let end = EMPTY_LINE.find(&buf[start..]).map(|at| start + at + 4);
    if !ends_lines_in_crlf(&buf[start..end.unwrap_or(buf.len())]) || buf.first() == Some(&b'\n') {
        return Err(Malformed::LineEnding);
    }
    if end.unwrap_or(buf.len() + 1) > limit { Err(Malformed::TooLong) } else { Ok(end) }
}

/// True where each CR is followed by LF, and each LF follows a CR, except the first and the last byte.
fn ends_lines_in_crlf(bytes: &[u8]) -> bool {
    let pairs = bytes.iter().zip(bytes.get(1..).unwrap_or_default());
    // In numbers and without branches: the compiler makes vector instructions of it.
    pairs.fold(0, |odd, (this, next)| odd | (u8::from(*this == b'\r') ^ u8::from(*next == b'\n'))) == 0
}

#[cfg(test)]
mod tests {
    use super::super::MAX_HEAD;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_head_ends_at_its_first_empty_line() {
        assert_eq!(find_head_end(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody\n\r", 0, MAX_HEAD), Ok(Some(27)));
        assert_eq!(find_head_end(b"GET / HTTP/1.1\r\nHost: a\r\n\r", 0, MAX_HEAD), Ok(None));
        assert_eq!(find_head_end(b"", 0, MAX_HEAD), Ok(None));
    }

    #[test]
    fn a_line_that_does_not_end_in_crlf_is_refused_at_once() {
        for head in [&b"GET / HTTP/1.1\n"[..], b"\n", b"GET / HTTP/1.1\r\nA: b\rc", b"A\r\r\n\r\n"] {
            assert_eq!(find_head_end(head, 0, MAX_HEAD), Err(Malformed::LineEnding), "{head:?}");
        }
    }

    #[test]
    fn a_head_without_an_end_is_refused_at_the_limit() {
        assert_eq!(find_head_end(&[b'a'; 99], 0, 100), Ok(None));
        assert_eq!(find_head_end(&[b'a'; 100], 0, 100), Err(Malformed::TooLong));
        let mut long = vec![b'a'; 96];
        long.extend_from_slice(b"\r\n\r\n");
        assert_eq!(find_head_end(&long, 0, 100), Ok(Some(100)));
        assert_eq!(find_head_end(&long, 0, 99), Err(Malformed::TooLong));
    }

    fn byte_by_byte(buf: &[u8]) -> Result<Option<usize>, Malformed> {
        for at in 0..buf.len() {
            match buf[at] {
                b'\r' if buf.get(at + 1).is_some_and(|next| *next != b'\n') => {
                    return Err(Malformed::LineEnding);
                }
                b'\n' if at == 0 || buf[at - 1] != b'\r' => return Err(Malformed::LineEnding),
                b'\n' if at >= 3 && &buf[at - 3..at - 1] == b"\r\n" => return Ok(Some(at + 1)),
                _ => {}
            }
        }
        Ok(None)
    }

    proptest! {
        #[test]
        fn it_ends_where_a_search_byte_by_byte_finds_it(
            lines in prop::collection::vec("[a-c]{0,90}(\r\n|\r\n|\r\n|\r\n|\r\n|\r|\n)", 0..12), searched in 0usize..99
        ) {
            let bytes = lines.concat();
            let byte_by_byte = byte_by_byte(bytes.as_bytes());
            prop_assert_eq!(find_head_end(bytes.as_bytes(), 0, MAX_HEAD), byte_by_byte);
            let start = searched.min(bytes.len());
            if find_head_end(&bytes.as_bytes()[..start], 0, MAX_HEAD) == Ok(None) {
                prop_assert_eq!(find_head_end(bytes.as_bytes(), start, MAX_HEAD), byte_by_byte);
            }
        }

        #[test]
        fn however_it_is_cut_the_end_is_the_same(bytes in "[ab\r\n]{0,60}", cut in 0usize..60) {
            let buf = bytes.as_bytes();
            let cut = cut.min(buf.len());
            let whole = find_head_end(buf, 0, MAX_HEAD);
            match find_head_end(&buf[..cut], 0, MAX_HEAD) {
                Ok(None) => prop_assert_eq!(find_head_end(buf, cut, MAX_HEAD), whole),
                found => prop_assert_eq!(found, whole),
            }
        }
    }
}
