//! Arbitrary specs: reading, validating and building a SocketIoCluster never panics.
//!
//! Specs are generated from the schema of the definition, so a new field is tried as soon as it exists. One value in
//! some is of a wrong type or out of its range: what the API server would refuse may stand in its store, written
//! under an earlier schema.

use std::sync::{Arc, LazyLock};

use jiff::Timestamp;
use kube::CustomResourceExt;
use proptest::prelude::*;
use proptest::strategy::{Union, ValueTree};
use serde_json::{Map, Value, json};

use super::*;
use crate::controller::fixtures::workload;
use crate::controller::observed::NamedClass;
use crate::controller::validate::validate;
use crate::crd::{Guarded, SocketIoCluster};
use crate::credentials::Terms;

const STEPS: [Step; 9] = [
    Step::Injecting,
    Step::Settling,
    Step::Programmed,
    Step::Untagging,
    Step::Draining,
    Step::Closing,
    Step::Emptying,
    Step::RoutingBack,
    Step::Uninjecting,
];

static CREDENTIALS: LazyLock<Credentials> = LazyLock::new(|| {
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    Credentials::generate(Terms { cluster: "uid", certificate_days: 90, now }).unwrap()
});

static SPEC: LazyLock<Value> = LazyLock::new(|| {
    let definition = serde_json::to_value(SocketIoCluster::crd()).unwrap();
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"].clone()
});

/// Values that the schema of their field may not allow.
fn anything() -> BoxedStrategy<Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,40}".prop_map(Value::from),
        Just(json!("x".repeat(5000))),
        Just(json!([[], {}, null])),
        Just(json!({"a": {"b": ["c"]}})),
    ]
    .boxed()
}

fn text() -> BoxedStrategy<Value> {
    let usual = [
        "chat",
        "web",
        "front",
        "nginx",
        "chat-tls",
        "chat.example.com",
        "*.example.com",
        "/socket.io/",
        "/",
        "/a b",
        "10.0.0.0/8",
        "::/0",
        "0.0.0.0/0",
        "100m",
        "64Mi",
        "-1",
        "1e400",
        "",
        "é",
        "..",
        "a/b:c@d",
    ];
    prop_oneof![
        8 => prop::sample::select(usual.to_vec()).prop_map(Value::from),
        1 => "[ -~]{0,70}".prop_map(Value::from),
        1 => "\\PC{0,20}".prop_map(Value::from),
    ]
    .boxed()
}

/// A value of the schema, or now and then anything.
fn value_of(schema: &Value) -> BoxedStrategy<Value> {
    let right = match (schema["enum"].as_array(), schema["type"].as_str()) {
        (Some(values), _) => prop::sample::select(values.clone()).boxed(),
        (_, Some("object")) if schema["properties"].is_object() => object_of(schema),
        (_, Some("object")) => prop::collection::btree_map("[a-z./-]{0,20}", text(), 0..3)
            .prop_map(|map| Value::Object(map.into_iter().collect()))
            .boxed(),
        (_, Some("array")) => {
            prop::collection::vec(value_of(&schema["items"]), 0..4).prop_map(Value::from).boxed()
        }
        (_, Some("boolean")) => any::<bool>().prop_map(Value::from).boxed(),
        (_, Some("integer" | "number")) => {
            let (least, most) =
                (schema["minimum"].as_f64().unwrap_or(-1.0), schema["maximum"].as_f64().unwrap_or(1e9));
            #[expect(clippy::cast_possible_truncation, reason = "the limits of the schema are small")]
            let (least, most) = (least as i64, most as i64);
            prop_oneof![Just(least), Just(most), least..=most].prop_map(Value::from).boxed()
        }
        _ => text(),
    };
    prop_oneof![40 => right, 1 => anything()].boxed()
}

fn object_of(schema: &Value) -> BoxedStrategy<Value> {
    let required: Vec<_> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let fields: Vec<BoxedStrategy<Option<(String, Value)>>> = schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, field)| {
            let is_required = required.contains(&name.as_str());
            let (name, value) = (name.clone(), value_of(field));
            let present = value.prop_map(move |value| Some((name.clone(), value))).boxed();
            if is_required {
                present
            } else {
                Union::new_weighted(vec![(3, present), (2, Just(None).boxed())]).boxed()
            }
        })
        .collect();
    fields.prop_map(|fields| Value::Object(fields.into_iter().flatten().collect::<Map<_, _>>())).boxed()
}

fn from<K: serde::de::DeserializeOwned>(value: Value) -> Option<K> {
    serde_json::from_value(value).ok()
}

/// The other objects that a cluster may hold when such a SocketIoCluster is read.
fn worlds() -> Vec<Observed> {
    let service = json!({
        "metadata": {"name": "chat", "annotations": {"socketio-affinity.dev/original": "{"}},
        "spec": {"selector": {"app": "chat"}, "ports": [{"port": 80, "targetPort": 3000}, {"port": 81}]},
    });
    let ingress = json!({
        "metadata": {"name": "front", "annotations": {"socketio-affinity.dev/original": "{}"}},
        "spec": {"ingressClassName": "nginx", "defaultBackend": {"service": {"name": "chat"}}},
    });
    let class = json!({"metadata": {"name": "nginx"}, "spec": {"controller": "k8s.io/ingress-nginx"}});
    let class = || Some(NamedClass { name: "nginx".to_owned(), read: Ok(from(class.clone())) });
    let bare = || Observed { workload: Some(workload()), ..Observed::default() };
    let full =
        Observed { client_service: from(service), ingress: from(ingress), ingress_class: class(), ..bare() };
    let edge = Observed { ingress_class: class(), ..bare() };
    let empty = Observed { client_service: from(json!({})), ingress: from(json!({})), ..bare() };
    vec![Observed::default(), bare(), edge, full, empty]
}

proptest! {
    #[test]
    fn reading_validating_and_building_any_spec_never_panics(
        spec in value_of(&SPEC), name in "[a-z]{0,3}|chat", uid in prop::option::of("[a-z0-9-]{0,36}"),
        going in any::<bool>(),
    ) {
        let mut object = json!({
            "apiVersion": "socketio-affinity.dev/v1alpha1", "kind": "SocketIoCluster",
            "metadata": {"name": name, "namespace": "default", "uid": uid, "generation": 1}, "spec": spec,
        });
        if going {
            object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
            object["status"] = json!({"sidecarImage": "sidecar:1", "step": "Draining"});
        }
        let Ok(read) = serde_json::from_value::<Guarded>(object) else { return Ok(()) };
        let Ok(object) = &read.0 else { return Ok(()) };
        let Ok(cluster) = Cluster::resolve(object) else { return Ok(()) };
        let others = [Arc::new(read.clone())];
        for observed in worlds() {
            for step in STEPS {
                if let Ok(valid) = validate(&cluster, &observed, &others, "sidecar:1") {
                    let plan =
                        Plan { step, writes_sidecar: true, waits_for: None, again: None, release: false, overdue: false };
                    let built = build(&valid, &plan, &CREDENTIALS, "system");
                    prop_assert!(built.is_ok(), "{:?}", built.err());
                }
                let released = build_release(&cluster, &observed, step, &CREDENTIALS);
                prop_assert!(released.is_ok(), "{:?}", released.err());
            }
        }
    }
}

#[test]
fn most_generated_specs_can_be_read() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = value_of(&SPEC);
    let readable = (0..200)
        .filter(|_| {
            let spec = strategy.new_tree(&mut runner).unwrap().current();
            let object = json!({
                "apiVersion": "socketio-affinity.dev/v1alpha1", "kind": "SocketIoCluster",
                "metadata": {"name": "chat"}, "spec": spec,
            });
            serde_json::from_value::<SocketIoCluster>(object).is_ok()
        })
        .count();
    assert!(readable > 20, "only {readable} of 200 reach the validation");
}

mod accepted;
