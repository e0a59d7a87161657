//! The parameters of a target read as in a naive parser that decodes everything.

use socketio_sidecar_core::engine_io::{EngineIoPath, EngineIoRequest, Sid, Transport};

/// Checks one input.
pub fn check(query: &[u8]) {
    let Ok(query) = std::str::from_utf8(query) else { return };
    let path = EngineIoPath::new("/socket.io/").expect("a path");
    let target = format!("/socket.io/?{query}");
    let request = EngineIoRequest::parse(&target, &path).expect("it is under the path");
    assert!(request.is_at_path);

    let (mut sids, mut transport, mut eio_4) = (Vec::new(), Transport::Other, false);
    for parameter in query.split('&') {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match decode(key).as_deref() {
            Some("sid") => sids.push(value),
            Some("transport") => {
                transport = match value {
                    "polling" => Transport::Polling,
                    "websocket" => Transport::WebSocket,
                    _ => Transport::Other,
                }
            }
            Some("EIO") => eio_4 = value == "4",
            _ => {}
        }
    }
    assert_eq!((request.transport, request.eio_4), (transport, eio_4));
    match request.sid {
        Sid::Ambiguous => assert!(sids.len() > 1 || query.contains('#')),
        Sid::Absent => assert!(sids.is_empty() || sids == [""]),
        Sid::Given(sid) => {
            assert_eq!(sids, [sid.raw]);
            let whole = decode(sid.raw);
            assert_eq!(sid.decoded(), whole.clone().unwrap_or_else(|| sid.raw.to_owned()));
            let Some(split) = sid.split_tag() else { return };
            assert_eq!(whole, Some(format!("{}.{}", split.sid, split.tag)));
            let cut = target.get(split.tag_span.clone()).expect("it is within the target");
            assert_eq!(decode(cut), Some(format!(".{}", split.tag)));
            // Without the tag, the application reads the sid alone.
            let without = [&target[..split.tag_span.start], &target[split.tag_span.end..]].concat();
            match EngineIoRequest::parse(&without, &path).expect("it is under the path").sid {
                Sid::Given(bare) => assert_eq!(bare.decoded(), split.sid),
                Sid::Absent => assert_eq!(split.sid, ""),
                Sid::Ambiguous => panic!("the cut has made a second sid"),
            }
        }
    }
}

/// Byte by byte, as the URL standard says of application/x-www-form-urlencoded.
fn decode(text: &str) -> Option<String> {
    let (bytes, mut decoded, mut at) = (text.as_bytes(), Vec::new(), 0);
    while at < bytes.len() {
        let digit = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        match (bytes[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(u8::try_from(high * 16 + low).expect("two hex digits"));
                at += 3;
            }
            (byte, ..) => {
                decoded.push(if byte == b'+' { b' ' } else { byte });
                at += 1;
            }
        }
    }
    String::from_utf8(decoded).ok()
}
