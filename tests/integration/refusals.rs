//! A page of another origin can read a refusal, and so tell it from a CORS error.

use support::harness::polling::HANDSHAKE;
use support::harness::{Answer, Config, Place, Scripted, Sidecar, Wire, ask};

const ORIGIN: &str = "https://page.example:8443";

fn from_origin(method_and_target: &str, rest: &str) -> String {
    format!("{method_and_target} HTTP/1.1\r\nHost: test\r\nOrigin: {ORIGIN}\r\n{rest}\r\n")
}

fn assert_readable(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN), "{answer:?}");
    assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
    assert_eq!(answer.header("vary"), Some("Origin"));
}

#[tokio::test]
async fn refusals_carry_cors_fields_for_a_request_with_an_origin() {
    let (config, place, owner) = (Config::new("enforce").await, Place::new(), Place::new());
    let _sidecar = Sidecar::start_with(&config, &place, &["--stall-timeout", "1"]).await;
    let _owner = Sidecar::start(&config, &owner).await;
    let handshake = from_origin(&format!("GET {HANDSHAKE}"), "");
    assert_readable(&ask(place.clients(), &handshake).await, 503);

    // The owner's application is down, its sidecar is up.
    let sid = config.tagged("AAAAAAAAAAAAAAAAAAAA", &owner.owner());
    let poll = from_origin(&format!("GET {HANDSHAKE}&sid={sid}"), "");
    assert_readable(&ask(place.clients(), &poll).await, 503);

    let two_sids = from_origin(&format!("GET {HANDSHAKE}&sid=a&sid=b"), "");
    assert_readable(&ask(place.clients(), &two_sids).await, 400);

    let app = Scripted::bind(place.app()).await;
    let no_chunk = from_origin("POST /x", "Transfer-Encoding: chunked\r\n") + "no chunk\r\n";
    assert_readable(&ask(place.clients(), &no_chunk).await, 400);
    let half_a_body = from_origin("POST /x", "Content-Length: 10\r\n") + "half";
    let mut client = Wire::connect(place.clients()).await;
    client.send(half_a_body).await;
    assert_readable(&client.answer().await, 408);
    let mut client = Wire::connect(place.clients()).await;
    client.send(from_origin("GET /x", "")).await;
    for _ in 0..3 {
        drop(app.accept().await);
    }
    assert_readable(&client.answer().await, 502);
}

#[tokio::test]
async fn a_refusal_repeats_no_origin_that_is_none() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let _sidecar = Sidecar::start(&config, &place).await;
    for field in ["", "Origin: a b\r\n", "Origin: http://a\r\nOrigin: http://b\r\n", "Origin: <script>\r\n"] {
        let answer = ask(place.clients(), &format!("GET /x HTTP/1.1\r\nHost: test\r\n{field}\r\n")).await;
        assert_eq!(answer.status, 503);
        assert_eq!(answer.header("access-control-allow-origin"), None, "{answer:?}");
    }
}
