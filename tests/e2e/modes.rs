//! The operator is killed, the mode is changed, and an object that retains everything is deleted, under load.

use std::time::Duration;

use serde_json::json;
use support::deployment::{Chat, Kubectl, Load, Operator, SocketIoCluster, Variant};

use crate::component::kill;
use crate::cutover::{CUTOVER, assert_works, carried_load};

/// Longest time for all pods to apply a change.
const APPLIED: Duration = Duration::from_secs(150);

#[test]
fn sessions_live_through_changes_of_mode_and_the_end_of_the_operator() {
    let chat = Chat::deploy(Variant::Without).unwrap();
    let operator = Operator::install(&["--set=replicas=1"]).unwrap();
    let spec = SocketIoCluster::spec(&chat, &json!({"mode": "Off"}));
    let cluster = SocketIoCluster::apply("chat", &spec).unwrap();
    // The operator is killed in the middle of the cutover, and again at its next step.
    cluster.wait_for_step("Injecting", CUTOVER).unwrap();
    let load = carried_load(&chat, &["--transport", "websocket"]);
    kill("socketio-operator", &operator.pod_uid().unwrap());
    cluster.wait_for_step("Settling", CUTOVER).unwrap();
    kill("socketio-operator", &operator.pod_uid().unwrap());
    cluster.wait_until_ready(CUTOVER).unwrap();
    chat.wait_until_ready().unwrap();
    let (summary, _) = load.stop().unwrap();
    assert_eq!(crate::cutover::refusals(&summary), [], "{summary:?}");

    let set = |mode: &str| {
        cluster.change(&json!({"mode": mode})).unwrap();
        cluster.wait_until_ready(APPLIED).unwrap();
        assert_eq!(cluster.get().unwrap()["status"]["mode"], mode);
    };
    let websockets = carried_load(&chat, &["--transport", "websocket"]);
    set("Observe");
    set("Enforce");
    let tagged = carried_load(&chat, &["--mix"]);
    set("Off");
    // Sessions that are tagged already go on; new ones are as if there were no sidecar.
    let new =
        Load { url: chat.url().unwrap(), transport: &["--transport", "polling"], clients: 20, seconds: 8 };
    let (control, _) = new.run().unwrap();
    let (tagged, _) = tagged.stop().unwrap();
    let (websockets, _) = websockets.stop().unwrap();
    assert!(control.total.faults > 20, "without tags, polling works: nothing was tested {control:?}");
    for summary in [tagged, websockets] {
        assert_eq!((summary.total.faults, summary.total.connected_at_end), (0, 60), "{summary:?}");
        assert_eq!(summary.handshakes.sent, summary.handshakes.good, "{summary:?}");
    }

    set("Enforce");
    cluster.change(&json!({"deletionPolicy": "Retain"})).unwrap();
    cluster.delete().unwrap();
    cluster.wait_until_gone(Duration::from_secs(30)).unwrap();
    operator.scale(0).unwrap();
    assert_works(&chat, 10);
    // What had belonged to the object would have been collected meanwhile.
    let kept = ["get", "secret/chat-socketio-sidecar", "service/chat-socketio-peers", "--output=name"];
    Kubectl::run(&kept).unwrap();
    drop(operator);
    // Nobody else removes what is retained.
    let selector = "--selector=app.kubernetes.io/managed-by=socketio-affinity";
    Kubectl::run(&["delete", "secrets,services", selector]).unwrap();
}
