//! What the application reads: requests of this instrument's clients, as a proxy passes them on.

use super::text::{SIZES, Size};
use super::{MAX_HEAD, Malformed, Partial, content_length, head_end};

/// A request that is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// Asks for a session.
    Handshake,
    /// A poll.
    Poll(Size),
    /// A message, read to its end.
    Post,
    /// What follows are WebSocket frames.
    Upgrade,
}

/// Reads requests from bytes that come as they please.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    partial: Partial,
    body_left: usize,
}

impl Reader {
    /// Reads all of `bytes` and calls `complete` with each request that they complete.
    pub(crate) fn feed(&mut self, bytes: &[u8], mut complete: impl FnMut(Request)) -> Result<(), Malformed> {
        let mut left = self.body_left;
        let fed = self.partial.feed(bytes, |bytes| {
            if left > 0 {
                let taken = left.min(bytes.len());
                left -= taken;
                if left == 0 {
                    complete(Request::Post);
                }
                return Ok(taken);
            }
            let Some(end) = head_end(bytes) else {
                return if bytes.len() > MAX_HEAD { Err(Malformed::Not("request")) } else { Ok(0) };
            };
            let head = bytes.get(..end).unwrap_or_default();
            let request = classify(head)?;
            if request == Request::Post {
                left = content_length(head).ok_or(Malformed::NoLength)?;
            }
            if left == 0 {
                complete(request);
            }
            Ok(end)
        });
        self.body_left = left;
        fed
    }
}

fn classify(head: &[u8]) -> Result<Request, Malformed> {
    if head.starts_with(b"POST ") {
        return Ok(Request::Post);
    }
    let target = head.strip_prefix(b"GET ").and_then(|rest| rest.split(|byte| *byte == b' ').next());
    let target = target.ok_or(Malformed::Not("request of this instrument"))?;
    if memchr::memmem::find(target, b"transport=websocket").is_some() {
        return Ok(Request::Upgrade);
    }
    if memchr::memmem::find(target, b"&sid=").is_none() {
        return Ok(Request::Handshake);
    }
    let letter = memchr::memmem::find(target, b"&t=").and_then(|at| target.get(at + 3));
    let size = SIZES.iter().find(|(_, of, _)| Some(of) == letter);
    size.map(|(size, ..)| Request::Poll(*size)).ok_or(Malformed::Not("poll of this instrument"))
}

#[cfg(test)]
mod tests {
    use super::super::text;
    use super::*;

    #[test]
    fn what_clients_send_is_understood_however_it_is_cut() {
        let all = [
            (text::handshake("a"), Request::Handshake),
            (text::poll("a", "s", Size::Middle), Request::Poll(Size::Middle)),
            (text::post("a", "s", 1024), Request::Post),
            (text::poll("a", "s", Size::Small), Request::Poll(Size::Small)),
            (text::upgrade("a", "s"), Request::Upgrade),
        ];
        let bytes: Vec<u8> = all.iter().flat_map(|(bytes, _)| bytes.iter().copied()).collect();
        for size in [1, 10, 700, bytes.len()] {
            let (mut reader, mut read) = (Reader::default(), Vec::new());
            for cut in bytes.chunks(size) {
                reader.feed(cut, |request| read.push(request)).unwrap();
            }
            assert_eq!(read, all.iter().map(|(_, request)| *request).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_body_without_a_length_is_refused() {
        let refused = Reader::default().feed(b"POST / HTTP/1.1\r\n\r\n", |_| ());
        assert_eq!(refused, Err(Malformed::NoLength));
    }
}
