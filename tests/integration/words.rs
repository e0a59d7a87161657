//! The subject is named: in doc comments, and in the descriptions that `kubectl explain` prints.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::harness::repository;

/// Words that stand for a noun which a reader of the first sentence has not seen yet.
const PRO_FORMS: [&str; 23] = [
    "how", "it", "its", "one", "ones", "since", "that", "their", "theirs", "them", "these", "they", "this",
    "those", "what", "when", "where", "whether", "which", "who", "whom", "whose", "why",
];

/// Directories of sources, each with the highest percentage of doc comments that may open with a pro-form.
/// A percentage may only go down; the goal is 5.
const CEILINGS: [(&str, f64); 4] =
    [("operator/src", 5.0), ("sidecar/src", 5.0), ("sidecar/core/src", 5.0), ("tests", 13.0)];

/// Most words of a sentence in a description.
const MAX_SENTENCE_WORDS: usize = 25;

/// Reports whether the first word of `text` is a pro-form.
fn opens_with_pro_form(text: &str) -> bool {
    let text = text.trim_start_matches(|letter: char| !letter.is_ascii_alphabetic());
    let word = text.split(|letter: char| !letter.is_ascii_alphabetic()).next().unwrap_or_default();
    PRO_FORMS.iter().any(|pro_form| word.eq_ignore_ascii_case(pro_form))
}

/// Lines of `source` on which a doc comment begins: number and text.
fn doc_comments(source: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut before = None;
    source.lines().zip(1..).filter_map(move |(line, number)| {
        let marker = ["///", "//!"].into_iter().find(|marker| line.trim_start().starts_with(marker));
        let begins = marker.is_some() && marker != before;
        before = marker;
        begins.then(|| (number, line.trim_start().get(3..).unwrap_or_default().trim()))
    })
}

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("node_modules") && !path.ends_with("target") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn doc_comments_name_their_subject() {
    let mut failures = Vec::new();
    for (directory, ceiling) in CEILINGS {
        let mut files = Vec::new();
        sources(&repository().join(directory), &mut files);
        files.sort();
        let (mut all, mut offenders) = (0_u32, Vec::new());
        for file in &files {
            let source = fs::read_to_string(file).unwrap();
            for (number, text) in doc_comments(&source) {
                all += 1;
                if opens_with_pro_form(text) {
                    let file = file.strip_prefix(repository()).unwrap_or(file);
                    offenders.push(format!("{}:{number}: {text}", file.display()));
                }
            }
        }
        let share = 100.0 * offenders.len() as f64 / f64::from(all);
        println!("{directory}: {share:.1} % of {all} doc comments open with a pro-form; {ceiling} % may");
        if share > ceiling {
            failures.push(format!("{directory}: {share:.1} %, above {ceiling} %:\n{}", offenders.join("\n")));
        }
    }
    assert!(failures.is_empty(), "doc comments open with a pro-form:\n{}", failures.join("\n"));
}

/// Descriptions of a schema, each with the path of its field.
fn descriptions(schema: &Value, path: &str, found: &mut Vec<(String, String)>) {
    match schema {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if name == "description" => {
                        found.push((path.to_owned(), text.clone()));
                    }
                    _ => descriptions(value, &format!("{path}.{name}").replace(".properties", ""), found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| descriptions(value, path, found)),
        _ => {}
    }
}

fn sentences(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(". ").map(str::trim)
}

/// Line of the file at which `description` begins.
fn line_of(file: &str, description: &str) -> usize {
    let start: String = description.chars().take(40).collect();
    file.lines().position(|line| line.contains(&start)).map_or(0, |at| at + 1)
}

#[test]
fn descriptions_of_the_api_are_sentences_that_name_their_subject() {
    const FILE: &str = "crds/socketio-affinity.dev_socketioclusters.yaml";
    let text = fs::read_to_string(repository().join(FILE)).unwrap();
    let definition: Value = serde_saphyr::from_str(&text).unwrap();
    let mut found = Vec::new();
    descriptions(
        &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"],
        "SocketIoCluster",
        &mut found,
    );
    assert!(found.len() > 60, "{found:#?}");
    let mut failures = Vec::new();
    for (path, description) in &found {
        let at = format!("{FILE}:{}: {path}: {description}", line_of(&text, description));
        if opens_with_pro_form(description)
            || !description.ends_with('.')
            || description.split_whitespace().count() < 3
        {
            failures.push(at.clone());
        }
        if let Some(long) =
            sentences(description).find(|sentence| sentence.split_whitespace().count() > MAX_SENTENCE_WORDS)
        {
            println!("warning: more than {MAX_SENTENCE_WORDS} words: {at}: {long}");
        }
    }
    assert!(
        failures.is_empty(),
        "descriptions that name no subject or are no sentence:\n{}",
        failures.join("\n")
    );
}

#[test]
fn only_the_first_word_of_a_doc_comment_counts() {
    let source = "/// Its name.\n/// That is it.\nfn a() {}\n\n//! Names what is.\n    /// `What` it is.\n";
    let found: Vec<_> =
        doc_comments(source).map(|(number, text)| (number, opens_with_pro_form(text))).collect();
    assert_eq!(found, [(1, true), (5, false), (6, true)]);
    assert!(!opens_with_pro_form("Whatever") && !opens_with_pro_form("Itself."));
}
