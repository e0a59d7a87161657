//! Streams of messages: about a third are plain, the others have something of [`super::odd`] in them.

use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;

use super::odd::{ODD_FIELDS, ODD_REQUESTS, ODD_STATUSES, mutate, mutations};
use super::reading::escaped;

/// A stream of messages.
#[derive(Clone)]
pub(super) struct Input {
    pub(super) bytes: Vec<u8>,
    /// Nothing in it is odd: we must accept it.
    pub(super) plain: bool,
}

impl std::fmt::Debug for Input {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str(&escaped(&self.bytes))
    }
}

/// A request as it would be smuggled into another one; at the end of each stream, it shows where
/// everybody believes that the next request begins.
pub(super) const NEXT: &str = "GET /next HTTP/1.1\r\nHost: next\r\n\r\n";

/// Generates one to three requests, and [`NEXT`].
pub(super) fn requests() -> impl Strategy<Value = Input> {
    let start = prop_oneof![
        6 => "(GET|POST|PUT|DELETE|PATCH|OPTIONS|HEAD) /[a-z0-9/._~%=&?+-]{0,20}",
        1 => select(vec!["OPTIONS *", "GET http://a/x?y", "GET /x?a=/../b&c='~", "POST /socket.io/?EIO=4"])
            .prop_map(ToOwned::to_owned),
    ];
    let odd = prop_oneof![
        "[A-Za-z!#$%&'*+.^_`|~-]{1,8} [!-~]{1,12}",
        select(&ODD_REQUESTS[..]).prop_map(ToOwned::to_owned),
    ];
    let version = prop_oneof![8 => Just("1.1"), 1 => Just("1.0")];
    let request = (start, weighted(0.06, odd), version, fields(&REQUEST_FIELDS), framing()).prop_map(
        |(start, odd, version, fields, framing)| {
            let start = odd.as_ref().unwrap_or(&start);
            // There are no chunks in HTTP/1.0.
            let version = if framing.chunked { "1.1" } else { version };
            let start = format!("{start} HTTP/{version}\r\nHost: a\r\n");
            (message(&start, &fields, &framing), odd.is_none() && fields.plain)
        },
    );
    (vec(request, 1..4), mutations()).prop_map(|(requests, mutations)| {
        let plain = mutations.is_empty() && requests.iter().all(|(_, plain)| *plain);
        let mut bytes: Vec<u8> = requests.into_iter().flat_map(|(bytes, _)| bytes).collect();
        mutate(&mut bytes, &mutations);
        bytes.extend_from_slice(NEXT.as_bytes());
        Input { bytes, plain }
    })
}

/// An answer, perhaps with an interim one before it.
pub(super) fn answers() -> impl Strategy<Value = Input> {
    let start = prop_oneof![
        4 => Just("200 OK"),
        6 => select(vec!["204 No Content", "304 Not Modified", "400 Bad Request", "404 ", "205 Reset", "599 X", "999 Y"]),
    ];
    let interim = select(vec![
        "",
        "",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
        "HTTP/1.1 100 Continue\r\nContent-Length: 3\r\n\r\n",
    ]);
    let version = prop_oneof![6 => Just("1.1"), 1 => Just("1.0")];
    let odd = weighted(0.1, select(&ODD_STATUSES[..]));
    let fields = fields(&ANSWER_FIELDS);
    (interim, start, odd, version, fields, framing(), mutations()).prop_map(
        |(interim, start, odd, version, fields, framing, mutations)| {
            let version = if framing.chunked { "1.1" } else { version };
            let start = odd.unwrap_or(start);
            let mut bytes = interim.as_bytes().to_vec();
            bytes.extend(message(&format!("HTTP/{version} {start}\r\n"), &fields, &framing));
            let plain = mutations.is_empty() && odd.is_none() && fields.plain;
            mutate(&mut bytes, &mutations);
            Input { bytes, plain }
        },
    )
}

/// Lines of a head, and whether all are among the usual ones.
#[derive(Debug)]
struct GeneratedFields {
    lines: Vec<String>,
    plain: bool,
}

const REQUEST_FIELDS: [&str; 11] = [
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Safari/537.36",
    "Cookie: a=b; c=d",
    "accept-encoding: gzip",
    "X-Forwarded-For: 1.2.3.4",
    "Connection: keep-alive",
    "Accept: */*",
    "Accept: text/plain",
    "TE: trailers",
    "X:",
    "X: \t b\t ",
    "X-Y: \u{e9}",
];
const ANSWER_FIELDS: [&str; 9] = [
    "Set-Cookie: a=b",
    "Set-Cookie: c=d",
    "Content-Type: text/plain",
    "Connection: keep-alive",
    "Keep-Alive: timeout=5",
    "Date: Mon, 23 Nov 2026 05:00:00 GMT",
    "X:",
    "X: \t b\t ",
    "X-Y: \u{e9}",
];

fn fields(usual: &'static [&'static str]) -> impl Strategy<Value = GeneratedFields> {
    (vec(select(usual), 0..4), weighted(0.25, vec(select(&ODD_FIELDS[..]), 1..3))).prop_map(|(usual, odd)| {
        let lines = usual.iter().chain(odd.iter().flatten()).map(|line| format!("{line}\r\n")).collect();
        GeneratedFields { lines, plain: odd.is_none() }
    })
}

/// A body, and the field that frames it.
#[derive(Debug, Clone)]
struct Framed {
    field: String,
    body: Vec<u8>,
    chunked: bool,
}

fn framing() -> impl Strategy<Value = Framed> {
    let content = prop_oneof![
        Just(NEXT.as_bytes().to_vec()),
        Just(b"0\r\n\r\n".to_vec()),
        Just(b"\r\n".to_vec()),
        vec(any::<u8>(), 1..30),
        vec(any::<u8>(), 250..300),
    ];
    let size = prop_oneof![4 => Just(""), 1 => Just("0"), 1 => Just("000000")];
    let extension = prop_oneof![6 => Just(""), 1 => Just(";a=b"), 1 => Just(";a=\"b c\";d")];
    let chunk =
        (content.clone(), size, extension, any::<bool>()).prop_map(|(content, zeros, extension, upper)| {
            let size = if upper { format!("{:X}", content.len()) } else { format!("{:x}", content.len()) };
            [format!("{zeros}{size}{extension}\r\n").as_bytes(), &content, b"\r\n"].concat()
        });
    let trailers =
        prop_oneof![6 => Just(""), 1 => Just("X-Sum: 1\r\n"), 1 => Just("A: b\r\nContent-Type: c\r\n")];
    prop_oneof![
        Just(Framed { field: String::new(), body: Vec::new(), chunked: false }),
        content.prop_map(|body| {
            Framed { field: format!("Content-Length: {}\r\n", body.len()), body, chunked: false }
        }),
        (vec(chunk, 0..4), trailers).prop_map(|(chunks, trailers)| Framed {
            field: "Transfer-Encoding: chunked\r\n".to_owned(),
            body: [chunks.concat(), format!("0\r\n{trailers}\r\n").into_bytes()].concat(),
            chunked: true,
        }),
    ]
}

/// The framing field stands in the middle of the others. What is not ASCII in a head is one byte.
fn message(start: &str, fields: &GeneratedFields, framed: &Framed) -> Vec<u8> {
    let (before, after) = fields.lines.split_at(fields.lines.len() / 2);
    let head = [start, &before.concat(), &framed.field, &after.concat(), "\r\n"].concat();
    let mut bytes: Vec<u8> =
        head.chars().map(|character| u8::try_from(u32::from(character)).unwrap()).collect();
    bytes.extend_from_slice(&framed.body);
    bytes
}
