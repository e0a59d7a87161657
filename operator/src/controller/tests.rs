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

/// What was asked for, apart from lists and watches.
type Asked = Arc<Mutex<Vec<String>>>;

/// Has these SocketIoClusters, and nothing else.
fn api_server(clusters: Value, asked: Asked) -> Client {
    let service = tower::service_fn(move |request: Request<Body>| {
        let answer = answer(&clusters, &asked, &request);
        async move { Ok::<_, Infallible>(answer) }
    });
    Client::new(service, "operator")
}

fn answer(
    clusters: &Value,
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
        let items = if metadata { json!([]) } else { clusters.clone() };
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
    let client = api_server(clusters, asked.clone());
    let settings = Settings {
        namespace: "operator".to_owned(),
        watch_namespaces: Vec::new(),
        sidecar_image: "sidecar:1".to_owned(),
        identity: "test".to_owned(),
    };
    let (metrics, health) = (Arc::new(Metrics::new().unwrap()), Arc::new(Health::default()));
    let work = run(client, settings, metrics.clone(), health.clone(), std::future::pending());
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
