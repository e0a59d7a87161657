//! Objects that the chart renders, without installing it.

use std::fs;

use crate::chart::{NAMESPACE, RELEASE, assert_golden, chart, file, helm, repository};

fn template(more: &[&str]) -> Result<String, String> {
    let chart = chart();
    // The oldest version that is supported.
    let args = ["template", RELEASE, &chart, "--namespace", NAMESPACE, "--kube-version=1.33.0"];
    helm(&[&args, more].concat())
}

#[track_caller]
fn assert_renders(golden: &str, more: &[&str]) {
    // The definition has a test of its own.
    let rendered = template(&[&["--set=crds.install=false"], more].concat()).unwrap();
    assert_golden(&rendered, &file(golden));
}

#[test]
fn with_default_values_it_renders_what_is_committed() {
    assert_renders("default.golden.yaml", &[]);
}

#[test]
fn for_two_namespaces_it_renders_what_is_committed() {
    assert_renders("namespaces.golden.yaml", &["--set=watchNamespaces={chat,game}"]);
}

#[test]
fn with_every_value_set_it_renders_what_is_committed() {
    let values = file("everything.values.yaml");
    assert_renders("everything.golden.yaml", &["--values", &values.to_string_lossy()]);
}

#[test]
fn helm_finds_nothing_to_complain_about() {
    let said = helm(&["lint", "--strict", "--with-subcharts", &chart()]).unwrap();
    assert!(said.contains("1 chart(s) linted, 0 chart(s) failed"), "{said}");
    assert!(!said.contains("[WARNING]"), "{said}");
}

#[test]
fn an_older_kubernetes_is_refused() {
    let said = template(&["--kube-version=1.32.9"]).unwrap_err();
    assert!(said.contains("chart requires kubeVersion: >=1.33.0-0"), "{said}");
}

/// `socketio-operator crd` writes `crds/`; a template prints the copy that the chart has, since Helm
/// never upgrades what lies in a chart's own `crds/`.
#[test]
fn the_charts_definition_is_the_generated_one() {
    let generated = repository().join("crds/socketio-affinity.dev_socketioclusters.yaml");
    let generated = fs::read_to_string(generated).unwrap();
    assert_golden(&generated, &repository().join("charts/socketio-affinity/files/crd.yaml"));
    let rendered = template(&["--show-only=templates/crd.yaml"]).unwrap();
    assert!(rendered.contains("\n    helm.sh/resource-policy: keep\n"), "it would go with the chart");
}
