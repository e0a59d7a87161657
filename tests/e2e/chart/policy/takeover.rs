//! The policy for takeovers: the operator changes only what a takeover of a Service or an Ingress needs.

use std::time::Duration;

use serde_json::{Value, json};
use support::deployment::{Kubectl, wait_for};

use crate::chart::policy::{DRY, as_operator, assert_refused, make};
use crate::chart::{Clean, USERS, chart, helm_with_chart, repository};

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
