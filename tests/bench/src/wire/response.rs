//! What the clients read: answers of the application, as a proxy passes them on.

use super::{MAX_HEAD, Malformed, Partial, content_length, head_end};

/// Reads answers from bytes that come as they please.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    partial: Partial,
    body_left: usize,
}

impl Reader {
    /// Reads all of `bytes` and says how many answers they complete. Each has to be a success: 200, or
    /// 101 where `switching`, which ends HTTP on its connection.
    pub(crate) fn feed(&mut self, bytes: &[u8], switching: bool) -> Result<usize, Malformed> {
        let (mut left, mut completed) = (self.body_left, 0);
        let fed = self.partial.feed(bytes, |bytes| {
            if left > 0 {
                let taken = left.min(bytes.len());
                left -= taken;
                completed += usize::from(left == 0);
                return Ok(taken);
            }
            let Some(end) = head_end(bytes) else {
                return if bytes.len() > MAX_HEAD { Err(Malformed::Not("answer")) } else { Ok(0) };
            };
            let head = bytes.get(..end).unwrap_or_default();
            let status = if switching { b" 101 " } else { b" 200 " };
            if head.get(8..13) != Some(status) {
                let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
                return Err(Malformed::Status(String::from_utf8_lossy(line).into_owned()));
            }
            if !switching {
                left = content_length(head).ok_or(Malformed::NoLength)?;
            }
            completed += usize::from(left == 0);
            Ok(end)
        });
        self.body_left = left;
        fed.map(|()| completed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::text;
    use super::*;

    #[test]
    fn answers_are_counted_however_they_are_cut() {
        let bytes = [text::answer(b"ok"), text::answer(&[b'x'; 5000]), text::answer(b"")].concat();
        for size in [1, 9, 1000, bytes.len()] {
            let mut reader = Reader::default();
            let completed: usize = bytes.chunks(size).map(|cut| reader.feed(cut, false).unwrap()).sum();
            assert_eq!(completed, 3);
        }
    }

    #[test]
    fn an_upgrade_is_complete_with_its_head() {
        assert_eq!(Reader::default().feed(&text::switching(), true), Ok(1));
    }

    #[test]
    fn an_unexpected_status_is_told() {
        let refused = Reader::default().feed(b"HTTP/1.1 502 Bad Gateway\r\n\r\n", false);
        assert_eq!(refused, Err(Malformed::Status("HTTP/1.1 502 Bad Gateway".to_owned())));
    }
}
