//! Response heads.

use std::mem::MaybeUninit;
use std::time::Duration;

use super::framing::FramingFields;
use super::request::{ConnectionOptions, syntax};
use super::{Framing, Header, Malformed};

/// A response's head, parsed and found unambiguous.
#[derive(Debug)]
pub struct ResponseHead<'h, 'b> {
    /// The status code.
    pub status: u16,
    /// The reason phrase, which may be empty.
    pub reason: &'b str,
    /// HTTP/1.0, not 1.1.
    pub http_1_0: bool,
    /// All of it, as sent.
    pub raw: &'b [u8],
    /// All fields in order.
    pub headers: &'h [Header<'b>],
    /// Framing of the body.
    pub framing: Framing,
    /// The server will keep the connection open after this answer.
    pub keep_alive: bool,
    /// `Connection` names fields, or anything else that is not read here (RFC 9110 section 7.6.1).
    pub nominates: bool,
    /// `Keep-Alive: timeout=…`: for how long it will, where it says so.
    pub keep_alive_timeout: Option<Duration>,
}

impl<'h, 'b> ResponseHead<'h, 'b> {
    /// Parses `head`, which ends with its empty line, as the answer to a request whose method was
    /// HEAD or not (RFC 9112 section 6.3, items 1 and 8).
    ///
    /// # Errors
    /// Whatever makes the head or its framing ambiguous; see [`Malformed`]. Nothing of it may be
    /// passed on.
    pub fn parse(
        head: &'b [u8],
        to_head: bool,
        slots: &'h mut [MaybeUninit<Header<'b>>],
    ) -> Result<Self, Malformed> {
        let mut parsed = httparse::Response::new(&mut []);
        let status = httparse::ParserConfig::default()
            .parse_response_with_uninit_headers(&mut parsed, head, slots)
            .map_err(syntax)?;
        let httparse::Response { version: Some(version), code: Some(code), reason, headers } = parsed else {
            return Err(Malformed::Syntax);
        };
        if status != httparse::Status::Complete(head.len()) || code < 100 || memchr::memchr(0, head).is_some()
        {
            return Err(Malformed::Syntax);
        }
        let http_1_0 = version == 0;
        let mut framing = FramingFields::default();
        let mut connection = ConnectionOptions::default();
        let mut keep_alive_timeout = None;
        for field in headers.iter() {
            match field.name.len() {
                10 if field.name.eq_ignore_ascii_case("connection") => connection.see(field.value)?,
                10 if field.name.eq_ignore_ascii_case("keep-alive") => {
                    keep_alive_timeout = parse_keep_alive_timeout(field.value);
                }
                14 | 17 => framing.see(head, field)?,
                _ => {}
            }
        }
        let framing = framing.resolve(http_1_0)?;
        let bodiless = to_head || code < 200 || code == 204 || code == 304;
        let framing = if bodiless { Framing::Empty } else { framing.unwrap_or(Framing::UntilClose) };
        Ok(Self {
            status: code,
            reason: reason.unwrap_or_default(),
            http_1_0,
            raw: head,
            headers,
            framing,
            keep_alive: framing != Framing::UntilClose && connection.keep_alive(http_1_0),
            nominates: connection.nominates,
            keep_alive_timeout,
        })
    }
}

/// `timeout=5` among the parameters of a `Keep-Alive` field (RFC 2068 section 19.7.1.1).
fn parse_keep_alive_timeout(value: &[u8]) -> Option<Duration> {
    let parameters = std::str::from_utf8(value).ok()?.split(',');
    let seconds = parameters.filter_map(|parameter| parameter.trim().strip_prefix("timeout=")).next()?;
    seconds.parse::<u32>().ok().map(|seconds| Duration::from_secs(seconds.into()))
}

#[cfg(test)]
mod tests {
    use super::super::header_slots;
    use super::*;

    fn parse<T>(
        text: &str,
        to_head: bool,
        look: impl FnOnce(&ResponseHead<'_, '_>) -> T,
    ) -> Result<T, Malformed> {
        let mut slots = header_slots();
        ResponseHead::parse(text.as_bytes(), to_head, &mut slots).map(|head| look(&head))
    }

    #[test]
    fn the_body_ends_as_the_status_the_method_and_the_fields_say() {
        let framing = |text: &str| parse(text, false, |head| head.framing);
        assert_eq!(framing("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), Ok(Framing::Length(5)));
        assert_eq!(framing("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), Ok(Framing::Chunked));
        assert_eq!(framing("HTTP/1.1 200 OK\r\n\r\n"), Ok(Framing::UntilClose));
        assert_eq!(framing("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"), Ok(Framing::Empty));
        assert_eq!(framing("HTTP/1.1 101 Switching Protocols\r\n\r\n"), Ok(Framing::Empty));
        let to_head = parse("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, |head| head.framing);
        assert_eq!(to_head, Ok(Framing::Empty));
    }

    #[test]
    fn a_server_says_how_long_it_keeps_a_connection() {
        let kept = |text: &str| parse(text, false, |head| (head.keep_alive, head.keep_alive_timeout));
        let five = Some(Duration::from_secs(5));
        let node =
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n";
        assert_eq!(kept(node), Ok((true, five)));
        assert_eq!(kept(&node.replace("timeout=5", "max=9, timeout=5")), Ok((true, five)));
        assert_eq!(kept(&node.replace("timeout=5", "timeout=-5")), Ok((true, None)));
        assert_eq!(
            kept("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"),
            Ok((false, None))
        );
        assert_eq!(
            kept("HTTP/1.1 200 OK\r\n\r\n"),
            Ok((false, None)),
            "a body until close takes the connection along"
        );
    }

    #[test]
    fn an_ambiguous_answer_is_refused() {
        let both = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(parse(both, false, |_| ()), Err(Malformed::TwoLengths));
        assert_eq!(parse("HTTP/1.1 099 No\r\n\r\n", false, |_| ()), Err(Malformed::Syntax));
    }
}
