//! The one place where a failure becomes an answer. What the client reads is not what the log says.
//!
//! # Invariants
//! - Bodies are constants of this file. So every origin may read a refusal: it holds nothing of the request,
//!   the client or the application. Without CORS fields a browser would report each as a CORS error.

use std::fmt::Write;

use socketio_sidecar_core::http1::{Malformed, RequestHead};
use socketio_sidecar_core::ownership::Rejection;

/// Reason why this sidecar answers in place of an application. The connection closes behind every one of
/// these: what is left of the request has not been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The request is not unambiguous HTTP/1.1.
    Malformed(Malformed),
    /// The head took too long.
    HeadTimeout,
    /// The decision was to reject it.
    Rejected(Rejection),
    /// The application does not accept connections.
    AppUnreachable,
    /// The sidecar cannot open another connection.
    Exhausted,
    /// The owner's pod has vanished after it was sent the request.
    OwnerVanished,
    /// The owner lives, and cannot be reached.
    Busy,
    /// As many WebSockets are open as may be.
    TooManyWebSockets,
    /// The client's source has as many requests and WebSockets under way as it may.
    TooManyFromSource,
    /// The connection onward broke, or what came over it was no answer.
    BadGateway,
    /// The body of the request took too long.
    BodyTimeout,
    /// The head of the application's answer is beyond its limits.
    AnswerHeadTooLarge,
    /// The request's body has stopped coming.
    Stalled,
    /// The application has stopped taking the request or giving its answer.
    AnswerStalled,
    /// The budget for bytes that wait for a reader ran short.
    OverBudget,
}

impl Refusal {
    /// A static category, for metrics and logs.
    pub(super) const fn cause(self) -> &'static str {
        match self {
            Self::Malformed(Malformed::Http2) => "http2",
            Self::Malformed(Malformed::TooLong | Malformed::TooManyFields) => "request_head_too_large",
            Self::AnswerHeadTooLarge => "answer_head_too_large",
            Self::Malformed(_) => "malformed_request",
            Self::HeadTimeout => "head_timeout",
            Self::Rejected(Rejection::AmbiguousSid) => "ambiguous_sid",
            Self::Rejected(Rejection::NotOwner) => "not_owner",
            Self::AppUnreachable => "app_unreachable",
            Self::Exhausted => "exhausted",
            Self::OwnerVanished => "owner_vanished",
            Self::Busy => "busy",
            Self::TooManyWebSockets => "websocket_limit",
            Self::TooManyFromSource => "source_limit",
            Self::BadGateway => "bad_gateway",
            Self::BodyTimeout => "body_timeout",
            Self::Stalled => "stalled",
            Self::AnswerStalled => "answer_stalled",
            Self::OverBudget => "budget",
        }
    }

    /// The whole answer to `asker`.
    pub(super) fn render(self, asker: &Asker) -> String {
        let (status, kind, body) = match self {
            Self::Malformed(why @ (Malformed::TooLong | Malformed::TooManyFields)) => {
                ("431 Request Header Fields Too Large", TEXT, format!("{why}\n"))
            }
            Self::Malformed(why) => ("400 Bad Request", TEXT, format!("{why}\n")),
            Self::HeadTimeout => {
                ("408 Request Timeout", TEXT, "the request's head took too long\n".to_owned())
            }
            Self::Rejected(Rejection::AmbiguousSid) => {
                ("400 Bad Request", JSON, r#"{"code":3,"message":"Bad request"}"#.to_owned())
            }
            Self::Rejected(Rejection::NotOwner) | Self::OwnerVanished => {
                ("400 Bad Request", JSON, r#"{"code":1,"message":"Session ID unknown"}"#.to_owned())
            }
            Self::AppUnreachable => {
                ("503 Service Unavailable", TEXT, "the application does not accept connections\n".to_owned())
            }
            Self::Exhausted => ("503 Service Unavailable", TEXT, "too many connections\n".to_owned()),
            Self::AnswerHeadTooLarge => {
                ("502 Bad Gateway", TEXT, "the head of the application's answer is too large\n".to_owned())
            }
            Self::Busy => (
                "503 Service Unavailable",
                TEXT,
                "the pod of this session cannot be reached now\n".to_owned(),
            ),
            Self::TooManyWebSockets => ("503 Service Unavailable", TEXT, "too many WebSockets\n".to_owned()),
            Self::TooManyFromSource => {
                ("429 Too Many Requests", TEXT, "too many connections from this address\n".to_owned())
            }
            Self::BadGateway => {
                ("502 Bad Gateway", TEXT, "the application gave no usable answer\n".to_owned())
            }
            Self::BodyTimeout => {
                ("408 Request Timeout", TEXT, "the request's body took too long\n".to_owned())
            }
            Self::Stalled => ("408 Request Timeout", TEXT, "the request's body stopped coming\n".to_owned()),
            Self::AnswerStalled => (
                "504 Gateway Timeout",
                TEXT,
                "the application stopped taking the request or answering\n".to_owned(),
            ),
            Self::OverBudget => {
                ("503 Service Unavailable", TEXT, "too much waits for slow connections\n".to_owned())
            }
        };
        let mut answer =
            format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n", body.len());
        // Writing to a String cannot fail.
        if let Some(origin) = &asker.origin {
            let _ = write!(
                answer,
                "Access-Control-Allow-Origin: {origin}\r\n\
                 Access-Control-Allow-Credentials: true\r\nVary: Origin\r\n"
            );
        }
        let _ = write!(answer, "Cache-Control: no-store\r\nConnection: close\r\n\r\n");
        if !asker.to_head {
            answer.push_str(&body);
        }
        answer
    }
}

/// Longest origin that is repeated in an answer, in bytes: `https://`, a host name of 253, and a port.
const MAX_ORIGIN: usize = 267;

/// The facts about a request that shape a refusal of it. The default is for a request whose head was not
/// understood.
#[derive(Debug, Default)]
pub(super) struct Asker {
    /// The method is HEAD.
    pub(super) to_head: bool,
    /// The origin of the page that made the request.
    origin: Option<Box<str>>,
}

impl Asker {
    /// Reads what a refusal of this request would need. Allocates only for a request with an `Origin`.
    pub(super) fn of(head: &RequestHead<'_, '_>) -> Self {
        let mut origins = head.headers.iter().filter(|field| field.name.eq_ignore_ascii_case("origin"));
        let origin = origins.next().and_then(|field| check_origin(field.value));
        let origin = origin.filter(|_| origins.next().is_none());
        Self { to_head: head.method == "HEAD", origin: origin.map(Into::into) }
    }
}

/// Returns `value` if it has nothing but the characters of a serialized origin (RFC 6454 section 6.2).
fn check_origin(value: &[u8]) -> Option<&str> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-._~%:/[]".contains(byte);
    let is_origin = (1..=MAX_ORIGIN).contains(&value.len()) && value.iter().all(is_plain);
    is_origin.then(|| std::str::from_utf8(value).ok()).flatten()
}

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

#[cfg(test)]
mod tests {
    use super::*;
    use socketio_sidecar_core::http1::{Framing, MAX_HEAD, ResponseHead, find_head_end, header_slots};

    #[test]
    fn every_refusal_is_a_complete_answer_that_closes() {
        for refusal in [
            Refusal::Malformed(Malformed::Host),
            Refusal::Malformed(Malformed::TooLong),
            Refusal::Malformed(Malformed::TooManyFields),
            Refusal::AnswerHeadTooLarge,
            Refusal::Malformed(Malformed::Http2),
            Refusal::HeadTimeout,
            Refusal::Rejected(Rejection::AmbiguousSid),
            Refusal::Rejected(Rejection::NotOwner),
            Refusal::AppUnreachable,
            Refusal::Exhausted,
            Refusal::Busy,
            Refusal::OwnerVanished,
            Refusal::TooManyWebSockets,
            Refusal::TooManyFromSource,
            Refusal::BadGateway,
            Refusal::BodyTimeout,
            Refusal::Stalled,
            Refusal::AnswerStalled,
            Refusal::OverBudget,
        ] {
            let answer = refusal.render(&Asker::default());
            let end = find_head_end(answer.as_bytes(), 0, MAX_HEAD).unwrap().unwrap();
            let mut slots = header_slots();
            let head = ResponseHead::parse(&answer.as_bytes()[..end], false, &mut slots).unwrap();
            assert!(head.status >= 400 && !head.keep_alive, "{answer}");
            assert_eq!(head.framing, Framing::Length((answer.len() - end) as u64), "{answer}");
            let to_head = Asker { to_head: true, ..Asker::default() };
            assert_eq!(refusal.render(&to_head).len(), end);
        }
    }

    #[test]
    fn only_a_single_plain_origin_is_repeated() {
        let origin_of = |fields: &str| {
            let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
            let mut slots = header_slots();
            let asker = Asker::of(&RequestHead::parse(head.as_bytes(), &mut slots).unwrap());
            asker.origin.map(String::from)
        };
        for origin in ["https://page.example", "http://[::1]:8080", "null", "capacitor://localhost"] {
            assert_eq!(origin_of(&format!("Origin: {origin}\r\n")).as_deref(), Some(origin));
        }
        let long = "x".repeat(MAX_ORIGIN + 1);
        for other in ["", "a b", "a,b", "*", "http://\u{e9}", "<p>", "\"a\"", &long] {
            assert_eq!(origin_of(&format!("Origin: {other}\r\n")), None, "{other}");
        }
        assert_eq!(origin_of(""), None);
        assert_eq!(origin_of("Origin: http://a\r\nOrigin: http://b\r\n"), None);
    }
}
