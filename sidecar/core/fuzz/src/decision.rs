//! No target leads to a decision to forward, unless it carries a tag that was sealed here.

use std::sync::LazyLock;
use std::time::Duration;

use socketio_sidecar_core::engine_io::EngineIoPath;
use socketio_sidecar_core::owner_tag::{KeyRing, Owner, PodDigest};
use socketio_sidecar_core::ownership::{Decision, Rules};
use socketio_sidecar_core::pace::Closing;

static PATH: LazyLock<EngineIoPath> = LazyLock::new(|| EngineIoPath::new("/socket.io/").expect("a path"));
static KEYS: LazyLock<KeyRing> =
    LazyLock::new(|| KeyRing::new("cluster", 1, [(1, &[9; 32][..])]).expect("a key ring"));

/// Checks one input.
pub fn check(target: &[u8]) {
    let Ok(target) = std::str::from_utf8(target) else { return };
    let own = Owner { ip: [10, 0, 0, 1].into(), pod: PodDigest::of_uid("pod"), app_port: 3000 };
    let closing = Closing { window: Duration::from_secs(1), elapsed: Duration::ZERO };
    for closing in [None, Some(closing)] {
        let rules = Rules { path: &PATH, keys: &KEYS, own: &own, closing };
        assert!(!matches!(rules.decide("GET", target), Decision::Forward(_)));
        assert!(!matches!(rules.decide_for_peer("GET", target), Decision::Forward(_)));
    }
}
