//! What the admission policies refuse to the operator's account although its rights allow it.
//!
//! Tried as that account, and not by an operator, of which none runs; and without changing anything:
//! a dry run on the server passes admission.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use support::deployment::{Kubectl, wait_for};

use crate::chart::workload::{TOKEN, injection, pod, sidecar, template, volume, workload};
use crate::chart::{Clean, NAMESPACE, USERS, chart, helm_with_chart, kubectl_in, repository};

const DRY: &str = "--dry-run=server";

/// Makes `object` as a person who may do anything.
fn make(object: &Value) {
    Kubectl::run_with(&["--namespace", USERS, "create", "--filename=-"], Some(&object.to_string())).unwrap();
}

/// Runs kubectl as the operator.
fn as_operator(namespace: &str, args: &[&str], input: Option<&str>) -> Result<String> {
    let user = format!("--as=system:serviceaccount:{NAMESPACE}:socketio-affinity");
    Kubectl::run_with(&[&["--namespace", namespace, &user], args].concat(), input)
}

fn patch(kind: &str, patch: &Value) -> Result<String> {
    as_operator(USERS, &["patch", kind, "app", DRY, "--type=strategic", "--patch", &patch.to_string()], None)
}

/// Applies `object` as the operator does.
fn apply(object: &Value) -> Result<String> {
    let args = ["apply", "--server-side", "--field-manager=socketio-affinity", "--filename=-"];
    as_operator(USERS, &args, Some(&object.to_string()))
}

fn spec_of(kind: &str) -> Value {
    Kubectl::json(&["--namespace", USERS, "get", kind, "app"]).unwrap()["spec"].clone()
}

#[track_caller]
fn assert_refused(what: &str, result: Result<String>, message: &str) {
    let said = result.expect_err(what).to_string();
    assert!(said.contains("ValidatingAdmissionPolicy") && said.contains(message), "{what}: {said}");
}

/// The sidecar with `field` set, and its volume.
fn sidecar_with(field: &str, value: &Value) -> Value {
    let mut container = sidecar();
    container[field] = value.clone();
    pod(&json!({"initContainers": [container], "volumes": [volume()]}))
}

/// The sidecar with these mounts, of a volume at a path, and its volume.
fn mounting(mounts: &[(&str, &str)]) -> Value {
    let mounts: Vec<_> =
        mounts.iter().map(|(volume, path)| json!({"name": volume, "mountPath": path})).collect();
    sidecar_with("volumeMounts", &json!(mounts))
}

#[test]
fn the_operator_can_inject_and_take_out_its_sidecar_and_change_nothing_else() {
    let _clean = Clean::cluster();
    helm_with_chart("install", &chart(), &["--set=replicas=0"]).unwrap();
    let kinds = ["Deployment", "StatefulSet", "DaemonSet"];
    kinds.iter().for_each(|kind| make(&workload(kind)));
    wait_for("the policy to be in force", Duration::from_secs(30), || {
        Ok(patch("Deployment", &json!({"metadata": {"labels": {"x": "y"}}})).is_err().then_some(()))
    })
    .unwrap();

    let only_template = "may change only the pod template";
    let only_ours = "may change only the container and the volume socketio-sidecar";
    let only_our_labels = "may change only labels and annotations of its own on a";
    let unprivileged = "must be unprivileged, not be root, mount its own volume only";
    let our_volume = "the volume socketio-sidecar must be the Secret";
    let secret = json!({"secretKeyRef": {"name": "other", "key": "password"}});
    let refused = [
        ("a label", json!({"metadata": {"labels": {"x": "y"}}}), only_our_labels),
        ("a label less", json!({"metadata": {"labels": {"app": null}}}), only_our_labels),
        ("an annotation", json!({"metadata": {"annotations": {"x": "y"}}}), only_our_labels),
        ("a finalizer", json!({"metadata": {"finalizers": ["example.com/x"]}}), only_our_labels),
        ("the pods' label", template(&json!({"labels": {"x": "y"}}), &json!({})), only_our_labels),
        ("a restart", template(&json!({"annotations": {"example.com/a": "2"}}), &json!({})), only_our_labels),
        ("minReadySeconds", json!({"spec": {"minReadySeconds": 5}}), only_template),
        ("an image", pod(&json!({"containers": [{"name": "app", "image": "example.com/evil"}]})), only_ours),
        (
            "a variable",
            pod(&json!({"containers": [{"name": "app", "env": [{"name": "A", "value": "2"}]}]})),
            only_ours,
        ),
        ("a container", pod(&json!({"containers": [{"name": "socketio-sidecar", "image": "x"}]})), only_ours),
        ("an init container", pod(&json!({"initContainers": [{"name": "other", "image": "x"}]})), only_ours),
        ("another's image", pod(&json!({"initContainers": [{"name": "migrate", "image": "x"}]})), only_ours),
        ("a volume", pod(&json!({"volumes": [{"name": "other", "emptyDir": {}}]})), only_ours),
        ("a volume less", pod(&json!({"volumes": [{"name": "spare", "$patch": "delete"}]})), only_ours),
        ("hostNetwork", pod(&json!({"hostNetwork": true})), only_ours),
        ("an account", pod(&json!({"serviceAccountName": "other"})), only_ours),
        ("where it runs", pod(&json!({"nodeSelector": {"example.com/nowhere": null}})), only_ours),
        ("privileged", sidecar_with("securityContext", &json!({"privileged": true})), unprivileged),
        (
            "root",
            sidecar_with(
                "securityContext",
                &json!({"allowPrivilegeEscalation": false, "runAsUser": 0, "capabilities": {"drop": ["ALL"]}}),
            ),
            unprivileged,
        ),
        (
            "capabilities",
            sidecar_with(
                "securityContext",
                &json!({"allowPrivilegeEscalation": false, "runAsNonRoot": true, "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN"]}}),
            ),
            unprivileged,
        ),
        (
            "the user of the image, which may be root",
            sidecar_with(
                "securityContext",
                &json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}),
            ),
            unprivileged,
        ),
        ("another's volume", mounting(&[("socketio-sidecar", TOKEN), ("data", "/data")]), unprivileged),
        ("the account's token", mounting(&[("socketio-sidecar", "/etc/socketio-sidecar")]), unprivileged),
        // Kubernetes compares the paths letter by letter.
        (
            "the account's token, under ours",
            mounting(&[("socketio-sidecar", &format!("{TOKEN}/"))]),
            unprivileged,
        ),
        ("a Secret's key", sidecar_with("env", &json!([{"name": "A", "valueFrom": secret}])), unprivileged),
        ("a Secret", sidecar_with("envFrom", &json!([{"secretRef": {"name": "other"}}])), unprivileged),
        (
            "a port of the node",
            sidecar_with("ports", &json!([{"containerPort": 7900, "hostPort": 7900}])),
            unprivileged,
        ),
        (
            "the node's files",
            pod(&json!({"volumes": [{"name": "socketio-sidecar", "hostPath": {"path": "/"}}]})),
            our_volume,
        ),
        (
            "another Secret",
            pod(&json!({"volumes": [{"name": "socketio-sidecar", "secret": {"secretName": "other"}}]})),
            our_volume,
        ),
    ];
    for kind in kinds {
        let original = spec_of(kind);
        // The policy is the same for all kinds; that it applies to them is seen by a part of it.
        let step = if kind == "Deployment" { 1 } else { 5 };
        for (what, change, message) in refused.iter().step_by(step) {
            assert_refused(&format!("{kind}: {what}"), patch(kind, change), message);
        }
        // As the operator does it: applied, changed, and taken out by applying nothing.
        let mut object = injection(kind);
        apply(&object).unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert_ne!(spec_of(kind), original);
        object["spec"]["template"]["spec"]["initContainers"][0]["image"] = json!("example.com/sidecar:2");
        apply(&object).unwrap();
        apply(&json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": "app"}})).unwrap();
        assert_eq!(spec_of(kind), original);
    }
    let scale = json!({"spec": {"replicas": 0}});
    for kind in ["Deployment", "StatefulSet"] {
        assert_refused(kind, patch(kind, &scale), only_template);
    }
    // Others are not concerned.
    let scaled = scale.to_string();
    kubectl_in(USERS, &["patch", "deployment", "app", DRY, "--patch", &scaled]).unwrap();
}

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

/// A Service and an Ingress of a user's, and the rest of what the operator may be asked to change them to.
fn edge_objects() -> (Value, Value) {
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "labels": {"team": "a"}},
        "spec": {
            "selector": {"app": "web"},
            "ports": [
                {"name": "http", "port": 80, "targetPort": 3000},
                {"name": "metrics", "port": 9090, "targetPort": "metrics"},
            ],
        },
    });
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    let ingress = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": "front", "annotations": {
            "example.com/theirs": "1", "nginx.ingress.kubernetes.io/proxy-read-timeout": "60",
        }},
        "spec": {
            "tls": [{"hosts": ["a.example.com"], "secretName": "a"}],
            "rules": [{"host": "a.example.com", "http": {"paths": [
                {"path": "/", "pathType": "Prefix", "backend": backend},
            ]}}],
        },
    });
    (service, ingress)
}

#[test]
fn the_operator_can_take_over_a_service_and_an_ingress_and_change_nothing_else_of_them() {
    let _clean = Clean::cluster();
    helm_with_chart("install", &chart(), &["--set=replicas=0"]).unwrap();
    let (service, ingress) = edge_objects();
    make(&service);
    make(&ingress);
    let merge = |kind: &str, name: &str, patch: &Value, dry: bool| {
        let patch = patch.to_string();
        let mut args = vec!["patch", kind, name, "--type=merge", "--patch", &patch];
        args.extend(dry.then_some(DRY));
        as_operator(USERS, &args, None)
    };
    wait_for("the policy to be in force", Duration::from_secs(30), || {
        let change = json!({"spec": {"type": "NodePort"}});
        Ok(merge("service", "web", &change, true).is_err().then_some(()))
    })
    .unwrap();

    let ports = |http: &Value, metrics: &Value| {
        json!([
            {"name": "http", "port": 80, "protocol": "TCP", "targetPort": http},
            {"name": "metrics", "port": 9090, "protocol": "TCP", "targetPort": metrics},
        ])
    };
    let (spec, selector, target_ports) = (
        "may change only the selector and the target ports",
        "may add only its own label to the selector",
        "may change only target ports",
    );
    let only_annotations = "may change only annotations of its own";
    for (what, change, message) in [
        ("the type", json!({"spec": {"type": "NodePort"}}), spec),
        ("an address outside", json!({"spec": {"externalIPs": ["192.0.2.1"]}}), spec),
        ("a name outside", json!({"spec": {"type": "ExternalName", "externalName": "example.com"}}), spec),
        ("a load balancer", json!({"spec": {"type": "LoadBalancer", "loadBalancerIP": "192.0.2.1"}}), spec),
        ("affinity", json!({"spec": {"sessionAffinity": "ClientIP"}}), spec),
        ("pods that are not ready", json!({"spec": {"publishNotReadyAddresses": true}}), spec),
        ("other pods", json!({"spec": {"selector": {"app": "other"}}}), selector),
        ("all pods", json!({"spec": {"selector": null}}), selector),
        (
            "another port's target",
            json!({"spec": {"ports": ports(&json!(8080), &json!("metrics"))}}),
            target_ports,
        ),
        (
            "a port less",
            json!({"spec": {"ports": [ports(&json!(3000), &json!("metrics"))[0]]}}),
            target_ports,
        ),
        (
            "another port",
            json!({"spec": {"ports": [ports(&json!(3000), &json!("metrics"))[0], {"name": "x", "port": 9091}]}}),
            target_ports,
        ),
        ("a label", json!({"metadata": {"labels": {"team": "b"}}}), only_annotations),
        (
            "our label",
            json!({"metadata": {"labels": {"socketio-affinity.dev/cluster": "x"}}}),
            only_annotations,
        ),
        ("a finalizer", json!({"metadata": {"finalizers": ["example.com/x"]}}), only_annotations),
        (
            "an annotation",
            json!({"metadata": {"annotations": {"service.beta.kubernetes.io/aws-load-balancer-internal": "false"}}}),
            "may set only annotations of session affinity",
        ),
    ] {
        assert_refused(&format!("Service: {what}"), merge("service", "web", &change, true), message);
    }
    // Whoever makes the endpoints of such a Service decides where it leads.
    let port = json!([{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 3000}]);
    make(
        &json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "bare"}, "spec": {"ports": port}}),
    );
    let selects = |label: &Value| json!({"spec": {"selector": {"socketio-affinity.dev/cluster": label}}});
    assert_refused("no selector", merge("service", "bare", &selects(&json!("chat")), true), selector);
    make(&json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "label"},
        "spec": {"ports": port, "selector": {"socketio-affinity.dev/cluster": "chat"}},
    }));
    assert_refused("its label alone", merge("service", "label", &selects(&json!("other")), true), selector);
    merge("service", "label", &selects(&Value::Null), true).unwrap();
    let leads =
        json!({"spec": {"ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 7900}]}});
    merge("service", "bare", &leads, true).unwrap();
    let theirs = "may not change the spec of a user's Ingress";
    let snippet = "nginx.ingress.kubernetes.io/configuration-snippet";
    for (what, change, message) in [
        ("a host", json!({"spec": {"rules": [{"host": "b.example.com"}]}}), theirs),
        (
            "a certificate",
            json!({"spec": {"tls": [{"hosts": ["a.example.com"], "secretName": "b"}]}}),
            theirs,
        ),
        (
            "a backend",
            json!({"spec": {"defaultBackend": {"service": {"name": "x", "port": {"number": 80}}}}}),
            theirs,
        ),
        ("the class", json!({"spec": {"ingressClassName": "other"}}), theirs),
        ("a label", json!({"metadata": {"labels": {"team": "b"}}}), only_annotations),
        (
            "an annotation",
            json!({"metadata": {"annotations": {"nginx.ingress.kubernetes.io/auth-url": "http://192.0.2.1"}}}),
            "may set only annotations of session affinity",
        ),
        (
            "an annotation less",
            json!({"metadata": {"annotations": {"example.com/theirs": null}}}),
            "may set only annotations of session affinity",
        ),
        (
            "a value with text for nginx",
            json!({"metadata": {"annotations": {
                "nginx.ingress.kubernetes.io/proxy-next-upstream": "error; } location /x { return 200;",
            }}}),
            "may set only plain values",
        ),
        (
            "a value of two lines",
            json!({"metadata": {"annotations": {"nginx.ingress.kubernetes.io/upstream-hash-by": "$host\nx"}}}),
            "may set only plain values",
        ),
        (
            "a snippet",
            json!({"metadata": {"annotations": {snippet: "return 200 $http_authorization;"}}}),
            "may write only its own configuration-snippet",
        ),
    ] {
        assert_refused(&format!("Ingress: {what}"), merge("ingress", "front", &change, true), message);
    }

    // As the operator does it, and back.
    let seen = |kind: &str, name: &str| {
        let object = Kubectl::json(&["--namespace", USERS, "get", kind, name]).unwrap();
        (
            object["spec"].clone(),
            object["metadata"]["annotations"].clone(),
            object["metadata"]["labels"].clone(),
        )
    };
    let (service_was, ingress_was) = (seen("service", "web"), seen("ingress", "front"));
    let original = "socketio-affinity.dev/original";
    let take = json!({
        "metadata": {"annotations": {original: "{}"}},
        "spec": {
            "selector": {"socketio-affinity.dev/cluster": "chat"},
            "ports": ports(&json!(7900), &json!("metrics")),
        },
    });
    merge("service", "web", &take, false).unwrap();
    let back = json!({
        "metadata": {"annotations": {original: null}},
        "spec": {
            "selector": {"socketio-affinity.dev/cluster": null},
            "ports": ports(&json!(3000), &json!("metrics")),
        },
    });
    merge("service", "web", &back, false).unwrap();
    assert_eq!((seen("service", "web").0, seen("service", "web").2), (service_was.0, service_was.2));
    let ours =
        std::fs::read_to_string(repository().join("charts/socketio-affinity/files/client-ip.conf")).unwrap();
    let annotate = |timeout: &str, hash: &Value, snippet_is: &Value, original_is: &Value| {
        json!({"metadata": {"annotations": {
            "nginx.ingress.kubernetes.io/proxy-read-timeout": timeout,
            "nginx.ingress.kubernetes.io/upstream-hash-by": hash, snippet: snippet_is, original: original_is,
        }}})
    };
    let take = annotate("3600", &json!("$client_ip"), &json!(ours), &json!("{}"));
    merge("ingress", "front", &take, false).unwrap();
    merge("ingress", "front", &annotate("60", &json!("${host}-$uri"), &json!(ours), &json!("{}")), true)
        .unwrap();
    let back = annotate("60", &Value::Null, &Value::Null, &Value::Null);
    merge("ingress", "front", &back, false).unwrap();
    assert_eq!(seen("ingress", "front"), ingress_was);

    // Of its own, it makes what its work needs, and nothing that reaches outside.
    let apply = |object: &Value| {
        let object = object.to_string();
        let args = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "--field-manager=socketio-affinity",
            "--filename=-",
        ];
        as_operator(USERS, &args, Some(&object))
    };
    let own = |spec: &Value| {
        let labels = json!({"app.kubernetes.io/managed-by": "socketio-affinity", "socketio-affinity.dev/cluster": "chat"});
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "chat-socketio", "labels": labels}, "spec": spec})
    };
    let port = json!([{"name": "http", "port": 80, "targetPort": 7900, "protocol": "TCP"}]);
    for (what, spec) in [
        ("a name outside", json!({"type": "ExternalName", "externalName": "example.com"})),
        ("an address outside", json!({"ports": port, "externalIPs": ["192.0.2.1"]})),
        ("a load balancer", json!({"ports": port, "type": "LoadBalancer"})),
        ("a port of the nodes", json!({"ports": port, "type": "NodePort"})),
    ] {
        assert_refused(
            &format!("making {what}"),
            apply(&own(&spec)),
            "may make only Services of the type ClusterIP",
        );
    }
    apply(&own(&json!({"ports": port, "selector": {"app": "web"}}))).unwrap();
    let outside = json!({"ports": port, "selector": {"app": "web"}, "externalIPs": ["192.0.2.1"]});
    assert_refused("an address outside", apply(&own(&outside)), spec);
    apply(&own(&json!({"ports": port, "selector": {"app": "web", "socketio-affinity.dev/cluster": "chat"}})))
        .unwrap();
}
