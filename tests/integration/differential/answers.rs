//! Answers, against hyper's and Node's clients.
//!
//! Where an answer ends is asked by ending the stream there: they must have read it by then, and must
//! not have one byte before.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::sample::select;
use socketio_sidecar_core::hop::ResponseHop;

use super::generate::{self, Input};
use super::node_peer::Peers;
use super::ours::{self, Ours};
use super::reading::{End, Reading, escaped};
use super::try_all;

const CASES: u32 = 400;

/// Fields that are this hop's own, that frame, or that it writes.
const OF_THE_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "te",
    "upgrade",
    "proxy-connection",
    "http2-settings",
    "content-length",
    "transfer-encoding",
];

/// Answers on which parsers have differed.
fn known() -> Vec<(Input, &'static str)> {
    let answers = [
        "200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "200 OK\r\nContent-Length: 5\r\nContent-Length: 3\r\n\r\nabcde",
        "200 OK\r\nContent-Length : 3\r\n\r\nabcde",
        "200 OK\r\nX: y\nContent-Length: 3\r\n\r\nabcde",
        "200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+1\r\na\r\n0\r\n\r\n",
        "200 OK\r\nTransfer-Encoding: identity\r\n\r\nabc",
        "200 OK\r\nTransfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n",
        "200 OK\r\nContent-Length:\t3\r\n\r\nabc",
        "200 OK\r\nConnection: content-length\r\nContent-Length: 3\r\n\r\nabc",
        "204 No Content\r\nContent-Length: 3\r\n\r\nabc",
        "204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "205 Reset Content\r\nContent-Length: 3\r\n\r\nabc",
        "100 Continue\r\nContent-Length: 3\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na",
        "101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x01\x02",
        "200 OK\r\n\r\nuntil it ends",
    ];
    let input = |answer: &str| Input { bytes: format!("HTTP/1.1 {answer}").into_bytes(), plain: false };
    ["GET", "HEAD"].iter().flat_map(|method| answers.map(|answer| (input(answer), *method))).collect()
}

fn inputs() -> impl Strategy<Value = (Input, &'static str)> {
    (generate::answers(), select(vec!["GET", "GET", "POST", "HEAD"]))
}

fn explain(input: &[u8], method: &str, what: &str, ours: &Reading, who: &str, theirs: &Reading) -> String {
    let input = escaped(input);
    format!("{who}: {what}\n    answer to {method} {input}\n    we read {ours}\n    {who} reads {theirs}")
}

/// hyper's client does not tell of interim answers.
fn as_hyper_reports(ours: &Reading) -> Reading {
    let mut ours = ours.clone();
    ours.messages.retain(|message| !message.start[0].starts_with('1') || message.start[0] == "101");
    ours
}

/// A reason that is not ASCII is left out by us: it is for people to read.
fn without_odd_reasons(mut theirs: Reading) -> Reading {
    for message in &mut theirs.messages {
        if !message.start[1].is_ascii() {
            message.start[1].clear();
        }
    }
    theirs
}

/// Holds our reading of an answer against both clients; how many of them read it.
fn compare(peers: &Peers, bytes: &[u8], method: &str, ours: &Ours) -> Result<usize, String> {
    let complete = matches!(ours.reading.end, End::Closed | End::Upgraded);
    let whole = if complete { &bytes[..ours.used] } else { bytes };
    let mut read_by = 0;
    for who in ["hyper", "Node"] {
        let read = |bytes: &[u8]| {
            without_odd_reasons(match who {
                "hyper" => peers.hyper_answer(bytes, method),
                _ => peers.node_answer(bytes, method),
            })
        };
        let expected = if who == "hyper" { as_hyper_reports(&ours.reading) } else { ours.reading.clone() };
        let theirs = read(whole);
        let fails = |what: &str, theirs: &Reading| Err(explain(bytes, method, what, &expected, who, theirs));
        if let Err(what) = expected.agrees(whole, &theirs) {
            return fails(what, &theirs);
        }
        let read_whole = complete && expected.messages == theirs.messages;
        read_by += usize::from(read_whole);
        if read_whole && !ours.until_close {
            let before = read(&whole[..whole.len() - 1]);
            if before.messages.len() >= theirs.messages.len() {
                return fails("for them it ends before its end", &before);
            }
        }
    }
    Ok(read_by)
}

#[test]
fn an_answer_that_we_accept_is_read_the_same_by_hyper_and_node() {
    let (peers, read, tried) = (Peers::start(), Cell::new(0), Cell::new(0));
    try_all(CASES, known(), &inputs(), |(input, method)| {
        let ours = ours::answer(&input.bytes, *method == "HEAD", &ResponseHop::default());
        if input.plain && matches!(ours.reading.end, End::Refused(_)) {
            return Err(format!("we refuse what is plain: {input:?} {}", ours.reading));
        }
        tried.set(tried.get() + 2);
        read.set(read.get() + compare(&peers, &input.bytes, method, &ours)?);
        Ok(())
    });
    println!("{} of {} were read", read.get(), tried.get());
    assert!(read.get() * 5 > tried.get(), "few answers were accepted: {} of {}", read.get(), tried.get());
}

#[test]
fn an_answer_that_we_write_on_is_read_by_hyper_and_node_as_we_understood_it() {
    let (peers, read, tried) = (Peers::start(), Cell::new(0), Cell::new(0));
    let hop = (any::<bool>(), any::<bool>(), any::<bool>());
    let known = known().into_iter().map(|known| (known, (false, false, false)));
    try_all(CASES, known, &(inputs(), hop), |((input, method), (close, to_http_1_0, whole))| {
        let to_head = *method == "HEAD";
        let mut hop = ResponseHop { close: *close, to_http_1_0: *to_http_1_0, content_length: None };
        let mut from_app = ours::answer(&input.bytes, to_head, &hop);
        // A body that was collected is written with its length, as a handshake's answer is.
        let body = from_app.reading.messages.last().map_or(0, |message| message.body.len());
        if *whole && from_app.reading.messages.len() == 1 && body > 0 && from_app.reading.end == End::Closed {
            hop.content_length = Some(body);
            from_app = ours::answer(&input.bytes, to_head, &hop);
        }
        let onward = &from_app.onward;
        let ours = ours::answer(onward, to_head, &ResponseHop::default());
        for (read, message) in ours.reading.messages.iter().zip(&from_app.reading.messages) {
            let options = message.fields.connection_options();
            // A body that was collected has lost its trailers, and so their announcement.
            let trailer = hop.content_length.map(|_| "trailer");
            let own = OF_THE_HOP.into_iter().chain(options.iter().map(String::as_str)).chain(trailer);
            let own: Vec<_> = own.collect();
            let same = (&message.start, &message.body) == (&read.start, &read.body)
                && message.fields.without(&own) == read.fields.without(&own);
            if !same {
                return Err(format!("we write on another answer: {input:?}\n    {message}\n    {read}"));
            }
        }
        let refused = matches!(ours.reading.end, End::Refused(_));
        if refused || ours.reading.messages.len() != from_app.reading.messages.len() {
            let (from_app, ours) = (&from_app.reading, &ours.reading);
            let what = "we write on other messages";
            return Err(explain(&input.bytes, method, what, from_app, "the next hop", ours));
        }
        tried.set(tried.get() + 2);
        read.set(read.get() + compare(&peers, onward, method, &ours)?);
        Ok(())
    });
    println!("{} of {} were read", read.get(), tried.get());
    assert!(read.get() * 5 > tried.get(), "few answers were accepted: {} of {}", read.get(), tried.get());
}
