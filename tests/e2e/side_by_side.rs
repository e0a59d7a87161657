//! Cases that take a cutover and a deletion each, run side by side under one operator, since most of it is
//! waiting: every kind of workload, the user's own Ingress and Services, and the ways in which a
//! SocketIoCluster ends.

mod ends;
mod kinds;
mod own_ingress;
mod own_service;
mod workload;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::deployment::{Kubectl, Operator};
use workload::{CLUSTER_LABEL, LABEL, apply};

/// Interval at which kubelet is reminded of what it would else bring within two minutes.
const REMINDER: Duration = Duration::from_secs(2);

/// A case that is run side by side with others.
type Case = (&'static str, fn(&Operator));

const CASES: &[Case] = &[
    ("stateful set", kinds::stateful_set),
    ("daemon set", kinds::daemon_set),
    ("own ingress", own_ingress::is_annotated_and_given_back),
    ("own service", own_service::that_cannot_be_taken_over),
    ("retained", ends::a_new_object_takes_up_what_was_retained),
    ("another image", ends::with_an_image_of_somebody_elses),
    ("namespace", ends::with_the_namespace),
];

/// Removes the objects that the cases put on the cluster.
struct Litter;

impl Litter {
    fn none() -> Self {
        Self::remove("--wait=true");
        Self
    }

    fn remove(wait: &str) {
        let kinds = "deployments,statefulsets,daemonsets,services,ingresses,ingressclasses";
        let (put, made) = (format!("--selector={LABEL}"), format!("--selector={CLUSTER_LABEL}"));
        // What the operator made is left where a case has failed.
        for what in [[kinds, &put], ["secrets,services", &made], ["namespace", ends::DOOMED]] {
            let _ = Kubectl::run(&[&["delete", "--ignore-not-found", wait], &what[..]].concat());
        }
    }
}

impl Drop for Litter {
    fn drop(&mut self) {
        Self::remove("--wait=false");
    }
}

/// Has kubelet bring changed Secrets into pods at once, until it is told to stop.
fn remind_kubelet(stop: &AtomicBool) {
    let mut turn = 0;
    while !stop.load(Ordering::Relaxed) {
        turn += 1;
        let note = format!("test/reminded={turn}");
        let selector = format!("--selector={CLUSTER_LABEL}");
        // Pods come and go meanwhile.
        let _ = Kubectl::run(&["annotate", "pods", "--all-namespaces", "--overwrite", &selector, &note]);
        std::thread::sleep(REMINDER);
    }
}

fn deploy_all() {
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/chat/k8s/namespace.yaml");
    Kubectl::run(&["apply", "--filename", examples]).unwrap();
    Kubectl::run(&["create", "namespace", ends::DOOMED]).unwrap();
    apply(ends::DOOMED, &ends::doomed());
    let objects: Vec<Value> =
        [kinds::objects(), own_ingress::objects(), own_service::objects(), ends::objects()].concat();
    apply("chat", &json!({"apiVersion": "v1", "kind": "List", "items": objects}));
}

fn timed(name: &str, case: impl FnOnce()) {
    let started = Instant::now();
    case();
    eprintln!("    {name}: {} s", started.elapsed().as_secs());
}

#[test]
fn every_kind_of_workload_is_taken_and_given_back_whichever_way_its_object_ends() {
    let _litter = Litter::none();
    deploy_all();
    // The rights in a namespace go with it, before its SocketIoClusters do.
    let namespaces = format!("--set=watchNamespaces={{chat,{}}}", ends::DOOMED);
    let operator = Operator::install(&["--set=replicas=1", &namespaces]).unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| remind_kubelet(&over));
        let cases: Vec<_> = CASES
            .iter()
            .map(|(name, case)| {
                let thread = std::thread::Builder::new().name((*name).to_owned());
                (name, thread.spawn_scoped(scope, || timed(name, || case(&operator))).unwrap())
            })
            .collect();
        let failed: Vec<_> =
            cases.into_iter().filter_map(|(name, case)| case.join().is_err().then_some(name)).collect();
        over.store(true, Ordering::Relaxed);
        assert!(failed.is_empty(), "see above what failed: {failed:?}");
    });
    ends::assert_the_namespace_is_not_missed(&operator);
}
