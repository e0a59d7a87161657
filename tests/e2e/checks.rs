//! `socketio-operator check` and `uninstall-check`, which Helm's hooks run, and what they say.

use std::process::Command;
use std::time::Duration;

use support::deployment::{Kubectl, wait_for};

use crate::api::{Installed, LEAST};
use crate::leader::Operator;

const NAMESPACE: &str = "check-test";

/// Runs the operator's program. Returns whether it succeeded, and its one sentence.
fn operator(args: &[&str]) -> (bool, String) {
    let output = Command::new(support::operator::program()).args(args).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).unwrap();
    assert!(said.lines().count() <= 1, "one sentence: {said}");
    (output.status.success(), said)
}

fn check(seconds: &str) -> (bool, String) {
    operator(&["check", "--namespace", NAMESPACE, "--timeout", seconds])
}

#[test]
fn check_says_what_is_missing_until_an_operator_acts() {
    let _ = Kubectl::run(&["create", "namespace", NAMESPACE]);
    Installed::assert_absent();
    let (ok, said) = check("1");
    assert!(
        !ok && said.contains("does not know SocketIoCluster in socketio-affinity.dev/v1alpha1"),
        "{said}"
    );
    let _api = Installed::new();
    let (ok, said) = check("1");
    assert!(
        !ok && said.contains("there is no Lease socketio-operator in the namespace check-test"),
        "{said}"
    );
    let acting = Operator::start("acting", NAMESPACE);
    let (ok, said) = check("20");
    assert!(ok && said.contains("an operator acts in the namespace check-test"), "{said}");
    drop(acting);
    let (ok, said) = check("7");
    assert!(!ok && said.contains("is not renewed, so no operator acts"), "{said}");
    Kubectl::run(&["delete", "namespace", NAMESPACE, "--wait=false"]).unwrap();
}

#[test]
fn uninstall_check_refuses_while_there_are_objects_and_names_them() {
    Installed::assert_absent();
    assert_eq!(operator(&["uninstall-check"]), (true, String::new()));
    let _api = Installed::new();
    assert_eq!(operator(&["uninstall-check"]), (true, String::new()));
    wait_for("the API to be served", Duration::from_secs(20), || Ok(Kubectl::run(&["get", "sio"]).ok()))
        .unwrap();
    Kubectl::run_with(&["--namespace=default", "apply", "--filename=-"], Some(LEAST)).unwrap();
    for args in [&["uninstall-check"][..], &["uninstall-check", "--watch-namespace=kube-system,default"]] {
        let (ok, said) = operator(args);
        assert!(
            !ok && said.contains("the SocketIoCluster default/api-test is still there; delete"),
            "{said}"
        );
    }
    assert_eq!(operator(&["uninstall-check", "--watch-namespace=kube-system"]), (true, String::new()));
}
