//! HAProxy that speaks HTTP/2 to the sidecars without having asked, as `appProtocol: kubernetes.io/h2c` has it.

use super::*;
use support::harness::{Edge, ask};

#[tokio::test]
async fn http_2_of_an_edge_is_refused_and_named() {
    let pods = Pods::start("v4", json!({})).await;
    let servers = pods.lines(|number, pod| format!("    server pod{number} {pod} proto h2"));
    let configuration = format!(
        "defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend clients
    bind {}
    default_backend pods
backend pods
    balance roundrobin
{servers}
",
        pods.at()
    );
    let _haproxy = Edge::haproxy(pods.at(), &configuration).await;
    for _ in 0..6 {
        assert_eq!(ask(pods.at(), &get("/x")).await.status, 502);
    }
    for sidecar in &pods.sidecars {
        assert!(sidecar.metric("failures_total", &["cause=\"http2\""]).await > 0);
        let lines = sidecar.process.lines();
        let said = lines.iter().filter(|line| line.contains("refused HTTP/2")).count();
        assert_eq!(said, 1, "once a minute: {lines:#?}");
    }
}
