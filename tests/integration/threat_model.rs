//! Every test that `docs/threat-model.md` names exists, and every claim there names one.

use std::fs;

use support::harness::repository;

fn page() -> String {
    fs::read_to_string(repository().join("docs/threat-model.md")).expect("the page is there")
}

/// The words in backquotes that name a test: `file::function`.
fn named(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split('`').filter_map(|word| word.split_once("::").filter(|(file, _)| file.ends_with(".rs")))
}

/// Reports whether `source` has a test of this name: a function below a `#[test]` or `#[tokio::test]`.
fn has_test(source: &str, function: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim_start).collect();
    let declared = [format!("fn {function}("), format!("async fn {function}(")];
    lines.iter().enumerate().any(|(at, line)| {
        let attributes = lines[..at].iter().rev().take_while(|line| line.starts_with("#["));
        let is_test = |line: &&&str| line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        declared.iter().any(|start| line.starts_with(start.as_str()))
            && attributes.collect::<Vec<_>>().iter().any(is_test)
    })
}

#[test]
fn every_test_that_the_threat_model_names_exists() {
    let page = page();
    let missing: Vec<String> = named(&page)
        .filter(|(file, function)| {
            let source = fs::read_to_string(repository().join(file)).unwrap_or_default();
            !has_test(&source, function)
        })
        .map(|(file, function)| format!("{file}::{function}"))
        .collect();
    assert!(missing.is_empty(), "docs/threat-model.md names tests that do not exist: {missing:#?}");
}

#[test]
fn every_claim_of_the_threat_model_names_a_test() {
    let page = page();
    let (_, claims) = page.split_once("## Claims").expect("the page makes claims");
    let (claims, _) = claims.split_once("## Not claimed").expect("the page has an end of claims");
    let rows = claims.lines().filter(|line| {
        line.starts_with("| ") && !line.starts_with("| claim |") && !line.starts_with("| --- |")
    });
    let rows: Vec<&str> = rows.collect();
    assert!(rows.len() > 20, "{rows:#?}");
    for row in rows {
        assert!(named(row).next().is_some(), "this claim names no test: {row}");
    }
}

#[test]
fn a_function_that_is_no_test_does_not_count() {
    let source =
        "#[test]\nfn one() {}\n\nfn two() {}\n    #[tokio::test(flavor = \"x\")]\n    async fn three() {}\n";
    assert_eq!(["one", "two", "three", "on"].map(|name| has_test(source, name)), [true, false, true, false]);
}
