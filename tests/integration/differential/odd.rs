//! Bytes that two parsers may read differently, and the places where they are put.

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Fields that frame, close, route, or are not fields.
pub(super) const ODD_FIELDS: [&str; 52] = [
    "Content-Length: 0",
    "Content-Length: 3",
    "content-length: 3",
    "Content-Length: 03",
    "Content-Length: +3",
    "Content-Length: -3",
    "Content-Length: 3, 3",
    "Content-Length: 3 3",
    "Content-Length: 0x3",
    "Content-Length:",
    "Content-Length : 3",
    "Content-Length\t: 3",
    "Content-Length:\t3\t",
    "Content-Length: 3;",
    "Content-Length: 18446744073709551619",
    "Content-Length: 999999999999999999",
    "Content-Length: 9223372036854775808",
    "Content_Length: 3",
    "Content-Length: 3\r\n ",
    "Content-Length: \u{b}3",
    "Transfer-Encoding: chunked",
    "transfer-encoding: Chunked",
    "TRANSFER-ENCODING:CHUNKED",
    "Transfer-Encoding : chunked",
    "Transfer-Encoding:",
    "Transfer-Encoding: identity",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: chunked, chunked",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: \u{b}chunked",
    "Transfer-Encoding: chunked;q=1",
    "Transfer-Encoding: \"chunked\"",
    "Transfer-Encoding:\r\n chunked",
    "Transfer-Encoding: chunked,",
    "Transfer_Encoding: chunked",
    "Connection: close",
    "Connection: Close, X",
    "Connection: content-length, host",
    "Connection: transfer-encoding",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Upgrade: h2c",
    "Connection: keep-alive, Upgrade\r\nUpgrade: websocket",
    "Expect: 100-continue",
    "Trailer: X",
    "Host: a",
    "Host: b",
    "Host:",
    " X: folded",
    ": no name",
    "no colon",
];

/// Methods and targets.
pub(super) const ODD_REQUESTS: [&str; 16] = [
    "GET a",
    "get /",
    "PRI *",
    "CONNECT a:1",
    "GET http://b/",
    "GET //a/b",
    "GET /#",
    "GET /x y",
    "GET  /",
    "GET \t/",
    "M-SEARCH /",
    "GET a://a",
    "GET http:a",
    "QUERY /",
    "GET /?\"{}|\\^`<>",
    "GET /\u{e9}",
];

/// Statuses and reasons.
pub(super) const ODD_STATUSES: [&str; 10] =
    ["099 X", "000 X", "1000 X", "20 X", "200", "200OK", "+20 X", "200 \u{e9}", "200  X", "200\t"];

/// Bytes that are put into a stream.
const TOKENS: [&[u8]; 27] = [
    b"\n",
    b"\r",
    b"\r\n",
    b"\r\n ",
    b"\r\n\t",
    b"\r\r\n",
    b"\n\n",
    b"\0",
    b" ",
    b"\t",
    b"\x0b",
    b"\x7f",
    b"\xff",
    b":",
    b";",
    b",",
    b"+",
    b"-",
    b"0",
    b"0x",
    b"f",
    b"_",
    b"\"",
    b"#",
    b"?",
    b"ffffffffffffffff",
    b"chunked",
];

/// Puts something at a place, instead of so many bytes.
#[derive(Debug, Clone)]
pub(super) struct Mutation {
    at: Index,
    at_delimiter: bool,
    removed: usize,
    token: Option<&'static [u8]>,
}

/// None, mostly, or a few.
pub(super) fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let mutation =
        (any::<Index>(), proptest::bool::weighted(0.9), 0..3_usize, weighted(0.8, select(&TOKENS[..])))
            .prop_map(|(at, at_delimiter, removed, token)| Mutation { at, at_delimiter, removed, token });
    weighted(0.4, vec(mutation, 1..3)).prop_map(Option::unwrap_or_default)
}

/// Most land beside what delimits something.
pub(super) fn mutate(bytes: &mut Vec<u8>, mutations: &[Mutation]) {
    for Mutation { at, at_delimiter, removed, token } in mutations {
        let delimiter = |byte: &u8| b"\r\n :;,".contains(byte);
        let mut places: Vec<usize> = (0..bytes.len())
            .filter(|at| !at_delimiter || delimiter(&bytes[*at]) || (*at > 0 && delimiter(&bytes[at - 1])))
            .collect();
        places.push(bytes.len());
        let at = places[at.index(places.len())];
        let end = (at + removed).min(bytes.len());
        bytes.splice(at..end, token.unwrap_or_default().iter().copied());
    }
}
