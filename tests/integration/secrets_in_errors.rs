//! Refusals of the configuration directory quote none of it: what parses a secret file says where it is wrong.
//!
//! The log, `/config` and `/metrics` are read by more people than the directory is, and a key stands in a wrong
//! place as easily as any typing mistake.

use std::fs;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustix::process::Signal;
use serde_json::json;
use socketio_sidecar_core::config::{CA_FILE, CERTIFICATE_FILE, CONFIG_FILE, KEY_FILE, TAG_KEYS_FILE};
use support::harness::sidecar::command;
use support::harness::{Config, Place, Process, Sidecar, ask, eventually, get};

/// A value that may be shown nowhere: a usable key, in base64.
const KEY: &str = "bWFya21hcmttYXJrbWFya21hcmttYXJrbWFya21hcms=";

/// All spellings in which any of the secrets would show.
struct Secrets(Vec<String>);

impl Secrets {
    /// The key above, as text, and as the numbers that a debug text prints; the same of the real private key.
    fn of(config: &Config) -> Self {
        let private = config.read(KEY_FILE);
        let private = private.lines().nth(1).expect("PEM has a line of base64");
        let spellings = [KEY, private].into_iter().flat_map(|secret| {
            let part = &secret[..12];
            let bytes = |bytes: &[u8]| format!("{bytes:?}").trim_matches(['[', ']']).to_owned();
            let decoded = STANDARD.decode(part).expect("it is base64");
            let hex = decoded.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            [part.to_owned(), bytes(part.as_bytes()), bytes(&decoded), hex]
        });
        Self(spellings.collect())
    }

    fn assert_absent(&self, text: &str, from: &str) {
        for secret in &self.0 {
            assert!(!text.contains(secret.as_str()), "{secret} stands in what {from} made public:\n{text}");
        }
    }
}

/// Wrong contents, each with its file.
fn mistakes(config: &Config) -> Vec<(&'static str, Vec<u8>)> {
    let (certificate, private) = (config.read(CERTIFICATE_FILE), config.read(KEY_FILE));
    let key_line = private.lines().nth(1).expect("PEM has a line of base64").to_owned();
    let mut all = Vec::new();
    let keys = [
        json!({"sealWith": 1, "keys": [KEY]}),
        json!({"sealWith": 1, "keys": KEY}),
        json!({"sealWith": KEY, "keys": [{"id": 1, "key": KEY}]}),
        json!({"sealWith": 1, "keys": [{"id": KEY, "key": 1}]}),
        json!({"sealWith": 1, "keys": [{KEY: 1}]}),
        json!({"sealWith": 1, "keys": [{"id": 1, "key": KEY, KEY: KEY}]}),
        json!({"sealWith": 1, "keys": {"1": KEY}}),
        json!({"sealWith": 1, "keys": [{"id": 1, "key": [KEY]}]}),
        json!({"sealWith": 1, "keys": [{"id": 1, "key": {KEY: KEY}}]}),
        json!({"sealWith": 1, "keys": [{"id": 1, "key": format!("{KEY}{KEY}")}]}),
        json!({"sealWith": 1, "keys": [{"id": 1, "key": format!(" {KEY}")}]}),
        json!({"sealWith": 2, "keys": [{"id": 1, "key": KEY}]}),
        json!({"sealWith": 1, "keys": [{"id": 1, "key": KEY}, {"id": 1, "key": KEY}]}),
        json!({"sealWith": 1, "keys": [{"id": 16, "key": KEY}]}),
        json!({"sealWith": 1, "keys": [{"id": 1, "key": KEY}], KEY: KEY}),
        json!([KEY]),
        json!(KEY),
    ];
    let right = json!({"sealWith": 1, "keys": [{"id": 1, "key": KEY}]}).to_string();
    let raw = [
        KEY.to_owned(),
        right[..right.len() - 5].to_owned(),
        right.replace("=\"", "=\\x\""),
        right.replace("=\"", "=\n\""),
        right.replace("\"id\"", &format!("\"key\":\"{KEY}\",\"id\"")),
        format!("{right}{right}"),
        format!("sealWith: 1\nkeys: [{{id: 1, key: {KEY}}}]\n"),
        private.clone(),
    ];
    let texts = keys.iter().map(ToString::to_string).chain(raw);
    all.extend(texts.map(|text| (TAG_KEYS_FILE, text.into_bytes())));
    all.push((TAG_KEYS_FILE, right.encode_utf16().flat_map(u16::to_le_bytes).collect()));
    all.push((TAG_KEYS_FILE, [right.as_bytes(), &[0xff]].concat()));

    let config_json = |field: &str, value: serde_json::Value| {
        let mut config = json!({"revision": "2", "cluster": "test", "mode": "Enforce"});
        config[field] = value;
        config.to_string()
    };
    for field in ["revision", "mode", "path", "forwardedFor", "trustedProxies", "closeOver", "cluster", KEY] {
        for value in [json!(KEY), json!([KEY]), json!({KEY: KEY}), json!(private), json!(format!("/{KEY}"))] {
            all.push((CONFIG_FILE, config_json(field, value).into_bytes()));
        }
    }
    all.extend([right, private.clone(), KEY.to_owned()].map(|text| (CONFIG_FILE, text.into_bytes())));

    let begin = "-----BEGIN PRIVATE KEY-----";
    let pem = [
        key_line.clone(),
        format!("-----BEGIN {key_line}-----\n{key_line}\n-----END {key_line}-----\n"),
        format!("-----BEGIN {key_line}\n"),
        format!("{begin}\n{key_line}\n"),
        format!("{begin}\n{key_line}!\n-----END PRIVATE KEY-----\n"),
        format!("{begin}\n{key_line}\n-----END {key_line}-----\n"),
        private.replace("PRIVATE KEY", "CERTIFICATE"),
        private.replace("PRIVATE KEY", "RSA PRIVATE KEY"),
        private.replace(begin, &format!("{begin}{key_line}")),
        private[..private.len() - 30].to_owned(),
        format!("{begin}\n{KEY}\n-----END PRIVATE KEY-----\n"),
        format!("{certificate}{private}"),
    ];
    for file in [KEY_FILE, CERTIFICATE_FILE, CA_FILE] {
        all.extend(pem.iter().map(|text| (file, text.clone().into_bytes())));
        all.push((file, private.encode_utf16().flat_map(u16::to_le_bytes).collect()));
    }
    all.push((KEY_FILE, certificate.into_bytes()));
    all
}

/// Starts a sidecar, waits until it serves or has ended, and returns everything that can be read of it.
async fn everything_said(config: &Config, place: &Place) -> String {
    let mut command = command(config, place);
    let mut process = Process::start("a sidecar", command.args(["--log", "trace"]));
    let has_ended = process.line_with_or_end("serving").await.is_none();
    let mut said = String::new();
    if !has_ended {
        for path in ["/config", "/metrics"] {
            eventually("the admin port answers", async || {
                tokio::net::TcpStream::connect(place.admin()).await.is_ok()
            })
            .await;
            said += &ask(place.admin(), &get(path)).await.text();
        }
        process.signal(Signal::INT);
    }
    said + &process.output().await.join("\n")
}

#[tokio::test]
async fn a_sidecar_that_cannot_start_quotes_no_secret() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let secrets = Secrets::of(&config);
    let mut refused = 0;
    for (file, content) in mistakes(&config) {
        let before = config.read(file);
        fs::write(config.path().join(file), &content).unwrap();
        let said = everything_said(&config, &place).await;
        secrets.assert_absent(&said, &format!("{file} of {:?}", String::from_utf8_lossy(&content)));
        refused += usize::from(!said.contains("serving"));
        config.write(file, &before);
    }
    assert!(refused > 90, "only {refused} contents were refused: this test does not try what it should");
}

#[tokio::test]
async fn a_sidecar_that_runs_quotes_no_secret_of_what_it_refuses_or_applies() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let secrets = Secrets::of(&config);
    let mut sidecar = Sidecar::start_with(&config, &place, &["--log", "trace"]).await;
    let private = config.read(KEY_FILE);
    for (file, content) in [
        (TAG_KEYS_FILE, json!({"sealWith": 1, "keys": [KEY]}).to_string()),
        (TAG_KEYS_FILE, json!({"sealWith": 1, "keys": [{KEY: 1}]}).to_string()),
        (CONFIG_FILE, json!({"sealWith": 1, "keys": [{"id": 1, "key": KEY}]}).to_string()),
        (CONFIG_FILE, json!({KEY: 1}).to_string()),
        (CONFIG_FILE, json!({"revision": KEY, "cluster": "test"}).to_string()),
        (KEY_FILE, format!("-----BEGIN {}-----\n", private.lines().nth(1).unwrap())),
        (CERTIFICATE_FILE, private),
    ] {
        let before = config.read(file);
        config.write(file, &content);
        let shown = async || sidecar.shown_config().await["refused"].clone();
        eventually("the refusal is shown", async || !shown().await.is_null()).await;
        let shown = shown().await.to_string();
        assert!(shown.contains(file), "{shown} names {file}");
        secrets.assert_absent(&shown, "/config");
        config.write(file, &before);
        eventually("nothing is refused any more", async || sidecar.shown_config().await["refused"].is_null())
            .await;
    }
    let revision = config.change(|config| config["path"] = json!(format!("/{KEY}")));
    sidecar.applies(&revision).await;
    secrets.assert_absent(&sidecar.shown_config().await.to_string(), "/config");
    secrets.assert_absent(&sidecar.metrics().await, "/metrics");
    sidecar.signal(Signal::INT);
    secrets.assert_absent(&sidecar.process.output().await.join("\n"), "the log");
}
