//! The two JSON files of a configuration: what is applied can be written and read again, and what is refused is
//! not quoted.

use socketio_sidecar_core::config::Settings;

/// The beginning of a key, which seeds have in all kinds of places; longer than a word that a refusal may quote.
const MARK: &str = "bWFya21hcmttYXJrbWFya21hc";
const KEYS: &str = r#"{"sealWith":1,"keys":[{"id":1,"key":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="}]}"#;

/// Checks one input: `config.json`, a zero byte, `tag-keys.json`. Without the zero byte it is taken for each.
pub fn check(bytes: &[u8]) {
    match bytes.iter().position(|byte| *byte == 0) {
        Some(at) => check_files(&bytes[..at], &bytes[at + 1..]),
        None => {
            check_files(bytes, KEYS.as_bytes());
            check_files(br#"{"revision":"1","cluster":"c"}"#, bytes);
        }
    }
}

fn check_files(config: &[u8], keys: &[u8]) {
    match Settings::parse(config, keys) {
        Ok(settings) => {
            let written = serde_json::to_vec(&settings.config).expect("it can be written");
            let again = Settings::parse(&written, keys).expect("it can be read again");
            assert_eq!(again.config, settings.config);
        }
        Err(refusal) => assert!(!format!("{refusal} {refusal:?}").contains(MARK), "{refusal}"),
    }
}
