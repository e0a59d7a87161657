use super::dial_turn::MAX_DIALS;
use super::*;
use crate::init::{Init, init};
use crate::settings::{Identity, Source};
use socketio_sidecar_core::config::Mode;

fn source() -> Arc<Source> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("c");
    init(&Init { directory: path.clone(), cluster: "test".into(), mode: Mode::Enforce, valid_days: 1 })
        .unwrap();
    let identity = Identity { pod_ip: [127, 0, 0, 1].into(), pod_uid: "pod".into(), app_port: 3000 };
    Arc::new(Source::open(&path, identity).unwrap())
}

fn peers() -> Arc<Peers> {
    let counter = || IntCounter::new("counter", "counter").unwrap();
    // Nobody listens on port 1.
    Arc::new(Peers::new(source(), 1, Duration::from_secs(60), 8, (counter(), counter())))
}

fn owner() -> Owner {
    Owner { ip: [127, 1, 2, 3].into(), pod: PodDigest::of_uid("owner"), app_port: 3000 }
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_a_turn_has_a_deadline() {
    let (peers, owner) = (peers(), owner());
    let applied = peers.source.applied();
    let key = (owner.ip, owner.pod);
    let mut turns = Vec::new();
    for _ in 0..MAX_DIALS {
        turns.push(DialTurn::wait(&peers.dials, key).await);
    }
    let started = Instant::now();
    // Longer than any deadline, so that a missing one fails the test and does not hang it.
    let failure = timeout(MAX_CONNECT_TIME * 10, peers.connect(&owner, &applied)).await.expect("a deadline");
    assert!(matches!(failure, Err(PeerFailure::Busy(_))));
    assert_eq!(started.elapsed().as_secs(), MAX_CONNECT_TIME.as_secs());
    turns.clear();
    assert!(lock(&peers.dials).is_empty(), "nothing is left of the wait");
}

#[tokio::test(start_paused = true)]
async fn a_busy_pod_is_remembered_until_it_is_heard_or_a_while_has_passed() {
    let (peers, owner) = (peers(), owner());
    let key = (owner.ip, owner.pod);
    assert!(peers.remembered(key).is_none());
    for is_heard in [false, true] {
        peers.remember(key, Lost::Busy);
        tokio::time::advance(REMEMBER / 2).await;
        assert!(matches!(peers.remembered(key), Some(Lost::Busy)));
        if is_heard {
            peers.note_heard(owner.ip);
        } else {
            tokio::time::advance(REMEMBER / 2).await;
        }
        assert!(peers.remembered(key).is_none(), "is_heard: {is_heard}");
    }
}
