//! The policy for names: the operator makes and deletes only objects that bear its names.

use std::time::Duration;

use serde_json::{Value, json};
use support::deployment::{Kubectl, wait_for};

use crate::chart::policy::{DRY, as_operator, assert_refused, make};
use crate::chart::{Clean, NAMESPACE, USERS, chart, helm_with_chart};

#[test]
fn the_operator_can_make_and_delete_only_what_bears_its_names() {
    let _clean = Clean::cluster();
    helm_with_chart("install", &chart(), &["--set=replicas=0"]).unwrap();
    let secret = |name: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}});
    let service = |name: &str| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}});
    let ingress = |name: &str| {
        let backend = json!({"service": {"name": "chat", "port": {"number": 80}}});
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name},
               "spec": {"defaultBackend": backend}})
    };
    let create = |namespace: &str, object: &Value| {
        let object = object.to_string();
        let apply = ["apply", "--server-side", "--field-manager=socketio-affinity", DRY, "--filename=-"];
        as_operator(namespace, &apply, Some(&object))
    };
    wait_for("the policy to be in force", Duration::from_secs(30), || {
        Ok(create(USERS, &secret("other")).is_err().then_some(()))
    })
    .unwrap();
    let (secrets, services, ingresses) =
        ("may write only Secrets", "may make and delete only Services", "may make and delete only Ingresses");

    for ours in [
        secret("chat-socketio-sidecar"),
        service("chat-socketio"),
        service("chat-socketio-peers"),
        ingress("chat-socketio"),
    ] {
        create(USERS, &ours).unwrap();
    }
    let state = secret("socketio-affinity-4d1f6a3e");
    create(NAMESPACE, &state).unwrap();
    assert_refused("the operator's own kind of Secret, elsewhere", create(USERS, &state), secrets);
    let mut token = secret("token-socketio-sidecar");
    token["type"] = json!("kubernetes.io/service-account-token");
    token["metadata"]["annotations"] = json!({"kubernetes.io/service-account.name": "default"});
    assert_refused("a token", create(USERS, &token), "may write only Secrets of the type Opaque");
    for (other, message) in
        [(secret("other"), secrets), (service("other"), services), (ingress("other"), ingresses)]
    {
        let kind = other["kind"].as_str().unwrap();
        assert_refused(&format!("making the {kind}"), create(USERS, &other), message);
        make(&other);
        let change =
            json!({"metadata": {"annotations": {"socketio-affinity.dev/original": "{}"}}}).to_string();
        let changed = as_operator(USERS, &["patch", kind, "other", DRY, "--patch", &change], None);
        match kind {
            "Secret" => assert_refused("changing a Secret", changed, message),
            // Consent is the user's to give; a policy cannot see it.
            _ => drop(changed.unwrap()),
        }
    }
    let delete =
        |namespace: &str, kind: &str, name: &str| as_operator(namespace, &["delete", kind, name, DRY], None);
    assert_refused("deleting an Ingress", delete(USERS, "ingress", "other"), ingresses);
    assert_refused("deleting a Service", delete(USERS, "service", "other"), services);
    for ours in [ingress("chat-socketio"), service("chat-socketio-peers"), secret("chat-socketio-sidecar")] {
        make(&ours);
        delete(USERS, ours["kind"].as_str().unwrap(), ours["metadata"]["name"].as_str().unwrap()).unwrap();
    }
    for object in [&state, &secret("other")] {
        Kubectl::run_with(&["--namespace", NAMESPACE, "apply", "--filename=-"], Some(&object.to_string()))
            .unwrap();
    }
    delete(NAMESPACE, "secret", "socketio-affinity-4d1f6a3e").unwrap();
    assert_refused("deleting a Secret", delete(NAMESPACE, "secret", "other"), secrets);
}
