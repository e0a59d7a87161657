//! Finds the end of a head, line ending by line ending.

use super::{MAX_HEAD, Malformed};

/// How many bytes are looked at together, in a loop that the compiler makes vector instructions of.
const BLOCK: usize = 64;

/// Finds the end of the head that starts at the beginning of `buf`.
///
/// Returns the head's length with its final empty line, or `None` while more bytes are needed.
/// `searched` is how many bytes of `buf` an earlier call has already seen, so that a head that comes
/// byte by byte is searched once.
///
/// # Errors
/// [`Malformed::LineEnding`] at the first LF without CR or CR without LF, so that a client which
/// ends lines differently is refused at once instead of waiting for a head that never ends.
/// [`Malformed::TooLarge`] when no head ends within [`MAX_HEAD`] bytes.
pub fn find_head_end(buf: &[u8], searched: usize) -> Result<Option<usize>, Malformed> {
    // A CR may have been the last byte seen, and an empty line spans four bytes.
    let mut at = searched.saturating_sub(3);
    while at < buf.len() {
        // An empty line that begins in this block ends at most two bytes behind it.
        let block = buf.get(at..at + BLOCK + 2).and_then(|block| block.try_into().ok());
        if !block.is_some_and(has_whole_lines_only) {
            let upto = buf.len().min(at + BLOCK + 2);
            if let Some(end) = find_end_between(buf, at, upto)? {
                return if end > MAX_HEAD { Err(Malformed::TooLarge) } else { Ok(Some(end)) };
            }
        }
        at += BLOCK;
    }
    if buf.len() >= MAX_HEAD { Err(Malformed::TooLarge) } else { Ok(None) }
}

/// True where no head ends that begins to end in this block, each CR is followed by LF, and each LF
/// follows a CR. False may also mean that it cannot be told from the block alone.
fn has_whole_lines_only(block: &[u8; BLOCK + 2]) -> bool {
    // What precedes the first byte is not known here.
    let mut odd = block[0] == b'\n';
    for at in 0..BLOCK {
        odd |= (block[at] == b'\r') != (block[at + 1] == b'\n');
        odd |= (block[at] == b'\n') & (block[at + 2] == b'\n');
    }
    !odd
}

/// As [`find_head_end`], for a final LF that stands from `from` to before `upto`.
fn find_end_between(buf: &[u8], from: usize, upto: usize) -> Result<Option<usize>, Malformed> {
    for at in from..upto {
        match buf[at] {
            b'\r' if buf.get(at + 1).is_some_and(|next| *next != b'\n') => return Err(Malformed::LineEnding),
            b'\n' if at == 0 || buf[at - 1] != b'\r' => return Err(Malformed::LineEnding),
            b'\n' if at >= 3 && &buf[at - 3..at - 1] == b"\r\n" => return Ok(Some(at + 1)),
            _ => {}
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_head_ends_at_its_first_empty_line() {
        assert_eq!(find_head_end(b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody\n\r", 0), Ok(Some(27)));
        assert_eq!(find_head_end(b"GET / HTTP/1.1\r\nHost: a\r\n\r", 0), Ok(None));
        assert_eq!(find_head_end(b"", 0), Ok(None));
    }

    #[test]
    fn a_line_that_does_not_end_in_crlf_is_refused_at_once() {
        for head in [&b"GET / HTTP/1.1\n"[..], b"\n", b"GET / HTTP/1.1\r\nA: b\rc", b"A\r\r\n\r\n"] {
            assert_eq!(find_head_end(head, 0), Err(Malformed::LineEnding), "{head:?}");
        }
    }

    #[test]
    fn a_head_without_an_end_is_refused_at_the_limit() {
        assert_eq!(find_head_end(&[b'a'; MAX_HEAD - 1], 0), Ok(None));
        assert_eq!(find_head_end(&[b'a'; MAX_HEAD], 0), Err(Malformed::TooLarge));
        let mut long = vec![b'a'; MAX_HEAD];
        long.extend_from_slice(b"\r\n\r\n");
        assert_eq!(find_head_end(&long, 0), Err(Malformed::TooLarge));
    }

    proptest! {
        #[test]
        fn it_ends_where_a_search_byte_by_byte_finds_it(
            lines in prop::collection::vec("[a-c]{0,90}(\r\n|\r\n|\r\n|\r\n|\r\n|\r|\n)", 0..12), searched in 0usize..99
        ) {
            let bytes = lines.concat();
            let byte_by_byte = find_end_between(bytes.as_bytes(), 0, bytes.len());
            prop_assert_eq!(find_head_end(bytes.as_bytes(), 0), byte_by_byte);
            let start = searched.min(bytes.len());
            if find_end_between(bytes.as_bytes(), 0, start) == Ok(None) {
                prop_assert_eq!(find_head_end(bytes.as_bytes(), start), byte_by_byte);
            }
        }

        #[test]
        fn however_it_is_cut_the_end_is_the_same(bytes in "[ab\r\n]{0,60}", cut in 0usize..60) {
            let buf = bytes.as_bytes();
            let cut = cut.min(buf.len());
            let whole = find_head_end(buf, 0);
            match find_head_end(&buf[..cut], 0) {
                Ok(None) => prop_assert_eq!(find_head_end(buf, cut), whole),
                found => prop_assert_eq!(found, whole),
            }
        }
    }
}
