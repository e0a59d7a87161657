//! The sidecar in the workload's pod template, as a patch for server-side apply.
//!
//! # Invariants
//! - What is injected depends on the spec and the pinned image alone, never on the operator's version:
//!   an upgrade of the operator restarts nobody's pods. A golden file holds it byte for byte.
//! - Everything that may change while pods run is in the Secret, not here.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EnvVar, EnvVarSource, HTTPGetAction, ObjectFieldSelector, Probe,
    ResourceRequirements, SeccompProfile, SecretVolumeSource, SecurityContext, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};

use crate::controller::cluster::Cluster;
use crate::controller::drift::digest;
use crate::controller::names::{
    ADMIN_PORT, APPLIED_ANNOTATION, CLUSTER_LABEL, PEER_PORT, PROXY_PORT, SIDECAR, SIDECAR_MEMORY_LIMIT,
};
use crate::crd::v1alpha1::{AppKeepAlive, ImagePullPolicy, WorkloadKind};

const CONFIG_DIR: &str = "/etc/socketio-sidecar";
/// Directory on which the ServiceAccount admission plugin mounts a token, unless something is mounted there.
const TOKEN_DIR: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Distroless images' `nonroot`.
const USER: i64 = 65_532;

/// Builds the patch that puts the sidecar in.
///
/// # Errors
/// It cannot be written as JSON.
pub(crate) fn build_injection(cluster: &Cluster, image: &str) -> Result<Value, serde_json::Error> {
    let template = json!({
        "metadata": {"labels": {CLUSTER_LABEL: cluster.name}},
        "spec": {
            "initContainers": [container(cluster, image)],
            "volumes": [volume(cluster)],
        },
    });
    let applied = digest(&serde_json::to_vec(&template)?);
    let mut patch = identity(cluster);
    patch["metadata"]["annotations"] = json!({APPLIED_ANNOTATION: applied});
    patch["spec"] = json!({"template": template});
    Ok(patch)
}

fn identity(cluster: &Cluster) -> Value {
    let workload = &cluster.spec.workload_ref;
    let kind = match workload.kind {
        WorkloadKind::Deployment => "Deployment",
        WorkloadKind::StatefulSet => "StatefulSet",
        WorkloadKind::DaemonSet => "DaemonSet",
    };
    json!({
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": workload.name, "namespace": cluster.namespace},
    })
}

/// Builds the merge patch that takes it out of `workload`. It holds for that version only.
///
/// All at once, whoever has a part of it: server-side apply would leave of the container what another field
/// manager applies, such as the image, and the API server or a policy would refuse such a container.
pub(crate) fn build_removal(workload: &Value) -> Value {
    let pod = &workload["spec"]["template"]["spec"];
    let mut spec = json!({});
    for list in ["initContainers", "volumes"] {
        let Some(all) = pod[list].as_array() else { continue };
        let left: Vec<_> = all.iter().filter(|one| one["name"] != SIDECAR).cloned().collect();
        if left.len() < all.len() {
            spec[list] = if left.is_empty() { Value::Null } else { left.into() };
        }
    }
    json!({
        "metadata": {
            "annotations": {APPLIED_ANNOTATION: null},
            "resourceVersion": workload["metadata"]["resourceVersion"],
        },
        "spec": {"template": {"metadata": {"labels": {CLUSTER_LABEL: null}}, "spec": spec}},
    })
}

fn volume(cluster: &Cluster) -> Volume {
    Volume {
        name: SIDECAR.to_owned(),
        secret: Some(SecretVolumeSource {
            secret_name: Some(cluster.sidecar_secret.clone()),
            // Only the sidecar mounts it, and it runs as a user that the pod need not know of.
            default_mode: Some(0o444),
            ..SecretVolumeSource::default()
        }),
        ..Volume::default()
    }
}

fn container(cluster: &Cluster, image: &str) -> Container {
    let sidecar = &cluster.spec.sidecar;
    Container {
        name: SIDECAR.to_owned(),
        image: Some(image.to_owned()),
        image_pull_policy: sidecar.image_pull_policy.map(|policy| {
            match policy {
                ImagePullPolicy::Always => "Always",
                ImagePullPolicy::IfNotPresent => "IfNotPresent",
                ImagePullPolicy::Never => "Never",
            }
            .to_owned()
        }),
        // An init container that is always restarted: it starts before the application and ends after it.
        restart_policy: Some("Always".to_owned()),
        env: Some(environment(cluster)),
        ports: Some(
            [("sio-proxy", PROXY_PORT), ("sio-peers", PEER_PORT), ("sio-admin", ADMIN_PORT)]
                .map(|(name, port)| ContainerPort {
                    name: Some(name.to_owned()),
                    container_port: i32::from(port),
                    protocol: Some("TCP".to_owned()),
                    ..ContainerPort::default()
                })
                .to_vec(),
        ),
        startup_probe: Some(Probe {
            period_seconds: Some(1),
            failure_threshold: Some(60),
            ..probe("/livez")
        }),
        readiness_probe: Some(Probe { period_seconds: Some(2), ..probe("/readyz") }),
        resources: Some(sidecar.resources.clone().unwrap_or_else(default_resources)),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
            read_only_root_filesystem: Some(true),
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                localhost_profile: None,
            }),
            ..SecurityContext::default()
        }),
        // A directory, never a subPath, which would not follow changes of the Secret. The second is where
        // Kubernetes would put the token of the pod's account, which is none of the sidecar's business.
        volume_mounts: Some(
            [CONFIG_DIR, TOKEN_DIR]
                .map(|path| VolumeMount {
                    name: SIDECAR.to_owned(),
                    mount_path: path.to_owned(),
                    read_only: Some(true),
                    ..VolumeMount::default()
                })
                .to_vec(),
        ),
        ..Container::default()
    }
}

fn environment(cluster: &Cluster) -> Vec<EnvVar> {
    let given =
        |name: &str, value: String| EnvVar { name: name.to_owned(), value: Some(value), ..EnvVar::default() };
    let of_pod = |name: &str, path: &str| EnvVar {
        name: name.to_owned(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                api_version: Some("v1".to_owned()),
                field_path: path.to_owned(),
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    };
    let sidecar = &cluster.spec.sidecar;
    let mut environment = vec![
        given("SOCKETIO_SIDECAR_APP", format!("127.0.0.1:{}", cluster.spec.app.port)),
        given("SOCKETIO_SIDECAR_CONFIG_DIR", CONFIG_DIR.to_owned()),
        of_pod("POD_IP", "status.podIP"),
        of_pod("POD_UID", "metadata.uid"),
    ];
    environment.extend(
        sidecar.max_connections.map(|most| given("SOCKETIO_SIDECAR_MAX_CONNECTIONS", most.to_string())),
    );
    for (name, limit) in [
        ("SOCKETIO_SIDECAR_MAX_WEBSOCKETS", sidecar.max_web_sockets),
        ("SOCKETIO_SIDECAR_MAX_CONNECTIONS_PER_SOURCE", sidecar.max_connections_per_source),
        ("SOCKETIO_SIDECAR_MAX_BUFFERED", sidecar.max_buffered_mib),
        ("SOCKETIO_SIDECAR_BODY_TIMEOUT", sidecar.body_timeout_seconds),
        ("SOCKETIO_SIDECAR_MAX_REQUEST_HEAD", sidecar.max_request_head_bytes),
        ("SOCKETIO_SIDECAR_MAX_ANSWER_HEAD", sidecar.max_answer_head_bytes),
        ("SOCKETIO_SIDECAR_MAX_FIELDS", sidecar.max_header_fields),
    ] {
        environment.extend(limit.map(|limit| given(name, limit.to_string())));
    }
    environment.extend(sidecar.app_keep_alive.map(|reuse| {
        let reuse = match reuse {
            AppKeepAlive::Auto => "auto",
            AppKeepAlive::Always => "always",
            AppKeepAlive::Never => "never",
        };
        given("SOCKETIO_SIDECAR_APP_KEEP_ALIVE", reuse.to_owned())
    }));
    environment.extend(sidecar.log.clone().map(|log| given("SOCKETIO_SIDECAR_LOG", log)));
    environment
}

fn probe(path: &str) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::Int(i32::from(ADMIN_PORT)),
            scheme: Some("HTTP".to_owned()),
            ..HTTPGetAction::default()
        }),
        timeout_seconds: Some(2),
        ..Probe::default()
    }
}

/// Requests are needed in any case: an autoscaler stops where a container has none.
fn default_resources() -> ResourceRequirements {
    let quantities = |pairs: &[(&str, &str)]| -> BTreeMap<String, Quantity> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), Quantity((*value).to_owned()))).collect()
    };
    ResourceRequirements {
        requests: Some(quantities(&[("cpu", "50m"), ("memory", "32Mi")])),
        limits: Some(quantities(&[("memory", SIDECAR_MEMORY_LIMIT)])),
        claims: None,
    }
}

#[cfg(test)]
mod tests;
