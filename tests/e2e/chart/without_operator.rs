//! The section "Without the operator" of `docs/install.md`: its commands, as they stand there, give back
//! a workload whose operator is gone.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use support::deployment::Kubectl;

use crate::chart::workload::{injection, workload};
use crate::chart::{Clean, NAMESPACE, USERS, chart, helm_uninstall, helm_with_chart, kubectl_in, repository};

const SECTION: &str = "\n## Without the operator\n";

/// The blocks marked `sh`, one after the other.
fn commands() -> String {
    let text = fs::read_to_string(repository().join("docs/install.md")).unwrap();
    let (_, section) = text.split_once(SECTION).expect(SECTION);
    let section = section.split("\n## ").next().unwrap();
    let blocks = section.split("\n```sh\n").skip(1).map(|rest| rest.split("\n```").next().unwrap());
    blocks.collect::<Vec<_>>().join("\n")
}

fn get(kind: &str, name: &str) -> Value {
    Kubectl::json(&["--namespace", USERS, "get", kind, name]).unwrap()
}

fn make(object: &Value) {
    let args =
        ["--namespace", USERS, "apply", "--server-side", "--field-manager=socketio-affinity", "--filename=-"];
    Kubectl::run_with(&args, Some(&object.to_string())).unwrap();
}

#[test]
fn its_commands_give_the_workload_back_and_keep_the_service() {
    let _clean = Clean::cluster();
    helm_with_chart("install", &chart(), &["--set=replicas=0"]).unwrap();

    // A user's workload and what the operator makes of it.
    let mut app = workload("Deployment");
    app["spec"]["replicas"] = json!(0);
    let create = ["--namespace", USERS, "create", "--filename=-"];
    Kubectl::run_with(&create, Some(&app.to_string())).unwrap();
    let original = get("deployment", "app")["spec"].clone();
    make(&json!({
        "apiVersion": "socketio-affinity.dev/v1alpha1", "kind": "SocketIoCluster",
        "metadata": {"name": "chat", "finalizers": ["socketio-affinity.dev/release"]},
        "spec": {"workloadRef": {"kind": "Deployment", "name": "app"}, "app": {"port": 3000}},
    }));
    let uid = get("socketiocluster", "chat")["metadata"]["uid"].as_str().unwrap().to_owned();
    let owned = |name: &str| json!({"name": name, "labels": {"socketio-affinity.dev/cluster": "chat"}});
    let config = json!({"revision": "1", "cluster": uid, "mode": "Enforce"});
    make(&json!({"apiVersion": "v1", "kind": "Secret", "metadata": owned("chat-socketio-sidecar"),
        "stringData": {"config.json": serde_json::to_string_pretty(&config).unwrap(), "tls.key": "secret"}}));
    make(&json!({"apiVersion": "v1", "kind": "Service", "metadata": owned("chat-socketio"), "spec": {
        "selector": {"app": "app", "socketio-affinity.dev/cluster": "chat"},
        "ports": [{"name": "http", "port": 80, "targetPort": 7900}],
    }}));
    make(&injection("Deployment"));
    let credentials = format!("socketio-affinity-{uid}");
    kubectl_in(NAMESPACE, &["create", "secret", "generic", &credentials]).unwrap();
    helm_uninstall(&["--no-hooks"]).unwrap();

    let mut script = commands();
    for (there, here) in [
        ("namespace=chat ", format!("namespace={USERS} ")),
        ("workload=deployment/chat ", "workload=deployment/app ".to_owned()),
        ("sleep 15\n", check_of_the_secret()),
    ] {
        assert!(script.contains(there), "the section has no {there:?}");
        script = script.replace(there, &here);
    }
    let directory = tempfile::tempdir().unwrap();
    let done = Command::new("bash")
        .args(["-euxo", "pipefail", "-c", &script])
        .current_dir(directory.path())
        .output();
    let done = done.unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));

    assert_eq!(get("deployment", "app")["spec"], original, "the workload is not as it was");
    let service = get("service", "chat-socketio");
    assert_eq!(service["spec"]["ports"][0]["targetPort"], 3000, "{service}");
    assert_eq!(service["spec"]["selector"], json!({"app": "app"}), "{service}");
    let gone = kubectl_in(USERS, &["get", "secret", "chat-socketio-sidecar", "--ignore-not-found"]).unwrap();
    assert_eq!(gone, "");
    let gone = kubectl_in(USERS, &["get", "socketiocluster", "chat", "--ignore-not-found"]).unwrap();
    assert_eq!(gone, "");
    let gone = kubectl_in(NAMESPACE, &["get", "secret", &credentials, "--ignore-not-found"]).unwrap();
    assert_eq!(gone, "");
}

/// In place of a pause: the sidecars were told to give out no new tags, and the rest of the Secret stayed.
fn check_of_the_secret() -> String {
    let field = |name: &str| {
        format!(
            "kubectl --namespace {USERS} get secret chat-socketio-sidecar --output=jsonpath='{{.data.{name}}}' | base64 -d"
        )
    };
    format!("{} | grep '\"mode\": \"Off\"'\n{} | grep secret\n", field(r"config\.json"), field(r"tls\.key"))
}
