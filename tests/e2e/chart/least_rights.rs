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
use support::deployment::Kubectl;
use tempfile::NamedTempFile;

use crate::chart::{Clean, NAMESPACE, chart, helm, helm_with_chart, kubectl_in};

/// Placeholder for the name of one operator in what helm renders.
const PLACEHOLDER: &str = "rights-placeholder";
/// Operators that run at the same time.
const AT_ONCE: usize = 13;
/// Longest wait for a refusal after each action of the scenario. A deletion waits 15 s for endpoints.
const AFTER_ACTION: Duration = Duration::from_secs(5);
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

/// One verb of one rule.
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
        // It is read at the start only.
        std::mem::forget(file.into_temp_path());
        Self { process, log, name: name.to_owned() }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap().replace('\\', "")
    }

    fn conditions(&self) -> String {
        let conditions = "--output=jsonpath={.items[*].status.conditions[*].message}";
        kubectl_in(&self.name, &["get", "socketioclusters", conditions]).unwrap()
    }

    /// Whether a log line or a condition has these words within the limit.
    fn reports(&self, words: &str, limit: Duration) -> bool {
        let started = Instant::now();
        while !self.log().contains(words) && !self.conditions().contains(words) {
            if started.elapsed() > limit {
                return false;
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        true
    }
}

/// Runs the scenario with an operator that lacks `right`. The error has the log of an operator that missed nothing.
fn is_missed(right: &Right, objects: &[Value], name: &str, kubeconfig: &Value) -> Result<(), String> {
    Kubectl::run(&["create", "namespace", name]).unwrap();
    let without = right.removed(objects, name);
    Kubectl::run_with(&["--namespace=", "create", "--filename=-"], Some(&without)).unwrap();
    let operator = Running::start(name, kubeconfig);
    let refusal = right.refusal(objects, name);
    let scenario = scenario().to_string();
    Kubectl::run_with(&["--namespace", name, "create", "--filename=-"], Some(&scenario)).unwrap();
    let peers = ["delete", "service", "daemonset-socketio-peers", "--ignore-not-found"];
    let no_ingress = r#"--patch={"spec":{"edge":{"ingress":null}}}"#;
    let actions: [(&[&str], Duration); 5] = [
        (&["get", "namespace", name], AFTER_ACTION),
        // Repaired, with an Event; the second Event is a patch of the first.
        (&peers, AFTER_ACTION),
        (&peers, AFTER_ACTION),
        (&["patch", "socketiocluster", "deployment", "--type=merge", no_ingress], AFTER_ACTION),
        (&["delete", "socketioclusters", "--all", "--wait=false"], AFTER_DELETION),
    ];
    for (action, limit) in actions {
        kubectl_in(name, action).unwrap();
        if operator.reports(&refusal, limit) {
            return Ok(());
        }
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
    let unused = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let number = next.fetch_add(1, Ordering::Relaxed)
                    && let Some(right) = rights.get(number)
                {
                    if let Err(said) = is_missed(right, &objects, &format!("rights-{number}"), &kubeconfig) {
                        eprintln!("{right:?}: {said}");
                        unused.lock().unwrap().push(right);
                    }
                }
            });
        }
    });
    let unused = unused.into_inner().unwrap();
    let _ = Kubectl::run(&["delete", "ingressclass", "rights"]);
    assert!(
        unused.is_empty(),
        "the operator works without these rights; remove them from the chart: {unused:#?}"
    );
}
