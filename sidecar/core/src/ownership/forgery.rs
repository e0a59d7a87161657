//! A client's bytes never choose an address: a forward goes to an owner that a tag of this cluster names for
//! this very session, whatever is done to the request.

mod spellings;

use std::collections::BTreeSet;

use percent_encoding::percent_decode_str;
use proptest::prelude::*;

use super::*;
use crate::owner_tag::PodDigest;
use spellings::target;

const CLUSTER: &str = "cluster-1";
const SID: &str = "MnhRJWLdKT_sGkDsAAAA";
const SEALING: [u8; 32] = [1; 32];
const OPENING: [u8; 32] = [2; 32];

fn ring(cluster: &str, seal_with: u8, keys: &[(u8, [u8; 32])]) -> KeyRing {
    KeyRing::new(cluster, seal_with, keys.iter().map(|(id, key)| (*id, key.as_slice()))).unwrap()
}

fn owner(ip: &str) -> Owner {
    Owner { ip: ip.parse().unwrap(), pod: PodDigest::of_uid("there"), app_port: 3000 }
}

/// A sidecar, and all pairs of a session and its owner for which tags were made that it accepts.
struct World {
    path: EngineIoPath,
    keys: KeyRing,
    own: Owner,
    /// `sid.tag`, as it was given out, and what it names.
    given_out: Vec<(String, String, Owner)>,
}

impl World {
    fn new() -> Self {
        let keys = ring(CLUSTER, 1, &[(1, SEALING), (2, OPENING)]);
        let earlier = ring(CLUSTER, 2, &[(2, OPENING)]);
        let mut given_out = Vec::new();
        for (keys, sid, ip) in
            [(&keys, SID, "10.0.0.2"), (&keys, "a.b", "fd00::2"), (&earlier, "other", "10.0.0.3")]
        {
            let tag = keys.seal(sid, &owner(ip)).unwrap();
            given_out.push((format!("{sid}.{tag}"), sid.to_owned(), owner(ip)));
        }
        Self { path: EngineIoPath::new("/socket.io/").unwrap(), keys, own: owner("10.0.0.1"), given_out }
    }

    fn decide<'t>(&self, target: &'t str) -> Decision<'t> {
        let rules = Rules { path: &self.path, keys: &self.keys, own: &self.own, closing: None };
        assert!(
            !matches!(rules.decide_for_peer("GET", target), Decision::Forward(_)),
            "a second hop: {target}"
        );
        rules.decide("GET", target)
    }

    /// Checks the decision for a target, and says whether it is to forward.
    fn holds(&self, target: &str) -> Result<bool, TestCaseError> {
        let Decision::Forward(Tagged { owner, tag_span, session }) = self.decide(target) else {
            return Ok(false);
        };
        let named = self
            .given_out
            .iter()
            .any(|(_, sid, named)| *named == owner && session == SessionId::new(sid.as_str()));
        prop_assert!(named, "{target} leads to {owner:?}, which no tag of this session names");
        // The value that the target carries is one that was given out, percent-encoded or not.
        let value = target.split(['&', '?']).find(|part| is_sid(part)).unwrap_or_default();
        let value =
            value.split_once('=').map_or("", |(_, value)| value).split('#').next().unwrap_or_default();
        let decoded = percent_decode_str(value).decode_utf8_lossy().into_owned();
        prop_assert!(
            self.given_out.iter().any(|(given, ..)| *given == decoded),
            "{target} spells another tag"
        );
        prop_assert!(target.get(tag_span).is_some_and(|tag| !tag.is_empty()), "{target}: nothing to cut out");
        Ok(true)
    }
}

fn is_sid(parameter: &str) -> bool {
    parameter.split_once('=').is_some_and(|(name, _)| percent_decode_str(name).decode_utf8_lossy() == "sid")
}

#[test]
fn no_flipped_bit_no_truncation_and_no_other_spelling_leads_elsewhere() {
    let world = World::new();
    let (mut forwarded, mut tried) = (BTreeSet::new(), 0);
    for (given, _, named) in &world.given_out {
        let whole = target(given);
        assert!(world.holds(&whole).unwrap(), "the control: {whole}");
        for changed in spellings::changed(given) {
            tried += 1;
            if world.holds(&changed).unwrap() {
                forwarded.insert(named.ip);
            }
        }
    }
    assert!(tried > 3000, "{tried}");
    assert_eq!(forwarded.len(), 3, "a percent-encoded tag is the same tag");
}

#[test]
fn tags_of_other_sessions_clusters_keys_and_key_ids_lead_nowhere() {
    let world = World::new();
    let anywhere = owner("192.0.2.1");
    let (given, ..) = &world.given_out[0];
    let keys = [(1, SEALING), (2, OPENING)];
    let forged = spellings::sealed_elsewhere(given, CLUSTER, keys, |cluster, id, key| {
        ring(cluster, id, &[(id, key)]).seal(SID, &anywhere).unwrap()
    });
    assert!(forged.len() > 100);
    for sid in forged {
        let target = target(&sid);
        assert!(!world.holds(&target).unwrap(), "{target}");
        assert!(!matches!(world.decide(&target), Decision::Local(Local::Owned(_))), "{target}");
    }
}

proptest! {
    #[test]
    fn whatever_is_done_to_a_request_an_address_comes_from_a_tag_alone(
        which in 0usize..3,
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0usize..4, "[ -~]{0,3}"), 0..4),
        more in "(&sid=[ -~]{0,20})?",
    ) {
        let world = World::new();
        let mut target = target(&world.given_out[which].0) + &more;
        for (at, remove, insert) in edits {
            let at = at.index(target.len() + 1);
            let end = (at + remove).min(target.len());
            target.replace_range(at..end, &insert);
        }
        world.holds(&target)?;
    }

    #[test]
    fn an_owner_that_a_client_makes_up_is_never_asked(
        ip in any::<[u8; 4]>(), pod in any::<[u8; 8]>(), app_port in any::<u16>(), key in any::<[u8; 32]>(),
        id in 0u8..16, sealed in any::<[u8; 30]>(),
    ) {
        let (world, owner) = (World::new(), Owner { ip: ip.into(), pod: PodDigest(pod), app_port });
        let tag = ring(CLUSTER, id, &[(id, key)]).seal(SID, &owner).unwrap();
        let forged = target(&format!("{SID}.{tag}"));
        prop_assert!(!world.holds(&forged)?, "{forged}");
        // The address in clear, where the sealed one would stand.
        let mut bytes = vec![1 << 4 | 1];
        bytes.extend(ip);
        bytes.extend(pod);
        bytes.extend(app_port.to_be_bytes());
        bytes.extend(&sealed[..16]);
        let tag = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, bytes);
        let forged = target(&format!("{SID}.{tag}"));
        prop_assert!(!world.holds(&forged)?, "{forged}");
    }
}
