//! The chart: what it renders, what it refuses, and its life on a cluster from the installation to
//! the end of the uninstallation. Helm is where the tests run, since `cluster run` puts it on `PATH`.
//!
//! `UPDATE_GOLDEN=1 make chart` writes `chart/*.golden.*` anew, and the chart's copy of the generated
//! definition; read the difference before you commit it.

mod least_rights;
mod lifecycle;
mod policy;
mod renders;
mod rights;
mod values;
mod without_operator;
mod workload;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use support::deployment::{Kubectl, wait_for};

/// The release, and where the operator runs.
const RELEASE: &str = "socketio-affinity";
const NAMESPACE: &str = "socketio-affinity-system";
/// A namespace of a user's.
const USERS: &str = "chart-test";
const DEFINITION: &str = "socketioclusters.socketio-affinity.dev";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// The chart in the working tree.
fn chart() -> String {
    repository().join("charts/socketio-affinity").to_string_lossy().into_owned()
}

fn file(name: &str) -> PathBuf {
    repository().join("tests/e2e/chart").join(name)
}

/// Runs helm; what it said on both outputs, in either case.
fn helm(args: &[&str]) -> Result<String, String> {
    let output = Command::new("helm")
        .args(args)
        .env_remove("HELM_NAMESPACE")
        .output()
        .expect("helm cannot be started; run this inside `cluster run`, which puts it on PATH");
    let said =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    if output.status.success() { Ok(said) } else { Err(said) }
}

/// Runs a command of helm's on the release, with the images that the tests make.
fn helm_with_chart(action: &str, chart: &str, more: &[&str]) -> Result<String, String> {
    let images = "image.tag=dev,sidecar.image.tag=dev";
    let args =
        [action, RELEASE, chart, "--namespace", NAMESPACE, "--set", images, "--wait", "--timeout", "90s"];
    helm(&[&args, more].concat())
}

fn helm_uninstall(more: &[&str]) -> Result<String, String> {
    helm(&[&["uninstall", RELEASE, "--namespace", NAMESPACE, "--timeout", "90s"], more].concat())
}

/// The cluster as it is before anyone has installed the chart, and again at the end.
///
/// The operator's namespace enforces the restricted Pod Security Standard.
struct Clean;

impl Clean {
    fn cluster() -> Self {
        // On a cluster of a person's own, what is there may be in use; on one of ours, a test left it.
        let own = std::env::var("CLUSTER_PROVIDER").is_ok_and(|provider| provider == "kubeconfig");
        let there = Kubectl::run(&["get", "customresourcedefinition", DEFINITION]).is_ok();
        assert!(
            !(own && there),
            "the cluster that KUBECONFIG names has {DEFINITION} already, which these tests would remove; name one without it"
        );
        let clean = Self;
        clean.remove();
        for namespace in [NAMESPACE, USERS] {
            Kubectl::run(&["create", "namespace", namespace]).unwrap();
        }
        let enforce = "pod-security.kubernetes.io/enforce=restricted";
        Kubectl::run(&["label", "namespace", NAMESPACE, enforce]).unwrap();
        clean
    }

    /// With the definition go its objects, whose finalizer nobody is left to take off.
    fn remove(&self) {
        let _ = helm_uninstall(&["--no-hooks", "--ignore-not-found"]);
        for object in Kubectl::json(&["get", "socketioclusters", "--all-namespaces"])
            .ok()
            .and_then(|list| list["items"].as_array().cloned())
            .unwrap_or_default()
        {
            let text = |field: &str| object["metadata"][field].as_str().unwrap().to_owned();
            let (namespace, name) = (text("namespace"), text("name"));
            let no_finalizers = r#"{"metadata":{"finalizers":null}}"#;
            let patch = ["patch", "socketioclusters", &name, "--type=merge", "--patch", no_finalizers];
            let _ = Kubectl::run(&[&["--namespace", &namespace], &patch[..]].concat());
        }
        let definition = ["customresourcedefinition", DEFINITION].as_slice();
        // Together: a namespace takes seconds to go.
        for what in [definition, &["namespace", NAMESPACE, USERS]] {
            let removed = Kubectl::run(&[&["delete", "--ignore-not-found", "--timeout=60s"], what].concat());
            assert!(removed.is_ok() || std::thread::panicking(), "{removed:?}");
        }
    }
}

impl Drop for Clean {
    fn drop(&mut self) {
        self.remove();
    }
}

/// The output of `kubectl` in `namespace`.
fn kubectl_in(namespace: &str, args: &[&str]) -> anyhow::Result<String> {
    Kubectl::run(&[&["--namespace", namespace], args].concat())
}

/// The objects of the kinds in `kinds` that the chart has made or its hooks have, by name.
fn ours(kinds: &str) -> String {
    let selector = format!("--selector=app.kubernetes.io/instance={RELEASE}");
    Kubectl::run(&["get", kinds, "--all-namespaces", &selector, "--output=name"]).unwrap()
}

/// Waits until nothing of `kinds` is left: pods take a moment to go.
fn wait_until_gone(kinds: &str) {
    wait_for("what the chart made to go", Duration::from_secs(60), || {
        Ok(ours(kinds).is_empty().then_some(()))
    })
    .unwrap_or_else(|error| panic!("{error}; there still is\n{}", ours(kinds)));
}

/// Compares `actual` with a committed file; with `UPDATE_GOLDEN=1`, writes the file.
#[track_caller]
fn assert_golden(actual: &str, golden: &Path) {
    if std::env::var("UPDATE_GOLDEN").as_deref() == Ok("1") {
        fs::write(golden, actual).unwrap();
        return;
    }
    let expected = fs::read_to_string(golden).unwrap_or_default();
    if let Some(line) = (0..).zip(actual.lines()).find(|(n, line)| expected.lines().nth(*n) != Some(line)) {
        let was = expected.lines().nth(line.0).unwrap_or("the end");
        panic!(
            "{} line {}\n is: {}\nwas: {was}\n`UPDATE_GOLDEN=1 make chart` writes it anew",
            golden.display(),
            line.0 + 1,
            line.1
        );
    }
    assert_eq!(actual.lines().count(), expected.lines().count(), "{} is longer", golden.display());
}
