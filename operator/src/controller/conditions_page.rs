//! Holds `docs/conditions.md` against the sources of the passes: every reason is on it, and no other.

use std::collections::BTreeSet;

use super::status::{ConditionType, READY};

const PAGE: &str = include_str!("../../../docs/conditions.md");
/// Whatever becomes a reason is written down in one of these, as a word in PascalCase.
const SOURCES: [&str; 6] = [
    include_str!("pass.rs"),
    include_str!("validate.rs"),
    include_str!("error.rs"),
    include_str!("status.rs"),
    include_str!("status/findings.rs"),
    include_str!("front.rs"),
];
/// Such words that are none: statuses, what the API server says, a kind, and the one error that is not told.
const NO_REASONS: [&str; 8] = [
    "True",
    "False",
    "Unknown",
    "FieldManagerConflict",
    "PodSecurity",
    "Outdated",
    "Service",
    "LoadBalancer",
];

const CONDITIONS: [ConditionType; 7] = [
    ConditionType::Accepted,
    ConditionType::ResolvedRefs,
    ConditionType::SidecarInjected,
    ConditionType::TrafficRouted,
    ConditionType::EdgeProgrammed,
    ConditionType::ClientAddressKnown,
    ConditionType::AdapterDeclared,
];

fn is_pascal_case(word: &str) -> bool {
    word.len() > 2
        && word.starts_with(|first: char| first.is_ascii_uppercase())
        && word.chars().all(|letter| letter.is_ascii_alphabetic())
}

fn conditions() -> BTreeSet<String> {
    CONDITIONS.map(ConditionType::name).into_iter().chain([READY]).map(str::to_owned).collect()
}

/// The words between quotation marks, up to the tests.
fn in_sources() -> BTreeSet<String> {
    let code = SOURCES.map(|source| source.split("#[cfg(test)]").next().unwrap());
    let words = code.iter().flat_map(|code| code.split('"')).filter(|word| is_pascal_case(word));
    words.filter(|word| !NO_REASONS.contains(word)).map(str::to_owned).collect()
}

/// The cells of the page's tables below `heading`, or of all.
fn rows(heading: Option<&str>) -> Vec<Vec<String>> {
    let page = heading.map_or(PAGE, |heading| {
        let (_, section) = PAGE.split_once(&format!("## {heading}\n")).unwrap();
        section.split("\n## ").next().unwrap()
    });
    let lines = page.lines().filter(|line| line.starts_with("| `"));
    lines
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect())
        .collect()
}

#[test]
fn the_page_has_every_reason_of_the_code_and_no_other() {
    let on_page: BTreeSet<String> = rows(None).into_iter().map(|row| row[0].clone()).collect();
    // Conditions have a table of their own, and two reasons are named as their conditions.
    let reasons: BTreeSet<String> = in_sources().into_iter().chain(conditions()).collect();
    assert!(reasons.len() > 40, "{reasons:?}");
    assert_eq!(on_page, reasons);
}

#[test]
fn the_page_names_the_conditions_as_the_code_does() {
    let table: BTreeSet<String> = rows(Some("Conditions")).into_iter().map(|row| row[0].clone()).collect();
    assert_eq!(table, conditions());
    for heading in ["When all is well", "On the way", "When something is to be done"] {
        for row in rows(Some(heading)) {
            for condition in row[1].split(", ") {
                assert!(conditions().contains(condition), "{condition:?} of {}", row[0]);
            }
        }
    }
}

#[test]
fn whatever_a_refusal_is_of_stands_beside_it() {
    let source = include_str!("validate.rs").split("#[cfg(test)]").next().unwrap();
    let listed = rows(Some("When something is to be done"));
    // How validate.rs writes a refusal down: the first word says of which condition.
    for (function, condition) in [("accepted(", "Accepted"), ("unresolved(", "ResolvedRefs")] {
        let calls = source.split(function).skip(1).filter_map(|call| call.split('"').nth(1));
        let calls: Vec<&str> = calls.filter(|reason| is_pascal_case(reason)).collect();
        assert!(calls.len() > 2, "{function} {calls:?}");
        for reason in calls {
            let row = listed.iter().find(|row| row[0] == reason).unwrap();
            assert_eq!(row[1], condition, "{reason}");
        }
    }
}
