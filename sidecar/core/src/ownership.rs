//! The ownership decision: where does this request go?
//!
//! # Invariants
//! - A request is forwarded only to an address that came out of a tag of this cluster, and at most
//!   once: what arrives from a peer is answered here or refused, whatever it says.
//! - The tag decides, not `EIO`: some clients leave `EIO` out after the handshake.
//! - What is not understood goes to the local application, unchanged: it knows its own errors. Only a
//!   request that servers read differently is refused.

use std::ops::Range;

use crate::engine_io::{EngineIoPath, EngineIoRequest, Sid, Transport};
use crate::owner_tag::{KeyRing, Owner};
use crate::pace::Closing;
use crate::session_id::SessionId;

/// Destination of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision<'t> {
    /// To the application in this pod.
    Local(Local<'t>),
    /// To the sidecar of the pod that owns the session.
    Forward(Tagged<'t>),
    /// Nowhere.
    Reject(Rejection),
}

/// Reason why a request is for the local application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Local<'t> {
    /// Not under the Engine.IO path, below it without a sid, or a preflight: untouched.
    Other,
    /// A polling handshake of Engine.IO revision 4, whose answer can be given an owner tag.
    Handshake,
    /// Any other handshake: its session needs no tag (WebSocket), or cannot have one (revision 3).
    UntaggableHandshake,
    /// A session whose tag names this pod.
    Owned(Tagged<'t>),
    /// A session whose turn in a paced close has come, wherever it is owned. The tag stays on the sid,
    /// which so is one that the application does not know, and it says so in its own dialect and with its
    /// own CORS fields.
    Closed(Tagged<'t>),
    /// A sid without a tag that opens: the application's own to know.
    Untagged(SessionId<'t>),
}

/// A tag that opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tagged<'t> {
    /// Owner that the tag names.
    pub owner: Owner,
    /// Range of the tag in the target, its dot included, to be cut out for the application.
    pub tag_span: Range<usize>,
    /// The session.
    pub session: SessionId<'t>,
}

/// Reason why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// More than one `sid`, of which servers take different ones.
    AmbiguousSid,
    /// A peer sent a request whose owner this pod is not.
    NotOwner,
}

/// Input of the decision besides the request.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'r> {
    /// Path at which the application serves Engine.IO.
    pub path: &'r EngineIoPath,
    /// Keys that open tags.
    pub keys: &'r KeyRing,
    /// Owner that tags of this pod name.
    pub own: &'r Owner,
    /// The paced close, if one is under way.
    pub closing: Option<Closing>,
}

impl Rules<'_> {
    /// Decides for a request from a client or an edge.
    #[must_use]
    pub fn decide<'t>(&self, method: &str, target: &'t str) -> Decision<'t> {
        if method == "OPTIONS" {
            return Decision::Local(Local::Other);
        }
        let Some(request) = EngineIoRequest::parse(target, self.path) else {
            return Decision::Local(Local::Other);
        };
        let param = match request.sid {
            Sid::Ambiguous => return Decision::Reject(Rejection::AmbiguousSid),
            // Below the path are files, such as the client library: of any length, and no handshakes.
            Sid::Absent if !request.is_at_path => return Decision::Local(Local::Other),
            Sid::Absent if request.eio_4 && request.transport == Transport::Polling => {
                return Decision::Local(Local::Handshake);
            }
            Sid::Absent => return Decision::Local(Local::UntaggableHandshake),
            Sid::Given(param) => param,
        };
        let opened =
            param.split_tag().and_then(|split| Some((self.keys.open(&split.sid, &split.tag)?, split)));
        let Some((owner, split)) = opened else {
            return Decision::Local(Local::Untagged(SessionId::new(param.decoded())));
        };
        let tagged = Tagged { owner, tag_span: split.tag_span, session: SessionId::new(split.sid) };
        if self.closing.is_some_and(|closing| closing.has_come(tagged.session.hash())) {
            return Decision::Local(Local::Closed(tagged));
        }
        if owner == *self.own { Decision::Local(Local::Owned(tagged)) } else { Decision::Forward(tagged) }
    }

    /// Decides for a request that a peer forwarded: it is owned here, or it is refused.
    #[must_use]
    pub fn decide_for_peer<'t>(&self, method: &str, target: &'t str) -> Decision<'t> {
        match self.decide(method, target) {
            owned @ Decision::Local(Local::Owned(_)) => owned,
            // Its turn came here first, or while the request was on its way.
            Decision::Local(Local::Closed(tagged)) if tagged.owner == *self.own => {
                Decision::Local(Local::Closed(tagged))
            }
            _ => Decision::Reject(Rejection::NotOwner),
        }
    }
}

#[cfg(test)]
mod forgery;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::owner_tag::PodDigest;
    use crate::pace::Lot;
    use crate::session_id::SidHash;
    use std::time::Duration;

    fn owner(ip: &str, uid: &str) -> Owner {
        Owner { ip: ip.parse().unwrap(), pod: PodDigest::of_uid(uid), app_port: 3000 }
    }

    struct Here {
        path: EngineIoPath,
        keys: KeyRing,
        own: Owner,
    }

    impl Here {
        fn new() -> Self {
            Self {
                path: EngineIoPath::new("/socket.io/").unwrap(),
                keys: KeyRing::new("c", 0, [(0, &[7; 32][..])]).unwrap(),
                own: owner("10.0.0.1", "here"),
            }
        }

        fn rules(&self) -> Rules<'_> {
            Rules { path: &self.path, keys: &self.keys, own: &self.own, closing: None }
        }

        fn target(&self, sid: &str, owner: &Owner) -> String {
            let tag = self.keys.seal(sid, owner).unwrap();
            format!("/socket.io/?EIO=4&transport=polling&sid={sid}.{tag}")
        }
    }

    #[test]
    fn what_is_not_engine_io_and_preflights_are_left_alone() {
        let here = Here::new();
        let elsewhere = here.target("a", &owner("10.0.0.2", "there"));
        for (method, target) in [
            ("GET", "/"),
            ("GET", "/api?sid=a&sid=b"),
            ("GET", "/socket.io/socket.io.js.map?EIO=4&transport=polling"),
            ("OPTIONS", elsewhere.as_str()),
        ] {
            assert_eq!(
                here.rules().decide(method, target),
                Decision::Local(Local::Other),
                "{method} {target}"
            );
        }
    }

    #[test]
    fn only_polling_handshakes_of_revision_4_can_be_tagged() {
        let here = Here::new();
        for (query, local) in [
            ("EIO=4&transport=polling", Local::Handshake),
            ("EIO=4&transport=polling&sid=", Local::Handshake),
            ("EIO=4&transport=websocket", Local::UntaggableHandshake),
            ("EIO=3&transport=polling", Local::UntaggableHandshake),
            ("transport=polling", Local::UntaggableHandshake),
            ("", Local::UntaggableHandshake),
        ] {
            let target = format!("/socket.io/?{query}");
            assert_eq!(here.rules().decide("GET", &target), Decision::Local(local), "{query}");
        }
    }

    #[test]
    fn a_tag_leads_to_its_owner_whatever_eio_says() {
        let here = Here::new();
        let target = here.target("a", &here.own);
        assert!(matches!(here.rules().decide("GET", &target), Decision::Local(Local::Owned(_))));
        let there = owner("10.0.0.2", "there");
        let target = here.target("a", &there).replace("EIO=4&", "");
        let Decision::Forward(tagged) = here.rules().decide("POST", &target) else { panic!("not forwarded") };
        assert_eq!(tagged.owner, there);
        assert_eq!(tagged.session, SessionId::new("a"));
        assert_eq!(&target[..tagged.tag_span.start], "/socket.io/?transport=polling&sid=a");
    }

    #[test]
    fn a_tagged_sid_counts_below_the_path_as_well() {
        let here = Here::new();
        let below = |owner| here.target("a", owner).replace("/socket.io/?", "/socket.io/x?");
        assert!(matches!(here.rules().decide("GET", &below(&here.own)), Decision::Local(Local::Owned(_))));
        let there = owner("10.0.0.2", "there");
        assert!(matches!(here.rules().decide("GET", &below(&there)), Decision::Forward(_)));
    }

    #[test]
    fn a_reused_ip_or_another_port_is_another_owner() {
        let here = Here::new();
        let reused = owner("10.0.0.1", "an earlier pod");
        assert!(matches!(here.rules().decide("GET", &here.target("a", &reused)), Decision::Forward(_)));
    }

    #[test]
    fn a_tag_that_does_not_open_is_part_of_an_untagged_sid() {
        let here = Here::new();
        for sid in ["abc", "abc.def", "a.b.c", "abc.", "."] {
            let target = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
            let untagged = Decision::Local(Local::Untagged(SessionId::new(sid)));
            assert_eq!(here.rules().decide("GET", &target), untagged, "{sid}");
        }
    }

    #[test]
    fn two_sids_are_refused() {
        let target = "/socket.io/?EIO=4&transport=polling&sid=a&sid=b";
        assert_eq!(Here::new().rules().decide("GET", target), Decision::Reject(Rejection::AmbiguousSid));
    }

    #[test]
    fn a_session_whose_turn_has_come_is_closed_wherever_it_is_owned() {
        let here = Here::new();
        let there = owner("10.0.0.2", "there");
        let window = Duration::from_secs(100);
        let moment = Lot::of_session(SidHash::of("a")).moment(window);
        let at = |elapsed| Rules { closing: Some(Closing { window, elapsed }), ..here.rules() };
        let (before, after) = (at(moment - Duration::from_nanos(1)), at(moment));
        for owner in [&here.own, &there] {
            let target = here.target("a", owner);
            assert_eq!(before.decide("GET", &target), here.rules().decide("GET", &target));
            let Decision::Local(Local::Closed(tagged)) = after.decide("POST", &target) else {
                panic!("not closed")
            };
            assert_eq!((tagged.owner, tagged.session), (*owner, SessionId::new("a")));
        }
        let (own, other) = (here.target("a", &here.own), here.target("a", &there));
        assert!(matches!(after.decide_for_peer("GET", &own), Decision::Local(Local::Closed(_))));
        let refused = Decision::Reject(Rejection::NotOwner);
        assert_eq!(after.decide_for_peer("GET", &other), refused, "still not its owner");
    }

    #[test]
    fn a_close_leaves_alone_what_has_no_tag() {
        let here = Here::new();
        let closing = Some(Closing { window: Duration::from_secs(1), elapsed: Duration::MAX });
        let over = Rules { closing, ..here.rules() };
        for target in
            ["/", "/socket.io/?EIO=4&transport=polling", "/socket.io/?EIO=4&sid=a", "/socket.io/?sid=a.b"]
        {
            assert_eq!(over.decide("GET", target), here.rules().decide("GET", target), "{target}");
        }
        let preflight = here.target("a", &here.own);
        assert_eq!(over.decide("OPTIONS", &preflight), Decision::Local(Local::Other));
    }

    #[test]
    fn a_peer_is_served_only_what_is_owned_here() {
        let here = Here::new();
        let (rules, own) = (here.rules(), here.target("a", &here.own));
        assert!(matches!(rules.decide_for_peer("GET", &own), Decision::Local(Local::Owned(_))));
        let there = here.target("a", &owner("10.0.0.2", "there"));
        for target in [
            there.as_str(),
            "/",
            "/socket.io/?EIO=4&transport=polling",
            "/socket.io/?sid=a",
            "/socket.io/?sid=a&sid=b",
        ] {
            let refused = Decision::Reject(Rejection::NotOwner);
            assert_eq!(rules.decide_for_peer("GET", target), refused, "{target}");
        }
        assert_eq!(rules.decide_for_peer("OPTIONS", &own), Decision::Reject(Rejection::NotOwner));
    }
}
