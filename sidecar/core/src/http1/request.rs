//! Request heads.

use std::mem::MaybeUninit;

use super::fields::{MAX_CONNECTION_OPTIONS, connection_options};
use super::framing::FramingFields;
use super::{Framing, Header, Malformed};

/// A request's head, parsed and found unambiguous.
#[derive(Debug)]
pub struct RequestHead<'h, 'b> {
    /// Method as sent: methods are case-sensitive.
    pub method: &'b str,
    /// The request target, as sent (RFC 9112 section 3.2).
    pub target: &'b str,
    /// HTTP/1.0, not 1.1.
    pub http_1_0: bool,
    /// All of it, as sent.
    pub raw: &'b [u8],
    /// All fields in order.
    pub headers: &'h [Header<'b>],
    /// Framing of the body; never [`Framing::UntilClose`].
    pub framing: Framing,
    /// The client will keep the connection open after the answer (RFC 9112 section 9.3).
    pub keep_alive: bool,
    /// `Connection` names fields, or anything else that is not read here (RFC 9110 section 7.6.1).
    pub nominates: bool,
    /// `Expect` is there: the answer may come before the body (RFC 9110 section 10.1.1).
    pub expects: bool,
    /// An HTTP upgrade to WebSocket is asked for (RFC 6455 section 4.1). HTTP/1.0 has no upgrades (RFC 9110
    /// section 7.8), but servers grant them, and nginx asks for them by default settings.
    pub websocket: bool,
}

impl<'h, 'b> RequestHead<'h, 'b> {
    /// Parses `head`, which ends with its empty line, as [`super::find_head_end`] found it, and has no
    /// more fields than there are `slots`.
    ///
    /// # Errors
    /// Whatever makes the head or its framing ambiguous; see [`Malformed`]. The answer is 400, and
    /// the connection closes, since where the next request starts is not known.
    pub fn parse(head: &'b [u8], slots: &'h mut [MaybeUninit<Header<'b>>]) -> Result<Self, Malformed> {
        // httparse skips any number of empty lines.
        if head.starts_with(b"\r") {
            return Err(Malformed::Syntax);
        }
        let mut parsed = httparse::Request::new(&mut []);
        let status = httparse::ParserConfig::default()
            .parse_request_with_uninit_headers(&mut parsed, head, slots)
            .map_err(
                |error| if head.starts_with(HTTP_2_PREFACE) { Malformed::Http2 } else { syntax(error) },
            )?;
        let httparse::Request { method: Some(method), path: Some(target), version: Some(version), headers } =
            parsed
        else {
            return Err(Malformed::Syntax);
        };
        if status != httparse::Status::Complete(head.len()) {
            return Err(Malformed::Syntax);
        }
        // What is not ASCII in a target, servers read differently; CONNECT is for forward proxies.
        if !target.is_ascii() || method == "CONNECT" || memchr::memchr(0, head).is_some() {
            return Err(Malformed::Syntax);
        }
        let http_1_0 = version == 0;
        let mut framing = FramingFields::default();
        let mut connection = ConnectionOptions::default();
        let (mut host, mut repeated, mut expects, mut upgrade) = (None, false, false, false);
        for field in headers.iter() {
            match field.name.len() {
                4 if field.name.eq_ignore_ascii_case("host") => {
                    repeated |= host.replace(field.value).is_some();
                }
                6 => expects |= field.name.eq_ignore_ascii_case("expect"),
                7 if field.name.eq_ignore_ascii_case("upgrade") => {
                    upgrade = field.value.eq_ignore_ascii_case(b"websocket");
                }
                10 if field.name.eq_ignore_ascii_case("connection") => connection.see(field.value)?,
                14 | 17 => framing.see(head, field)?,
                _ => {}
            }
        }
        let is_ambiguous = match (host, AbsoluteTarget::of(target)) {
            (Some(host), Some(named)) => !named.is(host),
            (host, _) => host.is_none() && !http_1_0,
        };
        if repeated || is_ambiguous {
            return Err(Malformed::Host);
        }
        let framing = framing.resolve(http_1_0)?.unwrap_or(Framing::Empty);
        Ok(Self {
            method,
            target,
            http_1_0,
            raw: head,
            headers,
            framing,
            keep_alive: connection.keep_alive(http_1_0),
            nominates: connection.nominates,
            expects,
            websocket: upgrade
                && connection.upgrade
                && method == "GET"
                && host.is_some()
                && framing == Framing::Empty,
        })
    }
}

/// The first line of a connection on which HTTP/2 is spoken with prior knowledge.
const HTTP_2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";

/// A target in absolute form (RFC 9112 section 3.2.2).
#[derive(Debug)]
pub(crate) struct AbsoluteTarget<'t> {
    scheme: &'t str,
    authority: &'t str,
    /// The part behind the authority: empty, or with `/` or `?` at its beginning.
    pub(crate) path_and_query: &'t str,
}

impl<'t> AbsoluteTarget<'t> {
    /// `None` for a target in another form.
    pub(crate) fn of(target: &'t str) -> Option<Self> {
        if target.starts_with('/') {
            return None;
        }
        let (scheme, rest) = target.split_once("://")?;
        let (authority, path_and_query) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        Some(Self { scheme, authority, path_and_query })
    }

    /// True if `Host` has this value. The scheme's default port may be left out (RFC 9110 section 4.2.3).
    fn is(&self, host: &[u8]) -> bool {
        let default_port: &[u8] = match self.scheme {
            scheme if scheme.eq_ignore_ascii_case("http") => b":80",
            scheme if scheme.eq_ignore_ascii_case("https") => b":443",
            _ => b"",
        };
        without(self.authority.as_bytes(), default_port).eq_ignore_ascii_case(without(host, default_port))
    }
}

fn without<'a>(authority: &'a [u8], port: &[u8]) -> &'a [u8] {
    authority.strip_suffix(port).unwrap_or(authority)
}

/// The options of all `Connection` fields that matter here (RFC 9110 section 7.6.1).
#[derive(Debug, Default)]
pub(super) struct ConnectionOptions {
    close: bool,
    keep_alive: bool,
    upgrade: bool,
    /// Any but these three.
    pub(super) nominates: bool,
    count: usize,
}

impl ConnectionOptions {
    pub(super) fn see(&mut self, value: &[u8]) -> Result<(), Malformed> {
        for option in connection_options(value) {
            self.count += 1;
            match option.len() {
                5 if option.eq_ignore_ascii_case(b"close") => self.close = true,
                7 if option.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
                10 if option.eq_ignore_ascii_case(b"keep-alive") => self.keep_alive = true,
                _ => self.nominates = true,
            }
        }
        if self.count > MAX_CONNECTION_OPTIONS { Err(Malformed::ConnectionOptions) } else { Ok(()) }
    }

    pub(super) fn keep_alive(&self, http_1_0: bool) -> bool {
        !self.close && (self.keep_alive || !http_1_0)
    }
}

pub(super) fn syntax(error: httparse::Error) -> Malformed {
    match error {
        httparse::Error::TooManyHeaders => Malformed::TooManyFields,
        httparse::Error::Version => Malformed::Version,
        _ => Malformed::Syntax,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{HeadLimits, MAX_FIELDS, MAX_HEAD, find_head_end, header_slots};
    use super::*;

    fn parse<T>(text: &str, look: impl FnOnce(&RequestHead<'_, '_>) -> T) -> Result<T, Malformed> {
        let end = find_head_end(text.as_bytes(), 0, MAX_HEAD)?.expect("the head is complete");
        let mut slots = header_slots();
        RequestHead::parse(&text.as_bytes()[..end], &mut slots).map(|head| look(&head))
    }

    #[test]
    fn a_plain_request_is_understood() {
        let seen =
            parse("POST /socket.io/?EIO=4 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n40x", |head| {
                (
                    head.method.to_owned(),
                    head.target.to_owned(),
                    head.framing,
                    head.keep_alive,
                    head.websocket,
                )
            });
        assert_eq!(seen, Ok(("POST".into(), "/socket.io/?EIO=4".into(), Framing::Length(3), true, false)));
    }

    #[test]
    fn connections_persist_as_the_version_and_the_options_say() {
        let keeps = |text: &str| parse(text, |head| head.keep_alive);
        assert_eq!(keeps("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), Ok(true));
        assert_eq!(keeps("GET / HTTP/1.1\r\nHost: a\r\nConnection: foo, Close\r\n\r\n"), Ok(false));
        assert_eq!(keeps("GET / HTTP/1.0\r\n\r\n"), Ok(false));
        assert_eq!(keeps("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), Ok(true));
    }

    #[test]
    fn a_websocket_upgrade_needs_both_fields_and_no_body() {
        let asks =
            |extra: &str| parse(&format!("GET / HTTP/1.1\r\nHost: a\r\n{extra}\r\n"), |head| head.websocket);
        assert_eq!(asks("Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"), Ok(true));
        assert_eq!(asks("Upgrade: websocket\r\n"), Ok(false));
        let old = |host: &str| {
            let fields = "Connection: upgrade\r\nUpgrade: websocket\r\n";
            parse(&format!("GET / HTTP/1.0\r\n{host}{fields}\r\n"), |head| head.websocket)
        };
        assert_eq!((old("Host: a\r\n"), old("")), (Ok(true), Ok(false)));
        assert_eq!(asks("Connection: Upgrade\r\nUpgrade: h2c\r\n"), Ok(false));
        assert_eq!(asks("Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 4\r\n"), Ok(false));
    }

    #[test]
    fn what_two_parsers_could_read_differently_is_refused() {
        use Malformed::{
            ConnectionOptions, ContentLength, Host, Http2, LineEnding, Syntax, TransferEncoding, TwoLengths,
            Version,
        };
        let many_options = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "Connection: ,a,\r\n".repeat(33));
        let table = [
            ("GET / HTTP/1.1\r\n\r\n", Host),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Host),
            ("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", Host),
            ("GET http://a@b?q HTTP/1.1\r\nHost: a\r\n\r\n", Host),
            ("GET http://a:81/ HTTP/1.1\r\nHost: a\r\n\r\n", Host),
            ("GET http://a:443/ HTTP/1.1\r\nHost: a\r\n\r\n", Host),
            ("GET ws://a:80/ HTTP/1.1\r\nHost: a\r\n\r\n", Host),
            ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", Version),
            ("PRI * HTTP/2.0\r\n\r\n", Http2),
            (&many_options, ConnectionOptions),
            ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Syntax),
            ("GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n", Syntax),
            ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", Syntax),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n folded\r\n\r\n", Syntax),
            ("GET / HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n", Syntax),
            ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", Syntax),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", Syntax),
            ("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", LineEnding),
            ("GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", LineEnding),
            (
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                TwoLengths,
            ),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", ContentLength),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", ContentLength),
            ("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", TransferEncoding),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", TransferEncoding),
        ];
        for (text, why) in table {
            let end = find_head_end(text.as_bytes(), 0, MAX_HEAD);
            let found = end.and_then(|_| parse(text, |_| ()));
            assert_eq!(found, Err(why), "{text:?}");
        }
    }

    #[test]
    fn the_default_port_is_the_same_authority() {
        for (target, host) in [
            ("http://a:80/", "a"),
            ("http://A/", "a:80"),
            ("http://a:80?q", "a:80"),
            ("https://a:443/", "a"),
            ("HTTPS://[::1]/", "[::1]:443"),
            ("http://a:81/", "a:81"),
        ] {
            let parsed = parse(&format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"), |_| ());
            assert_eq!(parsed, Ok(()), "{target} {host}");
        }
    }

    #[test]
    fn more_fields_than_there_is_room_for_are_too_large() {
        let refused = Err(Malformed::TooManyFields);
        let head = |count| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(count));
        assert_eq!(parse(&head(MAX_FIELDS), |_| ()), refused);
        for (fields, expected) in [(9, Ok(())), (10, refused)] {
            let (text, mut slots) = (head(fields), header_slots());
            let limits = HeadLimits { bytes: MAX_HEAD, fields: 10 };
            let parsed = RequestHead::parse(text.as_bytes(), limits.of_slots(&mut slots)).map(|_| ());
            assert_eq!(parsed, expected);
        }
    }
}
