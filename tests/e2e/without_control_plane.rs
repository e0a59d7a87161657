//! The control plane is not in the data path.

use std::time::Duration;

use socketio_sidecar_core::config::Mode;
use support::deployment::{Chat, Kubectl, Variant, wait_for};

use crate::component::Stopped;
use crate::load;

#[test]
fn traffic_and_forwarding_go_on_without_dns_and_api_server() {
    assert_goes_on_without_control_plane_for(Duration::from_secs(15));
}

#[test]
#[ignore = "takes long; `make soak` runs it"]
fn traffic_and_forwarding_go_on_for_a_minute_without_dns_and_api_server() {
    assert_goes_on_without_control_plane_for(Duration::from_secs(60));
}

fn assert_goes_on_without_control_plane_for(time: Duration) {
    let chat = Chat::deploy(Variant::With(Mode::Enforce)).unwrap();
    let run = load(&chat, 600).start().unwrap();
    run.wait_until_connected().unwrap();
    let forwarded =
        || chat.metric("socketio_sidecar_requests_total", r#"decision="forward",from="client""#).unwrap();
    let before = forwarded();
    let stopped = Stopped::stop(&["coredns", "kube-apiserver"]);
    assert!(Kubectl::run(&["get", "pods"]).is_err(), "the API server still answers");
    std::thread::sleep(time);
    drop(stopped);
    wait_for("the API server to be back", Duration::from_secs(60), || {
        Ok(Kubectl::run(&["get", "--raw", "/readyz"]).ok())
    })
    .unwrap();
    let (summary, _) = run.stop().unwrap();
    let after = forwarded();
    assert!(summary.ok, "{:?}", summary.total);
    assert_eq!((summary.total.faults, summary.total.disconnects), (0, 0), "{:?}", summary.total);
    assert!(after > before + 500.0, "forwarding went on: {before} before, {after} after");
}
