use super::super::{RequestHead, header_slots};
use super::*;
use std::cell::Cell;

thread_local! {
    static COMPARED: Cell<usize> = const { Cell::new(0) };
}

/// Counts the bytes that comparing two names may look at.
pub(super) fn count_compared(bytes: usize) {
    COMPARED.set(COMPARED.get() + bytes);
}

#[test]
fn the_fast_form_says_the_same_as_the_table() {
    let others = ["x-anything", "unknown", "proxy-x", "", "tt"];
    for name in NAMES.iter().chain(&FAMILIES).map(|(name, _)| *name).chain(others) {
        for name in [name.to_owned(), name.to_ascii_uppercase()] {
            assert_eq!(is_hop_by_hop(&name), kind_of(name.as_bytes()) == Kind::Hop, "{name}");
        }
    }
}

#[test]
fn a_name_is_known_before_its_family() {
    for (name, kind) in [
        ("Content-Type", Kind::Head),
        ("Content-Digest", Kind::Any),
        ("X-Forwarded-Proto", Kind::Head),
        ("X-Request-Id", Kind::Any),
        ("Sec-WebSocket-Key", Kind::Head),
        ("If-Match", Kind::Head),
        ("CF-Connecting-IP", Kind::Head),
        ("Trailer", Kind::Hop),
        ("Hop", Kind::Unknown),
        ("X", Kind::Unknown),
    ] {
        assert_eq!(kind_of(name.as_bytes()), kind, "{name}");
    }
}

#[test]
fn no_option_removes_a_field_that_others_rely_on() {
    for name in [
        "Host",
        "Content-Length",
        "Content-Type",
        "Transfer-Encoding",
        "Authorization",
        "Cookie",
        "Origin",
        "Referer",
        "User-Agent",
        "Accept",
        "Accept-Language",
        "If-None-Match",
        "Range",
        "Via",
        "Forwarded",
        "Date",
        "Cache-Control",
        "Pragma",
        "Traceparent",
        "Tracestate",
        "Baggage",
        "True-Client-IP",
        "CF-Ray",
        "Fastly-Client-IP",
        "Fly-Client-IP",
        "X-Real-IP",
        "X-Forwarded-For",
        "X-Anything",
        "Sec-Fetch-Site",
        "Sec-WebSocket-Key",
    ] {
        let value = format!("close, {}", name.to_ascii_lowercase());
        let nominated = Nominated::of(&[Header { name: "Connection", value: value.as_bytes() }]);
        assert!(!nominated.removes(name), "{name}");
    }
    let fields = [
        Header { name: "connection", value: b" Hop ,, keep-alive" },
        Header { name: "Connection", value: b"another" },
    ];
    let nominated = Nominated::of(&fields);
    for name in ["hop", "Keep-Alive", "ANOTHER"] {
        assert!(nominated.removes(name), "{name}");
    }
    assert!(!nominated.removes("other"));
}

/// The longest work that a head can cause: names and options of one length that differ in their last bytes.
#[test]
fn looking_up_all_fields_takes_work_that_grows_with_the_head_alone() {
    for length in [3, 20, 100, 400] {
        let name = |prefix: char, n: usize| format!("{prefix}{}{n:02}", "b".repeat(length - 3));
        let options: Vec<String> = (0..MAX_CONNECTION_OPTIONS).map(|n| name('a', n)).collect();
        let names: Vec<String> = (0..90).map(|n| name('a', n)).collect();
        let fields: String = names.iter().map(|name| format!("{name}: \r\n")).collect();
        let head = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: {}\r\n{fields}\r\n", options.join(","));
        let mut slots = header_slots();
        let parsed = RequestHead::parse(head.as_bytes(), &mut slots).unwrap();
        COMPARED.set(0);
        let nominated = Nominated::of(parsed.headers);
        let removed = parsed.headers.iter().filter(|field| nominated.removes(field.name)).count();
        assert_eq!(removed, MAX_CONNECTION_OPTIONS);
        let compared = COMPARED.get();
        assert!(compared <= 8 * head.len(), "{compared} bytes for a head of {}", head.len());
    }
}
