//! Requests, against hyper's and Node's servers.

use std::cell::Cell;

use proptest::prelude::*;
use socketio_sidecar_core::forwarded::Forwarded;
use socketio_sidecar_core::hop::RequestHop;

use super::generate::{self, Input, NEXT};
use super::hyper_peer::as_hyper_reports;
use super::node_peer::Peers;
use super::reading::{End, Fields, Reading, escaped};
use super::{ours, try_all};

const CASES: u32 = 1_000;

/// Fields that are this hop's own, or that it writes.
const OF_THE_HOP: [&str; 11] = [
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "proxy-connection",
    "proxy-authorization",
    "http2-settings",
    "accept-encoding",
    "x-forwarded-for",
    "x_forwarded_for",
];

/// Every treatment of the fields that name the client.
const FORWARDED: [Forwarded<'static>; 3] =
    [Forwarded::Pass, Forwarded::Append("10.0.0.9"), Forwarded::Replace("10.0.0.9")];

/// Streams on which parsers have differed, each before [`NEXT`].
fn known() -> Vec<Input> {
    let post = "POST /x HTTP/1.1\r\nHost: a\r\n";
    let heads = [
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "Content-Length: 4\r\nContent-Length: 3\r\n\r\nabcd",
        "Content-Length : 4\r\n\r\nabcd",
        "Content-Length: 4\n\r\nabcd",
        "X: y\nContent-Length: 4\r\n\r\nabcd",
        "Transfer-Encoding: chunked\r\n\r\n+1\r\na\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n1 \r\na\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n1\na\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n1;\nx\r\na\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\nZ: 1\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n10000000000000001\r\na\r\n0\r\n\r\n",
        "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        "Connection: content-length\r\nContent-Length: 4\r\n\r\nabcd",
        "Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 4\r\n\r\nabcd",
        "Connection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n1;a=\"b\"\u{ff};d\r\na\r\n0\r\n\r\n",
        "X:\r\n Content-Length: 4\r\n\r\nabcd",
        "X: \0\r\nContent-Length: 4\r\n\r\nabcd",
        "X: y\rContent-Length: 4\r\n\r\nabcd",
    ];
    let input = |head: &&str| Input { bytes: format!("{post}{head}{NEXT}").into_bytes(), plain: false };
    heads.iter().map(input).collect()
}

/// Counts of the cases, so that no property holds for want of them.
#[derive(Debug, Default)]
struct Tally {
    tried: Cell<usize>,
    accepted: Cell<usize>,
    refused: Cell<usize>,
    by_hyper: Cell<usize>,
    by_node: Cell<usize>,
}

impl Tally {
    fn count(&self, ours: &Reading, hyper: &Reading, node: &Reading) {
        let add = |to: &Cell<usize>, what: bool| to.set(to.get() + usize::from(what));
        add(&self.tried, true);
        add(&self.accepted, !ours.messages.is_empty());
        add(&self.refused, matches!(ours.end, End::Refused(_)));
        add(&self.by_hyper, hyper.messages.len() >= ours.messages.len());
        add(&self.by_node, node.messages.len() >= ours.messages.len());
    }

    fn check(&self) {
        let share = |of: &Cell<usize>| of.get() * 100 / self.tried.get();
        let shares = [&self.accepted, &self.refused, &self.by_hyper, &self.by_node].map(share);
        println!(
            "of 100: accepted {}, refused {}, read whole by hyper {}, by Node {}",
            shares[0], shares[1], shares[2], shares[3]
        );
        assert!(shares[0] >= 30 && shares[1] >= 10 && shares[2] >= 70 && shares[3] >= 60, "{self:?}");
    }
}

fn explain(input: &[u8], what: &str, ours: &Reading, who: &str, theirs: &Reading) -> String {
    let input = escaped(input);
    format!("{who}: {what}\n    input {input}\n    we read {ours}\n    {who} reads {theirs}")
}

/// Holds our reading of `bytes` against both; if they are `onward`, Node takes WebSockets, as Socket.IO does.
fn compare(peers: &Peers, bytes: &[u8], ours: &Reading, onward: bool) -> Result<(Reading, Reading), String> {
    let hyper = peers.hyper_requests(bytes);
    let node = peers.node_requests(bytes, onward);
    for (who, ours, theirs) in [("hyper", &as_hyper_reports(ours), &hyper), ("Node", ours, &node)] {
        let agreed = ours.agrees(bytes, theirs);
        agreed.map_err(|what| explain(bytes, what, ours, who, theirs))?;
    }
    let read_whole = node.messages.len() == ours.messages.len();
    if onward && read_whole && (ours.end == End::Upgraded) != (node.end == End::Upgraded) {
        return Err(explain(bytes, "only one of us sees a WebSocket", ours, "Node", &node));
    }
    Ok((hyper, node))
}

#[test]
fn a_request_that_we_accept_is_read_the_same_by_hyper_and_node() {
    let (peers, tally) = (Peers::start(), Tally::default());
    try_all(CASES, known(), &generate::requests(), |input| {
        let ours = ours::requests(&input.bytes, &RequestHop::default()).reading;
        if input.plain && matches!(ours.end, End::Refused(_)) {
            return Err(format!("we refuse what is plain: {input:?} {ours}"));
        }
        let (hyper, node) = compare(&peers, &input.bytes, &ours, false)?;
        tally.count(&ours, &hyper, &node);
        Ok(())
    });
    tally.check();
}

#[test]
fn a_request_that_we_write_on_is_read_by_hyper_and_node_as_we_understood_it() {
    let (peers, tally) = (Peers::start(), Tally::default());
    let hop = (any::<bool>(), prop::sample::select(FORWARDED.to_vec()))
        .prop_map(|(identity_encoding, forwarded)| RequestHop { cut: None, identity_encoding, forwarded });
    let known = known().into_iter().map(|input| (input, RequestHop::default()));
    try_all(CASES, known, &(generate::requests(), hop), |(input, hop)| {
        let from_client = ours::requests(&input.bytes, hop);
        let onward = &from_client.onward;
        // Read again, it is what was understood, but for the fields that are a hop's own.
        let ours = ours::requests(onward, &RequestHop::default()).reading;
        for (message, read) in from_client.reading.messages.iter().zip(&ours.messages) {
            let options = message.fields.connection_options();
            let own: Vec<_> = OF_THE_HOP.into_iter().chain(options.iter().map(String::as_str)).collect();
            let replaced = matches!(hop.forwarded, Forwarded::Replace(_));
            let kept = |fields: &Fields| match fields.without(&own) {
                kept if replaced => kept.without_client(),
                kept => kept,
            };
            // A WebSocket is asked for in HTTP/1.1, whatever it was asked for in.
            let last = from_client.reading.messages.last();
            let upgrades = from_client.reading.end == End::Upgraded && last == Some(message);
            let same = (&message.start, message.http_1_0 && !upgrades, &message.body)
                == (&read.start, read.http_1_0, &read.body)
                && kept(&message.fields) == kept(&read.fields);
            if !same {
                return Err(format!("we write on another message: {input:?}\n    {message}\n    {read}"));
            }
        }
        let (understood, written) = (from_client.reading.messages.len(), ours.messages.len());
        // HTTP/1.0 says nothing of the connection on the next hop, so that reading ends there.
        let all = written == understood || written < understood && ours.end == End::Closed;
        if !all || matches!(ours.end, End::Refused(_)) {
            let what = "we write on other messages";
            return Err(explain(&input.bytes, what, &from_client.reading, "the next hop", &ours));
        }
        let (hyper, node) = compare(&peers, onward, &ours, true)?;
        tally.count(&from_client.reading, &hyper, &node);
        Ok(())
    });
    tally.check();
}
