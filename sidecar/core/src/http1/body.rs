//! The end of a body in a stream of bytes, and the part of its bytes that passes to the next hop.
//!
//! Bodies with a length, or until close, pass as they are. Chunked bodies pass normalised: see [`chunked`].
//!
//! [`chunked`]: super::chunked

use super::chunked::{ChunkedBody, Passing, Trailers};
use super::{Framing, Malformed};

/// A position in a body.
#[derive(Debug, Clone)]
pub enum Body {
    /// So many bytes are left; none: it is complete.
    Length(u64),
    /// In a chunked body.
    Chunked(ChunkedBody),
    /// The body goes on until the connection ends.
    UntilClose,
}

/// The result of following some bytes of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Followed {
    /// So many of the bytes belong to the body.
    pub own: usize,
    /// The body's own bytes do not pass as they are. All that passes of them was appended to the output;
    /// otherwise the output was left alone.
    pub is_rewritten: bool,
}

impl Body {
    /// The beginning of a request's body with this framing.
    #[must_use]
    pub fn of_request(framing: Framing) -> Self {
        Self::new(framing, Trailers::Drop)
    }

    /// The beginning of an answer's body with this framing.
    #[must_use]
    pub fn of_answer(framing: Framing) -> Self {
        Self::new(framing, Trailers::Filter)
    }

    fn new(framing: Framing, trailers: Trailers) -> Self {
        match framing {
            Framing::Empty => Self::Length(0),
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(ChunkedBody::new(trailers)),
            Framing::UntilClose => Self::UntilClose,
        }
    }

    /// True once all of it has been seen. A body until close is never complete by itself.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(chunks) => chunks.is_complete(),
            Self::UntilClose => false,
        }
    }

    /// True once a chunk extension or a trailer has been seen, whether or not it passed.
    #[must_use]
    pub fn carried_unusual(&self) -> bool {
        matches!(self, Self::Chunked(chunks) if chunks.carried_unusual())
    }

    /// Goes on over `bytes`. Where not all of the body's bytes pass as they are, those that pass are
    /// appended to `out`.
    ///
    /// # Errors
    /// [`Malformed::Chunk`]; nothing of `bytes`, nor of what was appended, may then be passed on.
    pub fn follow(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Followed, Malformed> {
        match self {
            Self::Chunked(chunks) => {
                let mut passing = Passing::new(out);
                let own = chunks.follow(bytes, &mut passing, |_| ())?;
                Ok(Followed { own, is_rewritten: passing.finish(bytes) })
            }
            _ => Ok(Followed { own: self.follow_content(bytes, |_| ())?, is_rewritten: false }),
        }
    }

    /// Works like [`Self::follow`], but appends all that passes to `out` in any case, and returns how many of
    /// `bytes` belong to the body.
    ///
    /// # Errors
    /// As [`Self::follow`].
    pub fn append(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<usize, Malformed> {
        let Followed { own, is_rewritten } = self.follow(bytes, out)?;
        if !is_rewritten {
            out.extend_from_slice(&bytes[..own]);
        }
        Ok(own)
    }

    /// Works like [`Self::follow`], but hands the content, without chunk framing, to `content`, and returns how
    /// many of `bytes` belong to the body.
    ///
    /// # Errors
    /// As [`Self::follow`].
    pub fn follow_content(
        &mut self,
        bytes: &[u8],
        mut content: impl FnMut(&[u8]),
    ) -> Result<usize, Malformed> {
        match self {
            Self::Length(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= here as u64;
                content(&bytes[..here]);
                Ok(here)
            }
            Self::Chunked(chunks) => chunks.follow(bytes, &mut Passing::new(&mut Vec::new()), content),
            Self::UntilClose => {
                content(bytes);
                Ok(bytes.len())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_takes_its_own_bytes_and_no_more() {
        for (framing, bytes, own, complete) in [
            (Framing::Empty, &b"abc"[..], 0, true),
            (Framing::Length(2), b"abc", 2, true),
            (Framing::Length(5), b"abc", 3, false),
            (Framing::Chunked, b"1\r\na\r\n0\r\n\r\nGET", 11, true),
            (Framing::UntilClose, b"abc", 3, false),
        ] {
            let (mut body, mut out) = (Body::of_request(framing), Vec::new());
            let followed = Ok(Followed { own, is_rewritten: false });
            assert_eq!(body.follow(bytes, &mut out), followed, "{framing:?}");
            assert_eq!(out, b"", "bytes that all pass are not copied");
            assert_eq!(body.is_complete(), complete, "{framing:?}");
        }
    }
}
