//! Messages to a room whose members are on several pods: the work of the application's adapter, here
//! Redis', which the sidecar neither does nor disturbs.

use std::collections::HashSet;
use std::time::Duration;

use socketio_sidecar_core::config::Mode;
use support::deployment::{Chat, Kubectl, Load, Redis, Rooms, Variant, wait_for};

/// 60 clients, a third each of polling only, polling with an upgrade, and WebSocket only.
fn load(chat: &Chat, seconds: u32) -> Load {
    Load { url: chat.url().unwrap(), transport: &["--mix"], clients: 60, seconds }
}

/// None of these has an excuse.
fn assert_no_faults(rooms: &Rooms) {
    let total = &rooms.total;
    assert_eq!((total.duplicated, total.reordered, total.astray), (0, 0, 0), "{total:?}");
    assert_eq!(total.unanswered, 0, "{total:?}");
}

/// The control: what the next test proves is the adapter's doing.
#[test]
fn without_an_adapter_a_room_ends_at_its_pod() {
    let chat = Chat::deploy(Variant::With(Mode::Enforce)).unwrap();
    let run = load(&chat, 6).start_with(&["--rooms", "6", "--ramp", "2s", "--settle", "3s"]).unwrap();
    let (summary, _) = run.finish().unwrap();
    assert!(!summary.ok);
    assert_eq!(summary.total.faults, 0, "the sessions themselves are well: {:?}", summary.total);
    let rooms = summary.rooms.unwrap();
    assert_no_faults(&rooms);
    for (name, room) in &rooms.by_room {
        assert!(room.pods >= 2, "the members of {name} happen to be on one pod: {room:?}");
        assert!(room.missing > 0, "{name}: {room:?}");
        assert_eq!(room.missing, room.missing_across_pods, "on its own pod everything arrives: {room:?}");
        assert_eq!(room.across_pods, 0, "{name}: {room:?}");
    }
}

#[test]
fn a_message_to_a_room_arrives_once_at_every_member_on_every_pod_while_pods_come_and_go() {
    let chat = Chat::deploy_with_redis(Variant::With(Mode::Enforce)).unwrap();
    // So slowly that some come before the new pods, and some after. Then as long as it takes the pods
    // to go: their sidecars stay for the WebSockets that run through them.
    let run = load(&chat, 55).start_with(&["--rooms", "6", "--ramp", "16s"]).unwrap();
    chat.scale(5).unwrap();
    chat.wait_until_ready().unwrap();
    run.wait_until_connected().unwrap();
    chat.scale(2).unwrap();
    chat.wait_until_ready().unwrap();
    let (summary, events) = run.finish().unwrap();

    let rooms = summary.rooms.unwrap();
    assert_no_faults(&rooms);
    assert_eq!(rooms.total.missing, 0, "{rooms:?}");
    for (name, room) in &rooms.by_room {
        assert!(room.pods >= 3, "the members of {name} happen to be on two pods: {room:?}");
        // On two pods, at the end, half of the members are on the sender's, more or less.
        assert!(room.across_pods > room.due / 5, "{name}: {room:?}");
    }
    assert!(rooms.total.due > 10_000, "60 clients each hear nine others and themselves: {:?}", rooms.total);

    let pods: HashSet<_> = events.iter().filter_map(|event| event.pod.as_ref()).collect();
    assert_eq!(pods.len(), 5, "sessions were on the new pods too: {pods:?}");
    let total = &summary.total;
    assert!(total.disconnects > 0, "three pods went, and nobody noticed: nothing was tested");
    assert_eq!((total.lost, total.violation_count), (0, 0), "{total:?}");
    assert_eq!(total.connected_at_end, 60, "everyone is back: {total:?}");

    assert_redis_can_restart(&chat);
    Redis::remove().unwrap();
}

/// While Redis is away, a message reaches the members on the pod of its sender; nothing else suffers.
fn assert_redis_can_restart(chat: &Chat) {
    let run = load(chat, 10).start_with(&["--rooms", "6", "--ramp", "2s", "--settle", "3s"]).unwrap();
    run.wait_until_connected().unwrap();
    Redis::restart().unwrap();
    let (summary, _) = run.finish().unwrap();
    assert_eq!(summary.total.faults, 0, "no session ended, no process did: {:?}", summary.total);
    let rooms = summary.rooms.unwrap();
    assert_no_faults(&rooms);
    let total = &rooms.total;
    assert!(total.missing > 0, "Redis went, and nobody noticed: nothing was tested");
    assert_eq!(total.missing, total.missing_across_pods, "{total:?}");
    for pod in chat.pods().unwrap() {
        wait_for("the chat to find Redis again", Duration::from_secs(20), || {
            let log = Kubectl::run(&["logs", &pod.name, "--container=chat"])?;
            Ok(log.contains("Redis is back").then_some(()))
        })
        .unwrap();
    }
}
