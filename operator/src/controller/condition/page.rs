//! Generates the tables of `docs/conditions.md`; the prose around them is written by hand.
//! `UPDATE_REFERENCE=1 cargo test -p socketio-operator conditions` writes the page.

use std::fs;
use std::path::Path;

use super::ConditionType;
use super::reason::{Kind, Reason};

const CONDITIONS: [ConditionType; 8] = [
    ConditionType::Accepted,
    ConditionType::ResolvedRefs,
    ConditionType::SidecarInjected,
    ConditionType::TrafficRouted,
    ConditionType::EdgeProgrammed,
    ConditionType::ClientAddressKnown,
    ConditionType::AdapterDeclared,
    ConditionType::Ready,
];

fn holds_when(condition: ConditionType) -> &'static str {
    match condition {
        ConditionType::Accepted => {
            "the spec is valid for this workload, and no older SocketIoCluster has the workload"
        }
        ConditionType::ResolvedRefs => "the workload and the Service to take over, if any, are found",
        ConditionType::SidecarInjected => "every ready pod has a ready sidecar",
        ConditionType::TrafficRouted => "the client Service leads to the sidecars",
        ConditionType::EdgeProgrammed => "the Ingress is as asked for, or none is; all else works without it",
        ConditionType::ClientAddressKnown => {
            "`edge` or the Service's type says whose `X-Forwarded-*` pass; no part of `Ready`"
        }
        ConditionType::AdapterDeclared => "it is known how events pass between pods; no part of `Ready`",
        ConditionType::Ready => {
            "all of these but `ClientAddressKnown` and `AdapterDeclared` hold, and every pod has applied the configuration"
        }
    }
}

/// The sections with a table, in the order of the page. `None` is the section of the conditions themselves.
const SECTIONS: [(&str, Option<Kind>); 6] = [
    ("Conditions", None),
    ("When all is well", Some(Kind::Holds)),
    ("On the way", Some(Kind::Progress)),
    ("When something is to be done", Some(Kind::Fails)),
    ("When the API server or something else refuses", Some(Kind::Refused)),
    ("Events that are no conditions", Some(Kind::Event)),
];

fn table(columns: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let head = line(columns.iter().map(|column| (*column).to_owned()).collect());
    let rule = line(columns.iter().map(|_| "---".to_owned()).collect());
    [head, rule].into_iter().chain(rows.map(line)).collect()
}

fn table_of(kind: Option<Kind>) -> String {
    let Some(kind) = kind else {
        let rows = CONDITIONS.iter().map(|it| vec![format!("`{}`", it.as_str()), holds_when(*it).to_owned()]);
        return table(&["condition", "holds when"], rows);
    };
    let columns: &[&str] = match kind {
        Kind::Event => &["reason", "what it means"],
        Kind::Fails | Kind::Refused => &["reason", "condition", "what it means", "what to do"],
        Kind::Holds | Kind::Progress | Kind::Unsaid => &["reason", "condition", "what it means"],
    };
    let rows = Reason::ALL.iter().map(|reason| reason.row()).filter(|row| row.kind == kind).map(|row| {
        let types: Vec<_> = row.types.iter().map(|type_| format!("`{}`", type_.as_str())).collect();
        let meaning: Vec<_> = row.meaning.iter().map(|line| line.trim()).collect();
        let mut cells = vec![format!("`{}`", row.name), types.join(", "), meaning.join(" ")];
        cells.retain(|cell| !cell.is_empty());
        cells.extend(row.action.map(str::to_owned));
        assert_eq!(cells.len(), columns.len(), "{}", row.name);
        cells
    });
    table(columns, rows)
}

/// The page with each section's table replaced by the generated one.
fn generated(page: &str) -> String {
    let mut page = page.to_owned();
    for (heading, kind) in SECTIONS {
        let heading = format!("## {heading}\n");
        let start = page.find(&heading).unwrap_or_else(|| panic!("the page has {heading:?}")) + heading.len();
        let start = start + page[start..].find("| ").unwrap();
        let end = page[start..].find("\n\n").map_or(page.len(), |end| start + end + 1);
        page.replace_range(start..end, &table_of(kind));
    }
    page
}

#[test]
fn the_page_of_conditions_is_generated_from_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/conditions.md");
    let page = fs::read_to_string(&path).unwrap();
    let generated = generated(&page);
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        fs::write(path, generated).unwrap();
    } else {
        assert!(
            page == generated,
            "docs/conditions.md is out of date; run this test with UPDATE_REFERENCE=1"
        );
    }
}

#[test]
fn each_reason_is_written_once_and_has_a_condition() {
    for reason in Reason::ALL {
        assert_eq!(Reason::parse(reason.as_str()), Some(*reason));
        let silent = matches!(reason.row().kind, Kind::Event | Kind::Unsaid);
        assert_eq!(reason.row().types.is_empty(), silent, "{reason:?}");
    }
    assert_eq!(Reason::parse("ready"), None);
}
