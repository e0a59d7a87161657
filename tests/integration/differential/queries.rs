//! The sid that we read in a query, against the one that Socket.IO's servers read, 4.x and 2.x.
//!
//! Left out, because it cannot hide a session with a tag: 2.x reads no more than 1,000 parameters.

use std::cell::Cell;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};
use socketio_sidecar_core::engine_io::{EngineIoPath, EngineIoRequest, Sid, SidParam, Transport};

use super::node_peer::Peers;
use super::try_all;

const CASES: u32 = 2_000;

/// Paths before the query, of which all but two are under the path of Engine.IO.
const PATHS: [&str; 9] = [
    "/socket.io/",
    "/socket.io/",
    "/socket.io/",
    "/socket.io",
    "/socket.io/x/",
    "/socket.io/../",
    "http://a/socket.io/",
    "/socket.iox/",
    "/socket.io\\",
];

/// `sid` as it need not be written, and what is not `sid`.
const SID_KEYS: [&str; 12] = [
    "s%69d",
    "%73id",
    "%73%69%64",
    "SID",
    "sid%00",
    "%EF%BB%BFsid",
    "sid%",
    "+sid",
    "sid[]",
    "s%2569d",
    "%ffsid",
    "%sid",
];

/// Pieces of sids; some of them end a value, or more.
const SID_PARTS: [&str; 48] = [
    "a",
    "B",
    "1",
    "-",
    "_",
    ".",
    ".",
    ".",
    ".",
    "%2e",
    "%2E",
    "%",
    "%%2e",
    "%25",
    "%252e",
    "%2",
    "+",
    "%2B",
    "%20",
    "%00",
    "=",
    "?",
    "/",
    ";",
    "%26",
    "&",
    "%3d",
    "'",
    "\"",
    "\\",
    "{",
    "|",
    "`",
    "<",
    "^",
    "%E9",
    "%C3%A9",
    "%E2%80%A8",
    "%F0%9F%98%80",
    "%c3.%a9",
    "%ED%A0%80",
    "#",
    "%23",
    "@",
    ":",
    "~",
    "!",
    "%5c",
];

/// Targets with a sid, or none, or two.
fn targets() -> impl Strategy<Value = String> {
    let plain = "[a-zA-Z0-9_-]{1,8}(\\.[a-zA-Z0-9_-]{1,8}){0,2}";
    let odd = vec(select(&SID_PARTS[..]), 1..7).prop_map(|parts| parts.concat());
    let equals = prop_oneof![9 => Just("="), 1 => Just("==")];
    let sid = (
        prop_oneof![3 => Just("sid"), 1 => select(&SID_KEYS[..])],
        equals,
        prop_oneof![1 => plain, 2 => odd],
    )
        .prop_map(|(key, equals, value)| format!("{key}{equals}{value}"));
    let others = "(EIO|transport|t)(=(4|polling|websocket|3|%34|pollin%67|a\\.b))?";
    let sids = prop_oneof![8 => vec(sid.clone(), 1), 1 => vec(sid, 0..3)];
    let separator = select(vec!["&", "&", "&", "&", "&&", ";", "&?"]);
    (select(&PATHS[..]), sids, vec(others, 0..4), any::<Index>(), separator).prop_map(
        |(path, sids, mut parameters, at, separator)| {
            let at = at.index(parameters.len() + 1);
            parameters.splice(at..at, sids);
            format!("{path}?{}", parameters.join(separator))
        },
    )
}

/// The sid that a server reads; an empty one is none, as in its own code.
fn sid_of(query: &Value) -> Value {
    let sid = &query["sid"];
    if sid == "" { Value::Null } else { sid.clone() }
}

/// Holds the sid of `target`, and what is left of it without its tag, against what servers read.
fn compare(
    target: &str,
    sid: &SidParam<'_>,
    theirs: &Value,
    read: impl Fn(&str) -> Value,
) -> Result<(), String> {
    let fails = |what: &str, theirs: &Value| {
        Err(format!(
            "{what}\n    target {target:?}\n    we read {:?}\n    they read {theirs}",
            sid.split_tag()
        ))
    };
    let Some(text) = theirs.as_str() else { return fails("they read no sid", theirs) };
    let Some(split) = sid.split_tag() else {
        // What is not UTF-8 is replaced by servers, and carries no tag of ours.
        let is_same = text.contains('\u{fffd}') || !text.contains('.') && text == sid.decoded();
        return if is_same { Ok(()) } else { fails("they read another sid", theirs) };
    };
    if text.rsplit_once('.') != Some((&split.sid, &split.tag)) {
        return fails("they read another sid, or its last dot elsewhere", theirs);
    }
    let mut cut = target.to_owned();
    cut.replace_range(split.tag_span.clone(), "");
    let left = read(&cut);
    let same = if split.sid.is_empty() { left.is_null() } else { left == split.sid.as_ref() };
    if same { Ok(()) } else { fails("without its tag it is another sid", &left) }
}

#[test]
fn the_sid_that_we_read_is_the_one_that_socket_io_reads() {
    let (peers, path) = (Peers::start(), EngineIoPath::new("/socket.io/").unwrap());
    let (tried, given, tagged) = (Cell::new(0), Cell::new(0), Cell::new(0));
    let known = [
        "sid=a&sid=b",
        "sid=a&s%69d=b",
        "sid=a%2Eb",
        "sid=a.b%2ec",
        "sid=a%00.b",
        "sid=%E9.b",
        "sid=a+.b",
        "sid=a;sid=b",
        "sid=&sid=b",
        "sid=a%%2eb.c",
    ];
    let known = known.map(|query| format!("/socket.io/?EIO=4&transport=polling&{query}"));
    try_all(CASES, known, &targets(), |target| {
        let Some(ours) = EngineIoRequest::parse(target, &path) else {
            let taken = target.starts_with("/socket.io/");
            return if taken { Err(format!("{target:?} is Socket.IO's, and not for us")) } else { Ok(()) };
        };
        let ask = |target: &str| peers.ask(&json!({ "ask": "query", "target": target }));
        let theirs = ask(target);
        tried.set(tried.get() + 1);
        for engine in ["v4", "v3"] {
            let sid = sid_of(&theirs[engine]);
            match &ours.sid {
                // It is refused.
                Sid::Ambiguous => return Ok(()),
                Sid::Absent if sid.is_null() => {}
                Sid::Absent => return Err(format!("{target:?}: we read no sid, and {engine} reads {sid}")),
                Sid::Given(param) => {
                    given.set(given.get() + 1);
                    tagged.set(tagged.get() + usize::from(param.split_tag().is_some()));
                    compare(target, param, &sid, |target| sid_of(&ask(target)[engine]))?;
                }
            }
        }
        // Sessions of 2.x have no tags, so the rest matters to 4.x only.
        let says = |key: &str, value: &str| theirs["v4"][key] == value;
        let same = (!ours.eio_4 || says("EIO", "4"))
            && (ours.transport != Transport::Polling || says("transport", "polling"))
            && (ours.transport != Transport::WebSocket || says("transport", "websocket"));
        if same { Ok(()) } else { Err(format!("{target:?}: we read {ours:?}, and they {theirs}")) }
    });
    println!("{} targets, {} sids, {} with a tag", tried.get(), given.get(), tagged.get());
    assert!(tagged.get() * 10 > tried.get(), "few sids had a tag: {} of {}", tagged.get(), tried.get());
}
