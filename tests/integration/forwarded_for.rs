//! What the application learns of the client's address.

use serde_json::json;
use support::harness::wire::header;
use support::harness::{Config, Place, Recorder, Sidecar, ask};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// What reaches the application of a request with these fields, with `config.json` changed like this.
async fn seen(change: serde_json::Value, fields: &str) -> Vec<String> {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let _ = config.change(|config| {
        for (key, value) in change.as_object().unwrap() {
            config[key] = value.clone();
        }
    });
    let app = Recorder::start(place.app(), OK).await;
    let _sidecar = Sidecar::start(&config, &place).await;
    let request = format!("GET /page HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    assert_eq!(ask(place.clients(), &request).await.status, 200);
    let head = app.heads().remove(0);
    assert_eq!(header(&head, "host"), Some("a"));
    let fields = head.lines().filter(|line| line.to_ascii_lowercase().contains("forwarded"));
    fields.map(str::to_owned).collect()
}

#[tokio::test]
async fn the_address_of_the_tcp_peer_is_appended_where_no_client_can_write() {
    assert_eq!(seen(json!({}), "").await, ["X-Forwarded-For: 127.0.0.1"]);
    let forged = "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 192.0.2.2\r\nX_Forwarded_For: 192.0.2.3\r\n";
    let seen = seen(json!({}), forged).await;
    assert_eq!(seen, ["X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: 192.0.2.2, 127.0.0.1"]);
}

#[tokio::test]
async fn a_trusted_proxy_is_believed() {
    let trusted = json!({"trustedProxies": ["127.0.0.0/8"]});
    assert_eq!(seen(trusted, "X-Forwarded-For: 192.0.2.1\r\n").await, ["X-Forwarded-For: 192.0.2.1"]);
}

#[tokio::test]
async fn preserve_leaves_the_field_as_it_is_or_absent() {
    let preserve = json!({"forwardedFor": "Preserve"});
    assert_eq!(seen(preserve.clone(), "").await, [""; 0]);
    assert_eq!(seen(preserve, "X-Forwarded-For: 192.0.2.1\r\n").await, ["X-Forwarded-For: 192.0.2.1"]);
}

#[tokio::test]
async fn a_connection_option_removes_neither_the_address_nor_the_framing() {
    let attack = "X-Forwarded-For: 192.0.2.1\r\nConnection: close, x-forwarded-for, host, content-length\r\nContent-Length: 0\r\n";
    assert_eq!(seen(json!({}), attack).await, ["X-Forwarded-For: 192.0.2.1, 127.0.0.1"]);
}

#[tokio::test]
async fn a_forwarded_request_names_its_client_once() {
    let (config, here, owner) = (Config::new("enforce").await, Place::new(), Place::new());
    let app = Recorder::start(owner.app(), OK).await;
    let _sidecars = (Sidecar::start(&config, &here).await, Sidecar::start(&config, &owner).await);
    let target = format!("/socket.io/?EIO=4&transport=polling&sid={}", config.tagged("abc", &owner.owner()));
    let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n");
    assert_eq!(ask(here.clients(), &request).await.text(), "ok");
    let head = app.heads().remove(0);
    assert!(head.starts_with("GET /socket.io/?EIO=4&transport=polling&sid=abc HTTP/1.1\r\n"), "{head}");
    assert_eq!(header(&head, "x-forwarded-for"), Some("192.0.2.1, 127.0.0.1"));
}
