//! The client that trusted proxies name in `X-Forwarded-For`.
//!
//! # Invariants
//! - Entries are read from the end: a client writes the first of them, the nearest proxy the last.
//! - Work is linear in the length of the field.

use std::net::{IpAddr, SocketAddr};

use super::{Trust, is_forwarded_for};
use crate::http1::Header;

/// Finds the last address of `X-Forwarded-For` that is in no trusted network; the first address where all are in one.
/// `None` where an entry before that is no address, or none is there.
#[must_use]
pub fn client_of(trust: Trust<'_>, headers: &[Header<'_>]) -> Option<IpAddr> {
    let mut client = None;
    for field in headers.iter().rev().filter(|field| is_forwarded_for(field)) {
        for entry in field.value.rsplit(|byte| *byte == b',') {
            let address = parse_entry(entry)?;
            client = Some(address);
            if !trust.includes(address) {
                return client;
            }
        }
    }
    client
}

/// Parses an address, with or without a port or brackets: proxies write all of these.
fn parse_entry(entry: &[u8]) -> Option<IpAddr> {
    let entry = std::str::from_utf8(entry.trim_ascii()).ok()?;
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = bare.unwrap_or(entry).parse();
    address.or_else(|_| entry.parse::<SocketAddr>().map(|address| address.ip())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::{RequestHead, header_slots};
    use ipnet::IpNet;

    #[test]
    fn the_client_is_the_last_that_no_trusted_proxy_is() {
        let networks: [IpNet; 2] = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let trust = Trust { forwarded_for: None, trusted_proxies: &networks };
        for (fields, client) in [
            ("X-Forwarded-For: 192.0.2.1", Some("192.0.2.1")),
            ("X-Forwarded-For: 6.6.6.6, 192.0.2.1", Some("192.0.2.1")),
            ("X-Forwarded-For: 6.6.6.6, 192.0.2.1, 10.0.0.1, fd00::1", Some("192.0.2.1")),
            ("x-forwarded-for: 6.6.6.6\r\nX-Forwarded-For: 192.0.2.1,10.0.0.1", Some("192.0.2.1")),
            ("X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 10.0.0.1", Some("192.0.2.1")),
            ("X-Forwarded-For: 10.0.0.2, 10.0.0.1", Some("10.0.0.2")),
            ("X-Forwarded-For: 192.0.2.1:4711", Some("192.0.2.1")),
            ("X-Forwarded-For: [2001:db8::1]:4711", Some("2001:db8::1")),
            ("X-Forwarded-For: [2001:db8::1]", Some("2001:db8::1")),
            ("X-Forwarded-For: 2001:db8::1", Some("2001:db8::1")),
            ("X-Forwarded-For: ::ffff:10.0.0.1", Some("::ffff:10.0.0.1")),
            ("X-Forwarded-For: garbage, 192.0.2.1", Some("192.0.2.1")),
            ("X-Forwarded-For: 192.0.2.1, unknown, 10.0.0.1", None),
            ("X-Forwarded-For: ", None),
            ("X-Real-IP: 192.0.2.1", None),
        ] {
            let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
            let mut slots = header_slots();
            let head = RequestHead::parse(head.as_bytes(), &mut slots).unwrap();
            let expected = client.map(|client| client.parse().unwrap());
            assert_eq!(client_of(trust, head.headers), expected, "{fields}");
        }
    }
}
