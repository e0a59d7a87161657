//! The setting and the message for each kind of edge.

use super::*;
use crate::controller::fixtures::cluster_with;
use serde_json::{Value, json};

fn service(type_: &str, annotations: &Value) -> Service {
    let service = json!({"metadata": {"annotations": annotations}, "spec": {"type": type_}});
    serde_json::from_value(service).unwrap()
}

fn told(edge: &Value, service: Option<&Service>) -> (Option<config::ForwardedFor>, Reason, bool) {
    let front = detect(&cluster_with(&json!({"edge": edge})), service);
    let finding = front.finding("chat");
    (front.forwarded_for(), finding.reason, finding.reason.holds())
}

#[test]
fn the_kind_of_edge_follows_from_the_spec_and_then_from_the_service() {
    use config::ForwardedFor::{Append, Preserve, Replace};
    let (balancer, cluster_ip) = (service("LoadBalancer", &json!({})), service("ClusterIP", &json!({})));
    let node_port = service("NodePort", &json!({}));
    let ingress = json!({"className": "nginx"});
    for (edge, service, forwarded_for, reason, holds) in [
        (json!({}), None, Some(Preserve), Reason::EdgeUnknown, false),
        (json!({}), Some(&cluster_ip), Some(Preserve), Reason::EdgeUnknown, false),
        (json!({}), Some(&node_port), Some(Preserve), Reason::EdgeUnknown, false),
        (json!({}), Some(&balancer), Some(Replace), Reason::LoadBalancerInFront, true),
        (json!({"ingress": ingress}), Some(&cluster_ip), Some(Preserve), Reason::IngressInFront, true),
        (json!({"ingress": ingress}), Some(&balancer), Some(Preserve), Reason::IngressInFront, true),
        (json!({"trustedProxyCount": 0}), Some(&node_port), Some(Replace), Reason::NoProxy, true),
        (json!({"trustedProxyCount": 2}), Some(&balancer), Some(Preserve), Reason::ProxiesTrusted, true),
        (json!({"trustedProxies": ["10.0.0.0/8"]}), Some(&balancer), None, Reason::ProxiesTrusted, true),
        (
            json!({"trustedProxies": ["10.0.0.0/8"], "proxyProtocol": true}),
            Some(&balancer),
            None,
            Reason::ProxiesTrusted,
            true,
        ),
        (
            json!({"trustedProxies": ["10.0.0.0/8"], "ingress": ingress}),
            None,
            None,
            Reason::ProxiesTrusted,
            true,
        ),
        (json!({"forwardedFor": "Append"}), Some(&balancer), Some(Append), Reason::AsConfigured, true),
        (json!({"forwardedFor": "Preserve"}), Some(&balancer), Some(Preserve), Reason::AsConfigured, true),
        (
            json!({"forwardedFor": "Replace", "ingress": ingress}),
            Some(&cluster_ip),
            Some(Replace),
            Reason::AsConfigured,
            true,
        ),
    ] {
        assert_eq!(told(&edge, service), (forwarded_for, reason, holds), "{edge}");
    }
}

#[test]
fn the_message_says_where_clients_can_forge_their_address() {
    let balancer = service("LoadBalancer", &json!({}));
    let message =
        |edge: &Value| detect(&cluster_with(&json!({"edge": edge})), Some(&balancer)).finding("chat").message;
    for (edge, forgeable) in [
        (json!({"forwardedFor": "Preserve"}), true),
        (json!({"forwardedFor": "Append"}), true),
        (json!({"forwardedFor": "Replace"}), false),
        (json!({"forwardedFor": "Preserve", "ingress": {"className": "nginx"}}), false),
        (json!({"forwardedFor": "Append", "ingress": {"className": "nginx"}}), false),
        (json!({"trustedProxies": ["10.0.0.0/8"]}), false),
        (json!({"trustedProxyCount": 1}), false),
        (json!({}), false),
    ] {
        assert_eq!(message(&edge).contains("clients can forge"), forgeable, "{edge}");
    }
    assert_eq!(
        Front::Unknown.finding("chat").message,
        "no proxy is known in front of Service chat, so clients can forge X-Forwarded-*; set edge.trustedProxies, \
         or edge.trustedProxyCount (1 behind a Gateway, 0 for no proxy)"
    );
    let proxied = message(&json!({"trustedProxies": ["10.0.0.0/8"], "proxyProtocol": true}));
    assert!(proxied.contains("set to the source in the PROXY protocol header"), "{proxied}");
}

#[test]
fn while_the_service_to_take_over_is_missing_the_setting_in_place_stays() {
    use config::ForwardedFor::{Append, Preserve, Replace};
    let (balancer, cluster_ip) = (service("LoadBalancer", &json!({})), service("ClusterIP", &json!({})));
    let theirs = json!({"service": {"name": "web", "takeOver": true, "port": 80}});
    let ours = json!({"service": {"port": 80}});
    let set = json!({"service": {"name": "web", "takeOver": true, "port": 80}, "trustedProxyCount": 1});
    for (edge, service, before, expected) in [
        (&theirs, None, Some(Some(Replace)), Some(Replace)),
        (&theirs, None, Some(Some(Preserve)), Some(Preserve)),
        (&theirs, None, Some(Some(Append)), Some(Append)),
        (&theirs, None, Some(None), None),
        // Nothing is in place yet.
        (&theirs, None, None, Some(Preserve)),
        (&theirs, Some(&balancer), Some(Some(Preserve)), Some(Replace)),
        (&theirs, Some(&cluster_ip), Some(Some(Replace)), Some(Preserve)),
        // The spec decides without the Service.
        (&set, None, Some(Some(Replace)), Some(Preserve)),
        // The operator's own Service is of type ClusterIP.
        (&ours, None, Some(Some(Replace)), Some(Preserve)),
    ] {
        let before = before.map(|forwarded_for: Option<config::ForwardedFor>| {
            let config = json!({"revision": "1", "cluster": "u", "mode": "Enforce"});
            let config: config::Config = serde_json::from_value(config).unwrap();
            config::Config { forwarded_for, ..config }
        });
        let cluster = cluster_with(&json!({"edge": edge}));
        let decided = decide_forwarded_for(&cluster, service, before.as_ref());
        assert_eq!(decided, expected, "{edge} {service:?} {before:?}");
    }
}

#[test]
fn a_load_balancer_that_speaks_http_is_an_http_proxy() {
    for (name, value, is_http) in [
        ("service.beta.kubernetes.io/aws-load-balancer-backend-protocol", "http", true),
        ("service.beta.kubernetes.io/do-loadbalancer-protocol", "https", true),
        ("load-balancer.hetzner.cloud/protocol", "http", true),
        ("service.beta.kubernetes.io/oci-load-balancer-backend-protocol", "HTTP", true),
        ("service.beta.kubernetes.io/alibaba-cloud-loadbalancer-protocol-port", "https:443,http:80", true),
        ("service.beta.kubernetes.io/scw-loadbalancer-protocol-http", "80", true),
        ("loadbalancer.openstack.org/x-forwarded-for", "true", true),
        ("loadbalancer.openstack.org/x-forwarded-for", "false", false),
        ("service.beta.kubernetes.io/aws-load-balancer-backend-protocol", "tcp", false),
        ("service.beta.kubernetes.io/aws-load-balancer-healthcheck-protocol", "http", false),
        ("service.beta.kubernetes.io/aws-load-balancer-proxy-protocol", "*", false),
        ("service.beta.kubernetes.io/aws-load-balancer-type", "nlb", false),
        ("service.beta.kubernetes.io/linode-loadbalancer-default-protocol", "http", true),
        ("service.beta.kubernetes.io/vultr-loadbalancer-protocol", "http", true),
        ("kubernetes.io/elb.protocol-port", "http:80", true),
        // These say how an Ingress controller or a gateway talks to the pods.
        ("cloud.google.com/app-protocols", r#"{"https":"HTTPS"}"#, false),
        ("projectcontour.io/upstream-protocol.tls", "https", false),
    ] {
        let front = detect(&cluster_with(&json!({})), Some(&service("LoadBalancer", &json!({name: value}))));
        let expected = if is_http { Front::HttpLoadBalancer(name.to_owned()) } else { Front::LoadBalancer };
        assert_eq!(front, expected, "{name}: {value}");
    }
}
