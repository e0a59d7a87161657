//! Observe changes nothing and counts what fails.

use socketio_sidecar_core::config::Mode;
use support::deployment::{Chat, Variant};

use crate::load;

#[test]
fn in_observe_they_fail_as_before_and_the_counter_explains_what_they_saw() {
    let chat = Chat::deploy(Variant::With(Mode::Observe)).unwrap();
    let (summary, _) = load(&chat, 8).run().unwrap();
    let (mut seen, mut attempts) = (0, 0);
    for mode in ["polling", "default"] {
        let clients = &summary.by_mode[mode];
        let unknown = clients.connect_error_kinds.get("400 Session ID unknown").copied().unwrap_or_default();
        assert!(unknown >= clients.clients, "{mode}: {clients:?}");
        seen += unknown;
        attempts += clients.connect_errors + clients.upgrade_errors + clients.disconnects + clients.connects;
    }
    assert_eq!(summary.by_mode["websocket"].faults, 0);
    let counted = chat.metric("socketio_sidecar_would_have_failed_total", "").unwrap();
    // After a handshake a client sends up to three requests at once, and reports the first that fails.
    assert!(counted >= seen as f64, "the clients saw {seen}, the counter says {counted}");
    assert!(counted <= (3 * attempts) as f64, "of {attempts} attempts {counted} are counted");
    let tagged = chat.metric("socketio_sidecar_handshakes_tagged_total", "").unwrap();
    assert!(tagged.abs() < f64::EPSILON, "Observe gives out no tags: {tagged}");
}
