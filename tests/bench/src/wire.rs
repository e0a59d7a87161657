//! HTTP and WebSocket as far as both ends of the instrument need them: fixed bytes to send, and just
//! enough reading to know where a message ends and that it is the expected one.
//!
//! Neither end is a reference for anything: what they send is well-formed, and what they receive has
//! passed a proxy. What they cannot read is a failed measurement, never a guess.

pub(crate) mod frame;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod text;

use std::rc::Rc;

/// Bytes that are sent many times and made once.
pub(crate) type Bytes = Rc<[u8]>;

/// Why a message cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// Of another status than the one that is expected.
    #[error("answered with `{0}`")]
    Status(String),
    /// Without a length, where one is needed.
    #[error("sent a body without Content-Length")]
    NoLength,
    /// Not as this program reads it.
    #[error("sent what is no {0}")]
    Not(&'static str),
}

/// The longest head that is waited for.
const MAX_HEAD: usize = 16 * 1024;

/// Where the head ends that `bytes` begin with.
fn head_end(bytes: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4)
}

/// The value of Content-Length in a head.
fn content_length(head: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    let mut rest = head;
    while let Some(end) = memchr::memchr(b'\n', rest) {
        rest = rest.get(end + 1..)?;
        // One byte decides for nearly all lines.
        if rest.first().is_some_and(|first| first | 0x20 == b'c')
            && rest.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME))
        {
            let line = rest.get(NAME.len()..memchr::memchr(b'\r', rest)?)?;
            return std::str::from_utf8(line).ok()?.trim().parse().ok();
        }
    }
    None
}

/// Bytes of a message's beginning that came without its end.
#[derive(Debug, Default)]
struct Partial(Vec<u8>);

impl Partial {
    /// Calls `read` with what is left over and `new`, until it takes nothing more; what it leaves is kept.
    fn feed<E>(&mut self, new: &[u8], mut read: impl FnMut(&[u8]) -> Result<usize, E>) -> Result<(), E> {
        let mut joined = std::mem::take(&mut self.0);
        let mut bytes = if joined.is_empty() {
            new
        } else {
            joined.extend_from_slice(new);
            &joined
        };
        while !bytes.is_empty() {
            let taken = read(bytes)?;
            if taken == 0 {
                self.0 = bytes.to_vec();
                break;
            }
            bytes = bytes.get(taken..).unwrap_or_default();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_length_is_found_however_it_is_written() {
        assert_eq!(content_length(b"HTTP/1.1 200 OK\r\nContent-Length: 43\r\n\r\n"), Some(43));
        assert_eq!(content_length(b"HTTP/1.1 200 OK\r\nconnection: x\r\ncontent-length:7\r\n\r\n"), Some(7));
        assert_eq!(content_length(b"HTTP/1.1 200 OK\r\nX-Content-Length: 7\r\n\r\n"), None);
    }

    #[test]
    fn what_comes_in_pieces_is_read_whole() {
        let mut partial = Partial::default();
        let mut lines = Vec::new();
        for piece in ["a", "b\nc", "d\ne\nf"] {
            partial
                .feed(piece.as_bytes(), |bytes| {
                    let Some(end) = memchr::memchr(b'\n', bytes) else { return Ok::<_, ()>(0) };
                    lines.push(String::from_utf8(bytes[..end].to_vec()).unwrap());
                    Ok(end + 1)
                })
                .unwrap();
        }
        assert_eq!(lines, ["ab", "cd", "e"]);
        assert_eq!(partial.0, b"f");
    }
}
