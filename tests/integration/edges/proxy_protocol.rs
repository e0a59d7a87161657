//! HAProxy and nginx that name the client in a PROXY protocol header.

use std::net::Ipv6Addr;

use super::*;
use support::harness::{Edge, ask};

/// An address on `::1` with a port that was free a moment ago.
fn free_v6() -> SocketAddr {
    std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// The configuration of an edge that sends connections (`tcp`) or requests (`http`) to pods in turn.
fn haproxy(pods: &Pods, mode: &str, v6: SocketAddr, send: &str) -> String {
    let servers = pods.lines(|number, pod| format!("    server pod{number} {pod} {send}"));
    format!(
        "defaults
    mode {mode}
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout tunnel 1h
frontend clients
    bind {}
    bind {v6}
    default_backend pods
backend pods
    balance roundrobin
    source {}
{servers}
",
        pods.at(),
        pods.edge.ip
    )
}

#[tokio::test]
async fn sessions_live_behind_haproxy_that_sends_proxy_headers() {
    for (mode, send) in
        [("tcp", "send-proxy"), ("tcp", "send-proxy-v2"), ("http", "send-proxy"), ("http", "send-proxy-v2")]
    {
        let pods = Pods::start("v4", json!({"proxyProtocol": true})).await;
        let (v6, what) = (free_v6(), format!("{mode} {send}"));
        let _haproxy = Edge::haproxy(pods.at(), &haproxy(&pods, mode, v6, send)).await;
        pods.keep_sessions(&["polling", "default", "websocket"], &what).await;
        pods.know_the_client(&what).await;
        let seen = seen_by_server(Ipv6Addr::LOCALHOST.into(), v6).await;
        assert_eq!(seen["x-forwarded-for"], "::1", "{what}: {seen}");
        assert_eq!(pods.metric("failures_total", &["cause=\"proxy_protocol\""]).await, 0, "{what}");
    }
}

#[tokio::test]
async fn sessions_live_behind_nginx_that_sends_proxy_headers() {
    let pods = Pods::start("v4", json!({"proxyProtocol": true})).await;
    let (servers, v6) = (pods.lines(|_, pod| format!("server {pod};")), free_v6());
    let configuration = format!(
        "stream {{
            upstream pods {{ {servers} }}
            server {{
                listen {};
                listen {v6};
                proxy_pass pods;
                proxy_protocol on;
                proxy_bind {};
                proxy_timeout 1h;
            }}
        }}",
        pods.at(),
        pods.edge.ip
    );
    let _nginx = Edge::nginx(pods.at(), &configuration).await;
    pods.keep_sessions(&["polling", "default", "websocket"], "nginx stream").await;
    pods.know_the_client("nginx stream").await;
    let seen = seen_by_server(Ipv6Addr::LOCALHOST.into(), v6).await;
    assert_eq!(seen["x-forwarded-for"], "::1", "{seen}");
}

#[tokio::test]
async fn sessions_of_socket_io_2_live_behind_haproxy_that_sends_proxy_headers_and_hashes() {
    let pods = Pods::start("v2", json!({"proxyProtocol": true})).await;
    let configuration = haproxy(&pods, "tcp", free_v6(), "send-proxy-v2").replace("roundrobin", "source");
    let _haproxy = Edge::haproxy(pods.at(), &configuration).await;
    for transport in ["polling", "default", "websocket"] {
        let result = client("v2", transport, pods.at(), &["--binary", "1000", "--big", "100000"]).await;
        assert_eq!(result["ok"], true, "{transport}: {result}");
    }
}

#[tokio::test]
async fn haproxy_and_the_sidecar_must_agree_on_the_header() {
    let pods = Pods::start("v4", json!({"proxyProtocol": true})).await;
    let _haproxy = Edge::haproxy(pods.at(), &haproxy(&pods, "http", free_v6(), "")).await;
    assert_eq!(ask(pods.at(), &get("/x")).await.status, 502);
    assert!(pods.metric("failures_total", &["cause=\"proxy_protocol\""]).await > 0);
    let pods = Pods::start("v4", json!({})).await;
    let _haproxy = Edge::haproxy(pods.at(), &haproxy(&pods, "http", free_v6(), "send-proxy-v2")).await;
    assert_eq!(ask(pods.at(), &get("/x")).await.status, 400);
    assert!(pods.metric("malformed_total", &[]).await > 0);
}
