//! The tables: each entry is what is put into the `spec` of the least object.

use serde_json::{Value, json};

/// Specs that are refused, with a part of the refusal.
pub(super) fn refused() -> Vec<(Value, &'static str)> {
    let ingress = |ingress: Value| json!({"edge": {"ingress": ingress}});
    let affinity = |affinity: Value| json!({"edge": {"sessionAffinity": affinity}});
    let path = |path: &str| json!({"app": {"path": path}});
    let name = "a name has lower-case letters, digits, - and . only";
    let host = "a host is a lower-case DNS name";
    let slashes = "app.path must begin and end with a slash";
    vec![
        (json!({"workloadRef": null}), "spec.workloadRef: Required value"),
        (json!({"app": null}), "spec.app: Required value"),
        (json!({"app": {"port": null}}), "spec.app.port: Required value"),
        (json!({"app": {"port": "3000"}}), "spec.app.port in body must be of type integer: \"string\""),
        (json!({"app": {"port": 7900}}), "ports 7900 to 7902 are the sidecar's"),
        (json!({"app": {"port": 7902}}), "ports 7900 to 7902 are the sidecar's"),
        (path("socket.io/"), slashes),
        (path("/socket.io"), slashes),
        (path("/socket io/"), slashes),
        (path("/a//"), slashes),
        (path("/a/../b?/"), slashes),
        (json!({"modes": "Enforce"}), "unknown field \"spec.modes\""),
        (json!({"app": {"prot": 3000}}), "unknown field \"spec.app.prot\""),
        (json!({"adapter": {"type": "Other"}}), "type Other needs a name"),
        (json!({"adapter": {"type": "Redis", "name": "x"}}), "name goes with type Other only"),
        (json!({"edge": {"service": {"takeOver": true}}}), "that of your Service which is to lead"),
        (json!({"edge": {"service": {"name": "chat"}}}), "edge.service.name goes with takeOver: true only"),
        (
            json!({"edge": {"service": {"takeOver": true, "name": "chat", "port": 8080}}}),
            "edge.service.port is for a Service that is made; yours keeps its own ports",
        ),
        (json!({"workloadRef": {"name": "../../secrets/x"}}), name),
        (json!({"edge": {"service": {"takeOver": true, "name": "chat?force=true"}}}), name),
        (ingress(json!({"takeOver": true, "name": "a..b"})), name),
        (ingress(json!({"takeOver": true, "name": "a/b"})), name),
        (ingress(json!({"className": "a/b"})), name),
        (ingress(json!({"className": "nginx", "tlsSecretName": "A"})), name),
        (affinity(json!({"type": "Cookie"})), "sessionAffinity is written on an Ingress"),
        (ingress(json!({"takeOver": true})), "that of your Ingress which is to get the annotations"),
        (ingress(json!({})), "className is missing: name the IngressClass"),
        (ingress(json!({"className": "nginx", "name": "chat"})), "name goes with takeOver: true only"),
        (
            ingress(json!({"takeOver": true, "name": "chat", "hosts": ["chat.example.com"]})),
            "hosts and tlsSecretName are for an Ingress that is made",
        ),
        (
            ingress(json!({"takeOver": true, "name": "chat", "tlsSecretName": "chat"})),
            "hosts and tlsSecretName are for an Ingress that is made",
        ),
        (ingress(json!({"className": "nginx", "hosts": ["chat.example.com", "a/b"]})), host),
        (ingress(json!({"className": "nginx", "hosts": ["*"]})), host),
        (ingress(json!({"className": "nginx", "hosts": ["10.0.0.1"]})), host),
        (affinity(json!({"forwardedFor": "First"})), "forwardedFor goes with type ClientIP only"),
        (
            affinity(json!({"type": "Cookie", "forwardedFor": "First"})),
            "forwardedFor goes with type ClientIP only",
        ),
        (affinity(json!({"type": "ClientIP", "cookie": {}})), "cookie goes with type Cookie only"),
        (affinity(json!({"type": "Cookie", "cookie": {"name": "a b"}})), "a cookie's name has letters"),
        (json!({"edge": {"trustedProxies": ["10.0.0.1"]}}), "such as 10.0.0.0/8"),
        (json!({"edge": {"trustedProxies": ["10.0.0.0/8", "edge"]}}), "such as 10.0.0.0/8"),
        (json!({"edge": {"trustedProxies": ["10.0.0.0/33"]}}), "such as 10.0.0.0/8"),
        (json!({"edge": {"trustedProxyCount": 17}}), "less than or equal to 16"),
        (
            json!({"edge": {"trustedProxyCount": 1, "trustedProxies": ["10.0.0.0/8"]}}),
            "trustedProxies and trustedProxyCount exclude each other",
        ),
        (json!({"edge": {"proxyProtocol": true}}), "proxyProtocol needs the networks"),
        (
            json!({"edge": {"proxyProtocol": true, "trustedProxies": ["10.0.0.0/8", "::/0"]}}),
            "proxyProtocol needs the networks",
        ),
    ]
}

/// Old spec, new spec, and a part of the refusal, if the change is refused.
pub(super) fn refused_changes() -> Vec<(Value, Value, Option<&'static str>)> {
    let service = |service: Value| json!({"edge": {"service": service}});
    let taken = |front: Value| json!({"edge": {"ingress": {"takeOver": true, "name": front["name"]}}});
    let ingress = "an Ingress that was taken over stays so; delete this SocketIoCluster";
    let workload = "workloadRef cannot be changed; delete this SocketIoCluster";
    let service_name = "edge.service.name and takeOver cannot be changed; delete this SocketIoCluster";
    vec![
        (json!({}), json!({"workloadRef": {"name": "other"}}), Some(workload)),
        (json!({}), json!({"workloadRef": {"kind": "StatefulSet"}}), Some(workload)),
        (json!({}), service(json!({"name": "mine", "takeOver": true})), Some(service_name)),
        (taken(json!({"name": "front"})), taken(json!({"name": "other"})), Some(ingress)),
        (taken(json!({"name": "front"})), json!({}), Some(ingress)),
        (taken(json!({"name": "front"})), taken(json!({"name": "front"})), None),
        (json!({}), json!({"mode": "Off", "app": {"port": 3001}}), None),
        (json!({}), service(json!({"port": 8080})), None),
        (
            service(json!({"name": "mine", "takeOver": true})),
            service(json!({"takeOver": false, "name": null})),
            Some(service_name),
        ),
        (service(json!({"name": "mine", "takeOver": true})), json!({}), Some(service_name)),
        (service(json!({"name": "mine", "takeOver": true})), json!({"edge": null}), Some(service_name)),
    ]
}

/// A valid object in which every field is set that can be set beside the others.
pub(super) fn everything() -> Value {
    json!({
        "mode": "Observe",
        "app": {"path": "/"},
        "adapter": {"type": "Other", "name": "nats"},
        "edge": {
            "service": {"name": "chat", "takeOver": true, "port": 80},
            "ingress": {"className": "nginx", "hosts": ["chat.example.com"], "tlsSecretName": "chat"},
            "sessionAffinity": {"type": "Cookie", "cookie": {"name": "sticky", "sameSite": "None"}},
            "trustedProxies": ["10.0.0.0/8", "fd00::/8"],
            "forwardedFor": "Preserve",
            "proxyProtocol": true,
        },
        "sidecar": {
            "image": "sidecar:1", "imagePullPolicy": "Never", "maxConnections": 1, "log": "debug",
            "maxRequestHeadBytes": 4096, "maxAnswerHeadBytes": 262_144, "maxHeaderFields": 1000,
            "maxWebSockets": 0, "maxConnectionsPerSource": 0, "maxBufferedMiB": 1_048_576, "bodyTimeoutSeconds": 86_400,
            "appKeepAlive": "Auto",
            "resources": {"requests": {"cpu": "100m", "memory": 1_000_000}, "limits": {"cpu": 1}},
        },
        "peers": {"certificateDays": 1},
        "drain": {"deadlineSeconds": 0, "windowSeconds": 3600},
        "deletionPolicy": "Retain",
    })
}

/// More that is accepted.
pub(super) fn accepted() -> Vec<Value> {
    let nginx = json!({"className": "nginx"});
    vec![
        everything(),
        json!({"workloadRef": {"kind": "DaemonSet"}, "app": {"port": 65535, "path": "/a/b-c_d.e~f/"}}),
        json!({"app": {"port": 7899}}),
        json!({"app": {"port": 7903}}),
        json!({"adapter": {"type": "NotNeeded"}}),
        json!({"edge": {"trustedProxyCount": 0}}),
        json!({"edge": {"trustedProxyCount": 16, "forwardedFor": "Replace"}}),
        json!({"edge": {"ingress": {"className": "nginx"}}}),
        json!({"edge": {"ingress": {"className": "nginx", "hosts": ["*.chat-1.example.com", "localhost"]}}}),
        json!({"edge": {"ingress": {"name": "chat", "takeOver": true, "hosts": []}}}),
        json!({"edge": {"ingress": nginx, "sessionAffinity": {"type": "ClientIP", "forwardedFor": "First"}}}),
        json!({"edge": {"ingress": nginx, "sessionAffinity": {"type": "Cookie", "cookie": {}}}}),
    ]
}
