//! The way onward: which connection a request takes.
//!
//! # Invariants
//! - A request that holds much while it waits for a connection is charged to the budget.
//! - A request whose client has gone waits for no connection: clients that go at once must not keep others waiting for
//!   their turn.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socketio_sidecar_core::owner_tag::Owner;
use tokio::time::Instant;

use super::Proxy;
use super::exchange::{FREE_AHEAD, Failure};
use super::refusal::Refusal;
use super::request::Request;
use crate::io::{Conn, StallAlarm, Wait};
use crate::settings::Applied;
use crate::upstream::{OwnerGone, PeerFailure, UpstreamConn, is_own_shortage};

/// For how long an idle connection to the application serves requests that can't be lost: long enough for the exchanges
/// of one client, too short for the other side to be about to close it.
const JUST_USED: Duration = Duration::from_secs(1);

/// Longer than any wait for a connection.
const CONNECTING: Duration = Duration::from_secs(60);

/// Destination of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    App,
    Owner(Owner),
}

impl Way {
    /// For metrics and logs.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Owner(_) => "owner",
        }
    }
}

/// Reason why there is no connection. Nothing was sent.
#[derive(Debug)]
pub(super) enum NoWay {
    /// The owner is gone: the application is to answer.
    OwnerGone(OwnerGone),
    /// The request cannot be served.
    Refused(Refusal, io::Error),
    /// The client has gone, its request is malformed, or the budget has no room for it.
    Client(Failure),
}

impl Proxy {
    /// Finds or makes a connection for the request of `client`. To the application, safe requests may use any idle
    /// one, others only one that was just used, as of `now`; `fresh` forbids idle ones.
    pub(super) async fn connect(
        &self,
        way: Way,
        applied: &Arc<Applied>,
        (client, request): (&mut Conn, &mut Request),
        fresh: bool,
        now: Instant,
    ) -> Result<UpstreamConn, NoWay> {
        if !fresh {
            let pooled = match way {
                Way::App => self.app.pooled(if request.is_safe { Duration::MAX } else { JUST_USED }, now),
                // A peer keeps connections for longer than the pool does.
                Way::Owner(owner) => self.peers.pooled(&owner, applied, now),
            };
            if let Some(conn) = pooled {
                return Ok(conn);
            }
        }
        // Boxed, since most requests need no room for it.
        Box::pin(async {
            let mut alarm = StallAlarm::default();
            let client_ended = poll_fn(|cx| {
                if let Poll::Ready(failure) = poll_ended(client, request, cx) {
                    return Poll::Ready(failure);
                }
                let wait = match request.outbox.held() + client.held() {
                    ..=FREE_AHEAD => Wait::Nothing,
                    held => Wait::Progress { held, limit: CONNECTING },
                };
                alarm.poll(cx, wait, &self.budget).map(|_| Failure::OverBudget)
            });
            tokio::select! {
                biased;
                failure = client_ended => Err(NoWay::Client(failure)),
                connected = self.connect_anew(way, applied) => connected,
            }
        })
        .await
    }

    async fn connect_anew(&self, way: Way, applied: &Arc<Applied>) -> Result<UpstreamConn, NoWay> {
        match way {
            Way::App => self.app.connect().await.map_err(|error| {
                let refusal =
                    if is_own_shortage(&error) { Refusal::Exhausted } else { Refusal::AppUnreachable };
                NoWay::Refused(refusal, error)
            }),
            Way::Owner(owner) => {
                let started = Instant::now();
                let connected = self.peers.connect(&owner, applied).await;
                self.metrics.owner_connect_seconds.observe(started.elapsed().as_secs_f64());
                if connected.is_ok() {
                    self.peers.connect_ahead(owner, applied.clone());
                }
                connected.map_err(|failure| match failure {
                    PeerFailure::Gone(gone) => NoWay::OwnerGone(gone),
                    PeerFailure::Own(error) => NoWay::Refused(Refusal::Exhausted, error),
                    PeerFailure::Busy(error) => NoWay::Refused(Refusal::Busy, error),
                })
            }
        }
    }

    /// Gives a connection back that can carry another request, from `now` on.
    pub(super) fn keep(&self, way: Way, conn: UpstreamConn, keep_alive: Option<Duration>, now: Instant) {
        match way {
            Way::App => self.app.put(conn, keep_alive, now),
            Way::Owner(owner) => self.peers.put(&owner, conn, now),
        }
    }
}

/// Ready when the client has gone while its request waits, or cannot be understood. What the client sends meanwhile is
/// kept, up to [`FREE_AHEAD`] bytes. Beyond them the exchange notices later what happened.
fn poll_ended(client: &mut Conn, request: &mut Request, cx: &mut Context<'_>) -> Poll<Failure> {
    while client.inbox().len() < FREE_AHEAD {
        match ready!(client.poll_fill(cx, FREE_AHEAD)) {
            Ok(read) if read > 0 => {}
            // The client may wait for the answer to a request that is whole.
            Ok(_) if !request.ends_with_client => match request.take_body(client) {
                Ok(()) if request.body.is_complete() => break,
                Ok(()) => return Poll::Ready(Failure::ClientGone),
                Err(why) => return Poll::Ready(Failure::BadRequest(why)),
            },
            _ => return Poll::Ready(Failure::ClientGone),
        }
    }
    Poll::Pending
}
