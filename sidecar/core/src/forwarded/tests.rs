use super::*;
use crate::hop::{RequestHop, write_request};
use crate::http1::{RequestHead, header_slots};
use proptest::prelude::*;

fn passed(head: &str, forwarded: Forwarded<'_>) -> String {
    let head = head.replace('\n', "\r\n");
    let mut slots = header_slots();
    let parsed = RequestHead::parse(head.as_bytes(), &mut slots).unwrap();
    let mut out = Vec::new();
    write_request(&mut out, &parsed, &RequestHop { forwarded, ..RequestHop::default() });
    String::from_utf8(out).unwrap().replace("\r\n", "\n")
}

/// Fields that a client may write to be believed.
const FORGED: &str = "X-Forwarded-For: 1.1.1.1\nx-forwarded-proto: https\nX-Forwarded-Host: evil\nX-Forwarded-Port: 1\n\
    X-Forwarded-Server: evil\nX-Forwarded-Prefix: /evil\nX-Forwarded-Ssl: on\nX-Forwarded-Protocol: ssl\nX-Forwarded: for=1\n\
    X-Real-IP: 1.1.1.1\nForwarded: for=1.1.1.1;proto=https\nTrue-Client-IP: 1.1.1.1\nX-Client-IP: 1.1.1.1\n\
    X-Cluster-Client-IP: 1.1.1.1\nX_Forwarded_For: 1.1.1.1\nX_FORWARDED-Proto: https\nx_real_ip: 1.1.1.1\nSCRIPT_NAME: /evil\n\
    PATH_INFO: /evil\nFront-End-Https: on\nX-Scheme: https\nCF-Connecting-IP: 1.1.1.1\n";

#[test]
fn what_a_client_says_of_itself_is_replaced_by_the_peer_address() {
    let plain = "GET /chat HTTP/1.1\nHost: a\nX-Requested-With: b\nFrom: c\nTE: trailers\n";
    let head = format!("{plain}{FORGED}Cookie: d\n\n");
    let expected = "GET /chat HTTP/1.1\nHost: a\nX-Requested-With: b\nFrom: c\nCookie: d\nX-Forwarded-For: 2001:db8::1\n\
                    X-Real-IP: 2001:db8::1\n\n";
    assert_eq!(passed(&head, Forwarded::Replace("2001:db8::1")), expected);
}

#[test]
fn what_passes_is_neither_changed_nor_added_to() {
    for fields in [FORGED, ""] {
        let head = format!("GET / HTTP/1.1\nHost: a\n{fields}\n");
        assert_eq!(passed(&head, Forwarded::Pass), head);
    }
}

#[test]
fn append_adds_the_peer_address_and_leaves_all_but_look_alikes() {
    let with =
        |fields: &str| passed(&format!("GET / HTTP/1.1\nHost: a\n{fields}\n"), Forwarded::Append("10.0.0.9"));
    assert_eq!(with(""), "GET / HTTP/1.1\nHost: a\nX-Forwarded-For: 10.0.0.9\n\n");
    assert_eq!(
        with("x-forwarded-for: 1.1.1.1\nX-Real-IP: 1\nX_forwarded-for: 2\n"),
        "GET / HTTP/1.1\nHost: a\nX-Forwarded-For: 1.1.1.1, 10.0.0.9\nX-Real-IP: 1\n\n"
    );
    assert_eq!(
        with("X-Forwarded-For: 1.1.1.1\nX-Forwarded-For: 2.2.2.2\n"),
        "GET / HTTP/1.1\nHost: a\nX-Forwarded-For: 1.1.1.1\nX-Forwarded-For: 2.2.2.2, 10.0.0.9\n\n"
    );
}

#[test]
fn who_is_believed_follows_from_the_setting_and_the_peer() {
    let networks: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
    let (edge, client) = ("10.1.2.3", "192.0.2.1");
    let (pass, append, replace) = (Forwarded::Pass, Forwarded::Append("a"), Forwarded::Replace("a"));
    for (forwarded_for, trusted_proxies, from_edge, from_client) in [
        (None, &[][..], pass, pass),
        (None, &networks, pass, replace),
        (Some(ForwardedFor::Append), &[], append, append),
        (Some(ForwardedFor::Append), &networks, pass, append),
        (Some(ForwardedFor::Preserve), &[], pass, pass),
        (Some(ForwardedFor::Preserve), &networks, pass, pass),
        (Some(ForwardedFor::Replace), &[], replace, replace),
        (Some(ForwardedFor::Replace), &networks, pass, replace),
    ] {
        let trust = Trust { forwarded_for, trusted_proxies };
        let of = |peer: &str, may_be_trusted| decide(trust, peer.parse().unwrap(), may_be_trusted, "a");
        for (from, expected) in [
            (of(edge, true), from_edge),
            (of("::ffff:10.1.2.3", true), from_edge),
            (of("fd00::1", true), from_edge),
            (of(client, true), from_client),
            (of("::ffff:192.0.2.1", true), from_client),
            (of("2001:db8::1", true), from_client),
            (of(edge, false), from_client),
        ] {
            assert_eq!(from, expected, "{trust:?}");
        }
    }
}

#[test]
fn ordinary_fields_do_not_name_the_client() {
    for name in [
        "Host",
        "Cookie",
        "Content-Type",
        "X-Requested-With",
        "X-Forward",
        "Origin",
        "Referer",
        "Transfer-Encoding",
        "Priority",
        "Sec-WebSocket-Key",
        "From",
        "X-Real",
        "X-Request-Id",
        "X-Socket-Tag",
        "",
    ] {
        assert!(!names_client(name), "{name}");
    }
}

proptest! {
    #[test]
    fn after_replace_nothing_names_the_client_but_the_sidecar(
        fields in prop::collection::vec(
            "([xX][-_](forwarded|Forwarded)[-_](for|Proto|host|[a-z]{0,6})|[xX][-_][rR]eal[-_]ip|Forwarded|True-Client-IP|\
             X-[a-z]{1,4}|Cookie|Origin):( |)[ -~]{0,12}\r\n", 0..8)
    ) {
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", fields.concat());
        let mut slots = header_slots();
        let Ok(parsed) = RequestHead::parse(head.as_bytes(), &mut slots) else { return Ok(()) };
        let mut out = Vec::new();
        let hop = RequestHop { forwarded: Forwarded::Replace("10.0.0.9"), ..RequestHop::default() };
        write_request(&mut out, &parsed, &hop);
        let mut slots = header_slots();
        let again = RequestHead::parse(&out, &mut slots).unwrap();
        // Not by `names_client`, so that a fault in it is seen here.
        let normal = |name: &str| name.to_ascii_lowercase().replace('_', "-");
        let naming: Vec<_> = again.headers.iter()
            .filter(|field| normal(field.name).starts_with("x-forwarded")
                || ["forwarded", "x-real-ip", "true-client-ip"].contains(&normal(field.name).as_str()))
            .map(|field| (field.name, field.value)).collect();
        prop_assert_eq!(naming, vec![("X-Forwarded-For", &b"10.0.0.9"[..]), ("X-Real-IP", &b"10.0.0.9"[..])]);
        let others = |headers: &[Header<'_>]| headers.iter().filter(|field| !names_client(field.name))
            .map(|field| (field.name.to_owned(), field.value.to_vec())).collect::<Vec<_>>();
        prop_assert_eq!(others(again.headers), others(parsed.headers));
    }
}
