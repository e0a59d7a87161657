//! Mistakes of users: each is said once, in one sentence that says what to do; nothing is written after
//! that, traffic goes on as before, and what is put right comes up by itself.
//!
//! All mistakes are made at once, under one operator, so that what it writes at rest is what all of them
//! cost together.

pub(crate) mod mistakes;
pub(crate) mod witness;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use mistakes::{LABEL, deployment};
use serde_json::{Value, json};
use support::deployment::{Chat, Kubectl, Operator, SocketIoCluster, Variant, condition, wait_for};
use witness::{Visitors, assert_one_sentence, events, look, work};

/// A namespace in which the operator may not change Deployments.
const FORBIDDEN: &str = "chat-forbidden";
/// More than the time after which each object is looked at although nothing happened.
const MINUTE: Duration = Duration::from_secs(65);
const SOON: Duration = Duration::from_secs(30);
/// A resync, or the time after which what was forbidden is tried again.
const RETRY: Duration = Duration::from_secs(75);

/// Removes the objects that the tests put on the cluster beside the chat.
struct Litter;

impl Litter {
    fn none() -> Self {
        Self::remove();
        Self
    }

    fn remove() {
        let selector = format!("--selector={LABEL}");
        let kinds = "deployments,services,ingressclasses,validatingadmissionpolicies,validatingadmissionpolicybindings";
        let _ = Kubectl::run(&["delete", kinds, &selector, "--grace-period=1"]);
        let _ = Kubectl::run(&["delete", "namespace", FORBIDDEN, "--ignore-not-found"]);
    }
}

impl Drop for Litter {
    fn drop(&mut self) {
        Self::remove();
    }
}

fn apply(name: &str, workload: &str, changes: &Value) -> SocketIoCluster {
    let mut spec = json!({
        "workloadRef": {"kind": "Deployment", "name": workload},
        "app": {"port": 3000},
        "mode": "Off",
    });
    spec.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    SocketIoCluster::apply(name, &spec).unwrap()
}

/// Waits until a condition has that reason, and returns its message.
fn told(cluster: &SocketIoCluster, condition: &str, reason: &str, limit: Duration) -> String {
    let said = || cluster.condition(condition).unwrap();
    let what = format!("{condition} to say {reason} of {cluster:?}");
    wait_for(&what, limit, || Ok((said()["reason"] == reason).then_some(())))
        .unwrap_or_else(|error| panic!("{error}: {}", said()));
    said()["message"].as_str().unwrap().to_owned()
}

/// Returns the API server's refusal of an object with that spec.
fn refused(spec: &Value) -> String {
    SocketIoCluster::apply("refused", spec).expect_err(&spec.to_string()).to_string()
}

fn refused_by_the_api_server() {
    let workload = json!({"kind": "Deployment", "name": "chat"});
    let unknown = refused(&json!({"workloadRef": workload, "app": {"port": 3000}, "edge": {"servce": {}}}));
    assert!(unknown.contains(r#"unknown field "spec.edge.servce""#), "{unknown}");
    let path = refused(&json!({"workloadRef": workload, "app": {"port": 3000, "path": "socket.io"}}));
    assert!(path.contains("app.path must begin and end with a slash"), "{path}");
}

/// The chat again, once, under another name: with a Service of its own.
fn deploy_second_chat(name: &str) {
    let manifests = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/chat/k8s/chat.yaml");
    let manifest = std::fs::read_to_string(manifests).unwrap();
    let manifest =
        manifest.replace("name: chat\n", &format!("name: {name}\n")).replace("replicas: 3", "replicas: 1");
    Kubectl::run_with(&["apply", "--filename=-"], Some(&manifest)).unwrap();
    Kubectl::run(&["label", "deployment,service", name, &format!("{LABEL}=")]).unwrap();
    Kubectl::run(&["rollout", "status", "deployment", name, "--timeout=60s"]).unwrap();
}

/// The Role that the chart makes in each namespace, with or without leave to change Deployments.
fn let_patch_deployments(allowed: bool) {
    let mut role = Kubectl::json(&["--namespace", FORBIDDEN, "get", "role", "socketio-affinity"]).unwrap();
    let rules = role["rules"].as_array_mut().unwrap();
    let rule = rules.iter_mut().find(|rule| rule["resources"].to_string().contains("deployments")).unwrap();
    let verbs = rule["verbs"].as_array_mut().unwrap();
    verbs.retain(|verb| verb != "patch");
    if allowed {
        verbs.push("patch".into());
    }
    Kubectl::run_with(&["--namespace", FORBIDDEN, "replace", "--filename=-"], Some(&role.to_string()))
        .unwrap();
    let account = format!("--as=system:serviceaccount:{}:socketio-affinity", Operator::NAMESPACE);
    wait_for("the Role to be in force", SOON, || {
        let may =
            Kubectl::run(&["--namespace", FORBIDDEN, "auth", "can-i", "patch", "deployments", &account]);
        Ok((may.is_ok() == allowed).then_some(()))
    })
    .unwrap();
}

fn forbidden_ready() -> Value {
    let object = Kubectl::json(&["--namespace", FORBIDDEN, "get", "socketiocluster", "forbidden"]).unwrap();
    condition(&object, "Ready")
}

fn apply_forbidden() {
    let workload = deployment("forbidden", &json!({})).to_string();
    let cluster = json!({
        "apiVersion": "socketio-affinity.dev/v1alpha1",
        "kind": "SocketIoCluster",
        "metadata": {"name": "forbidden"},
        "spec": {"workloadRef": {"kind": "Deployment", "name": "forbidden"}, "app": {"port": 3000}},
    });
    for object in [workload, cluster.to_string()] {
        Kubectl::run_with(&["--namespace", FORBIDDEN, "apply", "--filename=-"], Some(&object)).unwrap();
    }
}

/// A policy is in force some time after it was made.
fn wait_for_policy() {
    let snippet = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "tried", "annotations": {"nginx.ingress.kubernetes.io/configuration-snippet": "#"}},
        "spec": {"defaultBackend": {"service": {"name": "tried", "port": {"number": 80}}}},
    });
    wait_for("the policy to be in force", SOON, || {
        let tried =
            Kubectl::run_with(&["create", "--dry-run=server", "--filename=-"], Some(&snippet.to_string()));
        Ok(tried.is_err().then_some(()))
    })
    .unwrap();
}

#[test]
fn what_cannot_be_done_is_said_once_costs_nothing_and_comes_up_when_it_is_put_right() {
    assert_said_once_and_taken_up(Duration::from_secs(12));
}

#[test]
#[ignore = "takes long; `make soak` runs it"]
fn what_was_put_right_unseen_comes_up_by_itself_within_a_minute() {
    assert_said_once_and_taken_up(MINUTE);
}

/// For at most a minute nothing may happen. After less the operator has to be told to look at what it cannot see.
fn assert_said_once_and_taken_up(rest: Duration) {
    let _litter = Litter::none();
    let chat = Chat::deploy(Variant::Without).unwrap();
    Kubectl::run(&["create", "namespace", FORBIDDEN]).unwrap();
    deploy_second_chat("deaf");
    Kubectl::apply(&mistakes::surroundings()).unwrap();
    let namespaces = format!("--set=watchNamespaces={{chat,{FORBIDDEN}}}");
    let _operator = Operator::install(&["--set=replicas=1", &namespaces]).unwrap();
    let_patch_deployments(false);
    wait_for_policy();

    refused_by_the_api_server();
    let through_chat = Visitors::of(chat.name());
    let through_deaf = Visitors::of("deaf");
    apply_forbidden();
    let elsewhere = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "elsewhere", "labels": {LABEL: ""}},
        "spec": {"selector": {"app": "elsewhere"}, "ports": [{"port": 80, "targetPort": 3000}]},
    });
    Kubectl::apply(&elsewhere).unwrap();
    let mut not_ours = elsewhere;
    not_ours["metadata"]["name"] = json!("not-ours-socketio");
    Kubectl::apply(&not_ours).unwrap();
    // Nobody listens there.
    let deaf = apply("deaf", "deaf", &json!({"app": {"port": 3001}}));
    // The webhook of ingress-nginx does not like what this asks for, and nobody said anything of an adapter.
    let refused_edge = json!({
        "edge": {
            "service": {"name": chat.name(), "takeOver": true},
            "ingress": {"className": "mistakes-nginx", "hosts": ["chat.example.com"]},
            "sessionAffinity": {"type": "ClientIP", "forwardedFor": "First"},
        },
    });
    let main = apply("main", chat.name(), &refused_edge);
    let mut clusters = BTreeMap::new();
    let mistakes = mistakes::all();
    for mistake in &mistakes {
        if let Some(workload) = mistake.workload() {
            Kubectl::apply(&workload).unwrap();
        }
        clusters.insert(mistake.name, apply(mistake.name, mistake.name, &mistake.spec));
    }
    Kubectl::apply(&deployment("shared", &json!({}))).unwrap();
    let older = apply("older", "shared", &json!({}));
    told(&older, "Ready", "Injecting", SOON);
    clusters.insert("younger", apply("younger", "shared", &json!({})));

    for mistake in &mistakes {
        let (condition, reason, words) = mistake.told;
        let message = told(&clusters[mistake.name], condition, reason, SOON);
        assert!(message.contains(words), "{}: {message}", mistake.name);
        assert_one_sentence(&message);
    }
    let younger = told(&clusters["younger"], "Accepted", "Conflicted", SOON);
    assert!(younger.contains("SocketIoCluster older has this workload already; delete one"), "{younger}");
    let forbidden = wait_for("Ready to say Forbidden", SOON, || {
        let ready = forbidden_ready();
        Ok((ready["reason"] == "Forbidden").then(|| ready["message"].as_str().unwrap().to_owned()))
    })
    .unwrap();
    assert!(forbidden.contains("injecting the sidecar into Deployment forbidden failed"), "{forbidden}");
    assert!(
        forbidden.contains("cannot patch resource \"deployments\"") && forbidden.contains("; grant it"),
        "{forbidden}"
    );

    main.wait_until("be routed to the sidecars", Duration::from_secs(120), |object| {
        let status = &object["status"];
        status["step"] == "Programmed" && status["revision"] == status["appliedRevision"]
    })
    .unwrap();
    // Pods were replaced, which ended the session of the one that was to stay.
    through_chat.leave().assert_let_in();
    let through_chat = Visitors::of(chat.name());
    let denied = told(&main, "EdgeProgrammed", "RefusedByAdmission", SOON);
    assert!(denied.contains("denied request: snippets are not allowed here"), "{denied}");
    assert!(denied.contains("must say allow-snippet-annotations: \"true\""), "{denied}");
    for holds in ["Accepted", "ResolvedRefs", "SidecarInjected", "TrafficRouted"] {
        assert_eq!(main.condition(holds).unwrap()["status"], "True", "{holds}");
    }
    let undeclared = told(&main, "AdapterDeclared", "NotDeclared", SOON);
    assert!(
        undeclared.contains("does not arrive at clients of the other pods; give the application an adapter"),
        "{undeclared}"
    );
    assert_one_sentence(&undeclared);
    let silent = told(&deaf, "SidecarInjected", "SidecarNotReady", Duration::from_secs(60));
    assert!(
        silent.contains("in pod deaf-")
            && silent.contains("nobody accepts connections on port 3001; set app.port"),
        "{silent}"
    );
    assert_one_sentence(&silent);

    told(&clusters["no-class"], "Ready", "IngressClassNotFound", SOON);

    at_rest_nothing_is_written(rest);

    through_deaf.leave().assert_undisturbed();
    // Of an Ingress an Event tells once pods have the sidecar: before, Ready has something else to say.
    for mistake in mistakes.iter().filter(|it| it.told.0 != "EdgeProgrammed" || it.replicas > 0) {
        assert_one_warning("chat", mistake.name, mistake.told.1);
    }
    assert_one_warning("chat", "younger", "Conflicted");
    assert_one_warning("chat", "deaf", "SidecarNotReady");
    assert_one_warning("chat", "main", "RefusedByAdmission");
    assert_one_warning(FORBIDDEN, "forbidden", "Forbidden");

    // All is put right.
    let_patch_deployments(true);
    let granted = Instant::now();
    // Secrets are not watched, so this is seen when the object is looked at anyway.
    let secret = || Kubectl::json(&["get", "secret", "no-class-socketio-sidecar"]).unwrap()["data"].clone();
    let was = secret();
    let nonsense = r#"{"stringData":{"config.json":"{}"}}"#;
    Kubectl::run(&["patch", "secret", "no-class-socketio-sidecar", "--type=merge", "--patch", nonsense])
        .unwrap();
    older.delete().unwrap();
    deaf.change(&json!({"app": {"port": 3000}})).unwrap();
    Kubectl::apply(&deployment("no-workload", &json!({}))).unwrap();
    for (name, pod) in [("host-network", json!({"hostNetwork": false})), ("name-taken", json!({}))] {
        let fixed = deployment(name, &pod).to_string();
        Kubectl::run_with(&["replace", "--filename=-"], Some(&fixed)).unwrap();
    }
    main.change(&json!({"edge": {"ingress": null, "sessionAffinity": null}})).unwrap();
    main.wait_until_ready(SOON).unwrap();
    assert_eq!(main.condition("AdapterDeclared").unwrap()["status"], "False", "it is no part of Ready");
    for (type_, status, reason) in [("NotNeeded", "True", "NotNeeded"), ("Cluster", "False", "SpansOnePod")] {
        main.change(&json!({"adapter": {"type": type_}})).unwrap();
        told(&main, "AdapterDeclared", reason, SOON);
        assert_eq!(main.condition("AdapterDeclared").unwrap()["status"], status);
    }
    told(&clusters["no-workload"], "ResolvedRefs", "Resolved", SOON);
    told(&clusters["host-network"], "Accepted", "Accepted", SOON);
    told(&clusters["name-taken"], "Accepted", "Accepted", SOON);
    deaf.wait_until_ready(Duration::from_secs(90)).unwrap();
    if rest < MINUTE {
        look("chat", "younger");
        look("chat", "no-class");
        look(FORBIDDEN, "forbidden");
    }
    told(&clusters["younger"], "Accepted", "Accepted", RETRY);
    wait_for("what was forbidden to be done", RETRY.saturating_sub(granted.elapsed()), || {
        Ok((forbidden_ready()["reason"] == "Injecting").then_some(()))
    })
    .unwrap_or_else(|error| panic!("{error}: {}", forbidden_ready()));
    wait_for("the Secret to be put back", RETRY, || Ok((secret() == was).then_some(()))).unwrap();
    through_chat.leave().assert_undisturbed();
}

fn at_rest_nothing_is_written(time: Duration) {
    let (writes, passes) = work();
    std::thread::sleep(time);
    let (writes_after, passes_after) = work();
    assert_eq!(writes_after, writes, "the operator writes although nothing happens");
    let passes = passes_after - passes;
    // Fourteen objects, once a minute; those of which something may come unseen some times more.
    let most = 10.0 + 60.0 * time.as_secs_f64() / MINUTE.as_secs_f64();
    assert!(passes < most, "{passes} passes in {} s", time.as_secs());
    assert!(passes > 10.0 || time < MINUTE, "{passes} passes in {} s", time.as_secs());
}

#[track_caller]
fn assert_one_warning(namespace: &str, name: &str, reason: &str) {
    let events = events(namespace, name);
    // EdgeUnknown is said of every object without an Ingress, whatever else is refused.
    let warnings: Vec<_> =
        events.iter().filter(|event| event.0 == "Warning" && event.1 != "EdgeUnknown").collect();
    assert_eq!(warnings.len(), 1, "{name}: {events:#?}");
    assert_eq!((warnings[0].1.as_str(), warnings[0].3), (reason, 1), "{name}: {events:#?}");
}
