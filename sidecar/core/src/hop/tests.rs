use super::*;
use crate::forwarded::is_forwarded_for;
use crate::http1::{MAX_HEAD, find_head_end, header_slots};
use proptest::prelude::*;

fn request(head: &str, hop: &RequestHop<'_>) -> String {
    let head = head.replace('\n', "\r\n");
    let mut slots = header_slots();
    let parsed = RequestHead::parse(head.as_bytes(), &mut slots).unwrap();
    let mut out = Vec::new();
    write_request(&mut out, &parsed, hop);
    String::from_utf8(out).unwrap().replace("\r\n", "\n")
}

fn response(head: &str, hop: &ResponseHop) -> String {
    let head = head.replace('\n', "\r\n");
    let mut slots = header_slots();
    let parsed = ResponseHead::parse(head.as_bytes(), false, &mut slots).unwrap();
    let mut out = Vec::new();
    write_response(&mut out, &parsed, hop);
    String::from_utf8(out).unwrap().replace("\r\n", "\n")
}

#[test]
fn a_plain_request_passes_unchanged() {
    let head = "GET /socket.io/?EIO=4 HTTP/1.1\nhost: a\nX-Weird:  b\nCookie: a=b; c=d\n\n";
    assert_eq!(request(head, &RequestHop::default()), head.replace("  b", " b"));
}

#[test]
fn the_tag_is_cut_out_of_the_target() {
    let hop = RequestHop { cut: Some(9..13), ..RequestHop::default() };
    let passed = request("GET /?sid=abc.tag&t=1 HTTP/1.1\nHost: a\n\n", &hop);
    assert_eq!(passed, "GET /?sid=abc&t=1 HTTP/1.1\nHost: a\n\n");
}

#[test]
fn fields_of_this_hop_stay_on_this_hop() {
    let head = "GET / HTTP/1.1\nHost: a\nConnection: keep-alive, Mine, te\nKeep-Alive: 5\nProxy-Connection: a\nTE: trailers\n\
                Proxy-Authorization: Basic eA==\nTrailer: X\n\
                Mine: secret\nX-Yours: b\nUpgrade: h2c\nHTTP2-Settings: x\n\n";
    assert_eq!(request(head, &RequestHop::default()), "GET / HTTP/1.1\nHost: a\nX-Yours: b\n\n");
}

#[test]
fn no_option_removes_framing_or_identity() {
    let head = "POST / HTTP/1.1\nHost: a\nConnection: content-length, x-forwarded-for, cookie, host, x-real-ip\n\
                Content-Length: 3\nX-Forwarded-For: 1.2.3.4\nX-Real-IP: 1.2.3.4\nCookie: a\n\n";
    let passed = request(head, &RequestHop::default());
    assert_eq!(
        passed,
        "POST / HTTP/1.1\nHost: a\nContent-Length: 3\nX-Forwarded-For: 1.2.3.4\nX-Real-IP: 1.2.3.4\nCookie: a\n\n"
    );
}

#[test]
fn a_websocket_upgrade_is_asked_for_again() {
    let head = "GET / HTTP/1.1\nHost: a\nConnection: keep-alive, Upgrade\nUpgrade: websocket\nSec-WebSocket-Key: k\n\n";
    let passed = request(head, &RequestHop::default());
    assert_eq!(
        passed,
        "GET / HTTP/1.1\nHost: a\nSec-WebSocket-Key: k\nConnection: Upgrade\nUpgrade: websocket\n\n"
    );
}

#[test]
fn a_handshake_asks_for_an_answer_that_can_be_read() {
    let hop = RequestHop { identity_encoding: true, ..RequestHop::default() };
    let passed = request("GET / HTTP/1.1\nHost: a\naccept-encoding: gzip, br\nX: y\n\n", &hop);
    assert_eq!(passed, "GET / HTTP/1.1\nHost: a\nX: y\nAccept-Encoding: identity\n\n");
}

#[test]
fn a_version_1_0_request_stays_one_unless_it_asks_for_a_websocket() {
    let upgrade = "Host: a\nConnection: upgrade\nUpgrade: websocket\n\n";
    let passed = request(&format!("GET / HTTP/1.0\n{upgrade}"), &RequestHop::default());
    assert_eq!(passed, "GET / HTTP/1.1\nHost: a\nConnection: Upgrade\nUpgrade: websocket\n\n");
    assert_eq!(request("GET / HTTP/1.0\nX: y\n\n", &RequestHop::default()), "GET / HTTP/1.0\nX: y\n\n");
}

#[test]
fn an_answer_says_only_what_holds_on_its_own_hop() {
    let node = "HTTP/1.1 200 OK\nContent-Type: text/plain\nContent-Length: 2\nConnection: keep-alive\nKeep-Alive: timeout=5\n\n";
    let plain = "HTTP/1.1 200 OK\nContent-Type: text/plain\nContent-Length: 2\n\n";
    assert_eq!(response(node, &ResponseHop::default()), plain);
    let closing = ResponseHop { close: true, ..ResponseHop::default() };
    assert_eq!(response(node, &closing), plain.replace("2\n\n", "2\nConnection: close\n\n"));
    let old = ResponseHop { to_http_1_0: true, ..ResponseHop::default() };
    assert_eq!(response(node, &old), plain.replace("2\n\n", "2\nConnection: keep-alive\n\n"));
}

#[test]
fn an_answer_keeps_what_announces_its_trailers_and_nothing_of_its_hop() {
    let head = "HTTP/1.1 200 OK\nTrailer: X-Sum\nTransfer-Encoding: chunked\nProxy-Authenticate: Basic\nTE: x\n\
                Proxy-Authentication-Info: x\nUpgrade: h2c\nConnection: hop, x-end\nHop: 1\nX-End: 2\n\n";
    let passed = response(head, &ResponseHop::default());
    assert_eq!(passed, "HTTP/1.1 200 OK\nTrailer: X-Sum\nTransfer-Encoding: chunked\nX-End: 2\n\n");
    let hop = ResponseHop { content_length: Some(4), ..ResponseHop::default() };
    assert_eq!(response(head, &hop), "HTTP/1.1 200 OK\nX-End: 2\nContent-Length: 4\n\n");
}

#[test]
fn an_answer_that_ends_with_its_connection_says_so() {
    let passed = response("HTTP/1.0 200 OK\nX: y\n\n", &ResponseHop::default());
    assert_eq!(passed, "HTTP/1.1 200 OK\nX: y\nConnection: close\n\n");
}

#[test]
fn a_changed_body_has_its_new_length() {
    let hop = ResponseHop { content_length: Some(42), ..ResponseHop::default() };
    let passed = response("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nX: y\n\n", &hop);
    assert_eq!(passed, "HTTP/1.1 200 OK\nX: y\nContent-Length: 42\n\n");
    assert_eq!(response("HTTP/1.0 200 OK\nX: y\n\n", &hop), "HTTP/1.1 200 OK\nX: y\nContent-Length: 42\n\n");
}

#[test]
fn switching_protocols_passes_and_interim_answers_say_nothing_of_the_connection() {
    let switch = "HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Accept: x\n\n";
    let passed = response(switch, &ResponseHop { close: true, ..ResponseHop::default() });
    assert_eq!(
        passed,
        "HTTP/1.1 101 Switching Protocols\nSec-WebSocket-Accept: x\nConnection: Upgrade\nUpgrade: websocket\n\n"
    );
    let closing = ResponseHop { close: true, ..ResponseHop::default() };
    assert_eq!(response("HTTP/1.1 100 Continue\n\n", &closing), "HTTP/1.1 100 Continue\n\n");
}

#[test]
fn where_there_is_no_body_nothing_frames_one() {
    let passed = response("HTTP/1.1 204 No Content\nContent-Length: 5\nX: y\n\n", &ResponseHop::default());
    assert_eq!(passed, "HTTP/1.1 204 No Content\nX: y\n\n");
}

/// Fields that matter here, and some that do not.
fn fields() -> impl Strategy<Value = String> {
    let line = "(Connection|Content-Length|Transfer-Encoding|X-Forwarded-For|Upgrade|TE|Trailer|X-[ab]|[ab]):( | | |  |\t|)\
                (keep-alive|close|upgrade|websocket|chunked|x-[ab]|[ab]|[ab], x-a|[0-9]{1,3}|[ -~]{0,12})(|||\t| )\r\n";
    prop::collection::vec(line, 0..6).prop_map(|lines| lines.concat())
}

/// Names and values of the fields that pass as they are.
fn of_all_hops<'h, 'b: 'h>(fields: impl Iterator<Item = &'h Header<'b>>) -> Vec<(&'b str, &'b [u8])> {
    let passes = |field: &&Header<'_>| !is_hop_by_hop(field.name) && !is_forwarded_for(field);
    fields.filter(passes).map(|field| (field.name, field.value)).collect()
}

proptest! {
    #[test]
    fn an_accepted_request_is_rebuilt_into_one_that_means_the_same(
        fields in fields(), method in "(GET|POST|HEAD|PUT)", target in "/[a-z?=&.]{0,20}"
    ) {
        let head = format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let mut slots = header_slots();
        let Ok(parsed) = RequestHead::parse(head.as_bytes(), &mut slots) else { return Ok(()) };
        let hop = RequestHop { forwarded: Forwarded::Append("10.0.0.9"), ..RequestHop::default() };
        let mut out = Vec::new();
        write_request(&mut out, &parsed, &hop);
        prop_assert_eq!(find_head_end(&out, 0, MAX_HEAD), Ok(Some(out.len())));
        let mut slots = header_slots();
        let again = RequestHead::parse(&out, &mut slots).unwrap();
        prop_assert_eq!((again.method, again.target), (parsed.method, parsed.target));
        prop_assert_eq!((again.framing, again.websocket), (parsed.framing, parsed.websocket));
        let last = again.headers.iter().rfind(|field| is_forwarded_for(field)).unwrap();
        prop_assert!(last.value.ends_with(b"10.0.0.9"));

        let nominated = Nominated::of(parsed.headers);
        let kept = parsed.headers.iter().filter(|field| !nominated.removes(field.name));
        prop_assert_eq!(of_all_hops(again.headers.iter()), of_all_hops(kept));
    }

    #[test]
    fn an_accepted_answer_is_rebuilt_into_one_that_means_the_same(
        fields in fields(), status in prop::sample::select(vec![100, 101, 200, 204, 304, 400, 503]), to_head: bool
    ) {
        let head = format!("HTTP/1.1 {status} Reason\r\n{fields}\r\n");
        let mut slots = header_slots();
        let Ok(parsed) = ResponseHead::parse(head.as_bytes(), to_head, &mut slots) else { return Ok(()) };
        let mut out = Vec::new();
        write_response(&mut out, &parsed, &ResponseHop::default());
        prop_assert_eq!(find_head_end(&out, 0, MAX_HEAD), Ok(Some(out.len())));
        let mut slots = header_slots();
        let again = ResponseHead::parse(&out, to_head, &mut slots).unwrap();
        prop_assert_eq!((again.status, again.framing), (parsed.status, parsed.framing));

        let frames = |field: &&Header<'_>| {
            ["content-length", "transfer-encoding"].iter().any(|name| field.name.eq_ignore_ascii_case(name))
        };
        let nominated = Nominated::of(parsed.headers);
        let kept = |field: &&Header<'_>| !frames(field) && !nominated.removes(field.name);
        prop_assert_eq!(
            of_all_hops(again.headers.iter().filter(|field| !frames(field))),
            of_all_hops(parsed.headers.iter().filter(kept))
        );
    }
}
