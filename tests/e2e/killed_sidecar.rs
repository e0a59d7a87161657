//! A sidecar dies without warning.

use std::time::Duration;

use socketio_sidecar_core::config::Mode;
use support::deployment::{Chat, Event, Kubectl, Pod, Variant, wait_for};

use crate::component::kill;
use crate::load;
use crate::sidecar_logs::{FollowedLogs, sessions};

/// Longer than any client waits before it connects again.
const AFTERWARDS: Duration = Duration::from_secs(10);

#[test]
fn a_killed_sidecar_costs_only_the_sessions_that_ran_through_it() {
    let chat = Chat::deploy(Variant::With(Mode::Enforce)).unwrap();
    let run = load(&chat, 600).start().unwrap();
    run.wait_until_connected().unwrap();
    let pods = chat.pods().unwrap();
    let logs = FollowedLogs::follow(&pods);
    let killed = &pods[0];
    kill("socketio-sidecar", &killed.uid);
    wait_for("the sidecar to be started again", Duration::from_secs(60), || {
        Ok((restarts(killed) >= 1).then_some(()))
    })
    .unwrap();
    // Some notice only when they next send something.
    std::thread::sleep(AFTERWARDS);
    run.wait_until_connected().unwrap();
    let (summary, events) = run.stop().unwrap();

    // What the other sidecars say came from the killed one, which can say nothing itself.
    let came_from_killed =
        |line: &crate::sidecar_logs::TunnelLine| line.peer.starts_with(&format!("{}:", killed.ip));
    let others = logs.tunnels(|pod| pod.name != killed.name);
    let through_killed = sessions(others.iter().filter(|line| line.from == "peer" && came_from_killed(line)));
    let ended: Vec<_> = events.iter().filter(|event| event.event == "disconnect").collect();
    let unexplained: Vec<_> = ended
        .iter()
        .filter(|event| event.pod.as_ref() != Some(&killed.name))
        .filter(|event| event.sid.as_ref().is_none_or(|sid| !through_killed.contains(sid)))
        .filter(|event| event.transport != "polling" || !saw_a_connection_break(event))
        .collect();
    assert!(
        unexplained.is_empty(),
        "{} of {} ended sessions: {unexplained:?}",
        unexplained.len(),
        ended.len()
    );
    assert!(!ended.is_empty(), "a sidecar was killed, and nobody noticed: nothing was tested");

    let total = &summary.total;
    assert_eq!((total.lost, total.violation_count), (0, 0), "nothing hangs: {total:?}");
    assert_eq!(total.connected_at_end, 200, "everyone is back: {total:?}");
    let polling = &summary.by_mode["polling"];
    assert!(
        polling.disconnects < polling.clients,
        "sessions that ran through other pods only go on: {polling:?}"
    );
    let websocket = &summary.by_mode["websocket"];
    assert!(websocket.disconnects < websocket.clients, "{websocket:?}");
}

/// Which connections a poll took is nowhere recorded, but its client saw one break; or, if it was just
/// sending something through another pod, that its session had ended with that. Any other error would be
/// the doing of a sidecar that lives.
fn saw_a_connection_break(event: &Event) -> bool {
    let kind = event.kind.as_deref().unwrap_or_default();
    ["ECONNRESET", "ECONNREFUSED", "socket hang up", "400 Session ID unknown"]
        .iter()
        .any(|how| kind.contains(how))
}

fn restarts(pod: &Pod) -> u64 {
    let pod = Kubectl::json(&["get", "pod", &pod.name]).unwrap();
    pod["status"]["initContainerStatuses"][0]["restartCount"].as_u64().unwrap_or_default()
}
