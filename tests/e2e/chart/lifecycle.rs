//! Installed, checked, upgraded, and uninstalled, as a person does it.

use std::fs;
use std::process::Command;
use std::time::Duration;

use support::deployment::{Kubectl, wait_for};

use crate::chart::{
    Clean, DEFINITION, NAMESPACE, RELEASE, USERS, chart, file, helm, helm_uninstall, helm_with_chart,
    kubectl_in, ours, wait_until_gone,
};

/// Made from this chart before its first release, with `version: 0.1.0-alpha.1`.
const EARLIER: &str = "socketio-affinity-0.1.0-alpha.1.tgz";
/// Kinds of objects that the chart's hooks make, or the chart.
const HOOKS: &str = "jobs,pods,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings";
const ALL: &str = "jobs,pods,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings,deployments,services,\
    poddisruptionbudgets,validatingadmissionpolicies,validatingadmissionpolicybindings,secrets";

fn installed() -> Vec<String> {
    ours(HOOKS).lines().filter(|name| name.contains("check")).map(str::to_owned).collect()
}

fn wait_until_both_replicas_are_ready() {
    // Helm waits for as many as may be missing during an update, not for all.
    wait_for("both replicas to be ready", Duration::from_secs(60), || {
        let ready = ["get", "deployment", RELEASE, "--output=jsonpath={.status.readyReplicas}"];
        Ok((kubectl_in(NAMESPACE, &ready).unwrap() == "2").then_some(()))
    })
    .unwrap();
}

/// The object that the notes after an installation tell to apply.
fn object_of_the_notes() -> String {
    let notes = helm(&["get", "notes", RELEASE, "--namespace", NAMESPACE]).unwrap();
    let (_, object) = notes.split_once("<<EOF\n").expect(&notes);
    let (object, _) = object.split_once("  EOF\n").expect(&notes);
    // Indented for reading.
    object.lines().map(|line| format!("{}\n", line.strip_prefix("  ").unwrap())).collect()
}

/// Changes that applying the chart's definition would make to the cluster's.
fn difference_of_definitions() -> String {
    let chart = chart();
    let show = ["template", RELEASE, &chart, "--namespace", NAMESPACE, "--show-only=templates/crd.yaml"];
    let rendered = helm(&show).unwrap();
    let temporary = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    fs::write(temporary.path(), rendered).unwrap();
    let file = temporary.path().to_string_lossy().into_owned();
    let output = Command::new("kubectl")
        // Of fields that only others set, such as Helm's annotations, it says nothing.
        .args(["diff", "--server-side", "--force-conflicts", "--field-manager=test", "--filename", &file])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    // It exits with 1 for a difference.
    assert_eq!(output.status.code(), Some(i32::from(!said.is_empty())), "{output:?}");
    said
}

#[test]
fn from_an_earlier_chart_to_its_end() {
    let _clean = Clean::cluster();

    // An installation, in a namespace that enforces the restricted Pod Security Standard.
    let earlier = file(EARLIER);
    helm_with_chart("install", &earlier.to_string_lossy(), &[]).unwrap();
    wait_until_both_replicas_are_ready();

    // What its notes say is the next step.
    let object = object_of_the_notes();
    assert_eq!(object.lines().count(), 9, "{object}");
    Kubectl::run_with(&["--namespace", USERS, "apply", "--filename=-"], Some(&object)).unwrap();
    let uid = || kubectl_in(USERS, &["get", "socketiocluster", "chat", "--output=jsonpath={.metadata.uid}"]);
    let before = uid().unwrap();

    // An upgrade, the definition included.
    assert!(difference_of_definitions().contains("0.1.0-alpha.1"), "there is nothing to upgrade");
    helm_with_chart("upgrade", &chart(), &[]).unwrap();
    wait_until_both_replicas_are_ready();
    assert_eq!(difference_of_definitions(), "", "the definition was not upgraded");
    assert_eq!(uid().unwrap(), before, "the object did not survive");
    let said = helm(&["test", RELEASE, "--namespace", NAMESPACE, "--timeout=90s"]).unwrap();
    assert!(said.contains("Phase:          Succeeded"), "{said}");
    assert_eq!(installed(), [""; 0], "the test left something");

    // An uninstallation, which is refused while there is work left.
    let said = helm_uninstall(&[]).unwrap_err();
    let sentence = said.lines().find(|line| line.contains(USERS) && line.contains("chat"));
    assert!(sentence.is_some(), "nobody is told why: {said}");
    assert_eq!(installed(), [""; 0], "the refusal left something");
    wait_until_both_replicas_are_ready();
    // Helm believes now that it is half gone. This is what docs/install.md says to do about it.
    assert!(helm_with_chart("upgrade", &chart(), &[]).unwrap_err().contains("has no deployed releases"));
    helm(&["rollback", RELEASE, "2", "--namespace", NAMESPACE, "--timeout=90s"]).unwrap();
    helm_with_chart("upgrade", &chart(), &[]).unwrap();

    kubectl_in(USERS, &["delete", "socketiocluster", "chat", "--timeout=120s"]).unwrap();
    let said = helm_uninstall(&[]).unwrap();
    assert!(said.contains(&format!("[CustomResourceDefinition] {DEFINITION}")), "{said}");
    wait_until_gone(ALL);
    Kubectl::run(&["get", "customresourcedefinition", DEFINITION]).unwrap();

    // The definition that was kept does not hinder the next installation.
    helm_with_chart("install", &chart(), &["--set=replicas=0"]).unwrap();
}

#[test]
fn in_chosen_namespaces_it_works_with_rights_in_these_only() {
    let _clean = Clean::cluster();
    let watch = format!("watchNamespaces={{{USERS}}}");
    helm_with_chart("install", &chart(), &["--set", &watch]).unwrap();
    wait_until_both_replicas_are_ready();
    helm(&["test", RELEASE, "--namespace", NAMESPACE, "--timeout=90s"]).unwrap();

    // An object elsewhere is another operator's, or nobody's.
    let object = object_of_the_notes();
    Kubectl::run_with(&["--namespace=default", "apply", "--filename=-"], Some(&object)).unwrap();
    helm_uninstall(&[]).unwrap();
    wait_until_gone(ALL);
    kubectl_in("default", &["delete", "socketiocluster", "chat", "--timeout=60s"]).unwrap();
}
