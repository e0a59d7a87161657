//! Leader election by a Lease (`coordination.k8s.io/v1`), fail-stop.
//!
//! A process waits until the Lease is its own, does its work, and renews the Lease meanwhile. Whoever
//! loses it does not wait for it again but ends: nothing of its work can go on by mistake.
//!
//! # The invariant
//! At most one process at a time hands requests of its work to the network.
//!
//! - A holder renews every [`RENEW`]. Its work's requests pass a [fence](fence), which is open until
//!   [`HOLD`] after the moment *before* the last successful renewal was sent. Then the fence is shut, what
//!   waits for an answer is given up, and the work is dropped.
//! - A candidate takes the Lease over when it has looked at the same version of it for [`LEASE`], by its
//!   own monotonic clock, or when the holder has released it. It writes with the version that it read, so
//!   a renewal or a faster candidate in between makes that write fail.
//!
//! Between the two are `LEASE - HOLD`, 5 seconds.
//!
//! # What it rests on
//! - Clocks are never compared. They may run at different speeds, up to a factor of `LEASE / HOLD`, and
//!   must not stand still while the others' go on. `CLOCK_MONOTONIC` does stand still while a machine is
//!   suspended: a leader whose whole machine slept believes in its lease until the first renewal after
//!   waking up, which fails.
//! - Only this program writes the Lease. Whoever deletes it or empties its holder by hand lets a second
//!   process begin before the first has noticed, which it does within [`RENEW`] and a request.
//! - A process may be paused (SIGSTOP, a starved CPU) for any time. When it goes on, the fence, which
//!   reads the clock for each request, lets no further one pass. It cannot take back a request that had
//!   passed: bytes that lay in a buffer of this process or the network during the pause arrive afterwards,
//!   at most one request for each object worked on at that moment. No lease can prevent that without the
//!   API server checking it on each write. What makes it harmless is the work: it applies what follows from
//!   the present state, and the new leader sees the late write as a change and puts it right.
//!
//! # Cancellation
//! [`Election::lead`] may be dropped at any time. The Lease then is not released, and the next process has
//! to wait for [`LEASE`].

mod fence;
mod lease;
mod rule;
#[cfg(test)]
mod tests;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use crate::admin::Health;
use crate::client::explain;
use crate::metrics::Metrics;
use fence::Fence;
use lease::Held;
pub use lease::Leases;
use rule::{Candidate, Move};

/// For how long a Lease must not have changed before another process takes it over.
const LEASE: Duration = Duration::from_secs(15);
/// For how long a holder acts after a renewal.
const HOLD: Duration = Duration::from_secs(10);
/// Time between two renewals by the holder.
const RENEW: Duration = Duration::from_secs(5);
/// Time between two looks of a candidate, and between two tries of a holder.
const LOOK: Duration = Duration::from_secs(1);
/// Longest wait for an answer about the Lease.
const ANSWER: Duration = Duration::from_secs(3);
/// Longest wait for work to end that was told to stop. It could be dropped at once, but for what its log
/// and its metrics then would not say.
const GRACE: Duration = Duration::from_secs(5);

/// Reasons for which a leader stops.
#[derive(Debug, thiserror::Error)]
pub enum LeaderError {
    /// The API server could not be reached, or refused.
    #[error(
        "the Lease {lease} could not be renewed for {} s ({last}); this process ends, and another takes over",
        HOLD.as_secs()
    )]
    NotRenewed {
        /// Name of the Lease.
        lease: String,
        /// Error of the last attempt.
        last: String,
    },
    /// Another process holds the Lease.
    #[error("the Lease {lease} has gone to {holder}; this process ends")]
    TakenOver {
        /// Name of the Lease.
        lease: String,
        /// Identity of the new holder.
        holder: String,
    },
}

/// A process that stands for election.
#[derive(Debug)]
pub struct Election {
    leases: Leases,
    identity: String,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
}

impl Election {
    /// `identity` must be this process's own: not even its predecessor in the same Pod may have had it.
    #[must_use]
    pub fn new(leases: Leases, identity: String, metrics: Arc<Metrics>, health: Arc<Health>) -> Self {
        Self { leases, identity, metrics, health }
    }

    fn taken_over(&self, holder: &str) -> LeaderError {
        LeaderError::TakenOver { lease: self.leases.name().to_owned(), holder: holder.to_owned() }
    }

    /// Waits until this process is the leader, and then does `work` with the client that it is given, which
    /// works only while this process is the leader. `shutdown` ends the waiting; `work` has to notice it by
    /// itself, and may take [`GRACE`] to end, during which this process stays the leader.
    ///
    /// # Errors
    /// The Lease is lost. Whatever the work has started has to end now, so the process should.
    pub async fn lead<W: Future<Output = ()>>(
        &self,
        shutdown: impl Future<Output = ()>,
        work: impl FnOnce(Client) -> W,
    ) -> Result<(), LeaderError> {
        let mut shutdown = pin!(shutdown);
        let mut held = tokio::select! {
            biased;
            () = &mut shutdown => return Ok(()),
            held = self.acquire() => held,
        };
        tracing::info!(identity = self.identity, "leading");
        self.metrics.show_leading(true);
        let fence = Fence::new(held.since + HOLD);
        let done = {
            let mut work = pin!(work(fence.guard(self.leases.client())));
            // In this order: what is lost is noticed before anything else goes on.
            tokio::select! {
                biased;
                lost = self.keep(&mut held, &fence) => Err(lost),
                () = &mut work => Ok(()),
                () = async { shutdown.await; sleep(GRACE).await } => {
                    tracing::warn!("what was under way did not end within {} s; it is given up", GRACE.as_secs());
                    Ok(())
                }
            }
        };
        fence.shut();
        self.metrics.show_leading(false);
        if done.is_ok() {
            self.release(held).await;
        }
        done
    }

    /// Waits until the Lease is this process's own.
    async fn acquire(&self) -> Held {
        let mut candidate = Candidate::new(&self.identity);
        let mut last_said = None;
        loop {
            let (said, attempt) = match timeout(ANSWER, self.leases.read()).await {
                Err(_) => (Some("the API server does not answer".to_owned()), None),
                Ok(Err(error)) => (Some(format!("the Lease cannot be read: {}", explain(&error))), None),
                Ok(Ok(seen)) => {
                    self.health.api_server_answered();
                    let holder = seen.as_ref().map(lease::holder).filter(|holder| !holder.is_empty());
                    let said = holder.map(|holder| format!("{holder} is the leader"));
                    let rule = candidate.decide(seen.as_ref().map(lease::facts), Instant::now());
                    (said, (rule == Move::Take).then_some(seen))
                }
            };
            if said != last_said
                && let Some(said) = &said
            {
                tracing::info!("waiting: {said}");
            }
            last_said = said;
            if let Some(seen) = attempt {
                let since = Instant::now();
                match timeout(ANSWER, self.leases.take(seen, &self.identity)).await {
                    Ok(Ok(lease)) => return Held { lease, since },
                    // Somebody was faster, or it is unknown what became of it: the next look tells.
                    Ok(Err(error)) => tracing::info!("the Lease was not taken over: {}", explain(&error)),
                    Err(_) => tracing::info!("the Lease was not taken over: the API server does not answer"),
                }
            }
            sleep(LOOK).await;
        }
    }

    /// Renews for as long as that works. What it returns has shut the fence.
    async fn keep(&self, held: &mut Held, fence: &Fence) -> LeaderError {
        loop {
            sleep_until(held.since + RENEW).await;
            let mut last = "no answer".to_owned();
            let renewed = timeout_at(held.since + HOLD, self.renew(held, &mut last)).await;
            match renewed {
                Ok(Ok(())) => {
                    self.health.api_server_answered();
                    fence.open_until(held.since + HOLD);
                }
                Ok(Err(lost)) => {
                    fence.shut();
                    return lost;
                }
                Err(_) => {
                    fence.shut();
                    return LeaderError::NotRenewed { lease: self.leases.name().to_owned(), last };
                }
            }
        }
    }

    /// Tries until the Lease is renewed or another process's.
    async fn renew(&self, held: &mut Held, last: &mut String) -> Result<(), LeaderError> {
        loop {
            let since = Instant::now();
            let failed = match timeout(ANSWER, self.leases.renew(&held.lease)).await {
                // A process that was paused in here must not take the renewal for a fresh one.
                Ok(Ok(lease)) if since.elapsed() < HOLD => {
                    *held = Held { lease, since };
                    return Ok(());
                }
                Ok(Ok(_)) | Err(_) => "the API server does not answer".to_owned(),
                Ok(Err(kube::Error::Api(status))) if status.is_conflict() => self.read_again(held).await?,
                Ok(Err(kube::Error::Api(status))) if status.is_not_found() => {
                    return Err(self.taken_over("nobody: it was deleted"));
                }
                Ok(Err(error)) => explain(&error),
            };
            tracing::warn!("the Lease is not renewed: {failed}");
            *last = failed;
            sleep(LOOK).await;
        }
    }

    /// After a conflict: it was this process's own earlier write, whose answer was lost, or somebody who
    /// changed something else, or another holder.
    async fn read_again(&self, held: &mut Held) -> Result<String, LeaderError> {
        match timeout(ANSWER, self.leases.read()).await {
            Ok(Ok(Some(lease))) if lease::holder(&lease) == self.identity => {
                held.lease = lease;
                Ok("it has changed since it was read".to_owned())
            }
            Ok(Ok(Some(lease))) => Err(self.taken_over(lease::holder(&lease))),
            Ok(Ok(None)) => Err(self.taken_over("nobody: it was deleted")),
            Ok(Err(error)) => Ok(explain(&error)),
            Err(_) => Ok("the API server does not answer".to_owned()),
        }
    }

    /// Lets the next process begin at once.
    async fn release(&self, held: Held) {
        match timeout(ANSWER, self.leases.release(held.lease)).await {
            Ok(Ok(())) => tracing::info!("the Lease is released"),
            Ok(Err(error)) => tracing::warn!("the Lease is not released: {}", explain(&error)),
            Err(_) => tracing::warn!("the Lease is not released: the API server does not answer"),
        }
    }
}
