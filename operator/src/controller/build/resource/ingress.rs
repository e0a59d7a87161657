//! The Ingress that leads to the client Service.
//!
//! Pure. It sends everything there, not only the path of Engine.IO: the sidecar passes on what is not
//! its own, and two places that know a path would have to agree on it.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule, IngressServiceBackend,
    IngressSpec, IngressTLS, ServiceBackendPort,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Parts of an Ingress.
#[derive(Clone, Debug)]
pub(crate) struct Parts<'a> {
    /// Name of the Ingress.
    pub(crate) name: &'a str,
    /// Namespace of the Ingress.
    pub(crate) namespace: &'a str,
    /// Labels of the Ingress.
    pub(crate) labels: BTreeMap<String, String>,
    /// Annotations that configure the edge.
    pub(crate) annotations: BTreeMap<String, String>,
    /// The IngressClass.
    pub(crate) class_name: &'a str,
    /// The host names; none means all.
    pub(crate) hosts: &'a [String],
    /// The Secret with the certificate for them.
    pub(crate) tls_secret_name: Option<&'a str>,
    /// The client Service.
    pub(crate) service_name: &'a str,
    /// Port of the Service.
    pub(crate) service_port: u16,
}

/// Makes the Ingress.
pub(crate) fn build_ingress(parts: Parts<'_>) -> Ingress {
    let backend = IngressBackend {
        service: Some(IngressServiceBackend {
            name: parts.service_name.to_owned(),
            port: Some(ServiceBackendPort { number: Some(parts.service_port.into()), name: None }),
        }),
        resource: None,
    };
    let everything = HTTPIngressRuleValue {
        paths: vec![HTTPIngressPath { path: Some("/".to_owned()), path_type: "Prefix".to_owned(), backend }],
    };
    let rule = |host| IngressRule { host, http: Some(everything.clone()) };
    let rules = match parts.hosts {
        [] => vec![rule(None)],
        hosts => hosts.iter().cloned().map(|host| rule(Some(host))).collect(),
    };
    let tls = parts.tls_secret_name.map(|secret| {
        let hosts = (!parts.hosts.is_empty()).then(|| parts.hosts.to_vec());
        vec![IngressTLS { hosts, secret_name: Some(secret.to_owned()) }]
    });
    Ingress {
        metadata: ObjectMeta {
            name: Some(parts.name.to_owned()),
            namespace: Some(parts.namespace.to_owned()),
            labels: Some(parts.labels),
            annotations: Some(parts.annotations),
            ..ObjectMeta::default()
        },
        spec: Some(IngressSpec {
            ingress_class_name: Some(parts.class_name.to_owned()),
            rules: Some(rules),
            tls,
            default_backend: None,
        }),
        status: None,
    }
}
