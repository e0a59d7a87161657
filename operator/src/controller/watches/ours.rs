//! The operator's own Ingresses that exist: one that does not need not be read.
//!
//! # Invariants
//! - The set follows the watch: an Ingress comes with its first event and goes with its deletion, or with a list that
//!   does not have it. So it never holds more than the cluster has, and a restart builds it anew.
//! - The watch notes an Ingress before it starts the reconcile of the object that the Ingress is about. So whatever a
//!   reconcile misses starts another one.

use std::collections::HashSet;
use std::sync::{PoisonError, RwLock, RwLockWriteGuard};

use k8s_openapi::api::networking::v1::Ingress;
use kube::ResourceExt;
use kube::runtime::watcher::Event;

use super::seen::Seen;
use crate::controller::names::CLUSTER_LABEL;

/// The namespace and the name of an Ingress.
type Key = (Option<String>, String);

/// The operator's own Ingresses that exist, as late as the watch is.
#[derive(Debug, Default)]
pub(crate) struct OurIngresses(RwLock<Known>);

#[derive(Debug, Default)]
struct Known {
    existing: HashSet<Key>,
    /// The part of a list that has arrived.
    listed: HashSet<Key>,
}

impl OurIngresses {
    /// Follows one event of the watch.
    pub(super) fn follow(&self, event: &Event<Seen<Ingress>>) {
        let mut known = self.write();
        match event {
            Event::Init => known.listed.clear(),
            Event::InitApply(ingress) if is_ours(ingress) => {
                known.listed.insert(key(ingress));
                known.existing.insert(key(ingress));
            }
            Event::InitDone => known.existing = std::mem::take(&mut known.listed),
            Event::Apply(ingress) if is_ours(ingress) => {
                known.existing.insert(key(ingress));
            }
            Event::Apply(ingress) | Event::Delete(ingress) => {
                known.existing.remove(&key(ingress));
            }
            Event::InitApply(_) => {}
        }
    }

    /// Returns true if there may be one of that name.
    pub(crate) fn has(&self, namespace: &str, name: &str) -> bool {
        let key = (Some(namespace.to_owned()), name.to_owned());
        self.0.read().unwrap_or_else(PoisonError::into_inner).existing.contains(&key)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_ours(ingress: &Seen<Ingress>) -> bool {
    ingress.labels().contains_key(CLUSTER_LABEL)
}

fn key(ingress: &Seen<Ingress>) -> Key {
    (ingress.namespace(), ingress.name_any())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ingress(name: &str, is_ours: bool) -> Seen<Ingress> {
        let labels = if is_ours { json!({CLUSTER_LABEL: "chat"}) } else { json!({}) };
        let metadata = json!({"name": name, "namespace": "default", "labels": labels});
        serde_json::from_value(json!({"metadata": metadata})).unwrap()
    }

    fn existing(ours: &OurIngresses) -> Vec<String> {
        let mut names: Vec<_> = ours.write().existing.iter().map(|(_, name)| name.clone()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_set_follows_the_watch_and_forgets_what_is_gone() {
        let ours = OurIngresses::default();
        let follow = |events: Vec<Event<Seen<Ingress>>>| events.iter().for_each(|event| ours.follow(event));
        let ours_named = |name| ingress(name, true);
        follow(vec![
            Event::Init,
            Event::InitApply(ours_named("a")),
            Event::InitApply(ours_named("b")),
            Event::InitApply(ingress("theirs", false)),
            Event::InitDone,
        ]);
        assert_eq!(existing(&ours), ["a", "b"]);
        assert!(ours.has("default", "a") && !ours.has("other", "a") && !ours.has("default", "theirs"));
        follow(vec![Event::Apply(ours_named("c")), Event::Delete(ours_named("a"))]);
        assert_eq!(existing(&ours), ["b", "c"]);
        // The label was taken off.
        follow(vec![Event::Apply(ingress("b", false))]);
        assert_eq!(existing(&ours), ["c"]);
        // A list after a lost connection: `c` went meanwhile, and is there until the list is complete.
        follow(vec![Event::Init, Event::InitApply(ours_named("d"))]);
        assert_eq!(existing(&ours), ["c", "d"]);
        follow(vec![Event::InitDone]);
        assert_eq!(existing(&ours), ["d"]);
    }
}
