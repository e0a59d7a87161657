//! The open packet with its tag, against what a client reads.

use std::cell::{Cell, RefCell};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};
use socketio_sidecar_core::handshake::tag_answer;

use super::node_peer::{Peers, text};
use super::reading::escaped;
use super::try_all;

const CASES: u32 = 1_200;

/// Members' names, some of which may be taken for `sid`.
const KEYS: [&str; 16] = [
    "\"upgrades\"",
    "\"upgrades\"",
    "\"upgrades\"",
    "\"pingInterval\"",
    "\"maxPayload\"",
    "\"pingTimeout\"",
    "\"a\"",
    "\"sid\"",
    "\"s\\u0069d\"",
    "\"SID\"",
    "\"__proto__\"",
    "\"\"",
    "\"sid\\u0000\"",
    "sid",
    "'sid'",
    "\"upgrade\\u0073\"",
];

const VALUES: [&str; 27] = [
    "[]",
    "[\"websocket\"]",
    "[\"websocket\",\"webtransport\"]",
    "[ \"web\\u0074ransport\" ]",
    "[1,\"webtransport\"]",
    "25000",
    "1e999",
    "-0",
    "01",
    "null",
    "true",
    "{\"sid\":\"inner\"}",
    "[[[]]]",
    "\"a\\u0022,\\\"sid\\\":\\\"b\"",
    "\"a\\\\\"",
    "\"\\ud83d\\ude00\"",
    "\"\\ud83d\"",
    "\"\u{e9}\u{2028}\"",
    "\"a.b\"",
    "\"\"",
    "\"\t\"",
    "\"a\u{1e}b\"",
    "\"a\\u001eb\"",
    "\"\\/\\b\"",
    "1.50",
    "12345678901234567890",
    "\"}\"",
];

/// Answers that open a session, or nearly.
fn open_packets() -> impl Strategy<Value = Vec<u8>> {
    let colon = || prop_oneof![6 => Just(":"), 1 => Just(" :\n")];
    let member = |(key, colon, value): (&str, &str, String)| format!("{key}{colon}{value}");
    let values = || select(&VALUES[..]).prop_map(ToOwned::to_owned);
    let others = vec((select(&KEYS[..]), colon(), values()).prop_map(member), 0..4);
    let sid =
        (Just("\"sid\""), colon(), prop_oneof![4 => "\"[a-zA-Z0-9_-]{20}\"", 1 => values()]).prop_map(member);
    let comma = prop_oneof![6 => Just(","), 2 => Just(" ,\r\n\t"), 1 => Just(",,")];
    let object = (others, sid, any::<Index>(), comma).prop_map(|(mut members, sid, at, comma)| {
        members.insert(at.index(members.len() + 1), sid);
        format!("{{{}}}", members.join(comma))
    });
    let odd = select(vec!["0 ", "00", "4", " 0", "\u{feff}0", "97:0", "b", ""]);
    let before = prop_oneof![8 => Just("0"), 1 => odd];
    let behind =
        select(vec!["", "\u{1e}40{\"sid\":\"x\"}", "\u{1e}", " ", "\n", "}", "\u{1e}0{\"sid\":\"y\"}", "\0"]);
    (before, object, behind, prop::option::weighted(0.3, 0..12_u8)).prop_map(
        |(before, object, behind, jsonp)| {
            let payload = format!("{before}{object}{behind}");
            let Some(index) = jsonp else { return payload.into_bytes() };
            format!("___eio[{index}]({});", json!(payload)).into_bytes()
        },
    )
}

#[test]
fn a_client_reads_the_sid_that_we_tagged_and_everything_else_as_it_was() {
    let (peers, tried, read) = (Peers::start(), Cell::new(0), Cell::new(0));
    let known = [
        b"0{\"sid\":\"a\",\"sid\":\"b\"}".to_vec(),
        b"0{\"sid\":\"a\",\"s\\u0069d\":\"b\"}".to_vec(),
        b"0{\"upgrades\":[\"webtransport\"],\"sid\":\"a\"}\x1e0{\"sid\":\"b\"}".to_vec(),
        b"___eio[0](\"0{\\\"sid\\\":\\\"a\\\"}\");".to_vec(),
    ];
    try_all(CASES, known, &open_packets(), |body| {
        tried.set(tried.get() + 1);
        let sealed = RefCell::new(None);
        let tagged = tag_answer(body, |sid| {
            sealed.replace(Some(sid.to_owned()));
            Some("tag_-1".to_owned())
        });
        let Some(tagged) = tagged else { return Ok(()) };
        let client_reads = |body| peers.ask(&json!({ "ask": "payload", "bytes": text(body) }));
        let (was, is) = (client_reads(body), client_reads(tagged.as_bytes()));
        let sid = sealed.into_inner();
        let mut expected = was.clone();
        expected["open"]["sid"] = json!(sid.clone().map(|sid| format!("{sid}.tag_-1")));
        if let Some(Value::Array(upgrades)) = expected.pointer_mut("/open/upgrades")
            && upgrades.iter().all(Value::is_string)
        {
            upgrades.retain(|name| name != "webtransport");
        }
        if was["open"]["sid"] != json!(sid) || is != expected {
            let (body, tagged) = (escaped(body), escaped(tagged.as_bytes()));
            return Err(format!(
                "{body}\n    is tagged as {tagged}\n    we read {sid:?}, they {was}\n    and then {is}"
            ));
        }
        read.set(read.get() + 1);
        Ok(())
    });
    println!("{} of {} answers were tagged", read.get(), tried.get());
    assert!(read.get() * 10 > tried.get(), "few answers were tagged: {} of {}", read.get(), tried.get());
}
