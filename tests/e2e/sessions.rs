//! The point of it all: without the sidecar sessions fail, with it not one does.

use socketio_sidecar_core::config::Mode;
use support::deployment::{Chat, Variant};

use crate::load;

/// The control. If this does not fail, none of the other tests proves anything.
#[test]
fn without_the_sidecar_polling_clients_fail() {
    let chat = Chat::deploy(Variant::Without).unwrap();
    let (summary, _) = load(&chat, 8).run().unwrap();
    assert!(!summary.ok);
    for mode in ["polling", "default"] {
        let seen = &summary.by_mode[mode];
        let unknown = seen.connect_error_kinds.get("400 Session ID unknown").copied().unwrap_or_default();
        assert!(unknown >= seen.clients, "{mode}: {seen:?}");
        // By chance a session's first requests may all reach its pod; it does not last.
        assert!(seen.connected_at_end < seen.clients / 2, "{mode}: {seen:?}");
    }
    // A WebSocket is one connection, and needs no stickiness.
    assert_eq!(summary.by_mode["websocket"].faults, 0, "{:?}", summary.by_mode["websocket"]);
}

#[test]
fn with_the_sidecar_nothing_fails() {
    assert_nothing_fails_for(40);
}

#[test]
#[ignore = "takes long; `make soak` runs it"]
fn with_the_sidecar_nothing_fails_for_as_long_as_soak_seconds_says() {
    let seconds = std::env::var("SOAK_SECONDS").expect("SOAK_SECONDS must say how long; `make soak` sets it");
    assert_nothing_fails_for(seconds.parse().unwrap());
}

fn assert_nothing_fails_for(seconds: u32) {
    let chat = Chat::deploy(Variant::With(Mode::Enforce)).unwrap();
    let (summary, _) = load(&chat, seconds).run().unwrap();
    let total = &summary.total;
    assert!(summary.ok, "{total:?}");
    assert_eq!((total.connect_errors, total.disconnects, total.upgrade_errors), (0, 0, 0), "{total:?}");
    assert_eq!((total.lost, total.violation_count, total.faults), (0, 0, 0), "{total:?}");
    assert_eq!(total.connects, 200, "{total:?}");
    assert_eq!(total.sent, total.acked);
    assert!(total.acked > 200 * u64::from(seconds - 10), "every client goes on sending: {total:?}");
    let forwarded =
        chat.metric("socketio_sidecar_requests_total", r#"decision="forward",from="client""#).unwrap();
    assert!(forwarded > 1000.0, "most requests of polling clients arrive at the wrong pod: {forwarded}");
    let reached = chat.metric("socketio_sidecar_requests_total", r#"decision="owned",from="peer""#).unwrap();
    assert!((forwarded - reached).abs() < f64::EPSILON, "{forwarded} were forwarded and {reached} arrived");
}
