//! The admission policies refuse requests of the operator's account that its rights allow.
//!
//! Tried as that account, and not by an operator, of which none runs; and without changing anything:
//! a dry run on the server passes admission.

mod names;
mod takeover;
mod workloads;

use anyhow::Result;
use serde_json::Value;
use support::deployment::Kubectl;

use crate::chart::{NAMESPACE, USERS};

const DRY: &str = "--dry-run=server";

/// Makes `object` as a person who may do anything.
fn make(object: &Value) {
    Kubectl::run_with(&["--namespace", USERS, "create", "--filename=-"], Some(&object.to_string())).unwrap();
}

/// Runs kubectl as the operator.
fn as_operator(namespace: &str, args: &[&str], input: Option<&str>) -> Result<String> {
    let user = format!("--as=system:serviceaccount:{NAMESPACE}:socketio-affinity");
    Kubectl::run_with(&[&["--namespace", namespace, &user], args].concat(), input)
}

fn patch(kind: &str, patch: &Value) -> Result<String> {
    as_operator(USERS, &["patch", kind, "app", DRY, "--type=strategic", "--patch", &patch.to_string()], None)
}

/// Applies `object` as the operator does.
fn apply(object: &Value) -> Result<String> {
    let args = ["apply", "--server-side", "--field-manager=socketio-affinity", "--filename=-"];
    as_operator(USERS, &args, Some(&object.to_string()))
}

fn spec_of(kind: &str) -> Value {
    Kubectl::json(&["--namespace", USERS, "get", kind, "app"]).unwrap()["spec"].clone()
}

#[track_caller]
fn assert_refused(what: &str, result: Result<String>, message: &str) {
    let said = result.expect_err(what).to_string();
    assert!(said.contains("ValidatingAdmissionPolicy") && said.contains(message), "{what}: {said}");
}
