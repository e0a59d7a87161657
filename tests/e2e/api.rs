//! The API as a user meets it: what the API server accepts, what it fills in, and the sentence with which
//! it refuses the rest. No operator is needed.

mod limits;
mod objects;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use support::deployment::{Kubectl, merge};
use support::harness::repository;

/// Everything that is required, in ten lines.
pub(crate) const LEAST: &str = "\
apiVersion: socketio-affinity.dev/v1alpha1
kind: SocketIoCluster
metadata:
  name: api-test
spec:
  workloadRef:
    kind: Deployment
    name: chat
  app:
    port: 3000
";
const DEFINITION: &str = "customresourcedefinition/socketioclusters.socketio-affinity.dev";
const KIND: &str = "socketioclusters.socketio-affinity.dev";

fn kubectl(args: &[&str], input: Option<&str>) -> Result<String, String> {
    let args = [&["--namespace=default"], args].concat();
    Kubectl::run_with(&args, input).map_err(|error| error.to_string())
}

fn least() -> Value {
    serde_saphyr::from_str(LEAST).unwrap()
}

/// The least object, changed as a merge patch says.
fn with(spec: &Value) -> Value {
    let mut object = least();
    merge(&mut object["spec"], spec);
    object
}

/// Returns a new object as the API server would store it, or why the API server refuses it.
fn try_out(object: &Value) -> Result<Value, String> {
    let args = ["create", "--dry-run=server", "--output=json", "--filename=-"];
    kubectl(&args, Some(&object.to_string())).map(|made| serde_json::from_str(&made).unwrap())
}

/// The API, from the committed definition, for as long as this lives.
pub(crate) struct Installed;

impl Installed {
    /// No test removes what it has not made: somebody may work with it.
    pub(crate) fn assert_absent() {
        assert!(
            kubectl(&["get", DEFINITION], None).is_err(),
            "this cluster has SocketIoClusters; the tests need one without: {DEFINITION}"
        );
    }

    pub(crate) fn new() -> Self {
        Self::assert_absent();
        let installed = Self;
        let file =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds/socketio-affinity.dev_socketioclusters.yaml");
        let file = file.to_string_lossy();
        kubectl(&["apply", "--server-side", "--force-conflicts", "--filename", &file], None).unwrap();
        kubectl(&["wait", "--for=condition=Established", "--timeout=30s", DEFINITION], None).unwrap();
        let structural = kubectl(&["get", DEFINITION, "--output=json"], None).unwrap();
        let structural: Value = serde_json::from_str(&structural).unwrap();
        let conditions = structural["status"]["conditions"].as_array().unwrap();
        assert!(conditions.iter().all(|it| it["type"] != "NonStructuralSchema"), "{conditions:?}");
        installed
    }

    /// The definition as the API server has it.
    fn schema(&self) -> Value {
        let definition: Value =
            serde_json::from_str(&kubectl(&["get", DEFINITION, "--output=json"], None).unwrap()).unwrap();
        definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
    }

    /// The least object on the cluster.
    fn create(&self) {
        kubectl(&["apply", "--filename=-"], Some(LEAST)).unwrap();
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        // A test that has failed already says why.
        let _ = kubectl(&["delete", KIND, "api-test", "--ignore-not-found", "--timeout=20s"], None);
        let _ = kubectl(&["delete", DEFINITION, "--timeout=20s"], None);
    }
}

/// All messages of rules below `schema`.
fn messages(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            for rule in fields.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten()
            {
                found.insert(rule["message"].as_str().expect("every rule has a message").to_owned());
            }
            fields.values().for_each(|value| messages(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| messages(item, found)),
        _ => {}
    }
}

#[test]
fn every_rule_refuses_what_cannot_work_and_says_what_to_do() {
    let api = Installed::new();
    let mut unseen = BTreeSet::new();
    messages(&api.schema(), &mut unseen);
    assert!(!unseen.is_empty());
    let mut refused = |what: &Value, said: &str, expected: &str| {
        assert!(said.contains(expected), "{what} is refused with {said:?}, not {expected:?}");
        unseen.retain(|message| !said.contains(message));
    };
    for (spec, expected) in objects::refused() {
        let said = try_out(&with(&spec)).expect_err(&spec.to_string());
        refused(&spec, &said, expected);
    }
    let mut named = least();
    for name in [&"c".repeat(41), "chat.a", "1chat"] {
        named["metadata"]["name"] = name.into();
        let said = try_out(&named).unwrap_err();
        refused(&json!(name), &said, "names of Services are derived from metadata.name");
    }
    named["metadata"]["name"] = "c".repeat(40).into();
    try_out(&named).unwrap();
    api.create();
    for (before, after, expected) in objects::refused_changes() {
        kubectl(&["replace", "--filename=-"], Some(&with(&before).to_string())).unwrap_or_else(|error| {
            // What cannot be changed has to be made anew.
            assert!(error.contains("and make another"), "{error}");
            kubectl(&["delete", KIND, "api-test"], None).unwrap();
            kubectl(&["create", "--filename=-"], Some(&with(&before).to_string())).unwrap()
        });
        let change = ["replace", "--dry-run=server", "--filename=-"];
        let said = kubectl(&change, Some(&with(&after).to_string()));
        match expected {
            Some(expected) => refused(&after, &said.expect_err(&after.to_string()), expected),
            None => drop(said.unwrap()),
        }
    }
    assert!(unseen.is_empty(), "no object in the tables breaks these rules: {unseen:#?}");
}

#[test]
fn every_limit_of_the_schema_holds_and_names_the_field() {
    let api = Installed::new();
    let schema = api.schema();
    let everything = with(&objects::everything());
    try_out(&everything).unwrap();
    let limits = limits::all(&schema["properties"]["spec"]);
    assert!(limits.len() > 30, "{limits:#?}");
    for limit in limits {
        let mut object = everything.clone();
        limit.break_in(&mut object["spec"]);
        let said = try_out(&object).expect_err(&format!("{limit:?}"));
        assert!(said.contains(&limit.path()) && said.contains(&limit.expected()), "{limit:?} says {said}");
    }
}

#[test]
fn what_works_is_accepted() {
    let _api = Installed::new();
    for spec in objects::accepted() {
        try_out(&with(&spec)).unwrap_or_else(|said| panic!("{spec} is refused: {said}"));
    }
    // That of the documentation, in a namespace that is there.
    let mut example: Value = serde_saphyr::from_str(socketio_operator::crd::EXAMPLE).unwrap();
    example["metadata"]["namespace"] = json!("default");
    try_out(&example).unwrap();
}

#[test]
fn what_is_built_from_arbitrary_specs_is_accepted() {
    const TEST: &str =
        "controller::build::arbitrary::accepted::the_api_server_accepts_what_is_built_from_any_valid_spec";
    let _api = Installed::new();
    // A unit test of the operator's, since nothing else can build.
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let args =
        ["test", "--offline", "--package", "socketio-operator", "--lib", "--", "--ignored", "--exact", TEST];
    let output = Command::new(cargo).current_dir(repository()).args(args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("1 passed"), "{said}");
}

#[test]
fn ten_lines_are_enough_and_the_rest_is_filled_in() {
    let api = Installed::new();
    assert_eq!(LEAST.lines().count(), 10);
    api.create();
    let made = kubectl(&["get", "sio", "api-test", "--output=json"], None).unwrap();
    let made: Value = serde_json::from_str(&made).unwrap();
    assert_eq!(
        made["spec"],
        json!({
            "workloadRef": {"kind": "Deployment", "name": "chat"},
            "app": {"port": 3000, "path": "/socket.io/"},
            "mode": "Enforce",
            "edge": {
                "service": {"takeOver": false, "port": 80},
                "sessionAffinity": {"type": "None"},
            },
            "sidecar": {},
            "peers": {"certificateDays": 90},
            "drain": {"deadlineSeconds": 60, "windowSeconds": 30},
            "deletionPolicy": "Delete",
        })
    );
}

#[test]
fn kubectl_shows_what_matters_by_the_short_name_and_among_all() {
    let api = Installed::new();
    api.create();
    let conditions = json!([
        {"type": "Ready", "status": "False", "reason": "Injecting", "message": "1 of 3 pods", "lastTransitionTime": "2026-01-01T00:00:00Z"},
    ]);
    let status = json!({"status": {"pods": "1/3", "edge": "chat", "conditions": conditions}}).to_string();
    let patch = ["patch", "sio", "api-test", "--subresource=status", "--type=merge", "--patch", &status];
    kubectl(&patch, None).unwrap();
    let shown = kubectl(&["get", "sio"], None).unwrap();
    let rows: Vec<Vec<_>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["NAME", "MODE", "READY", "REASON", "PODS", "EDGE", "AGE"], "{shown}");
    assert_eq!(rows[1][..6], ["api-test", "Enforce", "False", "Injecting", "1/3", "chat"], "{shown}");
    let wide = kubectl(&["get", "sio", "--output=wide"], None).unwrap();
    let (head, row) = wide.split_once('\n').unwrap();
    assert!(head.trim_end().ends_with("MESSAGE") && row.trim_end().ends_with("1 of 3 pods"), "{wide}");
    let all = kubectl(&["get", "all"], None).unwrap();
    assert!(all.contains("socketiocluster.socketio-affinity.dev/api-test"), "{all}");
}

#[test]
fn status_is_written_apart_from_spec_and_each_condition_has_its_own_writer() {
    let _api = Installed::new();
    let status = || -> Value {
        let made = kubectl(&["get", "sio", "api-test", "--output=json"], None).unwrap();
        serde_json::from_str::<Value>(&made).unwrap()["status"].clone()
    };
    let mut forged = least();
    forged["status"] = json!({"pods": "9/9"});
    kubectl(&["create", "--filename=-"], Some(&forged.to_string())).unwrap();
    assert_eq!(status(), Value::Null, "a status that comes with the object is not kept");
    for (writer, condition) in [("one", "Accepted"), ("two", "Ready")] {
        let applied = json!({
            "apiVersion": forged["apiVersion"], "kind": forged["kind"], "metadata": forged["metadata"],
            "status": {"conditions": [{
                "type": condition, "status": "True", "reason": "Tried", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }]},
        });
        let manager = format!("--field-manager={writer}");
        let apply = ["apply", "--server-side", "--subresource=status", &manager, "--filename=-"];
        kubectl(&apply, Some(&applied.to_string())).unwrap();
    }
    let types: Vec<_> =
        status()["conditions"].as_array().unwrap().iter().map(|it| it["type"].clone()).collect();
    assert_eq!(types, ["Accepted", "Ready"], "conditions are merged by their type");
}
