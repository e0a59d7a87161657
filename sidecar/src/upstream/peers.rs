//! Connections to the sidecars of other pods, over mutual TLS.
//!
//! # Invariants
//! - A request is sent to a peer only after the peer has proved, by the certificate for its
//!   [`peer_name`], that it belongs to this cluster, and by serving that very name, that it is in the
//!   very pod that the tag names. A pod that was given the IP of an earlier one refuses the name, so
//!   that "this owner is gone" is known before anything was sent.
//! - Addresses come out of opened tags only. No name is looked up: DNS may be down.
//! - A pod that was found gone or busy is remembered for [`REMEMBER`], for at most [`MAX_REMEMBERED`] pods. So requests
//!   for one pod wait together, not one after the other. The memory ends when the pod is heard again.
//! - A connection is made ahead only beside one that a request uses: one at a time to a pod, within
//!   [`MAX_AHEAD`] and half of the pool. It idles out like any other.
//! - A pod is found gone by a refusal, by what it shows or says in the TLS handshake, or by silence: its IP does not accept
//!   a connection within [`CONNECT_TIMEOUT`], and nothing was heard from it meanwhile on any other connection.
//! - A pod that is alive and cannot be reached is tried again for [`BUSY_TIMEOUT`], and is *busy* then. A TLS handshake that
//!   breaks or takes too long follows an accepted connection, so its pod is alive.
//! - Connections of a pod that vanished end within 5 s, on both sides ([`watch`]).
//! - No request waits longer than [`MAX_CONNECT_TIME`] for a connection, its turn to dial included.

mod dial_turn;
mod failure;
mod watch;

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::IntCounter;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use socketio_sidecar_core::config::peer_name;
use socketio_sidecar_core::owner_tag::{Owner, PodDigest};
use socketio_sidecar_core::reuse::ReuseLimits;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::{TlsConnector, TlsStream};

use super::pool::Pool;
use super::{UpstreamConn, is_own_shortage};
use crate::io::{Conn, PeerConns, Stream, tune};
use crate::settings::{Applied, Source};
use dial_turn::{DialTurn, Dials};
use failure::Lost;

pub(crate) use failure::{OwnerGone, PeerFailure};

/// Longest wait for a TCP connection. Lost SYNs are repeated after 1 s, so that two of them have had
/// time to be answered; and it is well within an Engine.IO pingTimeout (20 s).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest wait for the TLS handshake on it, on either side.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// Time until a pod that is alive counts as busy; one attempt that is under way then goes on.
const BUSY_TIMEOUT: Duration = Duration::from_secs(6);
/// Longest wait of a request for a connection: for its turn to dial, and for all attempts. It is the time of a lonely
/// request for a busy pod ([`BUSY_TIMEOUT`] and one more attempt), and well within an Engine.IO pingTimeout (20 s).
const MAX_CONNECT_TIME: Duration = Duration::from_secs(14);
/// Wait between two attempts, which doubles with each up to the second.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);
const MAX_RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// Most addresses of which it is known when they were heard last.
const MAX_HEARD: usize = 4096;
/// Time for which an idle connection is kept: less than [`crate::proxy`] keeps one that a peer opened.
const KEEP: Duration = Duration::from_secs(45);
/// Most connections that are being made ahead of a request.
const MAX_AHEAD: usize = 16;
/// Time for which a pod that was found gone or busy is not dialled again.
const REMEMBER: Duration = Duration::from_secs(2);
/// Most pods that are remembered as gone or busy.
const MAX_REMEMBERED: usize = 1024;

/// Name of a pod in tags.
type PodKey = (IpAddr, PodDigest);

/// Failure of a single attempt to connect.
enum Attempt {
    Failed(PeerFailure),
    /// Nobody answered, or there is no way.
    Silent(io::Error),
    /// The connection was accepted, and the handshake on it broke or took too long.
    Broken(io::Error),
}

/// The other sidecars of this cluster.
#[derive(Debug)]
pub(crate) struct Peers {
    source: Arc<Source>,
    port: u16,
    stall: Duration,
    pool: Pool<PodKey>,
    /// Pods to which no connection could be made, each until its entry ends.
    lost: Mutex<HashMap<PodKey, (Instant, Lost)>>,
    dials: Dials,
    /// Connections to owners, each of whose pods is watched.
    watched: Mutex<HashMap<PodKey, Arc<PeerConns>>>,
    /// Connections from the pods at these addresses.
    accepted: Mutex<HashMap<IpAddr, Arc<PeerConns>>>,
    /// Time at which a peer at this address proved to be a peer, or was seen to have said something.
    heard: Mutex<HashMap<IpAddr, Instant>>,
    /// Pods to which a connection is being made ahead.
    ahead: Mutex<HashSet<PodKey>>,
    connects_ahead: IntCounter,
    conns_lost: IntCounter,
}

impl Peers {
    /// `port` is the same for all sidecars of a cluster; `stall` is the longest time for which a connection may make no
    /// progress; `idle` is the most connections that are kept idle, and the most pods that are watched.
    pub(crate) fn new(
        source: Arc<Source>,
        port: u16,
        stall: Duration,
        idle: usize,
        (connects_ahead, conns_lost): (IntCounter, IntCounter),
    ) -> Self {
        Self {
            source,
            port,
            stall,
            pool: Pool::new(ReuseLimits::trusting(), idle),
            lost: Mutex::default(),
            dials: Dials::default(),
            watched: Mutex::default(),
            accepted: Mutex::default(),
            heard: Mutex::default(),
            ahead: Mutex::default(),
            connects_ahead,
            conns_lost,
        }
    }

    /// An idle connection to the owner. When it was the last one, another is made ahead, so that a request
    /// beside a hanging poll need not wait for a TLS handshake.
    pub(crate) fn pooled(
        self: &Arc<Self>,
        owner: &Owner,
        applied: &Arc<Applied>,
        now: Instant,
    ) -> Option<UpstreamConn> {
        let taken = self.pool.take(&(owner.ip, owner.pod), Duration::MAX, now)?;
        if taken.was_last {
            self.connect_ahead(*owner, applied.clone());
        }
        Some(taken.conn)
    }

    /// Makes a connection to the owner in the background, unless one is being made or there are many.
    pub(crate) fn connect_ahead(self: &Arc<Self>, owner: Owner, applied: Arc<Applied>) {
        let key = (owner.ip, owner.pod);
        if self.pool.len() >= self.pool.size() / 2 {
            return;
        }
        {
            let mut ahead = lock(&self.ahead);
            if ahead.len() >= MAX_AHEAD || !ahead.insert(key) {
                return;
            }
        }
        let peers = self.clone();
        tokio::spawn(async move {
            let connected = peers.connect(&owner, &applied).await;
            // Whoever takes the connection may have another made.
            lock(&peers.ahead).remove(&key);
            // A failure is found again, and counted, by the next request.
            if let Ok(conn) = connected {
                peers.put(&owner, conn, Instant::now());
                peers.connects_ahead.inc();
            }
        });
    }

    /// Makes a new connection to the owner. Cancel safe.
    ///
    /// # Errors
    /// [`PeerFailure`], after [`MAX_CONNECT_TIME`] at most. Nothing was sent.
    pub(crate) async fn connect(
        self: &Arc<Self>,
        owner: &Owner,
        applied: &Applied,
    ) -> Result<UpstreamConn, PeerFailure> {
        let connected = timeout(MAX_CONNECT_TIME, self.connect_in_turn(owner, applied)).await;
        connected.unwrap_or_else(|late| Err(PeerFailure::Busy(late.into())))
    }

    async fn connect_in_turn(
        self: &Arc<Self>,
        owner: &Owner,
        applied: &Applied,
    ) -> Result<UpstreamConn, PeerFailure> {
        let key = (owner.ip, owner.pod);
        let _turn = DialTurn::wait(&self.dials, key).await;
        if let Some(lost) = self.remembered(key) {
            return Err(lost.failure());
        }
        let connected = self.dial_patiently(owner, applied).await;
        if let Some(lost) = connected.as_ref().err().and_then(Lost::after) {
            self.remember(key, lost);
        }
        connected
    }

    /// State of a pod that another request found gone or busy, if nothing was heard from the pod since.
    fn remembered(&self, key: PodKey) -> Option<Lost> {
        let (until, lost) = lock(&self.lost).get(&key).copied()?;
        let now = Instant::now();
        if until <= now || self.was_heard_since(key, until - REMEMBER) {
            return None;
        }
        tracing::trace!(?lost, left = ?until - now, "another request could not reach the owner just now");
        Some(lost)
    }

    fn remember(&self, key: PodKey, lost: Lost) {
        let now = Instant::now();
        let mut map = lock(&self.lost);
        if map.len() >= MAX_REMEMBERED {
            map.retain(|_, (until, _)| *until > now);
        }
        if map.len() < MAX_REMEMBERED {
            map.insert(key, (now + REMEMBER, lost));
        }
    }

    /// Dials again while the pod is alive.
    async fn dial_patiently(
        self: &Arc<Self>,
        owner: &Owner,
        applied: &Applied,
    ) -> Result<UpstreamConn, PeerFailure> {
        let key = (owner.ip, owner.pod);
        let (started, mut pause) = (Instant::now(), RETRY_INTERVAL);
        loop {
            let attempt_started = Instant::now();
            let error = match self.dial_tls(owner, applied, &applied.tls.client).await {
                Ok(stream) => {
                    self.note_heard(owner.ip);
                    let stream = self.watched(owner).add(stream);
                    return Ok(UpstreamConn::new(Conn::new(Stream::Tls(Box::new(stream)))));
                }
                Err(Attempt::Failed(failure)) => return Err(failure),
                Err(Attempt::Silent(_)) if !self.was_heard_since(key, attempt_started) => {
                    return Err(PeerFailure::Gone(OwnerGone::Unreachable));
                }
                Err(Attempt::Silent(error) | Attempt::Broken(error)) => error,
            };
            if started.elapsed() + pause >= BUSY_TIMEOUT {
                return Err(PeerFailure::Busy(error));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_RETRY_INTERVAL);
        }
    }

    async fn dial_tls(
        &self,
        owner: &Owner,
        applied: &Applied,
        tls: &Arc<ClientConfig>,
    ) -> Result<TlsStream<TcpStream>, Attempt> {
        let failed = |failure| Err(Attempt::Failed(failure));
        let address = SocketAddr::new(owner.ip, self.port);
        let stream = match timeout(CONNECT_TIMEOUT, Stream::connect(address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) if is_own_shortage(&error) => return failed(PeerFailure::Own(error)),
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                return failed(PeerFailure::Gone(OwnerGone::Refused));
            }
            Ok(Err(error)) => return Err(Attempt::Silent(error)),
            Err(late) => return Err(Attempt::Silent(late.into())),
        };
        let own = |error| Attempt::Failed(PeerFailure::Own(error));
        tune(&stream, self.stall).map_err(own)?;
        let name = peer_name(owner.pod, &applied.settings.config.cluster);
        let name = ServerName::try_from(name).map_err(|error| own(io::Error::other(error)))?;
        let connector = TlsConnector::from(tls.clone());
        match timeout(HANDSHAKE_TIMEOUT, connector.connect(name, stream)).await {
            Ok(Ok(stream)) => Ok(stream.into()),
            // What rustls says is what the other side showed or answered; the rest is the connection's.
            Ok(Err(error)) if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
                tracing::warn!(peer = %address, %error, "whoever is there could not prove to be the owner");
                failed(PeerFailure::Gone(OwnerGone::Identity))
            }
            Ok(Err(error)) => Err(Attempt::Broken(error)),
            Err(late) => Err(Attempt::Broken(late.into())),
        }
    }

    /// Keeps a connection for the next request to the same pod, from `now` on.
    pub(crate) fn put(&self, owner: &Owner, conn: UpstreamConn, now: Instant) {
        self.pool.put((owner.ip, owner.pod), conn, KEEP, now);
    }

    /// Closes idle connections that have expired or ended, and returns how many are left.
    pub(crate) fn look_through(&self) -> usize {
        self.prune_accepted();
        self.pool.look_through().idle
    }

    /// Notes that a peer at this address is alive.
    pub(crate) fn note_heard(&self, ip: IpAddr) {
        let now = Instant::now();
        let mut heard = lock(&self.heard);
        let ip = ip.to_canonical();
        if heard.len() >= MAX_HEARD && !heard.contains_key(&ip) {
            heard.retain(|_, at| now.saturating_duration_since(*at) < CONNECT_TIMEOUT);
        }
        if heard.len() < MAX_HEARD || heard.contains_key(&ip) {
            heard.insert(ip, now);
        }
    }

    /// Bytes on a connection to the pod are dated up to [`crate::io::WATCH_INTERVAL`] too late.
    fn was_heard_since(&self, key: PodKey, since: Instant) -> bool {
        if let Some(conns) = lock(&self.watched).get(&key) {
            self.note_if_heard(key.0, conns);
        }
        self.was_noted_since(key.0, since)
    }

    fn was_noted_since(&self, ip: IpAddr, since: Instant) -> bool {
        let heard = lock(&self.heard);
        heard.get(&ip.to_canonical()).is_some_and(|at| *at > since)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A memory of pods is right or merely old, whatever happened to its last writer.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
