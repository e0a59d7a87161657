//! Every right that the chart grants to the operator is needed.
//!
//! For each verb of each rule, an operator runs whose Role lacks exactly that verb. Each has a namespace to watch and
//! a Lease of its own, so that they run side by side. The scenario makes the operator inject, repair, change and
//! delete. The API server must refuse the missing verb, and the operator must report the refusal in its log or in a
//! condition. A verb that is never refused is never used: remove it from the chart.
//!
//! The operators are local processes that impersonate their account. The workloads have no pods, so no image is
//! needed.

use std::fs::File;
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::deployment::{Kubectl, wait_for};
use tempfile::NamedTempFile;

use crate::chart::{Clean, NAMESPACE, chart, helm, helm_with_chart, kubectl_in};

/// Placeholder for the name of one operator in what helm renders.
const PLACEHOLDER: &str = "rights-placeholder";
/// Operators that run at the same time.
const AT_ONCE: usize = 13;
/// The Service that the scenario deletes, so that the operator repairs it.
const PEER_SERVICE: &str = "daemonset-socketio-peers";
/// Longest wait for an effect that the next action of the scenario needs.
const EFFECT_TIMEOUT: Duration = Duration::from_secs(90);
/// Longest wait for a refusal once the effects are there.
const AFTER_EFFECTS: Duration = Duration::from_secs(5);
/// Longest wait for a refusal after the deletion, which waits 15 s for endpoints.
const AFTER_DELETION: Duration = Duration::from_secs(40);

/// The rules of the chart for an operator that watches one namespace of its own.
fn rendered() -> Vec<Value> {
    let name = format!("--set=fullnameOverride={PLACEHOLDER}");
    let watch = format!("--set=watchNamespaces={{{PLACEHOLDER}}},rbac.userRoles=false");
    let show = "--show-only=templates/rbac.yaml";
    let yaml =
        helm(&["template", "rights", &chart(), "--namespace", NAMESPACE, &name, &watch, show]).unwrap();
    let args = ["create", "--dry-run=client", "--output=json", "--filename=-"];
    let output = Kubectl::run_with(&[&["--namespace="], &args[..]].concat(), Some(&yaml)).unwrap();
    serde_json::Deserializer::from_str(&output).into_iter::<Value>().map(Result::unwrap).collect()
}

/// A verb of a rule.
#[derive(Debug, Clone)]
struct Right {
    object: usize,
    rule: usize,
    resource: String,
    verb: String,
}

impl Right {
    fn all(objects: &[Value]) -> Vec<Self> {
        let mut rights = Vec::new();
        for (object, content) in objects.iter().enumerate() {
            for (rule, content) in content["rules"].as_array().into_iter().flatten().enumerate() {
                for resource in strings(&content["resources"]) {
                    for verb in strings(&content["verbs"]) {
                        rights.push(Self { object, rule, resource: resource.clone(), verb });
                    }
                }
            }
        }
        rights
    }

    /// The rules without this right, for the operator `name`.
    fn removed(&self, objects: &[Value], name: &str) -> String {
        let mut objects = objects.to_vec();
        let rules = objects[self.object]["rules"].as_array_mut().unwrap();
        let mut without = rules[self.rule].clone();
        without["resources"] = json!([self.resource]);
        without["verbs"].as_array_mut().unwrap().retain(|verb| *verb != self.verb);
        rules[self.rule]["resources"].as_array_mut().unwrap().retain(|resource| *resource != self.resource);
        rules.push(without);
        rules.retain(|rule| !strings(&rule["resources"]).is_empty() && !strings(&rule["verbs"]).is_empty());
        json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string().replace(PLACEHOLDER, name)
    }

    /// The API server's words for the refusal.
    fn refusal(&self, objects: &[Value], name: &str) -> String {
        let object = &objects[self.object];
        let group = object["rules"][self.rule]["apiGroups"][0].as_str().unwrap();
        let place = match object["metadata"]["namespace"].as_str() {
            Some(namespace) => format!(" in the namespace \"{}\"", namespace.replace(PLACEHOLDER, name)),
            None => String::new(),
        };
        format!("cannot {} resource \"{}\" in API group \"{group}\"{place}", self.verb, self.resource)
    }
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

/// The workloads, Services and SocketIoClusters of one operator.
fn scenario() -> Value {
    let pod = json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {"nodeSelector": {"example.com/nowhere": "1"}, "containers": [{
            "name": "app", "image": "example.com/app", "ports": [{"containerPort": 3000}],
        }]},
    });
    let workload = |kind: &str| {
        let mut object = json!({
            "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "web"},
            "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": pod},
        });
        if kind != "DaemonSet" {
            object["spec"]["replicas"] = json!(0);
        }
        object
    };
    let cluster = |kind: &str, edge: Value| {
        json!({
            "apiVersion": "socketio-affinity.dev/v1alpha1", "kind": "SocketIoCluster",
            "metadata": {"name": kind.to_lowercase()},
            "spec": {"workloadRef": {"kind": kind, "name": "web"}, "app": {"port": 3000}, "edge": edge},
        })
    };
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 3000}]},
    });
    let ingress = json!({"ingress": {"className": "rights", "hosts": ["chat.example.com"]}});
    let taken = json!({"service": {"name": "web", "takeOver": true}});
    let items = [
        service,
        workload("Deployment"),
        workload("StatefulSet"),
        workload("DaemonSet"),
        cluster("Deployment", ingress),
        cluster("StatefulSet", taken),
        cluster("DaemonSet", json!({})),
    ];
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

/// An operator that runs for as long as this lives.
struct Running {
    process: Child,
    log: NamedTempFile,
    /// Holds an administrator's credentials, so it is removed with the operator.
    _kubeconfig: NamedTempFile,
    name: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let patch = r#"--patch={"metadata":{"finalizers":null}}"#;
        for cluster in ["deployment", "statefulset", "daemonset"] {
            let _ = kubectl_in(&self.name, &["patch", "socketiocluster", cluster, "--type=merge", patch]);
        }
        let bindings = ["clusterrole,clusterrolebinding", &self.name, "--wait=false"];
        let _ = Kubectl::run(&[&["delete"], &bindings[..]].concat());
        let _ = Kubectl::run(&["delete", "namespace", &self.name, "--wait=false"]);
    }
}

impl Running {
    fn start(name: &str, kubeconfig: &Value) -> Self {
        let mut kubeconfig = kubeconfig.clone();
        let account = format!("system:serviceaccount:{NAMESPACE}:{name}");
        for user in kubeconfig["users"].as_array_mut().unwrap() {
            user["user"]["as"] = json!(account);
        }
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(kubeconfig.to_string().as_bytes()).unwrap();
        let log = NamedTempFile::new().unwrap();
        let output = |log: &NamedTempFile| -> File { log.reopen().unwrap() };
        let process = Command::new(support::operator::program())
            .args(["run", "--namespace", NAMESPACE, "--identity", name, "--lease-name", name])
            .args(["--watch-namespace", name, "--sidecar-image", "example.com/sidecar"])
            .args(["--admin-listen", "127.0.0.1:0"])
            .env("KUBECONFIG", file.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output(&log))
            .spawn()
            .unwrap();
        Self { process, log, _kubeconfig: file, name: name.to_owned() }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap().replace('\\', "")
    }

    fn conditions(&self) -> String {
        let conditions = "--output=jsonpath={.items[*].status.conditions[*].message}";
        kubectl_in(&self.name, &["get", "socketioclusters", conditions]).unwrap()
    }

    /// Returns true if a log line or a condition has these words now.
    fn has_reported(&self, words: &str) -> bool {
        self.log().contains(words) || self.conditions().contains(words)
    }

    /// Returns true if a log line or a condition has these words within the limit.
    fn reports(&self, words: &str, limit: Duration) -> bool {
        let started = Instant::now();
        while !self.has_reported(words) {
            if started.elapsed() > limit {
                return false;
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        true
    }

    /// Waits for an effect of the operator. Returns `None` if the operator reports `refusal` before that.
    fn effect<T>(
        &self,
        what: &str,
        refusal: &str,
        look: impl Fn() -> Option<T>,
    ) -> Result<Option<T>, String> {
        let either = || Ok(if self.has_reported(refusal) { Some(None) } else { look().map(Some) });
        let seen = wait_for(what, EFFECT_TIMEOUT, either);
        seen.map_err(|error| format!("{error}, and nothing was refused with {refusal:?}: {}", self.log()))
    }

    /// Reads a field of an object; `None` if the object or the field is not there.
    fn field(&self, kind: &str, object: &str, path: &str) -> Option<String> {
        let output = format!("--output=jsonpath={{{path}}}");
        let field = kubectl_in(&self.name, &["get", kind, object, "--ignore-not-found", &output]).unwrap();
        Some(field).filter(|field| !field.is_empty())
    }
}

/// Runs the scenario with an operator that lacks `right`.
///
/// Each action waits for the effects that it builds on, so that a slow operator is no operator that missed nothing.
///
/// # Errors
/// The log of the operator, if nothing was refused or an effect did not come.
fn is_missed(right: &Right, objects: &[Value], name: &str, kubeconfig: &Value) -> Result<(), String> {
    Kubectl::run(&["create", "namespace", name]).unwrap();
    let without = right.removed(objects, name);
    Kubectl::run_with(&["--namespace=", "create", "--filename=-"], Some(&without)).unwrap();
    let operator = Running::start(name, kubeconfig);
    let refusal = right.refusal(objects, name);
    let scenario = scenario().to_string();
    Kubectl::run_with(&["--namespace", name, "create", "--filename=-"], Some(&scenario)).unwrap();
    // Before the step is recorded, a Service that is missing was not deleted by anybody.
    let step = || operator.field("socketiocluster", "daemonset", ".status.step");
    let Some(_) = operator.effect("the first step", &refusal, step)? else { return Ok(()) };
    let ingress = || operator.field("ingress", "deployment-socketio", ".metadata.uid");
    let mut deleted = None;
    let peer_service = |deleted: &Option<String>| {
        operator.field("service", PEER_SERVICE, ".metadata.uid").filter(|uid| Some(uid) != deleted.as_ref())
    };
    // Repaired, with an Event; the second Event is a patch of the first.
    for _ in 0..2 {
        let uid = operator.effect("the Service of the peers", &refusal, || peer_service(&deleted))?;
        let Some(uid) = uid else { return Ok(()) };
        kubectl_in(name, &["delete", "service", PEER_SERVICE]).unwrap();
        deleted = Some(uid);
    }
    let ready = || peer_service(&deleted).and(ingress());
    let Some(_) = operator.effect("the Service of the peers and the Ingress", &refusal, ready)? else {
        return Ok(());
    };
    let no_ingress = r#"--patch={"spec":{"edge":{"ingress":null}}}"#;
    kubectl_in(name, &["patch", "socketiocluster", "deployment", "--type=merge", no_ingress]).unwrap();
    let gone = || ingress().is_none().then_some(());
    let Some(()) = operator.effect("the Ingress to go", &refusal, gone)? else { return Ok(()) };
    if operator.reports(&refusal, AFTER_EFFECTS) {
        return Ok(());
    }
    kubectl_in(name, &["delete", "socketioclusters", "--all", "--wait=false"]).unwrap();
    if operator.reports(&refusal, AFTER_DELETION) {
        return Ok(());
    }
    Err(format!("nothing was refused with {refusal:?}: {}", operator.log()))
}

#[test]
fn each_right_of_the_operator_is_missed_when_it_is_removed() {
    let _clean = Clean::cluster();
    helm_with_chart("install", &chart(), &["--set=replicas=0"]).unwrap();
    let class = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "rights"},
        "spec": {"controller": "k8s.io/ingress-nginx"},
    });
    Kubectl::apply(&class).unwrap();
    let kubeconfig =
        Kubectl::run(&["config", "view", "--raw", "--minify", "--flatten", "--output=json"]).unwrap();
    let kubeconfig: Value = serde_json::from_str(&kubeconfig).unwrap();
    let objects = rendered();
    let rights = Right::all(&objects);
    assert!(rights.len() > 30, "{rights:?}");
    // Built once, before the operators start.
    let _ = support::operator::program();
    let next = AtomicUsize::new(0);
    let not_missed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let number = next.fetch_add(1, Ordering::Relaxed)
                    && let Some(right) = rights.get(number)
                {
                    if let Err(said) = is_missed(right, &objects, &format!("rights-{number}"), &kubeconfig) {
                        eprintln!("{right:?}: {said}");
                        not_missed.lock().unwrap().push(right);
                    }
                }
            });
        }
    });
    let not_missed = not_missed.into_inner().unwrap();
    let _ = Kubectl::run(&["delete", "ingressclass", "rights"]);
    assert!(
        not_missed.is_empty(),
        "these rights were not missed: if nothing was refused, remove them from the chart: {not_missed:#?}"
    );
}
