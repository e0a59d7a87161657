//! A small chat as a workload of any kind, with a Service, and a SocketIoCluster for it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde_json::{Value, json};
use support::deployment::{Kubectl, Operator};
use support::harness::Polling;

/// On everything that is made here.
pub(super) const LABEL: &str = "socketio-affinity.test/side-by-side";
/// The label that the operator puts on pods, and on what it makes.
pub(super) const CLUSTER_LABEL: &str = "socketio-affinity.dev/cluster";
/// The operator's name in `managedFields`.
const MANAGER: &str = "socketio-affinity";
/// Longest wait for a cutover or a deletion, where several go on at once.
pub(super) const LONG: Duration = Duration::from_secs(150);
/// Longest wait for what should happen at once.
pub(super) const SOON: Duration = Duration::from_secs(30);

/// A workload that is rolled out, and what it was then.
pub(super) struct Workload {
    kind: &'static str,
    name: &'static str,
    before: Vec<String>,
}

/// A workload of a kind. Without `replicas`, which a DaemonSet does not have.
pub(super) fn workload(kind: &str, name: &str, replicas: Option<u32>) -> Value {
    let mut workload = json!({
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "labels": {LABEL: ""}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name, LABEL: ""}},
                "spec": {
                    "automountServiceAccountToken": false,
                    "terminationGracePeriodSeconds": 5,
                    "securityContext": {
                        "runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [{
                        "name": "chat",
                        "image": "socketio-affinity/chat:dev",
                        "ports": [{"name": "app", "containerPort": 3000}],
                        "readinessProbe": {"httpGet": {"path": "/healthz", "port": 3000}, "periodSeconds": 1},
                        // The endpoints settle meanwhile.
                        "lifecycle": {"preStop": {"sleep": {"seconds": 2}}},
                        "securityContext": {
                            "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
                        },
                    }],
                },
            },
        },
    });
    if kind == "StatefulSet" {
        workload["spec"]["serviceName"] = json!(name);
    }
    workload
}

/// A Service of its name that leads to it. Its port has a name, by which it is to be given back.
pub(super) fn service(name: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": {LABEL: ""}},
        "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": "app"}]},
    })
}

/// A SocketIoCluster that ends sessions soon: `edge` is that of its spec.
pub(super) fn cluster(kind: &str, name: &str, edge: &Value) -> Value {
    json!({
        "apiVersion": "socketio-affinity.dev/v1alpha1",
        "kind": "SocketIoCluster",
        "metadata": {"name": name},
        "spec": {
            "workloadRef": {"kind": kind, "name": name},
            "app": {"port": 3000},
            "adapter": {"type": "NotNeeded"},
            "edge": edge,
            "drain": {"deadlineSeconds": 2, "windowSeconds": 2},
        },
    })
}

/// For a SocketIoCluster that takes the Service of its own name over.
pub(super) fn takes_service(name: &str) -> Value {
    json!({"service": {"name": name, "takeOver": true}})
}

pub(super) fn apply(namespace: &str, object: &Value) {
    let args = ["--namespace", namespace, "apply", "--filename=-"];
    Kubectl::run_with(&args, Some(&object.to_string())).unwrap();
}

/// Waits with one watch, since several wait at once.
#[track_caller]
pub(super) fn wait(namespace: &str, what: &str, limit: Duration, holds: &str) {
    let timeout = format!("--timeout={}s", limit.as_secs());
    let args = ["--namespace", namespace, "--request-timeout=0", "wait", what, &timeout, holds];
    if let Err(error) = Kubectl::run(&args) {
        let object = Kubectl::run(&["--namespace", namespace, "get", what, "--output=yaml"]);
        panic!("{what} {holds}: {error:#}\n{}", object.unwrap_or_default());
    }
}

impl Workload {
    /// The one that was deployed, once it is rolled out.
    pub(super) fn rolled_out(kind: &'static str, name: &'static str) -> Self {
        let workload = format!("{kind}/{name}");
        Kubectl::run(&["rollout", "status", &workload, "--timeout=120s"]).unwrap();
        Self { kind, name, before: described(kind, name) }
    }

    /// Has it taken, and waits until that is so.
    pub(super) fn take(&self, edge: &Value) -> Taken<'_> {
        apply("chat", &cluster(self.kind, self.name, edge));
        wait("chat", &format!("socketiocluster/{}", self.name), LONG, "--for=condition=Ready");
        let object = Kubectl::json(&["get", "socketiocluster", self.name]).unwrap();
        let uid = object["metadata"]["uid"].as_str().unwrap().to_owned();
        assert_ne!(described(self.kind, self.name)[0], self.before[0], "the template has no sidecar");
        Taken { workload: self, uid }
    }

    /// The names and addresses of its pods that are not going.
    pub(super) fn pods(&self) -> Vec<(String, IpAddr)> {
        let list = Kubectl::json(&["get", "pods", &format!("--selector=app={}", self.name)]).unwrap();
        let pods = list["items"].as_array().unwrap().iter();
        pods.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null())
            .map(|pod| {
                let name = pod["metadata"]["name"].as_str().unwrap().to_owned();
                (name, pod["status"]["podIP"].as_str().unwrap().parse().unwrap())
            })
            .collect()
    }

    /// All is as it was, and nothing of the operator's is left.
    #[track_caller]
    fn assert_given_back(&self) {
        let now = described(self.kind, self.name);
        for (now, before) in now.iter().zip(&self.before) {
            assert_eq!(now, before, "{} {} is not as it was", self.kind, self.name);
        }
        let shown = Kubectl::json(&["get", self.kind, self.name, "--show-managed-fields"]).unwrap();
        let fields = shown["metadata"]["managedFields"].to_string();
        assert!(!fields.contains(&format!(r#""manager":"{MANAGER}""#)), "{fields}");
        let selector = format!("--selector={CLUSTER_LABEL}={}", self.name);
        let left = Kubectl::run(&["get", "secrets,services,ingresses", &selector, "--output=name"]).unwrap();
        assert_eq!(left, "", "what was made is left");
        Kubectl::run(&["rollout", "status", &format!("{}/{}", self.kind, self.name), "--timeout=60s"])
            .unwrap();
        let pods = Kubectl::json(&["get", "pods", &selector]).unwrap();
        let pods = pods["items"].as_array().unwrap().iter();
        assert!(pods.clone().all(|pod| !pod["metadata"]["deletionTimestamp"].is_null()), "{pods:?}");
    }
}

/// A workload that a SocketIoCluster of its name has.
pub(super) struct Taken<'w> {
    workload: &'w Workload,
    /// The object's.
    pub(super) uid: String,
}

impl Taken<'_> {
    /// A session that polls through `service` is known to every pod, and its messages arrive.
    #[track_caller]
    pub(super) fn assert_sessions_work(&self, service: &str) -> Polling {
        let spec = Kubectl::json(&["get", "service", service]).unwrap()["spec"].clone();
        let front = format!("{}:80", spec["clusterIP"].as_str().unwrap()).parse().unwrap();
        let pods = self.workload.pods();
        let proxies = pods.iter().map(|(_, ip)| SocketAddr::new(*ip, 7900));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let session = Polling::join(front).await;
            assert!(session.is_tagged(), "{session:?}");
            for (n, at) in (1..).zip(proxies.chain([front; 4])) {
                send_numbered(&session, at, n).await;
            }
            session
        })
    }

    /// Deletes the object, waits until it is gone, and sees that all is as it was.
    #[track_caller]
    pub(super) fn delete(&self, options: &[&str]) {
        let name = self.workload.name;
        Kubectl::run(&[&["delete", "socketiocluster", name, "--wait=false"], options].concat()).unwrap();
        wait("chat", &format!("socketiocluster/{name}"), LONG, "--for=delete");
        self.workload.assert_given_back();
        self.assert_keys_are_gone();
    }

    /// The operator has forgotten the object.
    #[track_caller]
    pub(super) fn assert_keys_are_gone(&self) {
        assert_keys_are_gone(&self.uid);
    }
}

/// The operator has no keys of the object of this UID.
#[track_caller]
pub(super) fn assert_keys_are_gone(uid: &str) {
    let name = format!("socketio-affinity-{uid}");
    let left = Operator::kubectl(&["get", "secret", &name, "--ignore-not-found", "--output=name"]).unwrap();
    assert_eq!(left, "", "the operator keeps keys of an object that is gone");
}

/// Sends the session's `n`th message, and polls until it is acknowledged as that.
async fn send_numbered(session: &Polling, at: SocketAddr, n: u32) {
    let sent = session.post(at, &format!(r#"42{n}["numbered",{{"n":{n}}}]"#)).await;
    assert_eq!(sent.text(), "ok", "{sent:?} at {at}");
    let (acknowledged, count) = (format!("43{n}["), format!(r#""count":{n},"#));
    loop {
        let seen = session.poll(at).await;
        assert_eq!(seen.status, 200, "{seen:?} at {at}");
        if let Some(packet) = seen.text().split('\x1e').find(|packet| packet.starts_with(&acknowledged)) {
            return assert!(packet.contains(&count), "{packet}");
        }
    }
}

/// A workload's and its Service's spec, labels and annotations, but for what only counts rollouts.
fn described(kind: &str, name: &str) -> Vec<String> {
    let describe = |kind: &str| {
        let object = Kubectl::json(&["get", kind, name]).unwrap();
        let mut metadata = object["metadata"].clone();
        if let Some(annotations) = metadata["annotations"].as_object_mut() {
            annotations.remove("deployment.kubernetes.io/revision");
            annotations.remove("deprecated.daemonset.template.generation");
        }
        [&object["spec"], &metadata["labels"], &metadata["annotations"]].map(Value::to_string)
    };
    [describe(kind), describe("service")].concat()
}
