//! Mistakes of users: workloads, SocketIoClusters, and what is to be said of them.

use serde_json::{Value, json};

/// Puts all of it into one drawer, so that it is found again.
pub(crate) const LABEL: &str = "socketio-affinity.test/mistakes";

/// A SocketIoCluster that cannot be followed, on a workload of its own.
pub(crate) struct Mistake {
    /// Name of the SocketIoCluster and of the workload.
    pub(crate) name: &'static str,
    /// The workload's pod, or that there is none.
    pod: Option<Value>,
    /// Number of pods: none, where it takes none to see the mistake.
    pub(crate) replicas: u32,
    /// Differences from the least spec.
    pub(crate) spec: Value,
    /// The condition that says it, its reason, and words of its message.
    pub(crate) told: (&'static str, &'static str, &'static str),
}

impl Mistake {
    fn new(name: &'static str, spec: Value, told: (&'static str, &'static str, &'static str)) -> Self {
        Self { name, pod: Some(json!({})), replicas: 0, spec, told }
    }

    fn with_pod(self, pod: Value) -> Self {
        Self { pod: Some(pod), ..self }
    }

    /// The workload.
    pub(crate) fn workload(&self) -> Option<Value> {
        let mut workload = deployment(self.name, self.pod.as_ref()?);
        workload["spec"]["replicas"] = json!(self.replicas);
        Some(workload)
    }
}

/// A Deployment without pods. `pod` is put over a pod with one container.
pub(crate) fn deployment(name: &str, pod: &Value) -> Value {
    let port = |port: &Value| json!([{"containerPort": port}]);
    let container = json!({
        "name": pod.get("container").unwrap_or(&json!("chat")),
        "image": "socketio-affinity/chat:dev",
        "ports": port(pod.get("port").unwrap_or(&json!(3000))),
        // The namespace asks for it.
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
    });
    let security = json!({
        "runAsNonRoot": true, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"},
    });
    let host_network = pod.get("hostNetwork").unwrap_or(&Value::Null);
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "labels": {LABEL: ""}},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [container], "hostNetwork": host_network, "securityContext": security},
            },
        },
    })
}

/// All of them, where there is a Service `chat` that leads to port 3000 of other pods.
pub(crate) fn all() -> Vec<Mistake> {
    let takes = |service: &str| json!({"edge": {"service": {"name": service, "takeOver": true}}});
    let ingress =
        |class: &str| json!({"edge": {"ingress": {"className": class, "hosts": ["chat.example.com"]}}});
    vec![
        Mistake {
            pod: None,
            ..Mistake::new(
                "no-workload",
                json!({}),
                (
                    "ResolvedRefs",
                    "WorkloadNotFound",
                    "no Deployment no-workload in this namespace; create it",
                ),
            )
        },
        Mistake::new(
            "no-service",
            takes("nowhere"),
            (
                "ResolvedRefs",
                "ServiceNotFound",
                "no Service nowhere in this namespace to take over; create it",
            ),
        ),
        Mistake::new(
            "elsewhere",
            json!({"app": {"port": 3001}, "edge": {"service": {"name": "elsewhere", "takeOver": true}}}),
            (
                "ResolvedRefs",
                "NoSuchPort",
                "no port of Service elsewhere leads to port 3001 of the pods; set app.port",
            ),
        ),
        Mistake::new(
            "other-pods",
            takes("elsewhere"),
            (
                "ResolvedRefs",
                "ServiceElsewhere",
                "Service elsewhere does not select the pods of this workload",
            ),
        ),
        Mistake::new(
            "not-ours",
            json!({}),
            (
                "ResolvedRefs",
                "ServiceExists",
                "Service not-ours-socketio exists already and is not ours; remove it",
            ),
        ),
        Mistake::new(
            "host-network",
            json!({}),
            ("Accepted", "HostNetwork", "Deployment host-network uses hostNetwork"),
        )
        .with_pod(json!({"hostNetwork": true, "port": 3000})),
        Mistake::new(
            "name-taken",
            json!({}),
            ("Accepted", "NameTaken", "has a container named socketio-sidecar already; remove it"),
        )
        .with_pod(json!({"container": "socketio-sidecar"})),
        Mistake::new(
            "port-taken",
            json!({}),
            ("Accepted", "PortTaken", "container chat of Deployment port-taken uses port 7901"),
        )
        .with_pod(json!({"port": 7901})),
        Mistake {
            replicas: 1,
            ..Mistake::new(
                "no-class",
                ingress("nowhere"),
                ("EdgeProgrammed", "IngressClassNotFound", "there is no IngressClass nowhere; name one"),
            )
        },
        Mistake::new(
            "other-class",
            ingress("mistakes-other"),
            (
                "EdgeProgrammed",
                "UnknownController",
                "IngressClass mistakes-other is of controller example.com/other, for which there are no annotations yet; \
                 take edge.ingress out",
            ),
        ),
    ]
}

/// Cluster-wide objects: a class of ingress-nginx and one of another controller, and a policy that denies
/// what the webhook of ingress-nginx denies unless it is told otherwise.
pub(crate) fn surroundings() -> Value {
    let class = |name: &str, controller: &str| {
        json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IngressClass",
            "metadata": {"name": name, "labels": {LABEL: ""}},
            "spec": {"controller": controller},
        })
    };
    let policy = "mistakes-no-snippets";
    let no_snippet = "!has(object.metadata.annotations) || \
                      object.metadata.annotations.all(key, !key.endsWith('-snippet'))";
    json!({"apiVersion": "v1", "kind": "List", "items": [
        class("mistakes-nginx", "k8s.io/ingress-nginx"),
        class("mistakes-other", "example.com/other"),
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": policy, "labels": {LABEL: ""}},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [{
                    "apiGroups": ["networking.k8s.io"], "apiVersions": ["v1"],
                    "operations": ["CREATE", "UPDATE"], "resources": ["ingresses"],
                }]},
                "validations": [{"expression": no_snippet, "message": "snippets are not allowed here"}],
            },
        },
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": policy, "labels": {LABEL: ""}},
            "spec": {"policyName": policy, "validationActions": ["Deny"]},
        },
    ]})
}
