//! The fields that this proxy knows, and how each passes a hop (RFC 9110 sections 6.5.1, 7.6.1 and 11.7).
//!
//! # Invariants
//! - [`kind_of`] is the one place that says how a field passes; [`is_hop_by_hop`] is its fast form for one
//!   of the kinds.
//! - A `Connection` option removes only a field that concerns one hop, or a field that is not known here.
//!   A client can therefore not strip a field that an edge or the client's own browser has set.
//! - The work per head grows with its length alone: at most [`MAX_CONNECTION_OPTIONS`] options are
//!   accepted, and a field is looked up among them by binary search.

use std::cmp::Ordering;

use super::Header;

/// Most options in the `Connection` fields of one head.
pub const MAX_CONNECTION_OPTIONS: usize = 32;

/// Kinds of fields, by their way over a hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Concerns one hop: never passes. (`Trailer` is the exception: it passes in answers.)
    Hop,
    /// Concerns everybody on the way, and must not be a trailer.
    Head,
    /// Concerns everybody on the way, and may be a trailer.
    Any,
    /// Unknown: passes unless `Connection` names it, and may be a trailer.
    Unknown,
}

/// The kinds of fields by name.
const NAMES: [(&str, Kind); 76] = [
    ("accept", Kind::Head),
    ("age", Kind::Head),
    ("allow", Kind::Head),
    ("alt-svc", Kind::Head),
    ("authentication-info", Kind::Any),
    ("authorization", Kind::Head),
    ("b3", Kind::Head),
    ("baggage", Kind::Head),
    ("cache-control", Kind::Head),
    ("clear-site-data", Kind::Head),
    ("connection", Kind::Hop),
    ("content-digest", Kind::Any),
    ("content-md5", Kind::Any),
    ("cookie", Kind::Head),
    ("date", Kind::Head),
    ("digest", Kind::Any),
    ("dnt", Kind::Head),
    ("early-data", Kind::Head),
    ("etag", Kind::Any),
    ("expect", Kind::Head),
    ("expires", Kind::Head),
    ("forwarded", Kind::Head),
    ("forwarded-for", Kind::Head),
    ("from", Kind::Head),
    ("front-end-https", Kind::Head),
    ("grpc-message", Kind::Any),
    ("grpc-status", Kind::Any),
    ("host", Kind::Head),
    ("http2-settings", Kind::Hop),
    ("idempotency-key", Kind::Head),
    ("keep-alive", Kind::Hop),
    ("last-event-id", Kind::Head),
    ("last-modified", Kind::Any),
    ("link", Kind::Any),
    ("location", Kind::Head),
    ("max-forwards", Kind::Head),
    ("nel", Kind::Head),
    ("origin", Kind::Head),
    ("path-info", Kind::Head),
    ("permissions-policy", Kind::Head),
    ("pragma", Kind::Head),
    ("priority", Kind::Head),
    ("proxy-authenticate", Kind::Hop),
    ("proxy-authentication-info", Kind::Hop),
    ("proxy-authorization", Kind::Hop),
    ("proxy-connection", Kind::Hop),
    ("range", Kind::Head),
    ("referer", Kind::Head),
    ("referrer-policy", Kind::Head),
    ("refresh", Kind::Head),
    ("report-to", Kind::Head),
    ("reporting-endpoints", Kind::Head),
    ("repr-digest", Kind::Any),
    ("retry-after", Kind::Head),
    ("save-data", Kind::Head),
    ("script-name", Kind::Head),
    ("server", Kind::Any),
    ("server-timing", Kind::Any),
    ("set-cookie", Kind::Head),
    ("set-cookie2", Kind::Head),
    ("strict-transport-security", Kind::Head),
    ("te", Kind::Hop),
    ("timing-allow-origin", Kind::Head),
    ("traceparent", Kind::Head),
    ("tracestate", Kind::Head),
    ("trailer", Kind::Hop),
    ("transfer-encoding", Kind::Head),
    ("true-client-ip", Kind::Head),
    ("upgrade", Kind::Hop),
    ("upgrade-insecure-requests", Kind::Head),
    ("user-agent", Kind::Head),
    ("vary", Kind::Head),
    ("via", Kind::Head),
    ("warning", Kind::Head),
    ("www-authenticate", Kind::Head),
    ("x-real-ip", Kind::Head),
];

/// The kinds of fields by the beginning of their name, where the name itself is not known.
const FAMILIES: [(&str, Kind); 15] = [
    ("accept-", Kind::Head),
    ("access-control-", Kind::Head),
    ("cdn-", Kind::Head),
    ("cf-", Kind::Head),
    ("cloudfront-", Kind::Head),
    ("content-", Kind::Head),
    ("cross-origin-", Kind::Head),
    ("fastly-", Kind::Head),
    ("fly-", Kind::Head),
    ("if-", Kind::Head),
    ("sec-", Kind::Head),
    ("x-content-type-", Kind::Head),
    ("x-forwarded-", Kind::Head),
    ("x-frame-", Kind::Head),
    ("x-", Kind::Any),
];

/// Says how a field of this name passes.
#[must_use]
pub fn kind_of(name: &[u8]) -> Kind {
    let is_named = |known: &&(&str, Kind)| name.eq_ignore_ascii_case(known.0.as_bytes());
    let begins = |known: &&(&str, Kind)| {
        name.get(..known.0.len()).is_some_and(|start| start.eq_ignore_ascii_case(known.0.as_bytes()))
    };
    let known = NAMES.iter().find(is_named).or_else(|| FAMILIES.iter().find(begins));
    known.map_or(Kind::Unknown, |(_, kind)| *kind)
}

/// True if [`kind_of`] the field is [`Kind::Hop`]. Asked for every field of every head, so it looks only at
/// names of the right length.
#[must_use]
pub fn is_hop_by_hop(name: &str) -> bool {
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    match name.len() {
        2 => is("te"),
        7 => is("upgrade") || is("trailer"),
        10 => is("connection") || is("keep-alive"),
        14 => is("http2-settings"),
        16 => is("proxy-connection"),
        18 => is("proxy-authenticate"),
        19 => is("proxy-authorization"),
        25 => is("proxy-authentication-info"),
        _ => false,
    }
}

/// True if a field of this name may stand in the trailer section of an answer (RFC 9110 section 6.5.1). A
/// recipient that merges trailers into its header fields must not learn about framing, routing,
/// authentication, caching or the content's format in this way.
pub(super) fn may_be_trailer(name: &[u8]) -> bool {
    let is_of_proxies = name.get(..6).is_some_and(|start| start.eq_ignore_ascii_case(b"proxy-"));
    !is_of_proxies && matches!(kind_of(name), Kind::Any | Kind::Unknown)
}

/// The options of one head's `Connection` fields, in order, without empty ones.
pub(super) fn connection_options(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|option| !option.is_empty())
}

/// The fields that the `Connection` fields of one head name, collected once per head.
#[derive(Debug)]
pub struct Nominated<'b> {
    options: [&'b [u8]; MAX_CONNECTION_OPTIONS],
    count: usize,
}

impl<'b> Nominated<'b> {
    /// Collects the options. More than [`MAX_CONNECTION_OPTIONS`] are in no head that was parsed.
    #[must_use]
    pub fn of(headers: &[Header<'b>]) -> Self {
        let mut nominated = Self { options: [&[]; MAX_CONNECTION_OPTIONS], count: 0 };
        let fields = headers.iter().filter(|field| field.name.eq_ignore_ascii_case("connection"));
        let options = fields.flat_map(|field| connection_options(field.value));
        for (place, option) in nominated.options.iter_mut().zip(options) {
            *place = option;
            nominated.count += 1;
        }
        nominated.options[..nominated.count].sort_unstable_by(|one, other| compare(one, other));
        nominated
    }

    /// True if this field is named, and does not pass for that reason.
    #[must_use]
    pub fn removes(&self, name: &str) -> bool {
        let name = name.as_bytes();
        self.options[..self.count].binary_search_by(|option| compare(option, name)).is_ok()
            && matches!(kind_of(name), Kind::Hop | Kind::Unknown)
    }
}

/// Orders names without regard to case, in some order.
fn compare(one: &[u8], other: &[u8]) -> Ordering {
    one.len().cmp(&other.len()).then_with(|| {
        #[cfg(test)]
        tests::count_compared(one.len());
        one.iter().map(u8::to_ascii_lowercase).cmp(other.iter().map(u8::to_ascii_lowercase))
    })
}

#[cfg(test)]
mod tests;
