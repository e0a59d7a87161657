//! The Engine.IO query of a request target (Engine.IO protocol, revisions 3 and 4, "URL").
//!
//! # Invariants
//! - Servers differ in which of two `sid`s counts, so a query that has more than one, however the key
//!   is written, or a `#`, behind which some parsers stop, is [`Sid::Ambiguous`]: never guessed at.
//! - The target is not changed or normalised here; spans are byte offsets into it as it was sent.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr, memchr2, memrchr};
use percent_encoding::percent_decode_str;

use crate::http1::AbsoluteTarget;

/// The path under which Engine.IO is served, such as `/socket.io`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineIoPath(String);

impl EngineIoPath {
    /// Takes the application's `path` option, with or without its trailing slash.
    ///
    /// # Errors
    /// One sentence, where the path does not start with `/`, is only `/`, or has a query.
    pub fn new(path: &str) -> Result<Self, String> {
        let trimmed = path.strip_suffix('/').unwrap_or(path);
        let usable = trimmed.starts_with('/')
            && trimmed.len() > 1
            && trimmed.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'?' && byte != b'#');
        if usable {
            Ok(Self(trimmed.to_owned()))
        } else {
            Err(format!("path is {path:?}; give the application's Engine.IO path, such as \"/socket.io/\""))
        }
    }

    /// The query of `target` if it is under this path, and true if it is this very path, with or without a
    /// trailing slash. An absent query is an empty one.
    fn query_of<'t>(&self, target: &'t str) -> Option<(&'t str, bool)> {
        let path = AbsoluteTarget::of(target).map_or(target, |absolute| absolute.path_and_query);
        let rest = path.strip_prefix(self.0.as_str())?;
        if !matches!(rest.as_bytes().first(), None | Some(b'?' | b'/')) {
            return None;
        }
        let (path, query) = split_at(b'?', rest);
        Some((query.unwrap_or(""), matches!(path, "" | "/")))
    }
}

/// The `transport` parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// `polling`: HTTP long-polling.
    Polling,
    /// `websocket`.
    WebSocket,
    /// Another one, or none: the application's to refuse.
    Other,
}

/// The `sid` parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sid<'t> {
    /// None, or an empty one, which servers take for none: a handshake.
    Absent,
    /// Exactly one.
    Given(SidParam<'t>),
    /// More than one reading; see the module's invariants.
    Ambiguous,
}

/// Parameters of an Engine.IO request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineIoRequest<'t> {
    /// The target's path is the Engine.IO path itself, not one below it, such as the client library's.
    pub is_at_path: bool,
    /// `EIO=4`; everything else, and nothing, means revision 3 or older.
    pub eio_4: bool,
    /// The transport it uses.
    pub transport: Transport,
    /// The session it names.
    pub sid: Sid<'t>,
}

impl<'t> EngineIoRequest<'t> {
    /// Reads `target`, or returns `None` if it is not under `path`.
    #[must_use]
    pub fn parse(target: &'t str, path: &EngineIoPath) -> Option<Self> {
        let (query, is_at_path) = path.query_of(target)?;
        let mut request = Self { is_at_path, eio_4: false, transport: Transport::Other, sid: Sid::Absent };
        let mut start = target.len() - query.len();
        let mut sids = 0;
        let mut rest = Some(query);
        while let Some(parameters) = rest {
            let (parameter, others) = split_at(b'&', parameters);
            let (key, value) = split_at(b'=', parameter);
            let value = value.unwrap_or_default();
            match decode(key).as_deref() {
                Some("EIO") => request.eio_4 = value == "4",
                Some("transport") => {
                    request.transport = match value {
                        "polling" => Transport::Polling,
                        "websocket" => Transport::WebSocket,
                        _ => Transport::Other,
                    };
                }
                Some("sid") => {
                    sids += 1;
                    if !value.is_empty() {
                        let start = start + parameter.len() - value.len();
                        request.sid = Sid::Given(SidParam { raw: value, start });
                    }
                }
                _ => {}
            }
            start += parameter.len() + 1;
            rest = others;
        }
        if sids > 1 || memchr(b'#', target.as_bytes()).is_some() {
            request.sid = Sid::Ambiguous;
        }
        Some(request)
    }
}

/// A `sid` as it stands in the target, percent-encoded or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SidParam<'t> {
    /// The value as sent.
    pub raw: &'t str,
    start: usize,
}

/// A sid that ends in what may be an owner tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaggedSid<'t> {
    /// The application's own sid, decoded.
    pub sid: Cow<'t, str>,
    /// Text behind the last dot, decoded.
    pub tag: Cow<'t, str>,
    /// Range of the dot and the tag in the target.
    pub tag_span: Range<usize>,
}

impl<'t> SidParam<'t> {
    /// The sid as the application reads it, tag and all.
    #[must_use]
    pub fn decoded(&self) -> Cow<'t, str> {
        decode(self.raw).unwrap_or(Cow::Borrowed(self.raw))
    }

    /// Splits at the last dot, plain or percent-encoded; `None` where there is none, or where the
    /// parts are not UTF-8, in which case the sid carries no tag of ours.
    #[must_use]
    pub fn split_tag(&self) -> Option<TaggedSid<'t>> {
        let plain = memrchr(b'.', self.raw.as_bytes()).map(|at| (at, 1));
        let encoded = || ["%2e", "%2E"].iter().filter_map(|dot| self.raw.rfind(dot)).max().map(|at| (at, 3));
        let has_encoded = memchr(b'%', self.raw.as_bytes()).is_some();
        let (at, dot) = plain.max(has_encoded.then(encoded).flatten())?;
        Some(TaggedSid {
            sid: decode(&self.raw[..at])?,
            tag: decode(&self.raw[at + dot..])?,
            tag_span: self.start + at..self.start + self.raw.len(),
        })
    }
}

/// Splits at the first `separator`, which is ASCII.
fn split_at(separator: u8, text: &str) -> (&str, Option<&str>) {
    match memchr(separator, text.as_bytes()) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}

/// Decodes a key or value of a query as servers do: `+` is a space, `%XX` a byte of UTF-8.
fn decode(text: &str) -> Option<Cow<'_, str>> {
    if memchr2(b'%', b'+', text.as_bytes()).is_none() {
        return Some(Cow::Borrowed(text));
    }
    let spaced = text.replace('+', " ");
    Some(Cow::Owned(percent_decode_str(&spaced).decode_utf8().ok()?.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path() -> EngineIoPath {
        EngineIoPath::new("/socket.io/").unwrap()
    }

    fn sid_of(target: &str) -> Sid<'_> {
        EngineIoRequest::parse(target, &path()).unwrap().sid
    }

    #[test]
    fn only_targets_under_the_path_are_engine_io() {
        for target in
            ["/socket.io/?EIO=4", "/socket.io?EIO=4", "/socket.io", "/socket.io/x", "http://a/socket.io/"]
        {
            assert!(EngineIoRequest::parse(target, &path()).is_some(), "{target}");
        }
        for target in [
            "/",
            "*",
            "/socket.iox/",
            "/a/socket.io/",
            "/?q=/socket.io/",
            "http://a",
            "http://a?q=/socket.io/",
            "/SOCKET.IO/",
        ] {
            assert!(EngineIoRequest::parse(target, &path()).is_none(), "{target}");
        }
    }

    #[test]
    fn the_path_itself_is_told_from_what_is_below_it() {
        let is_at_path = |target| EngineIoRequest::parse(target, &path()).unwrap().is_at_path;
        for target in [
            "/socket.io",
            "/socket.io/",
            "/socket.io?EIO=4",
            "/socket.io/?EIO=4",
            "http://a/socket.io",
            "http://a:80/socket.io/?EIO=4",
        ] {
            assert!(is_at_path(target), "{target}");
        }
        for target in [
            "/socket.io/socket.io.js?EIO=4",
            "/socket.io//",
            "/socket.io/./",
            "/socket.io/%2f?EIO=4",
            "http://a/socket.io/x",
        ] {
            assert!(!is_at_path(target), "{target}");
        }
    }

    #[test]
    fn a_path_that_could_match_nothing_or_everything_is_refused() {
        for refused in ["", "/", "//?", "socket.io", "/a b", "/a?b", "/a#"] {
            assert!(EngineIoPath::new(refused).is_err(), "{refused}");
        }
        assert_eq!(EngineIoPath::new("/a/b"), EngineIoPath::new("/a/b/"));
    }

    #[test]
    fn the_parameters_are_read_in_any_order() {
        let request =
            EngineIoRequest::parse("/socket.io/?t=x&sid=abc&transport=polling&EIO=4", &path()).unwrap();
        assert!(request.eio_4);
        assert_eq!(request.transport, Transport::Polling);
        assert_eq!(request.sid, Sid::Given(SidParam { raw: "abc", start: 20 }));
        let request = EngineIoRequest::parse("/socket.io/?transport=websocket&EIO=3", &path()).unwrap();
        assert!(!request.eio_4);
        assert_eq!((request.transport, request.sid), (Transport::WebSocket, Sid::Absent));
    }

    #[test]
    fn an_empty_sid_is_none_and_two_sids_are_ambiguous_however_written() {
        assert_eq!(sid_of("/socket.io/?sid="), Sid::Absent);
        assert_eq!(sid_of("/socket.io/?sid"), Sid::Absent);
        for query in ["sid=a&sid=a", "sid=a&s%69d=b", "sid=&sid=a", "sid=a&sid", "sid=a#&x", "EIO=4#"] {
            assert_eq!(sid_of(&format!("/socket.io/?{query}")), Sid::Ambiguous, "{query}");
        }
        assert!(matches!(sid_of("/socket.io/?SID=a&sid=b&xsid=c"), Sid::Given(SidParam { raw: "b", .. })));
    }

    #[test]
    fn a_tag_is_what_stands_behind_the_last_dot() {
        for (value, sid, tag) in [
            ("a.b", "a", "b"),
            ("a.b.c", "a.b", "c"),
            ("a%2Eb", "a", "b"),
            ("a%2e%62", "a", "b"),
            ("a.b%2Ec", "a.b", "c"),
            ("a%2Eb.c", "a.b", "c"),
            ("%41+b.", "A b", ""),
            (".x", "", "x"),
        ] {
            let target = format!("/socket.io/?EIO=4&sid={value}&t=1");
            let Sid::Given(param) = sid_of(&target) else { panic!("{value} is one sid") };
            let split = param.split_tag().unwrap();
            assert_eq!((split.sid.as_ref(), split.tag.as_ref()), (sid, tag), "{value}");
            let stripped = [&target[..split.tag_span.start], &target[split.tag_span.end..]].concat();
            assert!(stripped.ends_with("&t=1") && !stripped.contains(&format!("{tag}&")) || tag.is_empty());
        }
        let Sid::Given(plain) = sid_of("/socket.io/?sid=abc") else { panic!() };
        assert_eq!(plain.split_tag(), None);
        let Sid::Given(not_utf8) = sid_of("/socket.io/?sid=%ff.x") else { panic!() };
        assert_eq!(not_utf8.split_tag(), None);
    }

    proptest! {
        #[test]
        fn no_target_makes_it_fail_and_spans_lie_inside(target in "/socket\\.io/?\\?[a-zEIO=&%.#+0-9sid]{0,60}") {
            if let Some(EngineIoRequest { sid: Sid::Given(param), .. }) = EngineIoRequest::parse(&target, &path()) {
                prop_assert_eq!(&target[param.start..param.start + param.raw.len()], param.raw);
                if let Some(split) = param.split_tag() {
                    prop_assert!(split.tag_span.end <= target.len());
                    prop_assert!(target.is_char_boundary(split.tag_span.start));
                }
            }
        }
    }
}
