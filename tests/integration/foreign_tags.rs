//! Tags that this cluster did not give out for this session: the application answers, and no packet
//! leaves for the address in the tag.

mod sockets;

use socketio_sidecar_core::owner_tag::KeyRing;
use support::harness::config::CLUSTER;
use support::harness::{Config, NodeServer, Place, Polling, Scripted, Sidecar};

#[tokio::test]
async fn what_was_not_sealed_here_for_this_session_is_an_unknown_session_and_nobody_is_asked() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let _server = NodeServer::start("v4", place.app(), &[]).await;
    let sidecar = Sidecar::start(&config, &place).await;

    // Where a tag names this place, somebody listens, who fails the test when anybody connects.
    let named = Place::new();
    let (peer_port, app_port) = (Scripted::bind(named.peers()).await, Scripted::bind(named.app()).await);
    let owner = named.owner();
    let sid = "AAAAAAAAAAAAAAAAAAAA";
    let good = config.tagged(sid, &owner);
    let (_, tag) = good.split_once('.').unwrap();

    let others_key = KeyRing::new(CLUSTER, 1, [(1, &[9; 32][..])]).unwrap().seal(sid, &owner).unwrap();
    let other_cluster = Config::of_cluster("other", "enforce").await;
    other_cluster.write("tag-keys.json", &config.read("tag-keys.json"));
    let flipped = |at: usize| {
        let mut bytes = tag.as_bytes().to_vec();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).unwrap()
    };
    let forged = [
        ("of another key", format!("{sid}.{others_key}")),
        ("of another cluster with the same key", other_cluster.tagged(sid, &owner)),
        ("of another session", format!("BBBBBBBBBBBBBBBBBBBB.{tag}")),
        ("truncated", good[..good.len() - 1].to_owned()),
        ("truncated to nothing", format!("{sid}.")),
        ("longer", format!("{good}A")),
        ("padded", format!("{good}%3D")),
        ("with another version", format!("{sid}.{}", flipped(0))),
        ("with a changed address", format!("{sid}.{}", flipped(3))),
        ("with a changed end", format!("{sid}.{}", flipped(tag.len() - 3))),
        ("twice", format!("{good}.{tag}")),
        ("made up", format!("{sid}.{}", "x".repeat(42))),
    ];
    for (what, sid) in forged {
        let session = Polling { sid };
        for answer in [session.poll(place.clients()).await, session.post(place.clients(), "40").await] {
            assert!(answer.is_unknown_session(), "a tag {what}: {answer:?}");
        }
    }
    assert_eq!(sidecar.forwarded().await, 0);
    peer_port.nobody_came().await;
    app_port.nobody_came().await;

    // The control: the same listener is found by a tag that is good.
    let session = Polling { sid: good };
    let _poll = session.hang(place.clients()).await;
    let _connection = peer_port.accept().await;
    app_port.nobody_came().await;
}

#[tokio::test]
async fn a_request_with_two_sids_is_refused_by_the_sidecar_itself() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let app = Scripted::bind(place.app()).await;
    let sidecar = Sidecar::start(&config, &place).await;
    for sids in ["sid=a&sid=b", "sid=a&s%69d=b", "sid=a%23&sid="] {
        let target = format!("/socket.io/?EIO=4&transport=polling&{sids}");
        let answer = support::harness::ask(place.clients(), &support::harness::get(&target)).await;
        assert_eq!((answer.status, answer.text().as_str()), (400, r#"{"code":3,"message":"Bad request"}"#));
    }
    assert_eq!(sidecar.metric("failures_total", &["cause=\"ambiguous_sid\""]).await, 3);
    app.nobody_came().await;
}
