//! The reference documentation is what the program says of itself. `UPDATE_REFERENCE=1 cargo test
//! --test integration reference` writes it anew.

mod api;

use std::fs;
use std::path::Path;
use std::process::Command;

use socketio_sidecar::metrics::Metrics;
use socketio_sidecar_core::config::Settings;

#[test]
fn the_command_line_reference_is_what_help_says() {
    let sidecar = support::harness::sidecar::program();
    compare("socketio-sidecar.txt", &helps(sidecar, &["--help", "init --help"]));
    let commands = ["--help", "run --help", "crd --help", "check --help", "uninstall-check --help"];
    compare("socketio-operator.txt", &helps(support::operator::program(), &commands));
}

/// Help texts that the program prints for each of these arguments.
fn helps(program: &Path, calls: &[&str]) -> String {
    let name = program.file_name().unwrap().to_str().unwrap();
    let answer = |arguments: &&str| {
        // At a fixed width, and without what this shell has set.
        let output = Command::new(program)
            .args(arguments.split(' '))
            .env_clear()
            .env("COLUMNS", "100")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        format!("$ {name} {arguments}\n{}", String::from_utf8(output.stdout).unwrap())
    };
    calls.iter().map(answer).collect::<Vec<_>>().join("\n\n")
}

#[test]
fn the_metrics_reference_is_what_the_metrics_say() {
    compare("metrics.md", Metrics::new().unwrap().reference());
    let operator = socketio_operator::metrics::Metrics::new().unwrap();
    compare("operator-metrics.md", operator.reference());
}

#[test]
fn the_api_reference_and_both_copies_of_the_definition_are_what_the_types_say() {
    let definition = socketio_operator::crd::manifest().unwrap();
    compare("../../crds/socketio-affinity.dev_socketioclusters.yaml", &definition);
    compare("../../charts/socketio-affinity/files/crd.yaml", &definition);
    compare("api.md", &api::page(&serde_saphyr::from_str(&definition).unwrap()));
}

#[test]
fn the_index_of_decisions_has_every_record_with_its_status() {
    let directory = support::harness::repository().join("docs/decisions");
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut records: Vec<_> = entries.filter(|path| !has_name(path, &["README.md", "template.md"])).collect();
    records.sort();
    let rows: String = records.iter().map(|path| decision_row(path)).collect();
    let page = format!(
        "# Decisions\n\nA change of design comes with a record: copy [template.md](template.md), take the next number, and \
         run `UPDATE_REFERENCE=1 make unit`, which writes this page.\n\n\
         | record | decision | status |\n| --- | --- | --- |\n{rows}"
    );
    compare("../decisions/README.md", &page);
}

fn has_name(path: &Path, names: &[&str]) -> bool {
    path.file_name().is_some_and(|name| names.iter().any(|other| name == *other))
}

/// Row of the index for the record in a file: its number, its title and its status.
fn decision_row(path: &Path) -> String {
    let (text, name) = (fs::read_to_string(path).unwrap(), path.file_name().unwrap().to_str().unwrap());
    let mut lines = text.lines();
    let title = lines.next().and_then(|line| line.strip_prefix("# "));
    let (number, title) =
        title.and_then(|title| title.split_once(": ")).expect("a title: `# NNNN: Decision`");
    assert!(name.starts_with(&format!("{number}-")), "{name} has the title of record {number}");
    let status = lines.nth(1).and_then(|line| line.strip_prefix("Status: "));
    let status = status.unwrap_or_else(|| panic!("the third line of {name} is no `Status: …`"));
    format!("| [{number}]({name}) | {title} | {} |\n", status.trim_end_matches('.'))
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
    // The refusal of an unknown field names all that there are.
    let unknown =
        Settings::parse(br#"{"revision":"1","cluster":"c","?":1}"#, tag_keys.as_bytes()).unwrap_err();
    let unknown = unknown.to_string();
    let (_, fields) = unknown.split_once("expected one of").unwrap();
    let fields: Vec<_> = fields.split('`').skip(1).step_by(2).collect();
    assert!(fields.len() > 6, "{unknown}");
    for field in fields {
        assert!(page.contains(&format!("| `{field}` |")), "{field}");
        // Two fields have no default value.
        let is_absent = ["closeOver", "forwardedFor"].contains(&field);
        assert!(config.contains(&format!("\"{field}\":")) != is_absent, "{field}");
    }
}
