//! Limits of the sidecar that cannot hold with other fields of the spec. The schema refuses values that can never hold.

use k8s_openapi::api::core::v1::Service;

use super::{Reason, Refusal, refuse, resources};
use crate::controller::cluster::Cluster;
use crate::controller::front::{Front, detect_proxy, keeps_client_address};
use crate::controller::names::SIDECAR_MEMORY_LIMIT;
use crate::controller::quantity::amount;
use crate::crd::v1alpha1::SocketIoClusterSpec;

const MIB: f64 = 1_048_576.0;
/// Memory of the sidecar in MiB besides what it buffers: at rest, and for its connections.
const BASE_MIB: f64 = 32.0;
/// Bound of what the sidecar holds, in budgets: a quarter more than the budget.
const BOUND: f64 = 1.25;

/// Checks the limits of the sidecar. `service` is the client Service.
pub(super) fn check(cluster: &Cluster, service: Option<&Service>) -> Result<(), Refusal> {
    if let Some(resources) = &cluster.spec.sidecar.resources {
        resources::check(resources)?;
    }
    check_buffered(&cluster.spec)?;
    check_sources(cluster, service)
}

fn check_buffered(spec: &SocketIoClusterSpec) -> Result<(), Refusal> {
    let Some(buffered) = spec.sidecar.max_buffered_mib else { return Ok(()) };
    let memory = match &spec.sidecar.resources {
        None => Some(SIDECAR_MEMORY_LIMIT),
        Some(resources) => {
            let limit = resources.limits.as_ref().and_then(|limits| limits.get("memory"));
            limit.map(|quantity| quantity.0.as_str())
        }
    };
    let Some((memory, bytes)) = memory.and_then(|memory| Some((memory, amount(memory)?))) else {
        return Ok(());
    };
    let highest = ((bytes / MIB - BASE_MIB) / BOUND).floor();
    if f64::from(buffered) <= highest {
        return Ok(());
    }
    let advice = if highest < 1.0 {
        "remove it, and raise sidecar.resources.limits.memory".to_owned()
    } else {
        format!("set at most {highest}, or raise sidecar.resources.limits.memory")
    };
    Err(refuse(
        Reason::BufferedTooLarge,
        format!(
            "sidecar.maxBufferedMiB is {buffered}, too much for the sidecar's memory limit of {memory}: the sidecar may \
             buffer a quarter more, and needs {BASE_MIB} MiB besides; {advice}"
        ),
    ))
}

fn check_sources(cluster: &Cluster, service: Option<&Service>) -> Result<(), Refusal> {
    let limit = cluster.spec.sidecar.max_connections_per_source.unwrap_or(0);
    let edge = &cluster.spec.edge;
    if limit == 0 || !edge.trusted_proxies.is_empty() {
        return Ok(());
    }
    let name = &cluster.client_service;
    let shared = match (&cluster.ingress, detect_proxy(cluster, service)) {
        (Some(_), _) => "the Ingress".to_owned(),
        (None, Front::Count(0)) => return Ok(()),
        (None, Front::Count(_)) => "the proxy of edge.trustedProxyCount".to_owned(),
        (None, Front::HttpLoadBalancer(_)) => "the load balancer, an HTTP proxy,".to_owned(),
        _ if service.is_some_and(keeps_client_address) => return Ok(()),
        // The type of a Service that is gone is not known. A new one must be made all the same.
        _ if service.is_none() && (edge.service.take_over || is_in_place(cluster)) => return Ok(()),
        (None, Front::LoadBalancer) => {
            return Err(refuse(
                Reason::SourcesUnknown,
                format!(
                    "clients of Service {name} would share maxConnectionsPerSource ({limit}), since nodes may replace \
                     their addresses (SNAT); set externalTrafficPolicy: Local on the Service, or edge.trustedProxyCount: 0 \
                     where its load balancer keeps addresses, or remove the limit"
                ),
            ));
        }
        _ => {
            return Err(refuse(
                Reason::SourcesUnknown,
                format!(
                    "clients of Service {name} may share maxConnectionsPerSource ({limit}), since nothing says which proxy \
                     is in front; set edge.trustedProxies to its networks, or edge.trustedProxyCount: 0 where clients keep \
                     their addresses, or remove the limit"
                ),
            ));
        }
    };
    Err(refuse(
        Reason::SourcesUnknown,
        format!(
            "all clients of {shared} would share maxConnectionsPerSource ({limit}); set edge.trustedProxies to its \
             networks, or remove the limit"
        ),
    ))
}

fn is_in_place(cluster: &Cluster) -> bool {
    cluster.status.as_ref().is_some_and(|status| status.step.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::fixtures::cluster_with;
    use crate::crd::SocketIoCluster;
    use serde_json::{Value, json};

    fn refusal(spec: &Value) -> Option<(Reason, String)> {
        check(&cluster_with(spec), None).err().map(|refusal| (refusal.reason, refusal.message))
    }

    #[test]
    fn what_is_buffered_must_fit_into_the_memory_limit() {
        let with = |mib: u32, resources: Value| {
            let mut sidecar = json!({"maxBufferedMiB": mib});
            if !resources.is_null() {
                sidecar["resources"] = resources;
            }
            refusal(&json!({ "sidecar": sidecar }))
        };
        let memory = |limit: &str| json!({"limits": {"memory": limit}});
        for (mib, resources) in [
            (179, Value::Null),
            (793, memory("1Gi")),
            (1, memory("34Mi")),
            // Without a memory limit there is nothing to compare with.
            (1_000_000, json!({})),
            (1_000_000, json!({"requests": {"memory": "1Mi"}})),
        ] {
            assert_eq!(with(mib, resources), None, "{mib}");
        }
        for (mib, resources, says) in [
            (
                180,
                Value::Null,
                "limit of 256Mi: the sidecar may buffer a quarter more, and needs 32 MiB besides; set at most 179,",
            ),
            (794, memory("1Gi"), "set at most 793,"),
            (
                51,
                memory("100M"),
                "limit of 100M: the sidecar may buffer a quarter more, and needs 32 MiB besides; set at most 50,",
            ),
            (1, memory("33Mi"), "besides; remove it, and raise sidecar.resources.limits.memory"),
            (1, memory("16Mi"), "besides; remove it, and raise sidecar.resources.limits.memory"),
        ] {
            let (reason, message) = with(mib, resources).unwrap();
            assert_eq!(reason, Reason::BufferedTooLarge);
            assert!(message.contains(says), "{message}");
        }
    }

    #[test]
    fn a_limit_for_each_source_needs_a_known_source() {
        let service = |type_: &str, policy: &str, annotations: Value| -> Service {
            let spec = json!({"type": type_, "externalTrafficPolicy": policy});
            serde_json::from_value(json!({"metadata": {"annotations": annotations}, "spec": spec})).unwrap()
        };
        let balancer = |policy| service("LoadBalancer", policy, json!({}));
        let node_port = |policy| service("NodePort", policy, json!({}));
        let cluster_ip: Service = serde_json::from_value(json!({"spec": {"type": "ClusterIP"}})).unwrap();
        let http = json!({"service.beta.kubernetes.io/do-loadbalancer-protocol": "http"});
        let http = service("LoadBalancer", "Local", http);
        let with = |edge: &Value, service: Option<&Service>| {
            let spec = json!({"edge": edge, "sidecar": {"maxConnectionsPerSource": 50}});
            check(&cluster_with(&spec), service).map_err(|refusal| (refusal.reason, refusal.message))
        };
        let ingress = json!({"className": "nginx"});
        let networks = json!({"trustedProxies": ["10.0.0.0/8"]});
        for (edge, service) in [
            (json!({"trustedProxyCount": 0}), &cluster_ip),
            (json!({"trustedProxyCount": 0}), &balancer("Cluster")),
            (networks.clone(), &cluster_ip),
            (networks, &http),
            (json!({"trustedProxies": ["10.0.0.0/8"], "ingress": ingress}), &cluster_ip),
            (json!({}), &balancer("Local")),
            (json!({}), &node_port("Local")),
            (json!({"forwardedFor": "Replace"}), &balancer("Local")),
        ] {
            assert_eq!(with(&edge, Some(service)), Ok(()), "{edge}");
        }
        for (edge, service, says) in [
            (json!({"ingress": ingress}), &cluster_ip, "all clients of the Ingress would share"),
            (json!({"ingress": ingress}), &balancer("Local"), "all clients of the Ingress would share"),
            (
                json!({"ingress": ingress, "trustedProxyCount": 0}),
                &cluster_ip,
                "all clients of the Ingress would share",
            ),
            (
                json!({"trustedProxyCount": 1}),
                &balancer("Local"),
                "all clients of the proxy of edge.trustedProxyCount",
            ),
            (json!({}), &http, "all clients of the load balancer, an HTTP proxy, would share"),
            (json!({}), &balancer("Cluster"), "(SNAT); set externalTrafficPolicy: Local"),
            (
                json!({"forwardedFor": "Replace"}),
                &balancer("Cluster"),
                "(SNAT); set externalTrafficPolicy: Local",
            ),
            (json!({}), &node_port("Cluster"), "nothing says which proxy is in front"),
            (json!({}), &cluster_ip, "nothing says which proxy is in front"),
        ] {
            let (reason, message) = with(&edge, Some(service)).unwrap_err();
            assert_eq!(reason, Reason::SourcesUnknown);
            assert!(message.contains(says), "{edge}: {message}");
        }
        let off = json!({"edge": {"ingress": ingress}, "sidecar": {"maxConnectionsPerSource": 0}});
        assert_eq!(refusal(&off), None);
    }

    #[test]
    fn a_service_that_is_gone_is_made_anew_before_its_type_is_judged() {
        let spec = json!({"sidecar": {"maxConnectionsPerSource": 50}});
        let mut object = SocketIoCluster::clone(&cluster_with(&spec));
        assert!(check(&Cluster::resolve(&object).unwrap(), None).is_err());
        object.status = Some(serde_json::from_value(json!({"step": "Programmed"})).unwrap());
        assert!(check(&Cluster::resolve(&object).unwrap(), None).is_ok());
        let taken = json!({"name": "chat", "takeOver": true});
        let taken =
            cluster_with(&json!({"edge": {"service": taken}, "sidecar": {"maxConnectionsPerSource": 50}}));
        assert!(check(&taken, None).is_ok());
    }
}
