//! The reference documentation is what the program says of itself. `UPDATE_REFERENCE=1 cargo test
//! --test integration reference` writes it anew.

use std::fs;
use std::path::Path;
use std::process::Command;

use socketio_sidecar::metrics::Metrics;
use socketio_sidecar_core::config::Settings;

#[test]
fn the_command_line_reference_is_what_help_says() {
    let help = |args: &[&str]| {
        // At a fixed width, and without what this shell has set.
        let output = Command::new(support::harness::sidecar::program())
            .args(args)
            .env_clear()
            .env("COLUMNS", "100")
            .output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    let text =
        format!("{}\n\n$ socketio-sidecar init --help\n{}", help(&["--help"]), help(&["init", "--help"]));
    compare("socketio-sidecar.txt", &format!("$ socketio-sidecar --help\n{text}"));
}

#[test]
fn the_metrics_reference_is_what_the_metrics_say() {
    compare("metrics.md", Metrics::new().unwrap().reference());
}

fn compare(file: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference").join(file);
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        fs::write(&path, expected).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == expected,
        "docs/reference/{file} is out of date; run this test with UPDATE_REFERENCE=1"
    );
}

#[test]
fn the_configuration_reference_shows_the_defaults_of_every_field() {
    let page = include_str!("../../docs/reference/configuration.md");
    let blocks: Vec<_> =
        page.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let [config, tag_keys] = blocks[..] else { panic!("the page has two examples: {blocks:?}") };
    let shown = Settings::parse(config.as_bytes(), tag_keys.as_bytes()).unwrap().config;
    let least = Settings::parse(br#"{"revision":"1","cluster":"chat"}"#, tag_keys.as_bytes()).unwrap().config;
    assert_eq!(shown, least);
    let fields = serde_json::to_value(&least).unwrap();
    for field in fields.as_object().unwrap().keys() {
        assert!(
            page.contains(&format!("| `{field}` |")) && config.contains(&format!("\"{field}\":")),
            "{field}"
        );
    }
}
