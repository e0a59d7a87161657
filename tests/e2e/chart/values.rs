//! The chart's values: what the schema refuses, and what the documentation says of each.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use crate::chart::{RELEASE, chart, helm, repository};

#[test]
fn wrong_values_are_refused_with_a_sentence_that_names_them() {
    for (value, message) in [
        ("watchNamespace=chat", "additional properties 'watchNamespace' not allowed"),
        ("resources.limit.memory=1Gi", "at '/resources': additional properties 'limit' not allowed"),
        ("watchNamespaces=chat", "at '/watchNamespaces': got string, want array"),
        ("watchNamespaces={Chat}", "at '/watchNamespaces/0': 'Chat' does not match pattern"),
        ("watchNamespaces={chat,chat}", "at '/watchNamespaces': items at 0 and 1 are equal"),
        ("replicas=two", "at '/replicas': got string, want integer"),
        ("replicas=-1", "at '/replicas': minimum: got -1, want 0"),
        (
            "image.repository=example.com/operator:1",
            "at '/image/repository': 'example.com/operator:1' does not",
        ),
        ("image.tag=a/b", "at '/image/tag': 'a/b' does not match pattern"),
        (
            "image.pullPolicy=always",
            "at '/image/pullPolicy': value must be one of 'Always', 'IfNotPresent', 'Never'",
        ),
        ("log.format=yaml", "at '/log/format': value must be one of 'text', 'json'"),
        ("serviceAccount.create=false", "at '/serviceAccount/name': minLength: got 0, want 1"),
        (
            "metrics.serviceMonitor.interval=often",
            "at '/metrics/serviceMonitor/interval': 'often' does not match",
        ),
        ("fullnameOverride=Name", "at '/fullnameOverride': 'Name' does not match pattern"),
    ] {
        let refused = helm(&["template", RELEASE, &chart(), "--set", value]);
        let said = refused.expect_err(value);
        assert!(said.contains(message), "{value}: {said}");
    }
}

/// The rows of the table whose first two cells are a value's path and its default.
fn documented() -> BTreeMap<String, String> {
    let text = fs::read_to_string(repository().join("docs/install.md")).unwrap();
    text.lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` | `"))
        .filter_map(|(path, rest)| Some((path.to_owned(), rest.split_once("` |")?.0.to_owned())))
        .collect()
}

/// Each value that is no map, or an empty one, with its default as JSON.
fn leaves(path: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    match value.as_object().filter(|map| !map.is_empty()) {
        Some(map) => {
            for (key, value) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                leaves(&path, value, into);
            }
        }
        None => {
            let default = value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
            into.insert(path.to_owned(), default.unwrap_or_else(|| value.to_string()));
        }
    }
}

#[test]
fn the_documentation_lists_each_value_with_its_default() {
    let release = helm(&["install", RELEASE, &chart(), "--dry-run=client", "--output=json"]).unwrap();
    let release: Value = serde_json::from_str(&release[release.find('{').unwrap()..]).unwrap();
    let mut values = BTreeMap::new();
    leaves("", &release["chart"]["values"], &mut values);
    assert!(values.len() > 20, "{values:?}");
    assert_eq!(documented(), values, "docs/install.md, left, and values.yaml, right, differ");
}
