//! Requests that end in one way for a proxy and in another way for the application behind it.
//!
//! The application of the tests is Node: it closes a connection, or answers a second time, when a chunked
//! body is malformed. A proxy that passes such a body on must not use that connection again.
//!
//! # Invariants
//! - Each attack is at most a few hundred bytes, so that thousands a second can be sent.
//! - Each attack has its own name, which a failing test prints.

/// A way to spoil the connection that a proxy keeps to the application.
#[derive(Debug, Clone)]
pub struct Attack {
    /// Name in messages.
    pub name: String,
    /// Request head, or as much of it as is sent at all.
    pub head: Vec<u8>,
    /// Bytes behind the head. They are sent with the head, and in every other request after its answer.
    pub body: Vec<u8>,
    /// The client closes the connection without reading an answer.
    pub aborts: bool,
}

/// Chunk extensions that RFC 9112 section 7.1.1 does not allow, or that Node does not.
const EXTENSIONS: [&[u8]; 15] = [
    b";",
    b";;",
    b"; a",
    b";a b",
    b";a==b",
    b";a=(b)",
    b";a={b}",
    b";a=/x",
    b";a:b",
    b";a=b,c",
    b";\t",
    b";a=\"b",
    b";a=\x80",
    b";\xff=b",
    b";a=\"\xe4\"",
];

/// Trailer fields that mean something in a head, and lines that are no fields.
const TRAILERS: [&[u8]; 8] = [
    b"Content-Length: 5",
    b"Host: x",
    b"Transfer-Encoding: chunked",
    b"Connection: close",
    b"no colon",
    b"Space before : x",
    b" folded: x",
    b"High: \x80\xff",
];

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";
/// Longer than the body that is sent.
const SHORT: &str = "Content-Length: 1000\r\n";

/// Every attack, as a POST of `target`, which the application should answer before it reads the body.
#[must_use]
pub fn corpus(target: &str) -> Vec<Attack> {
    let mut attacks = Vec::new();
    for extension in EXTENSIONS {
        let shown = extension.escape_ascii();
        let body = [b"1", extension, b"\r\nx\r\n0\r\n\r\n"].concat();
        attacks.push(post(&format!("chunk extension {shown}"), target, CHUNKED, &body));
        let body = [b"1\r\nx\r\n0", extension, b"\r\n\r\n"].concat();
        attacks.push(post(&format!("last chunk's extension {shown}"), target, CHUNKED, &body));
    }
    for trailer in TRAILERS {
        let body = [b"1\r\nx\r\n0\r\n", trailer, b"\r\n\r\n"].concat();
        attacks.push(post(&format!("trailer {}", trailer.escape_ascii()), target, CHUNKED, &body));
    }
    let announced = "Transfer-Encoding: chunked\r\nTrailer: Host\r\nTE: trailers\r\n";
    attacks.push(post("announced trailer", target, announced, b"1\r\nx\r\n0\r\nHost: x\r\n\r\n"));
    for expectation in ["100-continue", "something-else"] {
        let fields = format!("{CHUNKED}Expect: {expectation}\r\n");
        attacks.push(post(&format!("Expect: {expectation}"), target, &fields, b"1;\r\nx\r\n0\r\n\r\n"));
        let fields = format!("Content-Length: 3\r\nExpect: {expectation}\r\n");
        attacks.push(post(&format!("Expect: {expectation}, with a length"), target, &fields, b"abc"));
    }
    attacks.push(post("body with a length", target, "Content-Length: 3\r\n", b"abc"));
    attacks.push(post("body that ends too early", target, SHORT, b"abc"));
    attacks.push(post("body that is too long", target, "Content-Length: 3\r\n", b"abcdefgh"));
    attacks.push(post("malformed chunk size", target, CHUNKED, b"1\r\nx\r\nzz\r\n\r\n"));
    attacks.push(post("huge chunk size", target, CHUNKED, b"fffffffffffffffff\r\nx\r\n"));
    attacks.push(post("chunk longer than its size", target, CHUNKED, b"1\r\nxyz\r\n0\r\n\r\n"));
    attacks.push(post("bare line feeds", target, CHUNKED, b"1\nx\n0\n\n"));
    pipelined(&mut attacks, target);
    aborted(&mut attacks, target);
    of_http_1_0(&mut attacks, target);
    attacks
}

fn pipelined(attacks: &mut Vec<Attack>, target: &str) {
    let spoiled = post("", target, CHUNKED, b"1;\r\nx\r\n0\r\nHost: x\r\n\r\n");
    let spoiled = [spoiled.head, spoiled.body].concat();
    let good = post("", target, CHUNKED, b"1\r\nx\r\n0\r\n\r\n");
    let body = [&good.body, &spoiled[..], &spoiled].concat();
    attacks.push(post("pipelined behind a good one", target, CHUNKED, &body));
    attacks.push(post("pipelined behind a short one", target, SHORT, &spoiled));
}

fn aborted(attacks: &mut Vec<Attack>, target: &str) {
    let half_a_chunk = post("aborted in a chunk", target, CHUNKED, b"5\r\nab");
    let half_a_body = post("aborted in a body", target, SHORT, b"abc");
    let mut half_a_head = post("aborted in a head", target, CHUNKED, b"");
    half_a_head.head.truncate(half_a_head.head.len() - 4);
    let in_a_trailer = post("aborted in a trailer", target, CHUNKED, b"1\r\nx\r\n0\r\nHost: ");
    let aborted = [half_a_chunk, half_a_body, half_a_head, in_a_trailer];
    attacks.extend(aborted.map(|attack| Attack { aborts: true, ..attack }));
}

fn of_http_1_0(attacks: &mut Vec<Attack>, target: &str) {
    for (name, fields, body) in [
        ("HTTP/1.0", "Content-Length: 3\r\n", "abc"),
        ("HTTP/1.0 that keeps its connection", "Content-Length: 3\r\nConnection: keep-alive\r\n", "abc"),
        ("HTTP/1.0 with chunks", CHUNKED, "1;\r\nx\r\n0\r\n\r\n"),
        ("HTTP/1.0 with a short body", SHORT, "abc"),
    ] {
        let head = format!("POST {target} HTTP/1.0\r\nHost: a\r\n{fields}\r\n");
        let (name, head, body) = (name.to_owned(), head.into_bytes(), body.as_bytes().to_vec());
        attacks.push(Attack { name, head, body, aborts: false });
    }
}

fn post(name: &str, target: &str, fields: &str, body: &[u8]) -> Attack {
    let head = format!("POST {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    Attack { name: name.to_owned(), head: head.into_bytes(), body: body.to_vec(), aborts: false }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_attack_has_a_name_of_its_own() {
        let corpus = corpus("/");
        let names: HashSet<_> = corpus.iter().map(|attack| &attack.name).collect();
        assert_eq!(names.len(), corpus.len());
    }
}
