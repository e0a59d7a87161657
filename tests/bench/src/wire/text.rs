//! The requests and answers of the instrument, as a browser's Socket.IO client and an Engine.IO server
//! write them.

use std::rc::Rc;

use super::Bytes;

/// The application's Engine.IO path.
pub(crate) const PATH: &str = "/socket.io/";
/// Answers to a poll, by the first letter of the `t` that asks for them. A client's `t` is any text.
pub(crate) const SIZES: [(Size, u8, usize); 3] =
    [(Size::Small, b's', 43), (Size::Middle, b'm', 16 * 1024), (Size::Large, b'l', 1024 * 1024)];

/// The key of RFC 6455's example, with the answer that belongs to it: no hash has to be made.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// How long the answer to a poll is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// 43 bytes: one short event.
    Small,
    /// 16 KiB.
    Middle,
    /// 1 MiB.
    Large,
}

/// A first request, which asks for a session.
pub(crate) fn handshake(host: &str) -> Bytes {
    request("GET", host, "EIO=4&transport=polling&t=h0000000", "Accept: */*\r\n", b"")
}

/// A poll of this session, whose answer has this size.
pub(crate) fn poll(host: &str, sid: &str, size: Size) -> Bytes {
    let letter = SIZES.iter().find(|(of, ..)| *of == size).map_or('s', |(_, letter, _)| char::from(*letter));
    let query = format!("EIO=4&transport=polling&t={letter}0000000&sid={sid}");
    request("GET", host, &query, "Accept: */*\r\n", b"")
}

/// A message to this session, of this many bytes.
pub(crate) fn post(host: &str, sid: &str, length: usize) -> Bytes {
    let query = format!("EIO=4&transport=polling&t=p0000000&sid={sid}");
    let own =
        format!("Accept: */*\r\nContent-type: text/plain;charset=UTF-8\r\nContent-Length: {length}\r\n");
    request("POST", host, &query, &own, &message(length))
}

/// A WebSocket for this session.
pub(crate) fn upgrade(host: &str, sid: &str) -> Bytes {
    let head = format!(
        "GET {PATH}?EIO=4&transport=websocket&sid={sid} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\n\
         Pragma: no-cache\r\nCache-Control: no-cache\r\nUser-Agent: {USER_AGENT}\r\nUpgrade: websocket\r\n\
         Origin: https://chat.example.com\r\nSec-WebSocket-Version: 13\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\
         Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\nCookie: {COOKIE}\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
    );
    Rc::from(head.into_bytes())
}

/// The answer to a handshake, which gives out this sid.
pub(crate) fn open_packet(sid: &str) -> Vec<u8> {
    let body = format!(
        "0{{\"sid\":\"{sid}\",\"upgrades\":[\"websocket\"],\"pingInterval\":25000,\"pingTimeout\":20000,\"maxPayload\":1000000}}"
    );
    answer(body.as_bytes())
}

/// The sid that an answer to a handshake gives out.
pub(crate) fn given_sid(open_packet: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(open_packet).ok()?;
    let (_, from) = text.split_once("\"sid\":\"")?;
    Some(from.split_once('"')?.0.to_owned())
}

/// The answer to an upgrade.
pub(crate) fn switching() -> Bytes {
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
    );
    Rc::from(head.into_bytes())
}

/// The answer to a poll or a message, as Engine.IO's server for Node writes it.
pub(crate) fn answer(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=UTF-8\r\nContent-Length: {}\r\ncache-control: no-store\r\n\
         Access-Control-Allow-Origin: https://chat.example.com\r\nVary: Origin\r\nDate: Mon, 23 Nov 2026 12:00:00 GMT\r\n\
         Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// A Socket.IO event that is this long.
pub(crate) fn message(length: usize) -> Vec<u8> {
    const BEGIN: &[u8] = b"42[\"message\",\"";
    const END: &[u8] = b"\"]";
    let fill = length.saturating_sub(BEGIN.len() + END.len());
    let mut message = [BEGIN, &vec![b'x'; fill], END].concat();
    message.truncate(length);
    message
}

const USER_AGENT: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36";
const COOKIE: &str =
    "session=9f86d081884c7d659a2feaa0c55ad015a3bf4f1b; theme=dark; consent=necessary%2Cstatistics";

fn request(method: &str, host: &str, query: &str, own: &str, body: &[u8]) -> Bytes {
    let head = format!(
        "{method} {PATH}?{query} HTTP/1.1\r\nHost: {host}\r\nConnection: keep-alive\r\n\
         sec-ch-ua-platform: \"Linux\"\r\nUser-Agent: {USER_AGENT}\r\n\
         sec-ch-ua: \"Chromium\";v=\"150\", \"Google Chrome\";v=\"150\", \"Not?A_Brand\";v=\"24\"\r\nsec-ch-ua-mobile: ?0\r\n\
         {own}Origin: https://chat.example.com\r\nSec-Fetch-Site: same-site\r\nSec-Fetch-Mode: cors\r\n\
         Sec-Fetch-Dest: empty\r\nReferer: https://chat.example.com/\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\
         Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\nCookie: {COOKIE}\r\n\r\n"
    );
    Rc::from([head.as_bytes(), body].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_the_length_that_is_asked_for() {
        for length in [1, 16, 43, 64, 1024] {
            assert_eq!(message(length).len(), length);
        }
        assert_eq!(message(18), b"42[\"message\",\"xx\"]");
    }

    #[test]
    fn the_sid_that_is_given_out_is_found() {
        assert_eq!(given_sid(&open_packet("abc.def")).as_deref(), Some("abc.def"));
    }
}
