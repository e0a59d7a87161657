//! Limits of the sidecar that cannot hold with other fields of the spec. The schema refuses values that can never hold.

use k8s_openapi::api::core::v1::Service;

use super::{Reason, Refusal, refuse, resources};
use crate::controller::drift::amount;
use crate::controller::front::http_annotation;
use crate::crd::v1alpha1::SocketIoClusterSpec;

/// Memory limit of a sidecar whose resources are not set.
const DEFAULT_MEMORY: &str = "256Mi";
const MIB: f64 = 1_048_576.0;

/// Checks the limits of the sidecar. `service` is the client Service.
pub(super) fn check(spec: &SocketIoClusterSpec, service: Option<&Service>) -> Result<(), Refusal> {
    if let Some(resources) = &spec.sidecar.resources {
        resources::check(resources)?;
    }
    check_buffered(spec)?;
    check_sources(spec, service)
}

fn check_buffered(spec: &SocketIoClusterSpec) -> Result<(), Refusal> {
    let Some(buffered) = spec.sidecar.max_buffered_mib else { return Ok(()) };
    let memory = match &spec.sidecar.resources {
        None => Some(DEFAULT_MEMORY),
        Some(resources) => {
            let limit = resources.limits.as_ref().and_then(|limits| limits.get("memory"));
            limit.map(|quantity| quantity.0.as_str())
        }
    };
    match memory.and_then(|memory| Some((memory, amount(memory)?))) {
        Some((memory, bytes)) if f64::from(buffered) * MIB >= bytes => Err(refuse(
            Reason::BufferedTooLarge,
            format!(
                "sidecar.maxBufferedMiB is {buffered}, which is not below the sidecar's memory limit of {memory}; lower it, \
                 or raise sidecar.resources.limits.memory"
            ),
        )),
        _ => Ok(()),
    }
}

fn check_sources(spec: &SocketIoClusterSpec, service: Option<&Service>) -> Result<(), Refusal> {
    let limit = spec.sidecar.max_connections_per_source.unwrap_or(0);
    let edge = &spec.edge;
    if limit == 0 || !edge.trusted_proxies.is_empty() {
        return Ok(());
    }
    let proxy = match (&edge.ingress, edge.trusted_proxy_count) {
        (Some(_), _) => "the Ingress of edge.ingress",
        (None, Some(1..)) => "the proxy of edge.trustedProxyCount",
        (None, _) if service.is_some_and(|service| http_annotation(service).is_some()) => {
            "the Service's load balancer, an HTTP proxy"
        }
        (None, _) => return Ok(()),
    };
    Err(refuse(
        Reason::SourcesUnknown,
        format!(
            "sidecar.maxConnectionsPerSource of {limit} would hold for all clients of {proxy} together; name its \
             networks in edge.trustedProxies, or remove the limit"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::fixtures::cluster_with;
    use serde_json::{Value, json};

    fn refusal(spec: &Value) -> Option<(Reason, String)> {
        check(&cluster_with(spec).spec, None).err().map(|refusal| (refusal.reason, refusal.message))
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
            (255, Value::Null),
            (1023, memory("1Gi")),
            // Without a memory limit there is nothing to compare with.
            (1_000_000, json!({})),
            (1_000_000, json!({"requests": {"memory": "1Mi"}})),
        ] {
            assert_eq!(with(mib, resources), None, "{mib}");
        }
        for (mib, resources, says) in
            [(256, Value::Null, "limit of 256Mi"), (96, memory("100M"), "limit of 100M")]
        {
            let (reason, message) = with(mib, resources).unwrap();
            assert_eq!(reason, Reason::BufferedTooLarge);
            assert!(message.contains(says), "{message}");
        }
    }

    #[test]
    fn a_limit_for_each_source_needs_a_known_source() {
        let with = |edge: Value| refusal(&json!({"edge": edge, "sidecar": {"maxConnectionsPerSource": 50}}));
        let ingress = json!({"className": "nginx"});
        for edge in [
            json!({}),
            json!({"trustedProxyCount": 0}),
            json!({"trustedProxies": ["10.0.0.0/8"]}),
            json!({"trustedProxies": ["10.0.0.0/8"], "ingress": ingress}),
        ] {
            assert_eq!(with(edge.clone()), None, "{edge}");
        }
        for (edge, says) in [
            (json!({"ingress": ingress}), "all clients of the Ingress of edge.ingress"),
            (json!({"trustedProxyCount": 1}), "all clients of the proxy of edge.trustedProxyCount"),
        ] {
            let (reason, message) = with(edge).unwrap();
            assert_eq!(reason, Reason::SourcesUnknown);
            assert!(message.contains(says), "{message}");
        }
        let limit = cluster_with(&json!({"sidecar": {"maxConnectionsPerSource": 50}}));
        let service = |protocol: &str| {
            let annotations = json!({"service.beta.kubernetes.io/do-loadbalancer-protocol": protocol});
            serde_json::from_value(json!({"metadata": {"annotations": annotations}})).unwrap()
        };
        assert!(check(&limit.spec, Some(&service("http"))).is_err());
        assert!(check(&limit.spec, Some(&service("tcp"))).is_ok());
        let off = json!({"edge": {"ingress": ingress}, "sidecar": {"maxConnectionsPerSource": 0}});
        assert_eq!(refusal(&off), None);
    }
}
