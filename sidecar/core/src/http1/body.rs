//! Where in a stream of bytes a body ends.

use super::chunked::ChunkedBody;
use super::{Framing, Malformed};

/// A position in a body.
#[derive(Debug, Clone)]
pub enum Body {
    /// So many bytes are left; none: it is complete.
    Length(u64),
    /// In a chunked body.
    Chunked(ChunkedBody),
    /// It goes on until the connection ends.
    UntilClose,
}

impl Body {
    /// The beginning of a body with this framing.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        match framing {
            Framing::Empty => Self::Length(0),
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(ChunkedBody::default()),
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

    /// Goes on over `bytes` and returns how many of them belong to this body.
    ///
    /// # Errors
    /// [`Malformed::Chunk`]; nothing of `bytes` may then be passed on.
    pub fn follow(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        self.follow_data(bytes, |_| ())
    }

    /// As [`Self::follow`], and hands the content, without chunk framing, to `data`.
    ///
    /// # Errors
    /// As [`Self::follow`].
    pub fn follow_data(&mut self, bytes: &[u8], mut data: impl FnMut(&[u8])) -> Result<usize, Malformed> {
        match self {
            Self::Length(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= here as u64;
                data(&bytes[..here]);
                Ok(here)
            }
            Self::Chunked(chunks) => chunks.follow(bytes, data),
            Self::UntilClose => {
                data(bytes);
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
            let mut body = Body::new(framing);
            assert_eq!(body.follow(bytes), Ok(own), "{framing:?}");
            assert_eq!(body.is_complete(), complete, "{framing:?}");
        }
    }
}
