//! Compares a deployment of the chat with its state before the operator changed it.

use std::time::Duration;

use serde_json::Value;
use support::deployment::{Chat, Kubectl, Operator, wait_for};

/// The operator's name in `managedFields`.
const MANAGER: &str = "socketio-affinity";

/// The Deployment and the Service as they were.
pub(crate) struct Before {
    name: &'static str,
    deployment: Value,
    service: Value,
}

impl Before {
    pub(crate) fn of(chat: &Chat) -> Self {
        let name = chat.name();
        let before = Self { name, deployment: get("deployment", name), service: get("service", name) };
        assert_eq!(managers(&before.deployment).filter(|manager| manager == MANAGER).count(), 0);
        before
    }

    /// The operator has the workload and the Service now: else what follows would show nothing.
    pub(crate) fn assert_taken(&self) {
        let deployment = get("deployment", self.name);
        assert_ne!(
            deployment["spec"]["template"].to_string(),
            self.deployment["spec"]["template"].to_string()
        );
        assert!(managers(&deployment).any(|manager| manager == MANAGER));
        assert_ne!(get("service", self.name)["spec"], self.service["spec"]);
        assert!(!labelled().is_empty());
    }

    /// All is as it was, byte for byte, and nothing of the operator's is left.
    pub(crate) fn assert_given_back(&self) {
        let (deployment, service) = (get("deployment", self.name), get("service", self.name));
        let (now, before) = (&deployment["spec"]["template"], &self.deployment["spec"]["template"]);
        assert_eq!(now.to_string(), before.to_string(), "the pod template is not as it was");
        assert_eq!(deployment["spec"].to_string(), self.deployment["spec"].to_string());
        assert_eq!(
            service["spec"].to_string(),
            self.service["spec"].to_string(),
            "the Service is not as it was"
        );
        for (now, before) in [(&deployment, &self.deployment), (&service, &self.service)] {
            assert_eq!(described(now), described(before));
        }
        // Of the Service, whose ports are written as they were, the operator stays the last writer.
        let left = managers(&deployment).filter(|manager| manager == MANAGER).count();
        assert_eq!(left, 0, "managed fields are left: {}", deployment["metadata"]["managedFields"]);
        // What belonged to the object is collected soon after it.
        wait_for("what was made to be collected", Duration::from_secs(30), || {
            Ok(labelled().is_empty().then_some(()))
        })
        .unwrap_or_else(|error| panic!("{error}: {:?}", labelled()));
        let secrets = Operator::kubectl(&["get", "secrets", "--output=name"]).unwrap();
        let ours = secrets.lines().filter(|name| name.starts_with("secret/socketio-affinity-"));
        assert_eq!(ours.count(), 0, "the operator keeps keys of an object that is gone: {secrets}");
    }
}

fn get(kind: &str, name: &str) -> Value {
    Kubectl::json(&["get", kind, name, "--show-managed-fields"]).unwrap()
}

fn managers(object: &Value) -> impl Iterator<Item = String> {
    let fields = object["metadata"]["managedFields"].as_array().expect("they are asked for");
    fields
        .iter()
        .map(|field| field["manager"].as_str().unwrap_or_default().to_owned())
        .collect::<Vec<_>>()
        .into_iter()
}

/// Labels and annotations, but for the number of the rollout, which only grows.
fn described(object: &Value) -> (Value, Value) {
    let mut annotations = object["metadata"]["annotations"].clone();
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.remove("deployment.kubernetes.io/revision");
    }
    (object["metadata"]["labels"].clone(), annotations)
}

/// Everything in the chat's namespace that has a label of ours, of all kinds that there are.
fn labelled() -> Vec<String> {
    let kinds = Kubectl::run(&["api-resources", "--namespaced", "--verbs=list", "--output=name"]).unwrap();
    // The history of a Deployment's rollouts is the Deployment's; of Events and of usage there is no list by label.
    let history = ["replicasets.apps", "controllerrevisions.apps"];
    let kinds: Vec<_> = kinds
        .lines()
        .filter(|kind| {
            !history.contains(kind) && !kind.starts_with("events") && !kind.ends_with(".metrics.k8s.io")
        })
        .collect();
    let list = |selector: &str| {
        let selector = format!("--selector={selector}");
        Kubectl::run(&["get", &kinds.join(","), &selector, "--output=name", "--ignore-not-found"]).unwrap()
    };
    let found =
        [list("socketio-affinity.dev/cluster"), list("app.kubernetes.io/managed-by=socketio-affinity")];
    // Pods that are going are none any more.
    let found = found
        .iter()
        .flat_map(|list| list.lines())
        .filter(|name| !name.starts_with("pod/") || !is_going(name));
    found.map(str::to_owned).collect()
}

fn is_going(pod: &str) -> bool {
    let going = Kubectl::run(&[
        "get",
        pod,
        "--ignore-not-found",
        "--output=jsonpath={.metadata.deletionTimestamp}{.kind}",
    ]);
    going.is_ok_and(|going| going != "Pod")
}
