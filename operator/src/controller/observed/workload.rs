//! The workload as it is: what of it matters here, whichever kind it is. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::core::{ApiResource, DynamicObject};
use serde::Deserialize;
use serde_json::Value;

use crate::controller::names::{CLUSTER_LABEL, SIDECAR};
use crate::crd::v1alpha1::WorkloadKind;

/// A workload.
#[derive(Debug, Clone)]
pub(crate) struct Workload {
    /// Kind of the workload.
    pub(crate) kind: WorkloadKind,
    /// The whole object.
    pub(crate) object: Value,
    /// Selector of the workload's pods.
    pub(crate) selector: LabelSelector,
    /// Template of the workload's pods.
    pub(crate) template: PodTemplateSpec,
    /// Desired number of pods; `None` for a DaemonSet, which has one on each node.
    pub(crate) replicas: Option<i32>,
}

/// Fields that all kinds have in their `spec`.
#[derive(Deserialize)]
struct Spec {
    #[serde(default)]
    replicas: Option<i32>,
    selector: LabelSelector,
    template: PodTemplateSpec,
}

impl WorkloadKind {
    /// The kind as a resource of the API server.
    pub(crate) fn resource(self) -> ApiResource {
        match self {
            Self::Deployment => ApiResource::erase::<Deployment>(&()),
            Self::StatefulSet => ApiResource::erase::<StatefulSet>(&()),
            Self::DaemonSet => ApiResource::erase::<DaemonSet>(&()),
        }
    }
}

impl Workload {
    /// Reads an object.
    ///
    /// # Errors
    /// It is none of `kind`.
    pub(crate) fn read(kind: WorkloadKind, object: &DynamicObject) -> Result<Self, serde_json::Error> {
        let object = serde_json::to_value(object)?;
        let Spec { replicas, selector, template } = Spec::deserialize(&object["spec"])?;
        Ok(Self { kind, object, selector, template, replicas })
    }

    /// Tells it from another one of its name, before or after it.
    pub(crate) fn uid(&self) -> Option<&str> {
        self.object["metadata"]["uid"].as_str()
    }

    /// Spec in the template of the workload's pods.
    pub(crate) fn pod(&self) -> Option<&PodSpec> {
        self.template.spec.as_ref()
    }

    /// The sidecar in its template, whoever put it there.
    pub(crate) fn sidecar(&self) -> Option<&Container> {
        let pod = self.pod()?;
        let init = pod.init_containers.iter().flatten();
        init.chain(&pod.containers).find(|container| container.name == SIDECAR)
    }

    /// The name of the SocketIoCluster whose sidecar its pods get, by the label that goes with it.
    pub(crate) fn holder(&self) -> Option<&str> {
        let labels = self.template.metadata.as_ref()?.labels.as_ref()?;
        labels.get(CLUSTER_LABEL).map(String::as_str)
    }

    /// The sidecar in its template is that of the SocketIoCluster of that name.
    pub(crate) fn is_injected(&self, cluster: &str) -> bool {
        self.holder() == Some(cluster) && self.sidecar().is_some()
    }

    /// Something in its template is of the SocketIoCluster of that name.
    pub(crate) fn has_part_of(&self, cluster: &str) -> bool {
        self.holder() == Some(cluster) || (self.holder().is_none() && self.sidecar().is_some())
    }

    /// Returns true if the workload's controller has seen its newest version, and made all pods of that.
    pub(crate) fn is_rolled_out(&self) -> bool {
        let status = &self.object["status"];
        let count = |name: &str| status[name].as_i64().unwrap_or_default();
        let (wanted, updated) = match self.kind {
            WorkloadKind::DaemonSet => (count("desiredNumberScheduled"), count("updatedNumberScheduled")),
            WorkloadKind::Deployment | WorkloadKind::StatefulSet => {
                (i64::from(self.replicas.unwrap_or(1)), count("updatedReplicas"))
            }
        };
        let seen = status["observedGeneration"].as_i64() >= self.object["metadata"]["generation"].as_i64();
        seen && updated >= wanted
    }

    /// Says why the workload's controller does not replace pods by itself, and what to do, if it does not.
    pub(crate) fn holds_back(&self) -> Option<&'static str> {
        let spec = &self.object["spec"];
        if spec["paused"] == true {
            return Some("it is paused; resume it with `kubectl rollout resume`");
        }
        (spec["updateStrategy"]["type"] == "OnDelete")
            .then_some("its updateStrategy is OnDelete; delete its pods one after the other")
    }

    /// The number of the containers' port that is called so.
    pub(crate) fn port_named(&self, name: &str) -> Option<i32> {
        let ports = self.pod()?.containers.iter().flat_map(|container| container.ports.iter().flatten());
        ports.filter(|port| port.name.as_deref() == Some(name)).map(|port| port.container_port).next()
    }

    /// Returns true if a Service with this selector selects pods of the workload.
    pub(crate) fn is_selected_by(&self, selector: &BTreeMap<String, String>) -> bool {
        let labels = self.template.metadata.as_ref().and_then(|metadata| metadata.labels.as_ref());
        let has = |name: &str, value: &str| {
            labels.and_then(|labels| labels.get(name)).is_some_and(|it| it == value)
        };
        !selector.is_empty() && selector.iter().all(|(name, value)| name == CLUSTER_LABEL || has(name, value))
    }

    /// Returns true if a Service's `target` is `port` of the pods.
    pub(crate) fn leads_to(&self, target: &IntOrString, port: u16) -> bool {
        match target {
            IntOrString::Int(number) => *number == i32::from(port),
            IntOrString::String(name) => self.port_named(name) == Some(i32::from(port)),
        }
    }

    /// Returns true if several pods are to run, so that events must pass between them. `seen`: the pods that run.
    pub(crate) fn has_several_pods(&self, seen: usize) -> bool {
        match self.kind {
            WorkloadKind::DaemonSet => seen > 1,
            WorkloadKind::Deployment | WorkloadKind::StatefulSet => self.replicas.unwrap_or(1) > 1,
        }
    }
}
