use super::*;
use proptest::prelude::*;

fn tag(body: &str) -> Option<String> {
    tag_answer(body.as_bytes(), |sid| Some(format!("T{}", sid.len())))
}

#[test]
fn the_sid_gets_its_tag_and_nothing_else_changes() {
    let body = r#"0{"sid":"abc","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;
    assert_eq!(tag(body).unwrap(), body.replace("abc", "abc.T3"));
}

#[test]
fn any_order_and_spacing_of_keys_will_do() {
    let body = r#"0{ "maxPayload":1, "x":{"sid":"inner"} , "upgrades":[ ] , "sid" : "abc" }"#;
    assert_eq!(tag(body).unwrap(), body.replace("abc", "abc.T3"));
}

#[test]
fn packets_that_follow_stay_as_they_are() {
    let body = "0{\"sid\":\"abc\",\"upgrades\":[]}\u{1e}40{\"sid\":\"abc\"}\u{1e}4\u{2028}hello";
    assert_eq!(tag(body).unwrap(), body.replacen("abc", "abc.T3", 1));
}

#[test]
fn webtransport_is_taken_out_of_the_upgrades() {
    let body = r#"0{"upgrades":["websocket","webtransport"],"sid":"abc"}"#;
    assert_eq!(tag(body).unwrap(), r#"0{"upgrades":["websocket"],"sid":"abc.T3"}"#);
    assert_eq!(
        tag(r#"0{"sid":"abc","upgrades":["webtransport"]}"#).unwrap(),
        r#"0{"sid":"abc.T3","upgrades":[]}"#
    );
}

#[test]
fn jsonp_answers_are_tagged_inside_their_string() {
    let body = r#"___eio[0]("0{\"sid\":\"abc\",\"upgrades\":[\"websocket\"]}");"#;
    assert_eq!(tag(body).unwrap(), body.replace("abc", "abc.T3"));
    let followed = "___eio[12](\"0{\\\"sid\\\":\\\"abc\\\"}\\u001e4\\u2028\\\\n\");";
    assert_eq!(tag(followed).unwrap(), followed.replace("abc", "abc.T3"));
}

#[test]
fn a_sid_is_sealed_as_the_application_knows_it() {
    let answer = tag_answer(br#"0{"sid":"a\"\u0062"}"#, |sid| Some(sid.len().to_string())).unwrap();
    assert_eq!(answer, r#"0{"sid":"a\"\u0062.3"}"#);
}

#[test]
fn what_is_no_open_packet_of_revision_4_passes_unchanged() {
    for body in [
        "",
        "0",
        "0{",
        "0{}",
        "0{\"sid\":1}",
        "1{\"sid\":\"a\"}",
        "97:0{\"sid\":\"abc\"}2:40",
        "{\"sid\":\"a\"}",
        "\u{0}\u{9}\u{7}0{\"sid\":\"a\"}",
        "0{\"sid\":\"a\",\"sid\":\"b\"}",
        "0{\"sid\":\"a\"}x",
        "0[\"a\",[]]",
        "6",
        "___eio[0](\"97:0{\\\"sid\\\":\\\"abc\\\"}\");",
        "___eio[x](\"0{\\\"sid\\\":\\\"abc\\\"}\");",
        "___eio[0](\"0",
        "___eio[0](0{\"sid\":\"abc\"});",
        "<html>",
    ] {
        assert_eq!(tag(body), None, "{body:?}");
    }
    assert_eq!(tag_answer(b"0{\"sid\":\"\xff\"}", |_| Some("T".into())), None);
    assert_eq!(tag_answer(br#"0{"sid":"abc"}"#, |_| None), None);
}

#[test]
fn the_beginning_of_a_long_answer_is_tagged_once_its_open_packet_has_ended() {
    let beginning = |text: &str| tag_beginning(text.as_bytes(), |_| Some("T".into()));
    let whole = "0{\"sid\":\"abc\"}\u{1e}42[\"sid\"";
    let tagged = beginning(whole).unwrap();
    assert_eq!((tagged.packet.as_str(), tagged.replaces), ("0{\"sid\":\"abc.T\"}", 14));
    for untouched in
        ["0{\"sid\":\"abc\"}", "0{\"sid\":\"abc\"}2\u{1e}", "97:0{\"sid\":\"abc\"}\u{1e}", "\u{1e}", ""]
    {
        assert_eq!(beginning(untouched), None, "{untouched:?}");
    }
    // JSONP escapes the separator, and needs its whole string.
    assert_eq!(beginning(r#"___eio[0]("0{\"sid\":\"abc\"}\u001e4"#), None);
}

#[test]
fn only_the_content_types_of_engine_io_are_tagged() {
    let check = |fields: &str| {
        let head = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\n");
        let mut slots = crate::http1::header_slots();
        check_head(&ResponseHead::parse(head.as_bytes(), false, &mut slots).unwrap())
    };
    for kind in [
        "text/plain; charset=UTF-8",
        "text/plain",
        "TEXT/PLAIN ;charset=utf-8",
        "application/octet-stream",
        "text/javascript; charset=UTF-8",
        "application/javascript",
    ] {
        assert_eq!(check(&format!("Content-Type: {kind}\r\n")), Ok(()), "{kind}");
    }
    for kind in ["text/html", "application/json", "text/plainer", "", "image/png, text/plain"] {
        assert_eq!(check(&format!("Content-Type: {kind}\r\n")), Err(Untagged::ContentType), "{kind}");
    }
    assert_eq!(check(""), Ok(()));
    assert_eq!(check("Content-Encoding: identity\r\n"), Ok(()));
    assert_eq!(check("Content-Encoding: gzip\r\n"), Err(Untagged::Encoded));
}

proptest! {
    #[test]
    fn taking_the_tag_out_again_gives_the_original(sid in "[A-Za-z0-9_-]{1,40}", rest in "\\PC{0,60}", jsonp: bool) {
        let payload = format!("0{{\"sid\":\"{sid}\",\"x\":{}}}\u{1e}4{rest}", serde_json::to_string(&rest).unwrap());
        let body = if jsonp { format!("___eio[3]({});", serde_json::to_string(&payload).unwrap()) } else { payload };
        let tagged = tag_answer(body.as_bytes(), |_| Some("~TAG~".into())).unwrap();
        let expected = if jsonp { body.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029") } else { body };
        prop_assert_eq!(tagged.replacen(".~TAG~", "", 1), expected);
    }

    #[test]
    fn no_body_makes_it_fail(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = tag_answer(&body, |_| Some("T".into()));
    }
}
