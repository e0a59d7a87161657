//! Engine.IO revision 3 passes to the local application unchanged.

use support::harness::{Config, NodeServer, Place, Sidecar, ask, client, get};

#[tokio::test]
async fn a_socket_io_2_client_and_server_pass_unchanged() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let _server = NodeServer::start("v2", place.app(), &[]).await;
    let sidecar = Sidecar::start(&config, &place).await;
    for transport in ["polling", "default", "websocket"] {
        let result = client("v2", transport, place.clients(), &["--binary", "5000"]).await;
        assert_eq!(result["ok"], true, "{transport}: {result}");
        // The client derives `socket.id` from the sid: a tag in it would show here.
        assert_eq!(result["same_socket_id"], true, "{result}");
        assert_eq!(result["same_engine_id"], true, "{result}");
    }
    assert_eq!(sidecar.metric("handshakes_tagged_total", &[]).await, 0);
    assert_eq!(sidecar.metric("requests_total", &["decision=\"untaggable_handshake\""]).await, 3);
}

#[tokio::test]
async fn revision_3_on_a_socket_io_4_server_is_not_tagged_and_revision_4_is() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let _server = NodeServer::start("v4", place.app(), &["--allow-eio3"]).await;
    let sidecar = Sidecar::start(&config, &place).await;
    let old = client("v2", "default", place.clients(), &[]).await;
    assert_eq!(old["ok"], true, "{old}");
    assert_eq!(old["same_engine_id"], true, "{old}");
    assert_eq!(sidecar.metric("handshakes_tagged_total", &[]).await, 0);
    let new = client("v4", "default", place.clients(), &[]).await;
    assert_eq!(new["ok"], true, "{new}");
    assert_eq!(sidecar.metric("handshakes_tagged_total", &[]).await, 1);

    for query in ["EIO=3&transport=polling", "transport=polling"] {
        let target = format!("/socket.io/?{query}");
        let straight = ask(place.app(), &get(&target)).await;
        let through = ask(place.clients(), &get(&target)).await;
        assert_eq!(through.status, straight.status);
        assert!(!through.text().contains('.'), "a tag begins with a dot: {}", through.text());
        assert_eq!(through.body.len(), straight.body.len());
    }
}
