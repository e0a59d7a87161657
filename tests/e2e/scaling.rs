//! Pods come and go under load.

use std::collections::HashSet;

use socketio_sidecar_core::config::Mode;
use support::deployment::{Chat, Event, Variant};

use crate::load;
use crate::sidecar_logs::{FollowedLogs, sessions};

#[test]
fn scaling_costs_only_the_sessions_of_removed_pods() {
    let chat = Chat::deploy(Variant::With(Mode::Enforce)).unwrap();
    let run = load(&chat, 600).start().unwrap();
    run.wait_until_connected().unwrap();
    chat.scale(6).unwrap();
    chat.wait_until_ready().unwrap();
    let all = chat.pods().unwrap();
    assert_eq!(all.len(), 6);
    let logs = FollowedLogs::follow(&all);
    chat.scale(2).unwrap();
    chat.wait_until_ready().unwrap();
    let kept: HashSet<String> = chat.pods().unwrap().into_iter().map(|pod| pod.name).collect();
    assert_eq!(kept.len(), 2);
    run.wait_until_connected().unwrap();
    let (summary, events) = run.stop().unwrap();

    // A session ends with the pod that holds it; a WebSocket also with a pod that forwarded it.
    let through_removed = sessions(&logs.tunnels(|pod| !kept.contains(&pod.name)));
    let is_explained = |event: &Event| {
        let pod_removed = event.pod.as_ref().is_some_and(|pod| !kept.contains(pod));
        pod_removed || event.sid.as_ref().is_some_and(|sid| through_removed.contains(sid))
    };
    let ended: Vec<_> = events.iter().filter(|event| event.event == "disconnect").collect();
    let unexplained: Vec<_> = ended.iter().filter(|event| !is_explained(event)).collect();
    assert!(
        unexplained.is_empty(),
        "{} of {} ended sessions: {unexplained:?}",
        unexplained.len(),
        ended.len()
    );
    assert!(!ended.is_empty(), "four pods went, and nobody noticed: nothing was tested");

    let total = &summary.total;
    assert_eq!((total.lost, total.violation_count), (0, 0), "{total:?}");
    assert_eq!(total.connected_at_end, 200, "everyone is back: {total:?}");
    assert_eq!(total.upgrade_errors, 0, "{total:?}");
    let polling = &summary.by_mode["polling"];
    assert!(
        polling.connects - polling.clients <= polling.clients,
        "nobody lost more than its one pod: {polling:?}"
    );
}
