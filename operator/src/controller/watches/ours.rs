//! The Ingresses of ours that the watch has shown: what it has not shown need not be looked for.
//!
//! # Invariants
//! - It names at least all there are, as late as a watch is: whatever it comes to name later makes a pass of the
//!   object that it is about, since the watch that tells it does.
//! - It only grows, by what this process has made or found: one that is gone is looked for in vain.

use std::collections::HashSet;
use std::sync::{PoisonError, RwLock};

use k8s_openapi::api::networking::v1::Ingress;
use kube::ResourceExt;

use super::seen::Seen;
use crate::controller::names::CLUSTER_LABEL;

/// Their namespaces and names.
#[derive(Debug, Default)]
pub(crate) struct OurIngresses(RwLock<HashSet<(String, String)>>);

impl OurIngresses {
    /// Keeps it in mind, if it is one of ours.
    pub(super) fn note(&self, ingress: &Seen<Ingress>) {
        if ingress.labels().contains_key(CLUSTER_LABEL) {
            let name = (ingress.namespace().unwrap_or_default(), ingress.name_any());
            self.0.write().unwrap_or_else(PoisonError::into_inner).insert(name);
        }
    }

    /// Whether there may be one of that name.
    pub(crate) fn has(&self, namespace: &str, name: &str) -> bool {
        let name = (namespace.to_owned(), name.to_owned());
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(&name)
    }
}
