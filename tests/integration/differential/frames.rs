//! Ends of WebSocket messages, compared with `ws`.
//!
//! A place lies between two messages if another message that is put there is received whole. That is
//! tried at every place, until `ws` refuses what comes before it.

use std::cell::Cell;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;
use socketio_sidecar_core::websocket::Messages;

use super::node_peer::{Peers, text};
use super::reading::escaped;
use super::try_all;

const CASES: u32 = 300;

/// A server's frame: first byte, length and its form, and a payload that looks like frames itself.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![
        10 => select(vec![0x81_u8, 0x82, 0x01, 0x00, 0x80, 0x89, 0x8a]),
        1 => select(vec![0x88, 0x83, 0x8b, 0x09, 0xc1, 0xa1, 0x91, 0x02, 0x0f]),
    ];
    let length = prop_oneof![8 => 0..8_usize, 2 => 120..131_usize, 1 => 250..260_usize];
    let form = prop_oneof![8 => Just(0), 1 => Just(126_u8), 1 => Just(127_u8), 1 => Just(0x80)];
    (first, length, form, any::<u8>()).prop_map(|(first, length, form, filler)| {
        let short = u8::try_from(length).ok().filter(|length| *length < 126);
        let mut frame = vec![first];
        match (form, short) {
            (127, _) => frame.extend([&[127][..], &(length as u64).to_be_bytes()].concat()),
            // A mask bit, which is a client's.
            (0x80, Some(short)) => frame.push(short | 0x80),
            (0, Some(short)) => frame.push(short),
            _ => frame.extend([&[126][..], &u16::try_from(length).unwrap().to_be_bytes()].concat()),
        }
        let payload = [0x81, 0x00, 0x80, filler, 0x89, 0x00];
        frame.extend(payload.iter().cycle().take(length));
        frame
    })
}

#[test]
fn a_message_ends_where_ws_would_take_the_next_one() {
    let peers = Peers::start();
    let known = [
        &b"\x01\x01a\x89\x00\x80\x01b\x81\x00"[..],
        b"\x81\x81abcde",
        b"\x80\x00\x81\x00",
        b"\x81\x7f\x00\x00\x00\x00\x00\x00\x00\x01a\x81\x00",
        b"\x81\x7e\x00\x01a\x81\x00",
        b"\x88\x02\x03\xe8\x81\x00",
        b"Unsupported",
    ];
    let (places, ends) = (Cell::new(0_u32), Cell::new(0_u32));
    let streams = vec(frame(), 0..6).prop_map(|frames| frames.concat());
    try_all(CASES, known.map(<[u8]>::to_vec), &streams, |bytes| {
        let mut messages = Messages::default();
        let ours: Vec<bool> = (0..=bytes.len())
            .map(|at| {
                messages.follow(&bytes[at.saturating_sub(1)..at]);
                messages.is_between()
            })
            .collect();
        let at: Vec<usize> = (0..=bytes.len()).collect();
        let said = peers.ask(&json!({ "ask": "messages", "bytes": text(bytes), "at": at }));
        for (at, ours) in ours.into_iter().enumerate() {
            let theirs = said[at].as_str().unwrap();
            if matches!(theirs, "refused" | "concluded") {
                break;
            }
            places.set(places.get() + 1);
            ends.set(ends.get() + u32::from(ours));
            if ours != (theirs == "between") {
                let ours = if ours { "between" } else { "inside" };
                let bytes = escaped(bytes);
                return Err(format!("after {at} bytes of {bytes} we are {ours} messages, and ws {theirs}"));
            }
        }
        Ok(())
    });
    let share = ends.get() * 100 / places.get();
    assert!((2..90).contains(&share), "{share} % of {} places are ends of messages", places.get());
}
