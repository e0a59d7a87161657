//! The watches, against an API server that is imitated as far as they need it.

use std::convert::Infallible;
use std::sync::Mutex;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use hyper::{Request, Response, StatusCode};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::*;

/// Requests to the API server, apart from lists and watches.
type Asked = Arc<Mutex<Vec<String>>>;

/// Has these SocketIoClusters and shows these Ingresses, and has nothing else.
fn api_server(clusters: Value, ingresses: Value, asked: Asked) -> Client {
    let service = tower::service_fn(move |request: Request<Body>| {
        let answer = answer(&clusters, &ingresses, &asked, &request);
        async move { Ok::<_, Infallible>(answer) }
    });
    Client::new(service, "operator")
}

fn answer(
    clusters: &Value,
    ingresses: &Value,
    asked: &Asked,
    request: &Request<Body>,
) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
    if query.contains("watch=true") {
        let nothing = futures::stream::pending::<Result<Frame<Bytes>, Infallible>>();
        return Response::new(StreamBody::new(nothing).boxed_unsync());
    }
    let accept = request.headers().get("accept").map(|accept| accept.to_str().unwrap());
    let metadata = accept.is_some_and(|accept| accept.contains("PartialObjectMetadata"));
    let mut status = StatusCode::OK;
    let body = if metadata || query.contains("limit=") {
        let items = match metadata {
            true if path.ends_with("/ingresses") => ingresses.clone(),
            true => json!([]),
            false => clusters.clone(),
        };
        json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": "1"}, "items": items})
    } else {
        asked.lock().unwrap().push(path.to_owned());
        status = StatusCode::NOT_FOUND;
        json!({"kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound", "message": "none"})
    };
    let mut response = Response::new(Full::from(body.to_string()).boxed_unsync());
    *response.status_mut() = status;
    response
}

fn cluster(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "socketio-affinity.dev/v1alpha1", "kind": "SocketIoCluster",
        "metadata": {"name": name, "namespace": "default", "uid": name}, "spec": spec,
    })
}

fn settings() -> Settings {
    Settings {
        namespace: "operator".to_owned(),
        watch_namespaces: Vec::new(),
        sidecar_image: "sidecar:1".to_owned(),
        identity: "test".to_owned(),
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_that_cannot_be_read_is_counted_and_keeps_no_other_one_waiting() {
    let asked = Asked::default();
    let reference = |name: &str| json!({"kind": "Deployment", "name": name});
    let clusters = json!([
        cluster(
            "newer",
            &json!({"workloadRef": reference("newer"), "app": {"port": 3000}, "mode": "Foresee"})
        ),
        cluster("chat", &json!({"workloadRef": reference("chat"), "app": {"port": 3000}})),
    ]);
    let client = api_server(clusters, json!([]), asked.clone());
    let (metrics, health) = (Arc::new(Metrics::new().unwrap()), Arc::new(Health::default()));
    let work = run(client, settings(), metrics.clone(), health.clone(), std::future::pending());
    assert!(timeout(Duration::from_secs(15), work).await.is_err(), "it goes on");

    let asked = asked.lock().unwrap().clone();
    assert!(asked.contains(&"/apis/apps/v1/namespaces/default/deployments/chat".to_owned()), "{asked:?}");
    assert!(asked.iter().all(|path| !path.contains("newer")), "{asked:?}");
    let shown = String::from_utf8(metrics.render()).unwrap();
    for sample in [
        "socketio_operator_clusters{ready=\"unknown\"} 1",
        "socketio_operator_clusters{ready=\"false\"} 1",
        "socketio_operator_reconciles_total{result=\"Unreadable\"} 1",
    ] {
        assert!(shown.lines().any(|line| line == sample), "{sample} in {shown}");
    }
    health.api_server_answered();
    assert_eq!(health.missing(), None, "all are listed");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_decide_anything_is_not_read() {
    const ALWAYS: [&str; 5] = [
        "/api/v1/namespaces/default/secrets/chat-socketio-sidecar",
        "/api/v1/namespaces/default/services/chat-socketio",
        "/api/v1/namespaces/default/services/chat-socketio-peers",
        "/api/v1/namespaces/operator/secrets/socketio-affinity-chat",
        "/apis/apps/v1/namespaces/default/deployments/chat",
    ];
    const ENDPOINTS: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
    const INGRESS: &str = "/apis/networking.k8s.io/v1/namespaces/default/ingresses/chat-socketio";
    let ingress = |labels: Value| json!([{"metadata": {"name": "chat-socketio", "namespace": "default", "resourceVersion": "1", "labels": labels}}]);
    let ours = ingress(json!({"socketio-affinity.dev/cluster": "chat"}));
    for (step, ingresses, more) in [
        ("Programmed", json!([]), None),
        ("Settling", json!([]), Some(ENDPOINTS)),
        // The spec asks for none.
        ("Programmed", ours, Some(INGRESS)),
        ("Programmed", ingress(json!({"app": "chat"})), None),
    ] {
        let spec = json!({"workloadRef": {"kind": "Deployment", "name": "chat"}, "app": {"port": 3000}});
        let mut object = cluster("chat", &spec);
        object["status"] = json!({"step": step, "stepSince": "2026-01-01T00:00:00Z"});
        let asked = Asked::default();
        let client = api_server(json!([object]), ingresses, asked.clone());
        let (metrics, health) = (Arc::new(Metrics::new().unwrap()), Arc::new(Health::default()));
        let work = run(client, settings(), metrics, health, std::future::pending());
        assert!(timeout(Duration::from_secs(5), work).await.is_err(), "it goes on");
        let mut asked = asked.lock().unwrap().clone();
        // What is written to it.
        asked.retain(|path| !path.ends_with("/status"));
        asked.sort();
        asked.dedup();
        let mut expected: Vec<_> = ALWAYS.into_iter().chain(more).collect();
        expected.sort_unstable();
        assert_eq!(asked, expected, "{step}");
    }
}
