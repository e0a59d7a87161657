//! The one place where a failure becomes an answer. What the client reads is not what the log says.

use std::fmt::Write;

use socketio_sidecar_core::http1::Malformed;
use socketio_sidecar_core::ownership::Rejection;

/// Why this sidecar answers in place of an application. The connection closes behind every one of
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
    /// This sidecar cannot open another connection.
    Exhausted,
    /// The connection onward broke, or what came over it was no answer.
    BadGateway,
    /// Nothing moved for too long while the request's body or its answer was under way.
    Stalled,
}

impl Refusal {
    /// A static category, for metrics and logs.
    pub(super) const fn cause(self) -> &'static str {
        match self {
            Self::Malformed(Malformed::Http2) => "http2",
            Self::Malformed(_) => "malformed_request",
            Self::HeadTimeout => "head_timeout",
            Self::Rejected(Rejection::AmbiguousSid) => "ambiguous_sid",
            Self::Rejected(Rejection::NotOwner) => "not_owner",
            Self::AppUnreachable => "app_unreachable",
            Self::Exhausted => "exhausted",
            Self::BadGateway => "bad_gateway",
            Self::Stalled => "stalled",
        }
    }

    /// The whole answer.
    pub(super) fn render(self, to_head: bool) -> String {
        let (status, kind, body) = match self {
            Self::Malformed(Malformed::TooLarge) => {
                ("431 Request Header Fields Too Large", TEXT, format!("{}\n", Malformed::TooLarge))
            }
            Self::Malformed(why) => ("400 Bad Request", TEXT, format!("{why}\n")),
            Self::HeadTimeout => {
                ("408 Request Timeout", TEXT, "the request's head took too long\n".to_owned())
            }
            Self::Rejected(Rejection::AmbiguousSid) => {
                ("400 Bad Request", JSON, r#"{"code":3,"message":"Bad request"}"#.to_owned())
            }
            Self::Rejected(Rejection::NotOwner) => {
                ("400 Bad Request", JSON, r#"{"code":1,"message":"Session ID unknown"}"#.to_owned())
            }
            Self::AppUnreachable => {
                ("503 Service Unavailable", TEXT, "the application does not accept connections\n".to_owned())
            }
            Self::Exhausted => ("503 Service Unavailable", TEXT, "too many connections\n".to_owned()),
            Self::BadGateway => {
                ("502 Bad Gateway", TEXT, "the application gave no usable answer\n".to_owned())
            }
            Self::Stalled => {
                ("408 Request Timeout", TEXT, "the request or its answer stopped coming\n".to_owned())
            }
        };
        let mut answer =
            format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n", body.len());
        // Writing to a String cannot fail.
        let _ = write!(answer, "Cache-Control: no-store\r\nConnection: close\r\n\r\n");
        if !to_head {
            answer.push_str(&body);
        }
        answer
    }
}

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

#[cfg(test)]
mod tests {
    use super::*;
    use socketio_sidecar_core::http1::{Framing, ResponseHead, find_head_end, header_slots};

    #[test]
    fn every_refusal_is_a_complete_answer_that_closes() {
        for refusal in [
            Refusal::Malformed(Malformed::Host),
            Refusal::Malformed(Malformed::TooLarge),
            Refusal::Malformed(Malformed::Http2),
            Refusal::HeadTimeout,
            Refusal::Rejected(Rejection::AmbiguousSid),
            Refusal::Rejected(Rejection::NotOwner),
            Refusal::AppUnreachable,
            Refusal::Exhausted,
            Refusal::BadGateway,
            Refusal::Stalled,
        ] {
            let answer = refusal.render(false);
            let end = find_head_end(answer.as_bytes(), 0).unwrap().unwrap();
            let mut slots = header_slots();
            let head = ResponseHead::parse(&answer.as_bytes()[..end], false, &mut slots).unwrap();
            assert!(head.status >= 400 && !head.keep_alive, "{answer}");
            assert_eq!(head.framing, Framing::Length((answer.len() - end) as u64), "{answer}");
            assert_eq!(refusal.render(true).len(), end);
        }
    }
}
