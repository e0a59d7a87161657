//! Connections to the sidecars of other pods, over mutual TLS.
//!
//! # Invariants
//! - A request is sent to a peer only after the peer has proved, by the certificate for its
//!   [`peer_name`], that it belongs to this cluster, and by serving that very name, that it is in the
//!   very pod that the tag names. A pod that was given the IP of an earlier one refuses the name, so
//!   that "this owner is gone" is known before anything was sent.
//! - Addresses come out of opened tags only. No name is looked up: DNS may be down.
//! - What was found gone is remembered for 2 s, for at most 1024 pods, so that requests for a dead pod
//!   wait together, not one after the other.
//! - A pod is found gone by a refusal, by silence, or by what it shows or says in the TLS handshake. A
//!   handshake that merely breaks or takes too long says nothing, and is tried once more.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::pki_types::ServerName;
use socketio_sidecar_core::config::peer_name;
use socketio_sidecar_core::owner_tag::{Owner, PodDigest};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use super::is_own_shortage;
use super::pool::Pool;
use crate::io::{Conn, Stream, tune};
use crate::settings::Applied;

/// Longest wait for a TCP connection. Lost SYNs are repeated after 1 s, so that two of them have had
/// time to be answered; and it is well within an Engine.IO pingTimeout (20 s).
const CONNECT: Duration = Duration::from_secs(3);
/// Longest wait for the TLS handshake on it.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// How long an idle connection is kept: less than [`crate::proxy`] keeps one that a peer opened.
const KEEP: Duration = Duration::from_secs(45);
/// How long a pod that was found gone is taken to be gone.
const REMEMBER: Duration = Duration::from_secs(2);
/// How many pods are remembered as gone.
const REMEMBER_MOST: usize = 1024;

/// One pod, as tags name it.
type PodKey = (IpAddr, PodDigest);

/// Why an owner cannot be reached, and its sessions are over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OwnerGone {
    /// Nobody listens there.
    Refused,
    /// Nobody answers there, or there is no way to it.
    Unreachable,
    /// Somebody else is there: another pod, another cluster, or no sidecar at all.
    Identity,
}

impl OwnerGone {
    /// For metrics and logs.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Identity => "identity",
        }
    }
}

impl fmt::Display for OwnerGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

/// Why there is no connection to a peer. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PeerFailure {
    #[error("the owner is gone: {0}")]
    Gone(OwnerGone),
    #[error("this sidecar cannot open another connection: {0}")]
    Own(io::Error),
    #[error("the TLS handshake with the owner broke: {0}")]
    Handshake(io::Error),
}

/// The other sidecars of this cluster.
#[derive(Debug)]
pub(crate) struct Peers {
    port: u16,
    stall: Duration,
    pool: Pool<PodKey>,
    gone: Mutex<HashMap<PodKey, (Instant, OwnerGone)>>,
}

impl Peers {
    /// `port` is the same for all sidecars of a cluster; `stall` is for how long a connection may make no
    /// progress.
    pub(crate) fn new(port: u16, stall: Duration) -> Self {
        Self { port, stall, pool: Pool::new(), gone: Mutex::new(HashMap::new()) }
    }

    /// An idle connection to the owner that was used within `at_most` before `now`.
    pub(crate) fn pooled(&self, owner: &Owner, at_most: Duration, now: Instant) -> Option<Conn> {
        self.pool.take(&(owner.ip, owner.pod), at_most, now)
    }

    /// A new connection to the owner.
    ///
    /// # Errors
    /// [`PeerFailure`], after 16 s at most. Nothing was sent.
    pub(crate) async fn connect(&self, owner: &Owner, applied: &Applied) -> Result<Conn, PeerFailure> {
        let key = (owner.ip, owner.pod);
        let known = self.lock().get(&key).copied();
        if let Some((until, gone)) = known.filter(|(until, _)| *until > Instant::now()) {
            tracing::trace!(%gone, left = ?until - Instant::now(), "the owner was found gone just now");
            return Err(PeerFailure::Gone(gone));
        }
        let mut connected = self.dial(owner, applied).await;
        if matches!(connected, Err(PeerFailure::Handshake(_))) {
            connected = self.dial(owner, applied).await;
        }
        if let Err(PeerFailure::Gone(gone)) = connected {
            let now = Instant::now();
            let mut map = self.lock();
            if map.len() >= REMEMBER_MOST {
                map.retain(|_, (until, _)| *until > now);
            }
            if map.len() < REMEMBER_MOST {
                map.insert(key, (now + REMEMBER, gone));
            }
        }
        connected
    }

    async fn dial(&self, owner: &Owner, applied: &Applied) -> Result<Conn, PeerFailure> {
        let address = SocketAddr::new(owner.ip, self.port);
        let stream = match timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) if is_own_shortage(&error) => return Err(PeerFailure::Own(error)),
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                return Err(PeerFailure::Gone(OwnerGone::Refused));
            }
            Ok(Err(_)) | Err(_) => return Err(PeerFailure::Gone(OwnerGone::Unreachable)),
        };
        tune(&stream, self.stall).map_err(PeerFailure::Own)?;
        let name = peer_name(owner.pod, &applied.settings.config.cluster);
        let name = ServerName::try_from(name).map_err(|error| PeerFailure::Own(io::Error::other(error)))?;
        let connector = TlsConnector::from(applied.tls.client.clone());
        match timeout(HANDSHAKE, connector.connect(name, stream)).await {
            Ok(Ok(stream)) => Ok(Conn::new(Stream::Tls(Box::new(stream.into())))),
            // What rustls says is what the other side showed or answered; the rest is the connection's.
            Ok(Err(error)) if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
                tracing::warn!(peer = %address, %error, "whoever is there could not prove to be the owner");
                Err(PeerFailure::Gone(OwnerGone::Identity))
            }
            Ok(Err(error)) => Err(PeerFailure::Handshake(error)),
            Err(late) => Err(PeerFailure::Handshake(late.into())),
        }
    }

    /// Keeps a connection for the next request to the same pod, from `now` on.
    pub(crate) fn put(&self, owner: &Owner, conn: Conn, now: Instant) {
        self.pool.put((owner.ip, owner.pod), conn, KEEP, now);
    }

    /// Closes expired idle connections, and returns how many are left.
    pub(crate) fn reap(&self) -> usize {
        self.pool.reap()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PodKey, (Instant, OwnerGone)>> {
        // A memory of what is gone is right or merely old, whatever happened to its last writer.
        self.gone.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
