//! nginx that speaks HTTP/1.0 to the sidecars.

use super::*;
use support::harness::{Edge, Recorder};

/// The configuration of an edge that passes requests to pods in turn, or as `balance` says.
fn nginx(pods: &Pods, balance: &str, fields: &str) -> String {
    let servers = pods.lines(|_, pod| format!("server {pod};"));
    format!(
        "http {{
            upstream pods {{ {balance} {servers} }}
            server {{
                listen {};
                location / {{
                    proxy_pass http://pods;
                    proxy_http_version 1.0;
                    proxy_bind {};
                    proxy_read_timeout 1h;
                    proxy_set_header Host $host;
                    proxy_set_header X-Forwarded-For $remote_addr;
                    {fields}
                }}
            }}
        }}",
        pods.at(),
        pods.edge.ip
    )
}

const CLOSE: &str = "proxy_set_header Connection close;";
const UPGRADE: &str = "proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;";

#[tokio::test]
async fn polling_sessions_live_behind_nginx_with_http_1_0() {
    // The application's word says nothing of its close: only the request's version does.
    let pods = Pods::start_with("v4", json!({}), &["--bare-1.0"], &["--app-keep-alive", "always"]).await;
    let _nginx = Edge::nginx(pods.at(), &nginx(&pods, "", CLOSE)).await;
    pods.keep_sessions(&["polling"], "HTTP/1.0").await;
    pods.know_the_client("HTTP/1.0").await;
    // Without the fields of an upgrade the probe fails, as without a sidecar, and the client stays on polling.
    let result = client("v4", "default", pods.at(), &[]).await;
    assert_eq!((&result["ok"], &result["transport_at_end"]), (&json!(true), &json!("polling")), "{result}");
    assert_eq!(pods.metric("failures_total", &["cause=\"bad_gateway\""]).await, 0);
}

#[tokio::test]
async fn websockets_open_behind_nginx_with_http_1_0() {
    let pods = Pods::start("v4", json!({})).await;
    let _nginx = Edge::nginx(pods.at(), &nginx(&pods, "", UPGRADE)).await;
    pods.keep_sessions(&["polling", "default", "websocket"], "HTTP/1.0 with Upgrade").await;
    pods.know_the_client("HTTP/1.0 with Upgrade").await;
}

#[tokio::test]
async fn sessions_of_socket_io_2_live_behind_nginx_with_http_1_0_and_a_hash() {
    let pods = Pods::start("v2", json!({})).await;
    let _nginx = Edge::nginx(pods.at(), &nginx(&pods, "hash $remote_addr consistent;", UPGRADE)).await;
    for transport in ["polling", "default", "websocket"] {
        let result = client("v2", transport, pods.at(), &["--binary", "1000", "--big", "100000"]).await;
        assert_eq!(result["ok"], true, "{transport}: {result}");
    }
}

#[tokio::test]
async fn this_nginx_speaks_http_1_0_and_closes() {
    let pods = Pods::start("v4", json!({})).await;
    let configuration = nginx(&pods, "", CLOSE);
    let recorder = Place::new();
    let seen = Recorder::start(recorder.app(), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let configuration = configuration.replace("http://pods", &format!("http://{}", recorder.app()));
    let _nginx = Edge::nginx(pods.at(), &configuration).await;
    let mut wire = Wire::connect(pods.at()).await;
    wire.send(get("/x")).await;
    assert_eq!(wire.answer().await.text(), "ok");
    let head = seen.heads().remove(0);
    assert!(head.starts_with("GET /x HTTP/1.0\r\n"), "{head}");
    assert_eq!(wire::header(&head, "connection"), Some("close"));
}
