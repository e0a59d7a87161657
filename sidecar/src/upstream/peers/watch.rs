//! Finds out that a pod has vanished without a word, while connections with the pod are open.
//!
//! A sidecar keeps one idle TLS connection to each pod that it has connections to, the *watch*. Both kernels probe
//! the watch each second. A watch without an answer for 4 s ends, and so do all connections with that pod, on either side.
//!
//! # Invariants
//! - Only silence ends connections: a pod that closes the watch, refuses a new one or shows another certificate is
//!   watched again.
//! - Bytes from the pod on any other connection within the last [`HEARD_TIMEOUT`] keep its connections.
//! - A watch that cannot be made ends connections only after [`MAX_SILENT_DIALS`] silent attempts in a row.
//! - A watch ends when no connection to its pod is left.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use socketio_sidecar_core::owner_tag::Owner;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_rustls::TlsStream;

use super::failure::{Lost, OwnerGone, PeerFailure};
use super::{Attempt, Peers, lock};
use crate::io::{PeerConns, WATCH_INTERVAL, tune_watch};

/// Most pods of which connections are kept in mind. Connections from others end when TCP ends them.
const MAX_ACCEPTED: usize = 4096;
/// Time for which bytes from a pod prove that the pod is alive. A byte is noted up to [`WATCH_INTERVAL`] after it came.
const HEARD_TIMEOUT: Duration = Duration::from_millis(1500);
/// Silent attempts in a row to make a watch after which a pod counts as vanished. New connections can be lost for a
/// while though the pod is alive: its queue may be full.
const MAX_SILENT_DIALS: u8 = 2;
/// Wait before a pod is dialled again whose certificate was not the expected one.
const IDENTITY_INTERVAL: Duration = Duration::from_secs(10);

/// Reason for which a watch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WatchEnd {
    /// The other side closed it.
    Closed,
    /// The other side's kernel does not answer.
    Silent,
    /// No connection with the pod is left.
    Unused,
}

impl Peers {
    /// Connections to this owner, which is watched from now on. Those with pods beyond the limit end when TCP ends them.
    pub(super) fn watched(self: &Arc<Self>, owner: &Owner) -> Arc<PeerConns> {
        let key = (owner.ip, owner.pod);
        let mut watched = lock(&self.watched);
        if let Some(conns) = watched.get(&key) {
            return conns.clone();
        }
        let conns = Arc::<PeerConns>::default();
        if watched.len() < self.pool.size() {
            watched.insert(key, conns.clone());
            tokio::spawn(self.clone().watch(*owner, conns.clone()));
        }
        conns
    }

    /// Connections from the pod at this address.
    pub(crate) fn accepted(&self, ip: IpAddr) -> Arc<PeerConns> {
        let mut accepted = lock(&self.accepted);
        if accepted.len() >= MAX_ACCEPTED && !accepted.contains_key(&ip) {
            return Arc::default();
        }
        accepted.entry(ip).or_default().clone()
    }

    /// Forgets the addresses from which no connection is left.
    pub(super) fn prune_accepted(&self) {
        lock(&self.accepted).retain(|_, conns| Arc::strong_count(conns) > 1);
    }

    /// Holds a watch that the pod at this address has made, until it ends. Cancel safe.
    pub(crate) async fn hold_watch(&self, ip: IpAddr, watch: TlsStream<TcpStream>) {
        let conns = self.accepted(ip);
        if self.hold(ip, watch, &conns, || true).await == WatchEnd::Silent && !self.is_heard(ip, &conns) {
            self.end_all(ip, &conns);
        }
    }

    /// Watches a pod until no connection to it is left.
    async fn watch(self: Arc<Self>, owner: Owner, conns: Arc<PeerConns>) {
        let key = (owner.ip, owner.pod);
        let mut silent_dials = 0;
        loop {
            let mut pause = WATCH_INTERVAL;
            let applied = self.source.applied();
            let end = match self.dial_tls(&owner, &applied, &applied.tls.watch).await {
                Ok(watch) => {
                    silent_dials = 0;
                    // One reference is the map's, one is this task's.
                    self.hold(owner.ip, watch, &conns, || Arc::strong_count(&conns) > 2).await
                }
                Err(Attempt::Silent(_)) => {
                    silent_dials += 1;
                    if silent_dials < MAX_SILENT_DIALS { WatchEnd::Closed } else { WatchEnd::Silent }
                }
                Err(failure) => {
                    silent_dials = 0;
                    if matches!(failure, Attempt::Failed(PeerFailure::Gone(OwnerGone::Identity))) {
                        pause = IDENTITY_INTERVAL;
                    }
                    WatchEnd::Closed
                }
            };
            if end == WatchEnd::Silent && !self.is_heard(owner.ip, &conns) {
                self.remember(key, Lost::Gone(OwnerGone::Vanished));
                self.end_all(owner.ip, &conns);
            }
            if self.forget_unused(&owner, &conns) {
                return;
            }
            sleep(pause).await;
        }
    }

    /// Ends the watch of a pod to which no connection is left; true where there was none.
    fn forget_unused(&self, owner: &Owner, conns: &Arc<PeerConns>) -> bool {
        let mut watched = lock(&self.watched);
        let is_unused = Arc::strong_count(conns) <= 2;
        if is_unused {
            watched.remove(&(owner.ip, owner.pod));
        }
        is_unused
    }

    /// Waits until a watch ends, and notes meanwhile whether the pod is heard. Cancel safe.
    async fn hold(
        &self,
        ip: IpAddr,
        mut watch: TlsStream<TcpStream>,
        conns: &PeerConns,
        is_used: impl Fn() -> bool,
    ) -> WatchEnd {
        if tune_watch(watch.get_ref().0).is_err() {
            return WatchEnd::Closed;
        }
        let mut ticks = interval(WATCH_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Nothing is ever said on a watch.
            let mut byte = [0];
            tokio::select! {
                biased;
                read = watch.read(&mut byte) => return match read {
                    Err(error) if is_silence(&error) => WatchEnd::Silent,
                    _ => WatchEnd::Closed,
                },
                _ = ticks.tick() => {
                    self.note_if_heard(ip, conns);
                    if !is_used() {
                        return WatchEnd::Unused;
                    }
                }
            }
        }
    }

    pub(super) fn note_if_heard(&self, ip: IpAddr, conns: &PeerConns) {
        if conns.take_heard() {
            self.note_heard(ip);
        }
    }

    fn is_heard(&self, ip: IpAddr, conns: &PeerConns) -> bool {
        self.note_if_heard(ip, conns);
        self.was_noted_since(ip, Instant::now() - HEARD_TIMEOUT)
    }

    fn end_all(&self, ip: IpAddr, conns: &PeerConns) {
        let ended = conns.end_all();
        self.conns_lost.inc_by(ended as u64);
        tracing::warn!(%ip, connections = ended, "the pod at this address has vanished; its connections are closed");
    }
}

/// True where the kernel ended a connection because the other side did not answer.
fn is_silence(error: &io::Error) -> bool {
    use io::ErrorKind::{HostUnreachable, NetworkUnreachable, TimedOut};
    matches!(error.kind(), TimedOut | HostUnreachable | NetworkUnreachable)
}
