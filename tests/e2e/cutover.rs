//! From a deployment that carries load to one that works, by the chart and one object, and back.

use std::time::{Duration, Instant};

use support::deployment::{Chat, Kubectl, Load, LoadRun, Operator, SocketIoCluster, Summary, Variant};

use crate::deletion::{assert_ends_sessions_and_gives_back, drain};
use crate::given_back::Before;

/// Longest time for pods to be replaced, Endpoints to settle, and a Secret to arrive.
pub(crate) const CUTOVER: Duration = Duration::from_secs(180);
/// Two runs of the same rollout differ by as much.
const NOISE: u64 = 2;

/// Clients that are connected already, and ever new ones: 20 handshakes a second.
pub(crate) fn carried_load(chat: &Chat, transport: &'static [&'static str]) -> LoadRun {
    let load = Load { url: chat.url().unwrap(), transport, clients: 60, seconds: 600 };
    let run = load.start_with(&["--handshakes", "20", "--ramp", "2s"]).unwrap();
    run.wait_until_connected().unwrap();
    run
}

/// Attempts to connect that found nobody. That a session's next request finds another pod, which does not
/// know it, is another matter.
pub(crate) fn refusals(summary: &Summary) -> Vec<(String, u64)> {
    let kinds = summary.total.connect_error_kinds.iter().chain(&summary.handshakes.refused_kinds);
    kinds
        .filter(|(kind, _)| !kind.contains("Session ID unknown"))
        .map(|(kind, n)| (kind.clone(), *n))
        .collect()
}

/// A third each of polling only, polling with an upgrade, and WebSocket only: nothing fails.
pub(crate) fn assert_works(chat: &Chat, seconds: u32) {
    let load = Load { url: chat.url().unwrap(), transport: &["--mix"], clients: 90, seconds };
    let (summary, _) = load.start_with(&["--handshakes", "20", "--ramp", "2s"]).unwrap().finish().unwrap();
    assert!(summary.ok, "{summary:?}");
    assert_eq!((summary.total.faults, summary.total.disconnects), (0, 0), "{summary:?}");
    assert_eq!(summary.handshakes.sent, summary.handshakes.good, "{summary:?}");
    let forwarded =
        chat.metric("socketio_sidecar_requests_total", r#"decision="forward",from="client""#).unwrap();
    assert!(
        forwarded > 50.0,
        "only {forwarded} requests were forwarded: something else keeps sessions together"
    );
}

/// The namespace of the chat enforces the restricted Pod Security Standard, so injected pods comply with it.
fn assert_enforces_restricted() {
    let labels = Kubectl::json(&["get", "namespace", "chat"]).unwrap()["metadata"]["labels"].clone();
    assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted");
    assert_eq!(labels["pod-security.kubernetes.io/enforce-version"], "latest");
}

#[test]
fn a_deployment_under_load_is_cut_over_with_no_more_refusals_than_a_restart_and_given_back() {
    let chat = Chat::deploy(Variant::Without).unwrap();
    assert_enforces_restricted();

    let load = carried_load(&chat, &["--transport", "websocket"]);
    Kubectl::run(&["rollout", "restart", "deployment", chat.name()]).unwrap();
    chat.wait_until_ready().unwrap();
    load.wait_until_connected().unwrap();
    let (restarted, _) = load.stop().unwrap();
    let before = Before::of(&chat);

    let load = carried_load(&chat, &["--transport", "websocket"]);
    let started = Instant::now();
    let operator = Operator::install(&[]).unwrap();
    let cluster = SocketIoCluster::apply("chat", &SocketIoCluster::spec(&chat, &drain())).unwrap();
    cluster.wait_until_ready(CUTOVER).unwrap();
    let took = started.elapsed().as_secs();
    // Pods that are going may refuse, too.
    chat.wait_until_ready().unwrap();
    load.wait_until_connected().unwrap();
    let (cut_over, _) = load.stop().unwrap();

    let [baseline, ours] = [&restarted, &cut_over].map(|summary| {
        // Every pod was replaced: each session was lost once at least.
        assert!(summary.total.disconnects >= 60, "{summary:?}");
        assert!(summary.handshakes.good > 200 && summary.total.connected_at_end == 60, "{summary:?}");
        refusals(summary)
    });
    let count = |refusals: &[(String, u64)]| refusals.iter().map(|(_, n)| n).sum::<u64>();
    eprintln!(
        "    refused by a restart: {} of {} {baseline:?}; by the cutover, in {took} s: {} of {} {ours:?}",
        count(&baseline),
        restarted.handshakes.sent,
        count(&ours),
        cut_over.handshakes.sent,
    );
    assert!(count(&ours) <= count(&baseline) + NOISE, "{ours:?} but {baseline:?} by a restart");
    assert_works(&chat, 15);
    assert_ends_sessions_and_gives_back(&chat, &operator, &cluster, &before);
}
