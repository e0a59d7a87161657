//! The crate that decides links nothing that waits: no runtime, no HTTP stack, no Kubernetes client.

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
