//! The fields that name the client, as the application finds them.

use serde_json::json;
use socketio_sidecar_core::forwarded::names_client;
use support::harness::wire::header;
use support::harness::{Config, Place, Recorder, Sidecar, ask};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Fields that reach the application of a request with these fields, after this change of `config.json`.
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
    let fields = head.lines().filter(|line| names_client(line.split(':').next().unwrap()));
    fields.map(str::to_owned).collect()
}

/// Everything by which a client without a proxy could make an application believe something.
const FORGED: &str = "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example\r\nX-Real-IP: 192.0.2.1\r\n\
    Forwarded: for=192.0.2.1;proto=https;host=evil.example\r\nX_Forwarded_Proto: https\r\nSCRIPT_NAME: /evil\r\n";

#[tokio::test]
async fn where_nothing_is_set_every_field_passes_and_none_is_added() {
    assert_eq!(seen(json!({}), "").await, [""; 0]);
    assert_eq!(seen(json!({}), FORGED).await.join("\r\n") + "\r\n", FORGED);
}

#[tokio::test]
async fn where_no_proxy_stands_in_front_a_client_is_known_by_its_address_alone() {
    let replaced = ["X-Forwarded-For: 127.0.0.1", "X-Real-IP: 127.0.0.1"];
    for setting in [json!({"forwardedFor": "Replace"}), json!({"trustedProxies": ["192.0.2.0/24"]})] {
        for fields in [FORGED, ""] {
            assert_eq!(seen(setting.clone(), fields).await, replaced, "{setting}");
        }
    }
}

#[tokio::test]
async fn append_adds_the_address_of_the_tcp_peer_where_no_client_can_write() {
    let append = || json!({"forwardedFor": "Append"});
    assert_eq!(seen(append(), "").await, ["X-Forwarded-For: 127.0.0.1"]);
    let forged = "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 192.0.2.2\r\nX_Forwarded_For: 192.0.2.3\r\n";
    let seen = seen(append(), forged).await;
    assert_eq!(seen, ["X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: 192.0.2.2, 127.0.0.1"]);
}

#[tokio::test]
async fn a_trusted_proxy_is_believed_whatever_the_setting() {
    for setting in [json!(null), json!("Append"), json!("Preserve"), json!("Replace")] {
        let trusted = json!({"trustedProxies": ["127.0.0.0/8"], "forwardedFor": setting});
        assert_eq!(seen(trusted, FORGED).await.join("\r\n") + "\r\n", FORGED, "{setting}");
    }
}

#[tokio::test]
async fn preserve_leaves_the_fields_as_they_are_or_absent() {
    let preserve = json!({"forwardedFor": "Preserve", "trustedProxies": ["192.0.2.0/24"]});
    assert_eq!(seen(preserve.clone(), "").await, [""; 0]);
    assert_eq!(seen(preserve, FORGED).await.join("\r\n") + "\r\n", FORGED);
}

#[tokio::test]
async fn a_connection_option_removes_neither_the_address_nor_the_framing() {
    let attack = "X-Forwarded-For: 192.0.2.1\r\nConnection: close, x-forwarded-for, host, content-length\r\nContent-Length: 0\r\n";
    let append = json!({"forwardedFor": "Append"});
    assert_eq!(seen(append, attack).await, ["X-Forwarded-For: 192.0.2.1, 127.0.0.1"]);
}

/// Fields that reach the owner of a session through two sidecars.
async fn seen_by_owner(setting: &str, fields: &str) -> String {
    let (config, here, owner) = (Config::new("enforce").await, Place::new(), Place::new());
    let _ = config.change(|config| config["forwardedFor"] = json!(setting));
    let app = Recorder::start(owner.app(), OK).await;
    let _sidecars = (Sidecar::start(&config, &here).await, Sidecar::start(&config, &owner).await);
    let target = format!("/socket.io/?EIO=4&transport=polling&sid={}", config.tagged("abc", &owner.owner()));
    let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    assert_eq!(ask(here.clients(), &request).await.text(), "ok");
    app.heads().remove(0)
}

#[tokio::test]
async fn a_forwarded_request_reaches_the_owner_as_the_first_sidecar_made_it() {
    let start = "GET /socket.io/?EIO=4&transport=polling&sid=abc HTTP/1.1\r\nHost: a\r\n";
    for (setting, expected) in [
        ("Append", "X-Forwarded-For: 192.0.2.1, 127.0.0.1\r\nX-Forwarded-Proto: https\r\n"),
        ("Preserve", "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n"),
        ("Replace", "X-Forwarded-For: 127.0.0.1\r\nX-Real-IP: 127.0.0.1\r\n"),
    ] {
        let fields = "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n";
        assert_eq!(seen_by_owner(setting, fields).await, format!("{start}{expected}\r\n"), "{setting}");
    }
}

#[tokio::test]
async fn a_sidecar_says_once_that_nothing_is_set() {
    for (setting, is_said) in [
        (json!({}), true),
        (json!({"forwardedFor": "Preserve"}), false),
        (json!({"trustedProxies": ["192.0.2.0/24"]}), false),
    ] {
        let (config, place) = (Config::new("enforce").await, Place::new());
        let _ = config.change(|config| {
            for (key, value) in setting.as_object().unwrap() {
                config[key] = value.clone();
            }
        });
        let sidecar = Sidecar::start(&config, &place).await;
        let lines = sidecar.process.lines();
        let count =
            lines.iter().filter(|line| line.contains("X-Forwarded-* of clients pass unchanged")).count();
        assert_eq!(count, usize::from(is_said), "{setting}: {lines:#?}");
    }
}
