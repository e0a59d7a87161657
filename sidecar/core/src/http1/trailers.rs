//! The fields that may stand in the trailer section of an answer (RFC 9110 section 6.5.1).

/// Fields of hops, framing, routing, authentication, control and content format: a recipient that merges
/// trailers into its header fields must not learn any of these from a trailer.
const FORBIDDEN: [&str; 44] = [
    "accept-ranges",
    "age",
    "allow",
    "alt-svc",
    "authorization",
    "cache-control",
    "clear-site-data",
    "connection",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-range",
    "content-security-policy",
    "content-security-policy-report-only",
    "content-type",
    "cookie",
    "date",
    "expect",
    "expires",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "location",
    "max-forwards",
    "pragma",
    "range",
    "refresh",
    "retry-after",
    "set-cookie",
    "set-cookie2",
    "strict-transport-security",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "via",
    "warning",
    "www-authenticate",
    "x-frame-options",
    "x-real-ip",
];

/// Families of fields of which no member may be a trailer.
const FORBIDDEN_PREFIXES: [&str; 5] = ["access-control-", "if-", "proxy-", "sec-", "x-forwarded-"];

/// True if a trailer of this name passes.
pub(super) fn passes(name: &[u8]) -> bool {
    let starts_with = |prefix: &&str| {
        name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
    };
    !FORBIDDEN.iter().any(|field| name.eq_ignore_ascii_case(field.as_bytes()))
        && !FORBIDDEN_PREFIXES.iter().any(starts_with)
}
