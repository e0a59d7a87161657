//! The syntax of HTTP/1.1 messages (RFC 9112), read strictly.
//!
//! This module is the boundary behind which HTTP syntax is known: it finds where a head ends, parses
//! it, says how the body is framed and follows a chunked body, and it refuses what two parsers could
//! read differently. The field grammar itself is `httparse`'s. Why we own this and not an HTTP
//! library: `docs/decisions/0001-own-the-http-hot-path.md`.
//!
//! # Invariants
//! - A head is accepted only when every line ends in CRLF, no CR or NUL stands alone, and its body's
//!   length has exactly one reading. An accepted head is rebuilt line by line by [`crate::hop`], never
//!   re-interpreted. An accepted body passes byte for byte, except chunk extensions and trailers.
//! - Every length is bounded: [`HeadLimits`], up to [`MAX_HEAD`] and [`MAX_FIELDS`]; [`fields::MAX_CONNECTION_OPTIONS`], and the limits in
//!   [`chunked`].

mod body;
pub mod chunked;
pub mod fields;
mod framing;
mod head;
mod request;
mod response;

pub use body::{Body, Followed};
pub use framing::Framing;
pub use head::find_head_end;
pub(crate) use request::AbsoluteTarget;
pub use request::RequestHead;
pub use response::ResponseHead;

pub use httparse::Header;

use std::mem::MaybeUninit;

/// Position of `part` in `whole`, of which it is a slice. A slice of something else has no position, or one that is too
/// far: look it up with `get`.
pub(crate) fn position_in(whole: &[u8], part: &[u8]) -> Option<usize> {
    part.as_ptr().addr().checked_sub(whole.as_ptr().addr())
}

/// Upper bound of [`HeadLimits::bytes`].
pub const MAX_HEAD: usize = MAX_HEAD_SETTING + HOP_MARGIN.bytes;

/// Upper bound of [`HeadLimits::fields`]: so many slots take 33 KiB of stack while a head is parsed.
pub const MAX_FIELDS: usize = MAX_FIELDS_SETTING + HOP_MARGIN.fields;

/// Largest length of a head that can be set as its limit, in bytes.
pub const MAX_HEAD_SETTING: usize = 256 * 1024;

/// Largest number of header fields that can be set as a limit.
pub const MAX_FIELDS_SETTING: usize = 1000;

/// Room for what [`crate::hop`] adds to a head.
const HOP_MARGIN: HeadLimits = HeadLimits { bytes: 4 * 1024, fields: 24 };

/// Limits of one head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// Longest head accepted, in bytes.
    pub bytes: usize,
    /// Most header fields accepted in one head.
    pub fields: usize,
}

impl HeadLimits {
    /// The limits of a head that another sidecar has accepted by these limits and then rebuilt: such a head
    /// must not be refused for what that sidecar has added.
    #[must_use]
    pub fn of_forwarded(self) -> Self {
        Self { bytes: self.bytes + HOP_MARGIN.bytes, fields: self.fields + HOP_MARGIN.fields }
    }

    /// Takes as many of the slots as there may be fields.
    #[must_use]
    pub fn of_slots<'s, 'b>(self, slots: &'s mut HeaderSlots<'b>) -> &'s mut [MaybeUninit<Header<'b>>] {
        &mut slots[..self.fields.min(MAX_FIELDS)]
    }
}

/// Room for the header fields of one head, on the caller's stack.
pub type HeaderSlots<'b> = [MaybeUninit<Header<'b>>; MAX_FIELDS];

/// Empty [`HeaderSlots`].
#[must_use]
pub const fn header_slots<'b>() -> HeaderSlots<'b> {
    [const { MaybeUninit::uninit() }; MAX_FIELDS]
}

/// Reason why a head or a chunked body is refused. The text is for the log and for the 400's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A CR without LF, or an LF without CR (RFC 9112 section 2.2).
    #[error("a line does not end in CRLF")]
    LineEnding,
    /// Not the grammar of a request line, status line or field (RFC 9112 sections 3, 4 and 5).
    #[error("the head is not HTTP/1.1")]
    Syntax,
    /// A version other than 1.0 and 1.1.
    #[error("the HTTP version is not 1.0 or 1.1")]
    Version,
    /// More bytes than [`HeadLimits::bytes`].
    #[error("the head is longer than the limit")]
    TooLong,
    /// More fields than [`HeadLimits::fields`].
    #[error("the head has more fields than the limit")]
    TooManyFields,
    /// More interim answers before the final one than are accepted.
    #[error("there are too many interim answers")]
    TooManyInterim,
    /// `Content-Length` that is not one plain decimal number, or is repeated (RFC 9112 section 6.3).
    #[error("Content-Length is repeated or not a number")]
    ContentLength,
    /// `Transfer-Encoding` that is not exactly `chunked`, or stands on HTTP/1.0 (section 6.1).
    #[error("Transfer-Encoding is not just chunked, or stands on HTTP/1.0")]
    TransferEncoding,
    /// Both `Content-Length` and `Transfer-Encoding` (section 6.3, item 3).
    #[error("both Content-Length and Transfer-Encoding are given")]
    TwoLengths,
    /// More options in `Connection` than [`fields::MAX_CONNECTION_OPTIONS`].
    #[error("Connection has more than 32 options")]
    ConnectionOptions,
    /// The connection preface of HTTP/2 with prior knowledge (RFC 9113 section 3.4).
    #[error(
        "this port speaks HTTP/1.1, and the request is HTTP/2 with prior knowledge; \
         set appProtocol of the Service's port to http, or remove it"
    )]
    Http2,
    /// `Host` missing on HTTP/1.1, repeated, or not what the target names (section 3.2).
    #[error("Host is missing, repeated, or not that of the target")]
    Host,
    /// A chunk size, extension, line end or trailer outside the grammar or its limits (section 7.1).
    #[error("the chunked body is malformed")]
    Chunk,
}
