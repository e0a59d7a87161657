//! The user's own Ingress, which gets the edge's annotations by consent.
//!
//! # Invariant
//! What each annotation was before, or that there was none, stands in an annotation beside them, written
//! in the same patch, so that it can be given back whatever happens to the operator. An annotation that
//! the user has changed since is the user's, and stays. A configuration-snippet of the user's own is never
//! overwritten: the admission policy lets the operator write no snippet but its own, so it could not restore one.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::Ingress;
use kube::ResourceExt;
use serde_json::{Map, Value, json};

use crate::controller::cluster::Cluster;
use crate::controller::edge::Program;
use crate::controller::names::ORIGINAL_ANNOTATION;
use crate::controller::observed::ingress::{Original, original};

/// Builds the merge patch that annotates it. `None`: it is annotated already.
pub(crate) fn build_take_over(ingress: &Ingress, cluster: &Cluster, program: &Program) -> Option<Value> {
    let live = ingress.annotations();
    let before = original(ingress).unwrap_or_default();
    let mut annotations = Map::new();
    let mut was = BTreeMap::new();
    for (name, value) in &program.annotations {
        let current = live.get(name);
        // What we wrote is not what it was; anything else is.
        let ours = current.is_some() && current == before.written.get(name);
        let original = if ours { before.was.get(name).cloned().flatten() } else { current.cloned() };
        was.insert(name.clone(), original);
        annotations.insert(name.clone(), json!(value));
    }
    // What an earlier spec asked for and this one does not goes back.
    for (name, value) in give_back(&before, live) {
        annotations.entry(name).or_insert(value);
    }
    let original = Original { by: cluster.uid.clone(), was, written: program.annotations.clone() };
    annotations.insert(ORIGINAL_ANNOTATION.to_owned(), json!(serde_json::to_string(&original).ok()?));
    changes(ingress, &annotations)
}

/// Builds the merge patch that gives it back. `None`: nothing was taken, or by another object.
pub(crate) fn build_give_back(ingress: &Ingress, cluster: &Cluster) -> Option<Value> {
    let before = original(ingress).filter(|original| original.by == cluster.uid)?;
    let mut annotations: Map<_, _> = give_back(&before, ingress.annotations()).collect();
    annotations.insert(ORIGINAL_ANNOTATION.to_owned(), Value::Null);
    changes(ingress, &annotations)
}

fn give_back(before: &Original, live: &BTreeMap<String, String>) -> impl Iterator<Item = (String, Value)> {
    before
        .written
        .iter()
        .filter(|(name, written)| live.get(*name) == Some(written))
        .map(|(name, _)| (name.clone(), json!(before.was.get(name).cloned().flatten())))
}

/// The patch, unless it changes nothing. It holds for the version that it was made from only.
fn changes(ingress: &Ingress, annotations: &Map<String, Value>) -> Option<Value> {
    let live = ingress.annotations();
    let same = annotations.iter().all(|(name, value)| live.get(name).map(String::as_str) == value.as_str());
    (!same).then(
        || json!({"metadata": {"annotations": annotations, "resourceVersion": ingress.resource_version()}}),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::fixtures::cluster;

    fn ingress(annotations: &Value) -> Ingress {
        serde_json::from_value(json!({"metadata": {"name": "i", "annotations": annotations}})).unwrap()
    }

    fn program(annotations: &[(&str, &str)]) -> Program {
        let annotations =
            annotations.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Program { annotations, requires: "", caution: None }
    }

    /// As the API server merges (RFC 7396).
    fn merged(ingress: &Ingress, patch: &Value) -> Ingress {
        let mut annotations = ingress.annotations().clone();
        for (name, value) in patch["metadata"]["annotations"].as_object().unwrap() {
            match value.as_str() {
                Some(value) => annotations.insert(name.clone(), value.to_owned()),
                None => annotations.remove(name),
            };
        }
        self::ingress(&json!(annotations))
    }

    #[test]
    fn it_comes_back_as_it_was() {
        let before = ingress(&json!({"theirs": "1", "timeout": "60"}));
        let wanted = program(&[("timeout", "3600"), ("hash", "x")]);
        let taken = merged(&before, &build_take_over(&before, &cluster(), &wanted).unwrap());
        assert_eq!(taken.annotations()["timeout"], "3600");
        assert_eq!(build_take_over(&taken, &cluster(), &wanted), None, "at rest nothing is written");
        assert_eq!(merged(&taken, &build_give_back(&taken, &cluster()).unwrap()), before);
        assert_eq!(build_give_back(&before, &cluster()), None);
    }

    #[test]
    fn what_another_object_has_taken_is_not_given_back() {
        let before = ingress(&json!({}));
        let taken =
            merged(&before, &build_take_over(&before, &cluster(), &program(&[("hash", "x")])).unwrap());
        let mut other = cluster();
        other.uid = "other".to_owned();
        assert_eq!(build_give_back(&taken, &other), None);
    }

    #[test]
    fn what_is_not_asked_for_any_more_goes_back_and_what_was_changed_since_stays() {
        let before = ingress(&json!({"timeout": "60"}));
        let taken = merged(
            &before,
            &build_take_over(&before, &cluster(), &program(&[("timeout", "3600"), ("hash", "x")])).unwrap(),
        );
        let narrower =
            merged(&taken, &build_take_over(&taken, &cluster(), &program(&[("timeout", "3600")])).unwrap());
        assert!(!narrower.annotations().contains_key("hash"));
        let mut changed = narrower;
        changed.annotations_mut().insert("timeout".to_owned(), "90".to_owned());
        assert_eq!(
            merged(&changed, &build_give_back(&changed, &cluster()).unwrap()).annotations()["timeout"],
            "90"
        );
        // While the object lives, drift is repaired, and the change is what will be given back.
        let repaired = merged(
            &changed,
            &build_take_over(&changed, &cluster(), &program(&[("timeout", "3600")])).unwrap(),
        );
        assert_eq!(
            merged(&repaired, &build_give_back(&repaired, &cluster()).unwrap()).annotations()["timeout"],
            "90"
        );
    }
}
