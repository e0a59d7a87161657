//! Follows a chunked body (RFC 9112 section 7.1) as it passes, and normalises it.
//!
//! # Invariants
//! - Bytes are accepted only while the body so far has exactly one reading. A size is 1 to 15 hex
//!   digits; a chunk extension holds no control characters; every line ends in CRLF.
//! - No chunk extension passes. Extensions concern one hop (section 7.1.1), and servers differ in which
//!   ones they refuse.
//! - No trailer of a request passes (section 6.5.1 of RFC 9110 permits to discard them). A trailer of an
//!   answer passes if [`fields`] says so.
//! - The result does not depend on how the body is cut into reads.
//! - Extensions and trailers are bounded together by [`MAX_OVERHEAD`] bytes a message, so that a body
//!   cannot be all framing. At most the name of one trailer is held.

use std::ops::Range;

use super::{Malformed, fields};

/// Most bytes of chunk extensions and trailers accepted in one message.
pub const MAX_OVERHEAD: usize = 8 * 1024;

/// Rule for the trailers of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trailers {
    /// Trailers of requests are dropped.
    Drop,
    /// Trailers of answers pass, except fields that have no place in a trailer section.
    Filter,
}

/// A position in a chunked body.
#[derive(Debug, Clone)]
pub struct ChunkedBody {
    state: State,
    trailers: Trailers,
    overhead: usize,
    /// The name of the trailer that is being read, as far as it has come.
    name: Vec<u8>,
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
    TrailerValue {
        passes: bool,
    },
    TrailerLf {
        passes: bool,
    },
    EndLf,
    End,
}

impl ChunkedBody {
    /// The beginning of a chunked body.
    #[must_use]
    pub fn new(trailers: Trailers) -> Self {
        Self { state: State::Size { size: 0, digits: 0 }, trailers, overhead: 0, name: Vec::new() }
    }

    /// True once the final empty line has been seen.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.state == State::End
    }

    /// True once a chunk extension or a trailer has been seen.
    #[must_use]
    pub fn carried_unusual(&self) -> bool {
        self.overhead > 0
    }

    /// Follows `bytes`, hands each piece of chunk data to `content`, and each run of bytes that passes to
    /// `passing`. Returns how many of the bytes belong to this body: all of them, unless it ends here.
    ///
    /// # Errors
    /// [`Malformed::Chunk`] at the first byte outside the grammar or its limits. Nothing of `bytes`
    /// may then be passed on.
    pub(super) fn follow(
        &mut self,
        bytes: &[u8],
        passing: &mut Passing<'_>,
        mut content: impl FnMut(&[u8]),
    ) -> Result<usize, Malformed> {
        let mut at = 0;
        while at < bytes.len() && self.state != State::End {
            if let State::Data { left } = self.state {
                let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len() - at);
                content(&bytes[at..at + here]);
                passing.keep(bytes, at..at + here);
                at += here;
                let left = left - here as u64;
                self.state = if left == 0 { State::DataCr } else { State::Data { left } };
            } else {
                let before = self.state;
                self.state = self.step(bytes[at])?;
                if before == State::TrailerName && self.state == (State::TrailerValue { passes: true }) {
                    passing.insert(bytes, &self.name);
                }
                if before.passes(self.state) {
                    passing.keep(bytes, at..at + 1);
                } else {
                    passing.is_changed = true;
                }
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
                if self.state == State::TrailerStart {
                    self.name.clear();
                }
                if self.trailers == Trailers::Filter {
                    self.name.push(byte);
                }
                self.count(State::TrailerName)?
            }
            (State::TrailerName, b':') => {
                let passes = self.trailers == Trailers::Filter && fields::may_be_trailer(&self.name);
                State::TrailerValue { passes }
            }
            (State::TrailerValue { passes }, b'\r') => State::TrailerLf { passes },
            (State::TrailerValue { .. }, _) if is_text(byte) => self.count(self.state)?,
            (State::TrailerLf { .. }, b'\n') => State::TrailerStart,
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

impl State {
    /// True if the byte that led from this state to `next` is one that passes.
    fn passes(self, next: Self) -> bool {
        match (self, next) {
            (_, Self::Extension { .. } | Self::TrailerName) => false,
            (_, Self::TrailerValue { passes } | Self::TrailerLf { passes }) => passes,
            (Self::TrailerLf { passes }, _) => passes,
            _ => true,
        }
    }
}

/// Collects the runs of bytes that pass. Bytes of which all pass are not copied.
#[derive(Debug)]
pub(super) struct Passing<'o> {
    out: &'o mut Vec<u8>,
    /// The last run, which is not in `out` yet.
    run: Range<usize>,
    is_changed: bool,
}

impl<'o> Passing<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>) -> Self {
        Self { out, run: 0..0, is_changed: false }
    }

    fn keep(&mut self, bytes: &[u8], range: Range<usize>) {
        if self.run.end == range.start {
            self.run.end = range.end;
        } else {
            self.flush(bytes);
            self.run = range;
        }
    }

    fn insert(&mut self, bytes: &[u8], held: &[u8]) {
        self.flush(bytes);
        self.out.extend_from_slice(held);
        self.is_changed = true;
    }

    /// True if something was cut or inserted: then all that passes of `bytes` stands in the output, and
    /// nothing of it otherwise.
    pub(super) fn finish(mut self, bytes: &[u8]) -> bool {
        if self.is_changed {
            self.flush(bytes);
        }
        self.is_changed
    }

    fn flush(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes.get(std::mem::take(&mut self.run)).unwrap_or_default());
    }
}

/// Reports whether a field value or an extension may hold this byte: no control character but the tab.
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

    /// Everything that following a body yields.
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Read {
        content: Vec<u8>,
        passed: Vec<u8>,
        own: usize,
        is_complete: bool,
    }

    /// Follows a body that comes in reads of these lengths, and then whole.
    fn read_in(body: &[u8], trailers: Trailers, reads: &[usize]) -> Result<Read, Malformed> {
        let mut chunks = ChunkedBody::new(trailers);
        let mut read = Read::default();
        for length in reads.iter().chain([&body.len()]) {
            let bytes = &body[read.own..(read.own + length).min(body.len())];
            let mut passing = Passing::new(&mut read.passed);
            let own = chunks.follow(bytes, &mut passing, |piece| read.content.extend_from_slice(piece))?;
            if !passing.finish(bytes) {
                read.passed.extend_from_slice(&bytes[..own]);
            }
            read.own += own;
        }
        read.is_complete = chunks.is_complete();
        Ok(read)
    }

    fn read(body: &[u8]) -> Result<Read, Malformed> {
        read_in(body, Trailers::Filter, &[])
    }

    fn passed(body: &str, trailers: Trailers) -> String {
        String::from_utf8(read_in(body.as_bytes(), trailers, &[]).unwrap().passed).unwrap()
    }

    #[test]
    fn chunks_end_where_they_say() {
        let content = |body: &[u8]| read(body).map(|read| (read.content, read.own, read.is_complete));
        let body = b"4\r\nWiki\r\n0005;a=\"b\"\r\npedia\r\n0\r\nX: y\r\n\r\nGET /";
        assert_eq!(content(body), Ok((b"Wikipedia".to_vec(), body.len() - 5, true)));
        assert_eq!(content(b"0\r\n\r\n"), Ok((vec![], 5, true)));
        assert_eq!(content(b"A\r\n12345"), Ok((b"12345".to_vec(), 8, false)));
    }

    #[test]
    fn no_chunk_extension_passes() {
        let plain = "1\r\na\r\n0\r\n\r\n";
        for extension in [";", ";;", "; a", ";a b", ";a==b", ";a=(b)", ";a:b", ";\t", ";a=\"b", ";\u{e9}"] {
            let body = format!("1{extension}\r\na\r\n0{extension}\r\n\r\n");
            for trailers in [Trailers::Drop, Trailers::Filter] {
                assert_eq!(passed(&body, trailers), plain, "{extension:?}");
            }
        }
    }

    #[test]
    fn a_request_loses_its_trailers_and_an_answer_those_that_are_no_trailers() {
        let body = |trailers: &str| format!("1\r\na\r\n0\r\n{trailers}\r\n");
        let mixed = "X-Sum: 1\r\nContent-Length: 5\r\nhOsT: b\r\nServer-Timing:2\r\nX-Forwarded-For: 1.1.1.1\r\n\
                     Set-Cookie: a\r\nProxy-X: y\r\nTransfer-Encoding: chunked\r\nETag:\r\n";
        assert_eq!(passed(&body(mixed), Trailers::Drop), body(""));
        let kept = body("X-Sum: 1\r\nServer-Timing:2\r\nETag:\r\n");
        assert_eq!(passed(&body(mixed), Trailers::Filter), kept);
    }

    #[test]
    fn extensions_and_trailers_are_unusual() {
        for (body, unusual) in [
            (&b"1\r\na\r\n0\r\n\r\n"[..], false),
            (b"1;", true),
            (b"1;\r\na\r\n0\r\n\r\n", true),
            (b"0\r\nX: y\r\n\r\n", true),
        ] {
            let mut chunks = ChunkedBody::new(Trailers::Drop);
            chunks.follow(body, &mut Passing::new(&mut Vec::new()), |_| ()).unwrap();
            assert_eq!(chunks.carried_unusual(), unusual, "{}", body.escape_ascii());
        }
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
            let read = read_in(&body, Trailers::Drop, &[cut]).unwrap();
            prop_assert_eq!((read.own, read.is_complete), (body.len(), true));
            prop_assert_eq!(read.content, pieces.concat());
            prop_assert_eq!(read.passed, body);
        }

        #[test]
        fn a_cut_never_changes_the_result(
            body in "([0-2]{1,2}(;[a\"=; ]{0,3})?\r\n[ab]{0,2}(\r\n)?){0,3}(0\r\n(([XY]|Host|[a;: ]):[b ]{0,2}\r\n){0,3}\r\n)?",
            reads in prop::collection::vec(0usize..9, 0..9), filter: bool,
        ) {
            let trailers = if filter { Trailers::Filter } else { Trailers::Drop };
            let whole = read_in(body.as_bytes(), trailers, &[]);
            prop_assert_eq!(read_in(body.as_bytes(), trailers, &reads), whole);
        }

        #[test]
        fn a_normalised_body_has_the_same_content_and_passes_unchanged(
            body in "([1-2](;[a\"=; ]{0,3})?\r\n[ab]{1,2}\r\n){0,3}0\r\n(([XY]|Host|TE):[b ]{0,2}\r\n){0,3}\r\n",
            filter: bool,
        ) {
            let trailers = if filter { Trailers::Filter } else { Trailers::Drop };
            let Ok(first) = read_in(body.as_bytes(), trailers, &[]) else { return Ok(()) };
            let again = read_in(&first.passed, trailers, &[]).unwrap();
            prop_assert_eq!((again.content, again.own, again.is_complete), (first.content, first.passed.len(), true));
            prop_assert_eq!(again.passed, first.passed);
        }
    }
}
