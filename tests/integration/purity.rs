//! The crate that decides links nothing that waits: no runtime, no HTTP stack, no Kubernetes client. The modules of
//! the operator's controller import in one direction.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use serde_json::Value;
use support::harness::repository;

#[test]
fn the_core_depends_on_no_runtime_http_stack_or_kubernetes_client() {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(repository())
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let core = packages.iter().find(|package| package["name"] == "socketio-sidecar-core").unwrap();
    let mut linked: Vec<_> = core["dependencies"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|dependency| dependency["kind"] != "dev")
        .map(|dependency| dependency["name"].as_str().unwrap())
        .collect();
    linked.sort_unstable();
    // The whole list, so that an addition is a decision.
    let allowed = [
        "aws-lc-rs",
        "base64",
        "httparse",
        "ipnet",
        "memchr",
        "percent-encoding",
        "rcgen",
        "serde",
        "serde_json",
        "thiserror",
    ];
    assert_eq!(linked, allowed);
}

/// The modules of the operator's controller, each with the modules beside it that its code names. Tests are left out.
fn imports_in_controller() -> BTreeMap<String, BTreeSet<String>> {
    let root = repository().join("operator/src/controller");
    let mut imports = BTreeMap::<String, BTreeSet<String>>::new();
    let mut files = vec![root.clone()];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let inside = path.strip_prefix(&root).unwrap().with_extension("");
        let place: Vec<_> = inside.iter().map(|part| part.to_str().unwrap()).collect();
        let is_test = ["tests", "fixtures", "arbitrary", "accepted", "page"].contains(place.last().unwrap());
        if is_test || path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let source = fs::read_to_string(&path).unwrap();
        let code: String = source
            .split("#[cfg(test)]\nmod tests")
            .next()
            .unwrap()
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"))
            .flat_map(|line| [line, "\n"])
            .collect();
        // As many times `super` as lead from this file to the controller.
        let up = "super::".repeat(place.len());
        let named = ["crate::controller::", &up].into_iter().flat_map(|prefix| {
            let uses = code.match_indices(prefix).filter(|(at, _)| !code[..*at].ends_with("super::"));
            uses.flat_map(|(at, prefix)| modules(&code[at + prefix.len()..])).collect::<Vec<_>>()
        });
        let named: Vec<_> = named.filter(|module| module != place[0] && module != "super").collect();
        imports.entry(place[0].to_owned()).or_default().extend(named);
    }
    imports
}

/// The first name of a path, or those of a group in braces.
fn modules(path: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        text.trim_start().chars().take_while(|it| it.is_alphanumeric() || *it == '_').collect()
    };
    let Some(group) = path.strip_prefix('{') else { return vec![word(path)] };
    let (mut depth, mut names) = (0, vec![word(group)]);
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(word(&group[at + 1..])),
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

#[test]
fn the_modules_of_a_path_are_the_first_names_in_it() {
    assert_eq!(modules("names::PORT;"), ["names"]);
    assert_eq!(modules("{names, plan::{Step, STEPS}, edge};"), ["names", "plan", "edge"]);
    assert_eq!(
        modules("{\n    names,\n    plan::{\n        Step,\n    },\n};\nuse super::edge;"),
        ["names", "plan"]
    );
}

#[test]
fn the_modules_of_the_controller_import_in_one_direction() {
    let mut above = imports_in_controller();
    assert!(above.len() > 15 && above.values().map(BTreeSet::len).sum::<usize>() > 40, "{above:#?}");
    let all: BTreeSet<_> = above.keys().cloned().collect();
    for (module, named) in &above {
        let back_up: Vec<_> = named.difference(&all).collect();
        assert!(back_up.is_empty(), "{module} imports from controller.rs: {back_up:?}");
    }
    // Floor by floor: a module whose imports are all below it.
    while !above.is_empty() {
        let floor: Vec<_> = above
            .iter()
            .filter(|(_, named)| !named.iter().any(|module| above.contains_key(module)))
            .map(|(module, _)| module.clone())
            .collect();
        assert!(!floor.is_empty(), "these import each other: {above:#?}");
        above.retain(|module, _| !floor.contains(module));
    }
}
