//! A request on its way: decided, its head rewritten, ready to be sent.

use std::sync::Arc;

use socketio_sidecar_core::config::Mode;
use socketio_sidecar_core::forwarded::{self, Forwarded};
use socketio_sidecar_core::hop::{RequestHop, write_request};
use socketio_sidecar_core::http1::{Body, Framing, HeadLimits, Malformed, RequestHead, header_slots};
use socketio_sidecar_core::ownership::{Decision, Local};

use super::Proxy;
use super::refusal::{Asker, Refusal};
use super::route::Way;
use super::session::Session;
use super::source_limit::count_request;
use crate::io::{Conn, Outbox};
use crate::origin::{Origin, Side};
use crate::settings::Applied;
use crate::sources::Ticket;

/// Longest head that is kept to be sent again, in bytes.
const MAX_REPEATABLE_HEAD: usize = 4 * 1024;

/// A request whose head has been read, in the state that sending it has reached.
#[derive(Debug)]
pub(super) struct Request {
    /// Bytes that the next hop has yet to take: at first, the rewritten head.
    pub(super) outbox: Outbox,
    /// State of the request's body.
    pub(super) body: Body,
    pub(super) answer: AnswerRules,
    /// Counts for the client that a trusted proxy names. Boxed, since most requests have none.
    pub(super) ticket: Option<Box<Ticket>>,
    /// The parts of the head that a refusal needs.
    pub(super) asker: Asker,
    /// The end of what the client sends is the end of the client: a poll, of whose end the owner must learn
    /// at once, a WebSocket, or a request from a peer, which never half-closes.
    pub(super) ends_with_client: bool,
    /// Most bytes of further requests that are read while this one is answered.
    pub(super) max_ahead: usize,
    /// GET, HEAD and the like: a connection that has been idle for a while will do.
    pub(super) is_safe: bool,
    /// Safe, without a body, and short: the request can be sent again (RFC 9110 section 9.2.2).
    pub(super) is_repeatable: bool,
    /// False if a part of the head lets the application end the exchange otherwise than the sidecar does.
    pub(super) allows_reuse: bool,
    /// Destination of the request, or the reason why it has none.
    pub(super) way: Result<Way, Refusal>,
    /// The session of a WebSocket upgrade, if it names one.
    pub(super) session: Option<Session>,
}

/// Properties of the request that decide about its answer.
#[derive(Debug)]
pub(super) struct AnswerRules {
    pub(super) to_head: bool,
    pub(super) to_http_1_0: bool,
    pub(super) keep_alive: bool,
    pub(super) websocket: bool,
    pub(super) reading: Reading,
    pub(super) limits: HeadLimits,
}

/// Treatment of an answer's body before it is passed on.
#[derive(Debug)]
pub(super) enum Reading {
    /// The body is not read.
    Pass,
    /// The body of a handshake's answer is read, to tag it.
    Tag(Arc<Applied>),
    /// The body of an answer that may say that the session is unknown is read, to count it.
    Observe,
}

impl Request {
    /// Reads a head, decides, counts the decision, and rewrites the head accordingly: all that needs the
    /// head, which is not kept.
    pub(super) fn prepare(
        proxy: &Proxy,
        head: &[u8],
        origin: &Origin,
        applied: &Arc<Applied>,
    ) -> Result<Self, Malformed> {
        let limits = proxy.heads.from(origin.side);
        let mut slots = header_slots();
        let head = RequestHead::parse(head, limits.of_slots(&mut slots))?;
        let rules = applied.rules();
        let decision = match origin.side {
            Side::Client => rules.decide(head.method, head.target),
            Side::Peer => rules.decide_for_peer(head.method, head.target),
        };
        proxy.metrics.count_decision(origin.side, &decision);
        let reading = match &decision {
            Decision::Local(Local::Handshake) if applied.settings.gives_tags() => {
                Reading::Tag(applied.clone())
            }
            Decision::Local(Local::Untagged(_)) if applied.settings.config.mode == Mode::Observe => {
                Reading::Observe
            }
            _ => Reading::Pass,
        };
        let hop = RequestHop {
            cut: match &decision {
                Decision::Local(Local::Owned(tagged)) => Some(tagged.tag_span.clone()),
                _ => None,
            },
            identity_encoding: matches!(reading, Reading::Tag(_)),
            forwarded: match origin.side {
                Side::Client => {
                    let (trust, peer) = (applied.settings.trust(), origin.peer.ip());
                    forwarded::decide(trust, peer, origin.may_be_trusted, &origin.address)
                }
                Side::Peer => Forwarded::Pass,
            },
        };
        let names_session = match &decision {
            Decision::Local(Local::Other | Local::Handshake | Local::UntaggableHandshake)
            | Decision::Reject(_) => false,
            Decision::Local(Local::Owned(_) | Local::Closed(_) | Local::Untagged(_))
            | Decision::Forward(_) => true,
        };
        let is_poll = names_session && head.method != "POST";
        let mut outbox = Outbox::default();
        write_request(outbox.buffer(), &head, &hop);
        let session = head.websocket.then(|| Session::of(&decision)).flatten();
        let way = match decision {
            Decision::Local(_) => Ok(Way::App),
            Decision::Forward(tagged) => Ok(Way::Owner(tagged.owner)),
            Decision::Reject(rejection) => Err(Refusal::Rejected(rejection)),
        };
        let (ticket, way) = match count_request(proxy, &head, origin, applied) {
            Ok(ticket) => (ticket.map(Box::new), way),
            Err(refusal) => (None, Err(refusal)),
        };
        let answer = AnswerRules {
            to_head: head.method == "HEAD",
            to_http_1_0: head.http_1_0,
            keep_alive: head.keep_alive,
            websocket: head.websocket,
            reading,
            limits: proxy.heads.answered(way),
        };
        let is_short = outbox.held() <= MAX_REPEATABLE_HEAD;
        let is_safe = matches!(head.method, "GET" | "HEAD" | "OPTIONS");
        Ok(Self {
            outbox,
            body: Body::of_request(head.framing),
            answer,
            ticket,
            asker: Asker::of(&head),
            ends_with_client: is_poll || head.websocket || origin.side == Side::Peer,
            is_safe,
            is_repeatable: is_safe && is_short && head.framing == Framing::Empty,
            allows_reuse: !head.http_1_0 && !head.expects && !head.websocket,
            session,
            max_ahead: limits.bytes,
            way,
        })
    }

    /// Takes what the client has sent of the body, which goes out together with the head if that has not begun to go.
    pub(super) fn take_body(&mut self, client: &mut Conn) -> Result<(), Malformed> {
        if !self.body.is_complete() && !client.inbox().is_empty() && self.outbox.written() == 0 {
            let own = self.body.append(client.inbox(), self.outbox.buffer())?;
            client.take(own);
        }
        Ok(())
    }
}
