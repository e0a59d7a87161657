//! Length of a body: RFC 9112 section 6, without its leniencies.

use super::{Header, Malformed, position_in};

/// Way to find the end of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    Empty,
    /// Number of bytes that follow, at least one.
    Length(u64),
    /// Chunks follow; see [`super::chunked`].
    Chunked,
    /// The body ends with the connection. Only in responses.
    UntilClose,
}

/// The framing fields of one head, collected while its fields are walked.
#[derive(Debug, Default)]
pub(super) struct FramingFields {
    length: Option<u64>,
    chunked: bool,
}

impl FramingFields {
    /// Takes note of `field` of `head` if it is a framing field.
    pub(super) fn see(&mut self, head: &[u8], field: &Header<'_>) -> Result<(), Malformed> {
        if field.name.eq_ignore_ascii_case("content-length") {
            if self.length.is_some() || has_tab_beside(head, field.value) {
                return Err(Malformed::ContentLength);
            }
            self.length = Some(parse_length(field.value)?);
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
            let is_plain = field.value.eq_ignore_ascii_case(b"chunked") && !has_tab_beside(head, field.value);
            if self.chunked || !is_plain {
                return Err(Malformed::TransferEncoding);
            }
            self.chunked = true;
        }
        Ok(())
    }

    /// The framing these fields give, or `None` where there is no framing field.
    pub(super) fn resolve(&self, http_1_0: bool) -> Result<Option<Framing>, Malformed> {
        match (self.length, self.chunked) {
            (Some(_), true) => Err(Malformed::TwoLengths),
            (None, true) if http_1_0 => Err(Malformed::TransferEncoding),
            (None, true) => Ok(Some(Framing::Chunked)),
            (Some(0), false) => Ok(Some(Framing::Empty)),
            (Some(length), false) => Ok(Some(Framing::Length(length))),
            (None, false) => Ok(None),
        }
    }
}

/// True where a tab stands beside `value`, which is part of `head`. A tab is allowed there (RFC 9110 section 5.5), but Node
/// refuses it around a `Content-Length`, and reads an answer with `chunked` and a tab until the connection closes.
fn has_tab_beside(head: &[u8], value: &[u8]) -> bool {
    let start = position_in(head, value).unwrap_or_default();
    let (before, after) = (head.get(..start), head.get(start + value.len()..));
    let before = before.into_iter().flatten().rev().take_while(|byte| **byte != b':');
    let after = after.into_iter().flatten().take_while(|byte| **byte != b'\r');
    before.chain(after).any(|byte| *byte == b'\t')
}

/// `1*DIGIT` that fits 63 bits: no sign, list, space or empty value (RFC 9110 section 8.6).
fn parse_length(value: &[u8]) -> Result<u64, Malformed> {
    if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
        return Err(Malformed::ContentLength);
    }
    Ok(value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framing(fields: &[(&str, &str)], http_1_0: bool) -> Result<Option<Framing>, Malformed> {
        let mut seen = FramingFields::default();
        for (name, value) in fields {
            seen.see(value.as_bytes(), &Header { name, value: value.as_bytes() })?;
        }
        seen.resolve(http_1_0)
    }

    #[test]
    fn a_framing_field_has_no_tab_beside_its_value() {
        let framing = |name, line: &'static str, value: &str| {
            let start = line.find(value).unwrap();
            let value = &line.as_bytes()[start..start + value.len()];
            let mut seen = FramingFields::default();
            seen.see(line.as_bytes(), &Header { name, value })?;
            seen.resolve(false)
        };
        for (line, is_plain) in [
            (": chunked\r\n\t", true),
            (":  chunked  \r\n", true),
            (":\tchunked\r\n", false),
            (": chunked \t\r\n", false),
        ] {
            assert_eq!(framing("Transfer-Encoding", line, "chunked").is_ok(), is_plain, "{line:?}");
        }
        for (line, is_plain) in [("\t: 5 \r\n", true), (": \t 5\r\n", false), (": 5\t\r\n", false)] {
            assert_eq!(framing("Content-Length", line, "5").is_ok(), is_plain, "{line:?}");
        }
    }

    #[test]
    fn a_length_is_one_plain_number() {
        assert_eq!(framing(&[("Content-Length", "12")], false), Ok(Some(Framing::Length(12))));
        assert_eq!(framing(&[("content-length", "0")], false), Ok(Some(Framing::Empty)));
        for value in ["", "+5", "-1", "5,5", "5 5", "0x5", "1e3", "9999999999999999999", "٣"] {
            assert_eq!(
                framing(&[("Content-Length", value)], false),
                Err(Malformed::ContentLength),
                "{value}"
            );
        }
        let twice = [("Content-Length", "5"), ("Content-Length", "5")];
        assert_eq!(framing(&twice, false), Err(Malformed::ContentLength));
    }

    #[test]
    fn a_transfer_encoding_is_chunked_and_nothing_else() {
        assert_eq!(framing(&[("Transfer-Encoding", "Chunked")], false), Ok(Some(Framing::Chunked)));
        for value in ["identity", "gzip, chunked", "chunked, chunked", "xchunked", "", "chunked,"] {
            let refused = Err(Malformed::TransferEncoding);
            assert_eq!(framing(&[("Transfer-Encoding", value)], false), refused, "{value}");
        }
        let twice = [("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")];
        assert_eq!(framing(&twice, false), Err(Malformed::TransferEncoding));
        assert_eq!(framing(&[("Transfer-Encoding", "chunked")], true), Err(Malformed::TransferEncoding));
    }

    #[test]
    fn two_kinds_of_length_are_refused_in_either_order() {
        let (length, chunked) = (("Content-Length", "5"), ("Transfer-Encoding", "chunked"));
        assert_eq!(framing(&[length, chunked], false), Err(Malformed::TwoLengths));
        assert_eq!(framing(&[chunked, length], false), Err(Malformed::TwoLengths));
    }
}
