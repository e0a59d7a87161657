//! Follows a chunked body (RFC 9112 section 7.1) as it passes, without holding or changing it.
//!
//! # Invariants
//! - Bytes are accepted only while the body so far has exactly one reading. A size is 1 to 15 hex
//!   digits; a chunk extension holds no control characters; every line ends in CRLF.
//! - The result does not depend on how the body is cut into reads.
//! - Extensions and trailers are bounded together by [`MAX_OVERHEAD`] bytes a message, so that a body
//!   cannot be all framing.

use super::Malformed;

/// Most bytes of chunk extensions and trailers accepted in one message.
pub const MAX_OVERHEAD: usize = 8 * 1024;

/// A position in a chunked body.
#[derive(Debug, Clone)]
pub struct ChunkedBody {
    state: State,
    overhead: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At or in the size; how many digits so far.
    Size {
        size: u64,
        digits: u8,
    },
    Extension {
        size: u64,
    },
    SizeLf {
        size: u64,
    },
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    /// At the start of a trailer line or of the final empty line.
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    End,
}

impl Default for ChunkedBody {
    fn default() -> Self {
        Self { state: State::Size { size: 0, digits: 0 }, overhead: 0 }
    }
}

impl ChunkedBody {
    /// True once the final empty line has been seen.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.state == State::End
    }

    /// Follows `bytes`, hands each piece of chunk data to `data`, and returns how many of the bytes
    /// belong to this body: all of them, unless it ends here.
    ///
    /// # Errors
    /// [`Malformed::Chunk`] at the first byte outside the grammar or its limits. Nothing of `bytes`
    /// may then be passed on.
    pub fn follow(&mut self, bytes: &[u8], mut data: impl FnMut(&[u8])) -> Result<usize, Malformed> {
        let mut at = 0;
        while at < bytes.len() && self.state != State::End {
            if let State::Data { left } = self.state {
                let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len() - at);
                data(&bytes[at..at + here]);
                at += here;
                let left = left - here as u64;
                self.state = if left == 0 { State::DataCr } else { State::Data { left } };
            } else {
                self.state = self.step(bytes[at])?;
                at += 1;
            }
        }
        Ok(at)
    }

    /// The state after one byte of framing.
    fn step(&mut self, byte: u8) -> Result<State, Malformed> {
        let next = match (self.state, byte) {
            (State::Size { size, digits }, _) if byte.is_ascii_hexdigit() => {
                // 15 digits are 60 bits: no overflow, here or in any peer that counts in 64.
                if digits == 15 {
                    return Err(Malformed::Chunk);
                }
                let digit = (byte as char).to_digit(16).unwrap_or_default();
                State::Size { size: size << 4 | u64::from(digit), digits: digits + 1 }
            }
            (State::Size { digits: 0, .. }, _) => return Err(Malformed::Chunk),
            (State::Size { size, .. } | State::Extension { size }, b'\r') => State::SizeLf { size },
            (State::Size { size, .. }, b';') => self.count(State::Extension { size })?,
            (State::Extension { size }, _) if is_text(byte) => self.count(State::Extension { size })?,
            (State::SizeLf { size: 0 }, b'\n') => State::TrailerStart,
            (State::SizeLf { size }, b'\n') => State::Data { left: size },
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size { size: 0, digits: 0 },
            (State::TrailerStart, b'\r') => State::EndLf,
            (State::TrailerStart | State::TrailerName, _) if is_token(byte) => {
                self.count(State::TrailerName)?
            }
            (State::TrailerName, b':') => State::TrailerValue,
            (State::TrailerValue, b'\r') => State::TrailerLf,
            (State::TrailerValue, _) if is_text(byte) => self.count(State::TrailerValue)?,
            (State::TrailerLf, b'\n') => State::TrailerStart,
            (State::EndLf, b'\n') => State::End,
            _ => return Err(Malformed::Chunk),
        };
        Ok(next)
    }

    fn count(&mut self, next: State) -> Result<State, Malformed> {
        self.overhead += 1;
        if self.overhead > MAX_OVERHEAD { Err(Malformed::Chunk) } else { Ok(next) }
    }
}

/// What a field value or an extension may hold: no control character but the tab.
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= 0x20 && byte != 0x7f)
}

/// `tchar` (RFC 9110 section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The data and what is left over, or the refusal.
    fn read(body: &[u8]) -> Result<(Vec<u8>, usize, bool), Malformed> {
        let (mut chunks, mut data) = (ChunkedBody::default(), Vec::new());
        let used = chunks.follow(body, |piece| data.extend_from_slice(piece))?;
        Ok((data, used, chunks.is_complete()))
    }

    #[test]
    fn chunks_end_where_they_say() {
        let body = b"4\r\nWiki\r\n0005;a=\"b\"\r\npedia\r\n0\r\nX: y\r\n\r\nGET /";
        assert_eq!(read(body), Ok((b"Wikipedia".to_vec(), body.len() - 5, true)));
        assert_eq!(read(b"0\r\n\r\n"), Ok((vec![], 5, true)));
        assert_eq!(read(b"A\r\n12345"), Ok((b"12345".to_vec(), 8, false)));
    }

    #[test]
    fn anything_with_a_second_reading_is_refused() {
        for body in [
            &b"\r\n"[..],
            b" 5\r\n",
            b"5 \r\n",
            b"0x5\r\n",
            b"+5\r\n",
            b"-5\r\n",
            b"5\n",
            b"5\r\r\n",
            b"g\r\n",
            b"1000000000000000\r\n",
            b"5;a\nb\r\n",
            b"5;a\0\r\n",
            b"1\r\nab\r\n",
            b"1\r\na\n",
            b"0\r\n X: y\r\n\r\n",
            b"0\r\nX y\r\n\r\n",
            b"0\r\n:\r\n\r\n",
            b"0\r\nX: a\nb\r\n\r\n",
            b"0\r\n\n",
        ] {
            assert_eq!(read(body), Err(Malformed::Chunk), "{:?}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn framing_without_end_is_refused_at_the_limit() {
        let extension = [b"1;".to_vec(), vec![b'a'; MAX_OVERHEAD]].concat();
        assert_eq!(read(&extension), Err(Malformed::Chunk));
        let trailers = [b"0\r\n".to_vec(), b"A: b\r\n".repeat(MAX_OVERHEAD / 3 + 1)].concat();
        assert_eq!(read(&trailers), Err(Malformed::Chunk));
    }

    proptest! {
        #[test]
        fn what_was_chunked_comes_back_however_it_is_cut(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6), cut in 0usize..300
        ) {
            let mut body = Vec::new();
            for piece in &pieces {
                body.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                body.extend_from_slice(piece);
                body.extend_from_slice(b"\r\n");
            }
            body.extend_from_slice(b"0\r\n\r\n");
            let (mut chunks, mut data) = (ChunkedBody::default(), Vec::new());
            let (head, tail) = body.split_at(cut.min(body.len()));
            let used = chunks.follow(head, |piece| data.extend_from_slice(piece)).unwrap()
                + chunks.follow(tail, |piece| data.extend_from_slice(piece)).unwrap();
            prop_assert_eq!(used, body.len());
            prop_assert!(chunks.is_complete());
            prop_assert_eq!(data, pieces.concat());
        }

        #[test]
        fn a_cut_never_changes_the_verdict(body in "[0-9a;: \r\n]{0,40}", cut in 0usize..40) {
            let whole = read(body.as_bytes());
            let (mut chunks, mut data) = (ChunkedBody::default(), Vec::new());
            let (head, tail) = body.as_bytes().split_at(cut.min(body.len()));
            let parts = chunks.follow(head, |piece| data.extend_from_slice(piece)).and_then(|used| {
                if chunks.is_complete() { return Ok(used); }
                chunks.follow(tail, |piece| data.extend_from_slice(piece)).map(|more| used + more)
            });
            prop_assert_eq!(parts.map(|used| (data, used, chunks.is_complete())), whole);
        }
    }
}
