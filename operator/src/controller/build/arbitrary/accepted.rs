//! A real API server accepts what is built from arbitrary valid specs.
//!
//! The end-to-end tests run this with KUBECONFIG and the definition on the cluster. Nothing but the namespace and the
//! user's own objects in it is written: all that is built is sent as a dry run.

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, DynamicObject, Status};
use kube::{Api, Client, Error, Resource};
use proptest::test_runner::TestRunner;

use super::*;
use crate::controller::names::MANAGER;
use crate::controller::observed::workload::Workload;

const NAMESPACE: &str = "arbitrary-specs";
/// Specs of which everything is sent.
const SPECS: usize = 200;

/// An edge that keeps the rules between its fields, which an arbitrary one seldom does. Null: the arbitrary one.
fn edge() -> impl Strategy<Value = Value> {
    let service = prop::sample::select(vec![
        json!({}),
        json!({"port": 8080}),
        json!({"takeOver": true, "name": "chat"}),
    ]);
    let ingress = prop::sample::select(vec![
        json!({"className": "nginx"}),
        json!({"className": "nginx", "hosts": ["chat.example.com", "*.example.com"], "tlsSecretName": "chat-tls"}),
        json!({"takeOver": true, "name": "front"}),
    ]);
    let affinity = prop::sample::select(vec![
        json!({"type": "None"}),
        json!({"type": "ClientIP"}),
        json!({"type": "ClientIP", "forwardedFor": "First"}),
        json!({"type": "Cookie"}),
        json!({"type": "Cookie", "cookie": {"name": "sticky", "sameSite": "None"}}),
    ]);
    let proxies = prop::sample::select(vec![
        json!({}),
        json!({"trustedProxyCount": 1, "forwardedFor": "Append"}),
        json!({"trustedProxies": ["10.0.0.0/8", "fd00::/8"], "proxyProtocol": true}),
    ]);
    (service, prop::option::of((ingress, affinity)), proxies, prop::bool::weighted(0.8)).prop_map(
        |(service, ingress, mut edge, used)| {
            edge["service"] = service;
            if let Some((ingress, affinity)) = ingress {
                edge["ingress"] = ingress;
                edge["sessionAffinity"] = affinity;
            }
            if used { edge } else { Value::Null }
        },
    )
}

/// An API server, and what it has refused.
struct Server {
    client: Client,
    refused: Vec<String>,
}

impl Server {
    fn api(&self, resource: &ApiResource) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), NAMESPACE, resource)
    }

    /// The SocketIoCluster as the API server would have it. A field that it refuses is given up.
    async fn admit(&self, name: &str, mut spec: Value) -> Option<SocketIoCluster> {
        let least = json!({"workloadRef": {"kind": "Deployment", "name": "chat"}, "app": {"port": 3000}});
        let api = self.api(&ApiResource::erase::<SocketIoCluster>(&()));
        for _ in 0..10 {
            let object = from(json!({
                "apiVersion": "socketio-affinity.dev/v1alpha1", "kind": "SocketIoCluster",
                "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec,
            }))?;
            let refusal = match api.create(&PostParams { dry_run: true, field_manager: None }, &object).await
            {
                Ok(admitted) => return from(serde_json::to_value(admitted).unwrap()),
                Err(Error::Api(refusal)) => refusal,
                Err(error) => panic!("{error}"),
            };
            for field in fields_of(&refusal) {
                give_up(&mut spec, &least, &field);
            }
        }
        None
    }

    /// Makes an object of the user's, if it can be made.
    async fn make<K>(&self, object: &Value) -> Option<K>
    where
        K: Resource<DynamicType = ()> + serde::de::DeserializeOwned,
    {
        let made = self.make_any(&ApiResource::erase::<K>(&()), object).await?;
        from(serde_json::to_value(made).unwrap())
    }

    async fn make_any(&self, resource: &ApiResource, object: &Value) -> Option<DynamicObject> {
        let name = object["metadata"]["name"].as_str().unwrap();
        let params = PatchParams::apply("user").force();
        match self.api(resource).patch(name, &params, &Patch::Apply(object)).await {
            Ok(made) => Some(made),
            Err(Error::Api(_)) => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// Objects as a reconcile would read them: the user's own objects exist, and nothing was made yet.
    async fn observe(&self, cluster: &Cluster) -> Observed {
        let reference = &cluster.spec.workload_ref;
        let mut template = json!({
            "metadata": {"labels": {"app": "chat"}},
            // There is no such node.
            "spec": {"nodeSelector": {"chat": "none"}, "containers": [{"name": "chat", "image": "chat:1"}]},
        });
        template["spec"]["containers"][0]["ports"] = json!([{"containerPort": cluster.spec.app.port}]);
        let resource = reference.kind.resource();
        let workload = json!({
            "apiVersion": "apps/v1", "kind": resource.kind, "metadata": {"name": reference.name},
            "spec": {"selector": {"matchLabels": {"app": "chat"}}, "template": template},
        });
        let workload = self.make_any(&resource, &workload).await;
        let mut observed = Observed {
            workload: workload.map(|object| Workload::read(reference.kind, &object).unwrap()),
            ..Observed::default()
        };
        if cluster.spec.edge.service.take_over {
            let ports = json!([{"port": 80, "targetPort": cluster.spec.app.port}]);
            let service = json!({
                "apiVersion": "v1", "kind": "Service", "metadata": {"name": cluster.client_service},
                "spec": {"selector": {"app": "chat"}, "ports": ports},
            });
            observed.client_service = self.make(&service).await;
        }
        if let Some(wanted) = &cluster.spec.edge.ingress {
            if wanted.take_over {
                let backend = json!({"service": {"name": cluster.client_service, "port": {"number": 80}}});
                let ingress = json!({
                    "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": cluster.ingress},
                    "spec": {"ingressClassName": "nginx", "defaultBackend": backend},
                });
                observed.ingress = self.make(&ingress).await;
            }
            let name = wanted.class_name.clone().unwrap_or_else(|| "nginx".to_owned());
            let class = json!({"metadata": {"name": name}, "spec": {"controller": "k8s.io/ingress-nginx"}});
            let class = if name == "nginx" { from(class) } else { None };
            observed.ingress_class = Some(NamedClass { name, read: Ok(class) });
        }
        observed
    }

    async fn send<B: serde::Serialize + std::fmt::Debug>(
        &mut self,
        resource: &ApiResource,
        name: &str,
        patch: Patch<B>,
        spec: &impl serde::Serialize,
    ) {
        let params = match patch {
            Patch::Apply(_) => PatchParams::apply(MANAGER).force(),
            _ => PatchParams::default(),
        };
        if let Err(error) = self.api(resource).patch(name, &params.dry_run(), &patch).await {
            let spec = serde_json::to_string(spec).unwrap();
            self.refused.push(format!("{} {name} of {spec}: {error}", resource.kind));
        }
    }

    async fn apply<K>(&mut self, object: &K, cluster: &Cluster)
    where
        K: Resource<DynamicType = ()> + serde::Serialize,
    {
        let name = object.meta().name.clone().unwrap();
        // The operator's own namespace does not matter here.
        let mut object = serde_json::to_value(object).unwrap();
        object["metadata"]["namespace"] = json!(NAMESPACE);
        self.send(&ApiResource::erase::<K>(&()), &name, Patch::Apply(object), &cluster.spec).await;
    }

    async fn change(&mut self, service: ServiceChange, ingress: IngressChange, cluster: &Cluster) {
        match service {
            ServiceChange::Ours(service) => self.apply(&*service, cluster).await,
            ServiceChange::Theirs(patch) => {
                let resource = ApiResource::erase::<Service>(&());
                self.send(&resource, &cluster.client_service, Patch::Merge(patch), &cluster.spec).await;
            }
            ServiceChange::Leave => {}
        }
        match ingress {
            IngressChange::Ours(ingress) => self.apply(&*ingress, cluster).await,
            IngressChange::Theirs { name, patch } => {
                let resource = ApiResource::erase::<Ingress>(&());
                self.send(&resource, &name, Patch::Merge(patch), &cluster.spec).await;
            }
            IngressChange::Leave => {}
        }
    }

    /// Sends all that is built from a spec, if the spec is valid. Returns whether it is.
    async fn try_out(&mut self, cluster: &Cluster) -> bool {
        let observed = self.observe(cluster).await;
        let Ok(valid) = validate(cluster, &observed, &[], "sidecar:1") else { return false };
        for step in [Step::Injecting, Step::Programmed] {
            let plan = Plan {
                step,
                writes_sidecar: true,
                waits_for: None,
                again: None,
                release: false,
                overdue: false,
            };
            let built = build(&valid, &plan, &CREDENTIALS, NAMESPACE).unwrap();
            let Resources {
                credentials_secret, sidecar_secret, revision: _, peer_service, injection, ..
            } = &built;
            self.apply(credentials_secret, cluster).await;
            self.apply(sidecar_secret, cluster).await;
            self.apply(peer_service, cluster).await;
            let reference = &cluster.spec.workload_ref;
            let injection = Patch::Apply(injection.as_ref().unwrap());
            self.send(&reference.kind.resource(), &reference.name, injection, &cluster.spec).await;
            self.change(built.client_service, built.ingress, cluster).await;
        }
        let released = build_release(cluster, &observed, Step::Closing, &CREDENTIALS).unwrap();
        self.apply(&released.sidecar_secret, cluster).await;
        self.change(released.client_service, released.ingress, cluster).await;
        true
    }
}

/// The fields of the spec that a refusal names, without what is below a list.
fn fields_of(refusal: &Status) -> Vec<Vec<String>> {
    let causes = refusal.details.iter().flat_map(|details| &details.causes);
    causes
        .filter_map(|cause| {
            let field = cause.field.split('[').next().and_then(|field| field.strip_prefix("spec"))?;
            Some(field.split('.').skip(1).map(str::to_owned).collect())
        })
        .collect()
}

/// Replaces a field of `spec` by that of `least`, which may have none.
fn give_up(spec: &mut Value, least: &Value, field: &[String]) {
    let (Some((name, deeper)), Value::Object(fields)) = (field.split_first(), &mut *spec) else {
        *spec = least.clone();
        return;
    };
    match fields.get_mut(name) {
        Some(value) if !deeper.is_empty() => give_up(value, &least[name], deeper),
        _ => match least.get(name) {
            Some(least) => drop(fields.insert(name.clone(), least.clone())),
            None => drop(fields.remove(name)),
        },
    }
}

#[tokio::test]
#[ignore = "it needs KUBECONFIG, and the definition on the cluster"]
async fn the_api_server_accepts_what_is_built_from_any_valid_spec() {
    let client = crate::client::client().await.unwrap();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = from(json!({"metadata": {"name": NAMESPACE}})).unwrap();
    namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    let mut server = Server { client, refused: Vec::new() };
    // The same specs in every run.
    let mut runner = TestRunner::deterministic();
    let specs = (value_of(&SPEC), edge(), "[a-z]([a-z0-9-]{0,38}[a-z0-9])?");
    let mut valid = 0;
    for _ in 0..5 * SPECS {
        let (mut spec, edge, name) = specs.new_tree(&mut runner).unwrap().current();
        if let Some(fields) = spec.as_object_mut().filter(|_| !edge.is_null()) {
            fields.insert("edge".to_owned(), edge);
        }
        let Some(admitted) = server.admit(&name, spec).await else { continue };
        let cluster = Cluster::resolve(&admitted).unwrap();
        valid += usize::from(server.try_out(&cluster).await);
        if valid == SPECS {
            break;
        }
    }
    namespaces.delete(NAMESPACE, &DeleteParams::default()).await.unwrap();
    assert!(server.refused.is_empty(), "{}", server.refused.join("\n"));
    assert_eq!(valid, SPECS, "too few specs are valid");
}
