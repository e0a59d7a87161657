//! Each refusal, with its sentence.

use kube::core::error_boundary::InvalidObject;
use serde_json::{Value, json};

use k8s_openapi::api::networking::v1::Ingress;

use super::*;
use crate::controller::condition::ConditionType;
use crate::controller::fixtures::{changed, cluster, cluster_with, workload, workload_with};
use crate::controller::names::CLUSTER_LABEL;
use crate::controller::observed::NamedClass;
use crate::crd::SocketIoCluster;

fn readable(cluster: &Cluster) -> Arc<Guarded> {
    Arc::new(Guarded(Ok(SocketIoCluster::clone(cluster))))
}

fn validate<'v>(
    cluster: &'v Cluster,
    observed: &'v Observed,
    others: &[Arc<Guarded>],
) -> Result<Validated<'v>, Refusal> {
    super::validate(cluster, observed, others, "sidecar:1")
}

fn observed() -> Observed {
    Observed { workload: Some(workload()), ..Observed::default() }
}

fn refused(cluster: &Cluster, observed: &Observed, others: &[Arc<Guarded>]) -> Refusal {
    validate(cluster, observed, others).map(drop).unwrap_err()
}

fn refusal(cluster: &Cluster, observed: &Observed) -> (ConditionType, Reason, String) {
    let refusal = refused(cluster, observed, &[]);
    (refusal.reason.condition(), refusal.reason, refusal.message)
}

fn edge(cluster: &Cluster, observed: &Observed) -> Refusal {
    validate(cluster, observed, &[]).unwrap().edge.unwrap().map(drop).unwrap_err()
}

fn object<K: serde::de::DeserializeOwned>(value: Value) -> Option<K> {
    Some(serde_json::from_value(value).unwrap())
}

#[test]
fn a_plain_deployment_will_do() {
    let observed = observed();
    assert!(validate(&cluster(), &observed, &[]).unwrap().edge.is_none());
}

#[test]
fn the_oldest_object_on_a_workload_has_it() {
    let with = |uid: &str, created: &str| {
        changed(&cluster(), |object| {
            object.metadata.uid = Some(uid.to_owned());
            object.metadata.name = Some(format!("chat-{uid}"));
            object.metadata.creation_timestamp = Some(serde_json::from_value(json!(created)).unwrap());
        })
    };
    let (old, new) = (with("b", "2026-01-01T00:00:00Z"), with("a", "2026-01-02T00:00:00Z"));
    let both = [readable(&old), readable(&new)];
    let observed = observed();
    assert!(validate(&old, &observed, &both).is_ok());
    let refusal = refused(&new, &observed, &both);
    assert_eq!((refusal.reason.condition(), refusal.reason), (ConditionType::Accepted, Reason::Conflicted));
    assert!(refusal.message.contains("SocketIoCluster chat-b has this workload already"));
    // Who has it keeps it, although another one is older.
    let held = Observed {
        workload: Some(workload_with(|object| {
            object["spec"]["template"]["metadata"]["labels"][CLUSTER_LABEL] = json!("chat-a");
        })),
        ..Observed::default()
    };
    assert!(validate(&new, &held, &both).is_ok());
    assert_eq!(refused(&old, &held, &both).reason, Reason::Conflicted);
    // Also one that cannot be read, but then what it would like to have is unknown.
    let invalid = InvalidObject { error: "no".to_owned(), metadata: new.metadata.clone() };
    let unreadable = [Arc::new(Guarded(Err(invalid)))];
    assert_eq!(refused(&old, &held, &unreadable).reason, Reason::Conflicted);
    assert!(validate(&old, &observed, &unreadable).is_ok());
    // Of two of the same second, one has it.
    let twin = with("c", "2026-01-01T00:00:00Z");
    let both = [readable(&old), readable(&twin)];
    assert!(validate(&old, &observed, &both).is_ok() != validate(&twin, &observed, &both).is_ok());
}

#[test]
fn what_cannot_be_injected_is_refused_before_anything_is_touched() {
    assert_eq!(refusal(&cluster(), &Observed::default()).1, Reason::WorkloadNotFound);
    let too_large = cluster_with(&json!({"sidecar": {"maxBufferedMiB": 180}}));
    assert_eq!(refusal(&too_large, &observed()).1, Reason::BufferedTooLarge);
    type Change = fn(&mut Value);
    let table: &[(Change, Reason, &str)] = &[
        (
            |o| o["spec"]["template"]["spec"]["hostNetwork"] = json!(true),
            Reason::HostNetwork,
            "take hostNetwork out of its pod template",
        ),
        (
            |o| o["spec"]["template"]["spec"]["initContainers"] = json!([{"name": "socketio-sidecar"}]),
            Reason::NameTaken,
            "has a container named socketio-sidecar already",
        ),
        (
            |o| {
                o["spec"]["template"]["metadata"]["labels"] = json!({CLUSTER_LABEL: "earlier"});
                o["spec"]["template"]["spec"]["initContainers"] = json!([{"name": "socketio-sidecar"}]);
            },
            Reason::NameTaken,
            "SocketIoCluster earlier, which is gone; name this one earlier",
        ),
        (
            |o| o["spec"]["template"]["spec"]["containers"][0]["ports"][0]["containerPort"] = json!(7901),
            Reason::PortTaken,
            "container chat of Deployment chat uses port 7901",
        ),
    ];
    for (change, reason, says) in table {
        let observed = Observed { workload: Some(workload_with(change)), ..Observed::default() };
        let (condition, found, message) = refusal(&cluster(), &observed);
        assert_eq!((condition, found), (ConditionType::Accepted, *reason));
        assert!(message.contains(says), "{message}");
    }
}

#[test]
fn a_service_is_taken_over_by_consent_only_and_only_one_that_leads_to_the_application() {
    let theirs = cluster_with(&json!({"edge": {"service": {"name": "web", "takeOver": true, "port": 80}}}));
    let named = cluster_with(&json!({"edge": {"service": {"name": "web", "port": 80}}}));
    let service = |target: i32, annotations: &Value| Observed {
        client_service: object(json!({
            "metadata": {"name": "web", "annotations": annotations},
            "spec": {"selector": {"app": "chat"}, "ports": [{"port": 80, "targetPort": target}]},
        })),
        ..observed()
    };
    assert_eq!(refusal(&theirs, &observed()).1, Reason::ServiceNotFound);
    assert_eq!(refusal(&named, &service(3000, &json!({}))).1, Reason::ServiceExists);
    let (_, reason, message) = refusal(&theirs, &service(8080, &json!({})));
    assert_eq!(reason, Reason::NoSuchPort);
    assert!(message.contains("no port of Service web leads to port 3000"), "{message}");
    let mut elsewhere = service(3000, &json!({}));
    let selector =
        elsewhere.client_service.as_mut().unwrap().spec.as_mut().unwrap().selector.as_mut().unwrap();
    selector.insert("app".to_owned(), "other".to_owned());
    assert_eq!(refusal(&theirs, &elsewhere).1, Reason::ServiceElsewhere);
    let shared = Observed { other_pods: vec!["canary-1".to_owned()], ..service(3000, &json!({})) };
    let (_, reason, message) = refusal(&theirs, &shared);
    assert_eq!(reason, Reason::ServiceShared);
    assert!(message.contains("(canary-1)"), "{message}");
    let taken = json!({names::ORIGINAL_ANNOTATION: r#"{"by":"another","ports":{"80/TCP":3000}}"#});
    let another = cluster_with(&json!({"workloadRef": {"kind": "Deployment", "name": "another"}}));
    let another = changed(&another, |object| object.metadata.uid = Some("another".to_owned()));
    let refused = refused(&theirs, &service(7900, &taken), &[readable(&another)]);
    assert_eq!(refused.reason, Reason::ServiceTaken);
    // One that is gone has nothing any more.
    assert!(validate(&theirs, &service(7900, &taken), &[]).is_ok());
    assert!(validate(&theirs, &service(3000, &json!({})), &[]).is_ok());
}

#[test]
fn what_somebody_else_made_under_our_names_is_left_alone() {
    let secret = |labels: Value| Observed {
        sidecar_secret: object(json!({"metadata": {"name": "chat-socketio-sidecar", "labels": labels}})),
        ..observed()
    };
    assert_eq!(refusal(&cluster(), &secret(json!({}))).1, Reason::ObjectExists);
    let ours = json!({"app.kubernetes.io/managed-by": "socketio-affinity", CLUSTER_LABEL: "chat"});
    assert!(validate(&cluster(), &secret(ours), &[]).is_ok());
    let headless = Observed {
        client_service: object(json!({
            "metadata": {"name": "web"},
            "spec": {"clusterIP": "None", "selector": {"app": "chat"}, "ports": [{"port": 80, "targetPort": 3000}]},
        })),
        ..observed()
    };
    let theirs = cluster_with(&json!({"edge": {"service": {"name": "web", "takeOver": true, "port": 80}}}));
    assert_eq!(refusal(&theirs, &headless).1, Reason::HeadlessService);
}

#[test]
fn what_keeps_the_edge_from_being_programmed_keeps_nothing_else() {
    let own = cluster_with(&json!({"edge": {"service": {"port": 80}, "ingress": {"className": "nginx"}}}));
    let theirs = cluster_with(
        &json!({"edge": {"service": {"port": 80}, "ingress": {"name": "front", "takeOver": true}}}),
    );
    assert_eq!(edge(&theirs, &observed()).reason, Reason::IngressNotFound);
    let class = |controller: &str| {
        let class = json!({"metadata": {"name": "nginx"}, "spec": {"controller": controller}});
        Some(NamedClass { name: "nginx".to_owned(), read: Ok(object(class)) })
    };
    let missing = Observed {
        ingress_class: Some(NamedClass { name: "nginx".to_owned(), read: Ok(None) }),
        ..observed()
    };
    assert_eq!(edge(&own, &missing).reason, Reason::IngressClassNotFound);
    let traefik = Observed { ingress_class: class("traefik.io/ingress-controller"), ..observed() };
    assert_eq!(edge(&own, &traefik).reason, Reason::UnknownController);
    let ingress = |service: &str, class: &Value| -> Option<Ingress> {
        object(json!({
            "metadata": {"name": "front"},
            "spec": {"ingressClassName": class, "defaultBackend": {"service": {"name": service, "port": {"number": 80}}}},
        }))
    };
    let elsewhere = Observed { ingress: ingress("other", &json!("nginx")), ..observed() };
    assert_eq!(edge(&theirs, &elsewhere).reason, Reason::IngressElsewhere);
    assert_eq!(edge(&own, &elsewhere).reason, Reason::IngressExists);
    let classless = Observed { ingress: ingress("chat-socketio", &Value::Null), ..observed() };
    assert_eq!(edge(&theirs, &classless).reason, Reason::NoIngressClass);
    let good = Observed {
        ingress: ingress("chat-socketio", &json!("nginx")),
        ingress_class: class("k8s.io/ingress-nginx"),
        ..observed()
    };
    assert!(validate(&theirs, &good, &[]).unwrap().edge.unwrap().is_ok());
    let snippet = |text: &str| {
        let mut ingress = ingress("chat-socketio", &json!("nginx"));
        let annotations = ingress.as_mut().map(ResourceExt::annotations_mut).unwrap();
        annotations.insert("nginx.ingress.kubernetes.io/configuration-snippet".to_owned(), text.to_owned());
        Observed { ingress, ingress_class: class("k8s.io/ingress-nginx"), ..observed() }
    };
    let first = cluster_with(&json!({"edge": {
        "service": {"port": 80}, "ingress": {"name": "front", "takeOver": true},
        "sessionAffinity": {"type": "ClientIP", "forwardedFor": "First"},
    }}));
    assert!(validate(&first, &good, &[]).unwrap().edge.unwrap().is_ok());
    assert_eq!(edge(&first, &snippet("more_set_headers x;")).reason, Reason::IngressHasSnippet);
    assert!(validate(&theirs, &snippet("more_set_headers x;"), &[]).unwrap().edge.unwrap().is_ok());
    // In the operator's own Ingress such a snippet is drift, which is repaired.
    let own = cluster_with(&json!({"edge": {
        "service": {"port": 80}, "ingress": {"className": "nginx"},
        "sessionAffinity": {"type": "ClientIP", "forwardedFor": "First"},
    }}));
    let mut drifted = snippet("more_set_headers x;");
    drifted.ingress.as_mut().unwrap().metadata.labels = Some(own.labels());
    assert!(validate(&own, &drifted, &[]).unwrap().edge.unwrap().is_ok());
}
