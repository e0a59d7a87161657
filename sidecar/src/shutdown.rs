//! The stages of stopping, in order; each is entered once and never left backwards.
//!
//! 1. *Draining*: everything goes on, but each answer says `Connection: close`, so that clients and
//!    edges take their next request elsewhere. It gives endpoints the time to be updated everywhere.
//! 2. *Closing*: nothing new is accepted and idle connections end. What hangs, a poll or a tunnel,
//!    goes on.
//! 3. At the deadline whatever is left ends, tunnels included.

use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How far stopping has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Not stopping.
    Serving,
    /// Everything goes on; answers close their connections.
    Draining,
    /// Nothing new begins; what hangs goes on until the deadline.
    Closing,
}

/// How a sidecar is told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Haste {
    /// By an orchestrator, which sends traffic elsewhere from now on: all stages.
    Drain,
    /// By a person who waits: the draining stage is left out.
    Close,
}

/// How long each stage may take.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// For how long everything goes on.
    pub drain: Duration,
    /// When, counted from the beginning of stopping, everything ends.
    pub total: Duration,
}

/// What every connection holds to learn of stopping, and by which its end is waited for.
#[derive(Debug, Clone)]
pub(crate) struct Shutdown {
    stage: watch::Receiver<Stage>,
    tasks: TaskTracker,
    force: CancellationToken,
}

/// Takes a sidecar through the stages.
#[derive(Debug)]
pub(crate) struct Stopper {
    stage: watch::Sender<Stage>,
    shutdown: Shutdown,
}

pub(crate) fn channel() -> (Stopper, Shutdown) {
    let (sender, stage) = watch::channel(Stage::Serving);
    let shutdown = Shutdown { stage, tasks: TaskTracker::new(), force: CancellationToken::new() };
    (Stopper { stage: sender, shutdown: shutdown.clone() }, shutdown)
}

impl Shutdown {
    pub(crate) fn stage(&self) -> Stage {
        *self.stage.borrow()
    }

    /// Waits until stopping has come to `stage`. Cancel safe.
    pub(crate) async fn reached(&self, stage: Stage) {
        // The sender outlives all connections; if it were gone, stopping would be over.
        let _ = self.stage.clone().wait_for(|current| *current >= stage).await;
    }

    /// Runs `tunnel` as a task of its own. It is given what is cancelled at the deadline, and ends then.
    pub(crate) fn spawn_tunnel<F>(&self, tunnel: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.tasks.spawn(tunnel(self.force.clone()));
    }

    /// Runs `connection` as a task of its own, until it ends or the deadline ends it.
    pub(crate) fn spawn(&self, connection: impl Future<Output = ()> + Send + 'static) {
        let force = self.force.clone();
        self.tasks.spawn(async move {
            // What it returns is whether it came to its end, which makes no difference here.
            let _ = force.run_until_cancelled(connection).await;
        });
    }
}

impl Stopper {
    /// Goes through the stages. Returns how many connections had to be ended by force.
    pub(crate) async fn stop(self, deadlines: Deadlines, haste: Haste) -> usize {
        let Shutdown { tasks, force, .. } = self.shutdown;
        let started = tokio::time::Instant::now();
        tasks.close();
        let _ = self.stage.send(Stage::Draining);
        if haste == Haste::Drain {
            tokio::time::sleep(deadlines.drain.min(deadlines.total)).await;
        }
        let _ = self.stage.send(Stage::Closing);
        let in_time = tokio::time::timeout_at(started + deadlines.total, tasks.wait()).await;
        if in_time.is_ok() {
            return 0;
        }
        let left = tasks.len();
        force.cancel();
        tasks.wait().await;
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    const NOW: Deadlines = Deadlines { drain: Duration::ZERO, total: Duration::from_millis(20) };

    #[tokio::test(start_paused = true)]
    async fn the_deadline_ends_what_does_not_end_by_itself() {
        let (stopper, shutdown) = channel();
        shutdown.spawn(pending());
        let waits = shutdown.clone();
        shutdown.spawn(async move { waits.reached(Stage::Closing).await });
        shutdown.spawn_tunnel(|force| async move { force.cancelled().await });
        assert_eq!(stopper.stop(NOW, Haste::Drain).await, 2);
        assert_eq!(shutdown.stage(), Stage::Closing);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_waited_for_that_has_ended() {
        let (stopper, _shutdown) = channel();
        let hour = Duration::from_secs(3600);
        let started = tokio::time::Instant::now();
        assert_eq!(stopper.stop(Deadlines { drain: hour, total: hour }, Haste::Close).await, 0);
        assert!(started.elapsed() < hour);
    }
}
