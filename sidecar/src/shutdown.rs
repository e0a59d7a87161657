//! Tells connections that they have to end.
//!
//! Stopping has stages; each is entered once and never left backwards.
//!
//! 1. *Draining*: everything goes on, but each answer says `Connection: close`, so that clients and
//!    edges take their next request elsewhere. It gives endpoints the time to be updated everywhere.
//! 2. *Closing*: nothing new is accepted and idle connections end. What hangs, a poll or a tunnel,
//!    goes on.
//! 3. *Ended*: at the deadline whatever is left ends, tunnels included.
//!
//! Apart from them, a paced close ends sessions over a window of time, and may begin, change and be
//! taken back in any stage.
//!
//! Thousands of idle connections listen to all of this, so it is one thing to listen to, although that
//! wakes some for what does not concern them, a few times in the life of a sidecar.

use std::future::pending;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::settings::CloseWindow;

/// Progress of stopping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Not stopping.
    Serving,
    /// Everything goes on; answers close their connections.
    Draining,
    /// Nothing new begins; what hangs goes on until the deadline.
    Closing,
    /// The deadline has come: everything ends.
    Ended,
}

/// Order to stop a sidecar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Haste {
    /// By an orchestrator, which sends traffic elsewhere from now on: all stages.
    Drain,
    /// By a person who waits: the draining stage is left out.
    Close,
}

/// Longest time of each stage.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// For how long everything goes on.
    pub drain: Duration,
    /// Time from the beginning of stopping to the end of every connection.
    pub total: Duration,
}

/// Handle of every connection, which tells it to end and by which its end is awaited.
#[derive(Debug, Clone)]
pub(crate) struct Shutdown {
    orders: watch::Sender<Orders>,
    tasks: TaskTracker,
}

/// Orders in force for all connections.
#[derive(Debug, Clone, Copy)]
struct Orders {
    stage: Stage,
    window: Option<CloseWindow>,
}

/// Takes a sidecar through the stages.
#[derive(Debug)]
pub(crate) struct Stopper(Shutdown);

/// A sidecar that serves, and closes sessions over `window` if there is one.
pub(crate) fn channel(window: Option<CloseWindow>) -> (Stopper, Shutdown) {
    let orders = watch::Sender::new(Orders { stage: Stage::Serving, window });
    let shutdown = Shutdown { orders, tasks: TaskTracker::new() };
    (Stopper(shutdown.clone()), shutdown)
}

impl Shutdown {
    pub(crate) fn stage(&self) -> Stage {
        self.orders.borrow().stage
    }

    /// Sets over which time sessions are closed. Nobody is woken for what is as before.
    pub(crate) fn set_close_window(&self, window: Option<CloseWindow>) {
        self.orders.send_if_modified(|orders| std::mem::replace(&mut orders.window, window) != window);
    }

    /// Waits until stopping has come to `stage`. Cancel safe.
    pub(crate) async fn reached(&self, stage: Stage) {
        self.listen().reached(stage).await;
    }

    /// Subscribes to the orders.
    pub(crate) fn listen(&self) -> Listening {
        Listening(self.orders.subscribe())
    }

    /// Runs `tunnel` as a task of its own. It is to end by itself in the last stage.
    pub(crate) fn spawn_tunnel(&self, tunnel: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(tunnel);
    }

    /// Runs `connection` as a task of its own, until it ends or the last stage ends it.
    pub(crate) fn spawn(&self, connection: impl Future<Output = ()> + Send + 'static) {
        let mut listening = self.listen();
        // Boxed: the task would have room for it twice.
        let mut connection = Box::pin(connection);
        self.tasks.spawn(async move {
            tokio::select! {
                biased;
                () = listening.reached(Stage::Ended) => {}
                () = &mut connection => {}
            }
        });
    }

    fn enter(&self, stage: Stage) {
        self.orders.send_modify(|orders| orders.stage = stage);
    }
}

/// Subscriber to the orders that end connections.
#[derive(Debug)]
pub(crate) struct Listening(watch::Receiver<Orders>);

impl Listening {
    /// Waits until stopping has come to `stage`; for ever where nobody is left to say so. Cancel safe.
    pub(crate) async fn reached(&mut self, stage: Stage) {
        if self.0.wait_for(|orders| orders.stage >= stage).await.is_err() {
            pending::<()>().await;
        }
    }

    /// Orders in force now, which [`Self::changed`] does not wait for.
    pub(crate) fn now(&mut self) -> (Stage, Option<CloseWindow>) {
        let Orders { stage, window } = *self.0.borrow_and_update();
        (stage, window)
    }

    /// Waits until something else holds than when this was last asked for anything; for ever where nobody
    /// is left to say so. Cancel safe.
    pub(crate) async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            pending::<()>().await;
        }
    }
}

impl Stopper {
    /// Goes through the stages. Returns how many connections had to be ended by force.
    pub(crate) async fn stop(self, deadlines: Deadlines, haste: Haste) -> usize {
        let Self(shutdown) = self;
        let started = tokio::time::Instant::now();
        shutdown.tasks.close();
        shutdown.enter(Stage::Draining);
        if haste == Haste::Drain {
            tokio::time::sleep(deadlines.drain.min(deadlines.total)).await;
        }
        shutdown.enter(Stage::Closing);
        let in_time = tokio::time::timeout_at(started + deadlines.total, shutdown.tasks.wait()).await;
        if in_time.is_ok() {
            return 0;
        }
        let left = shutdown.tasks.len();
        shutdown.enter(Stage::Ended);
        shutdown.tasks.wait().await;
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    const NOW: Deadlines = Deadlines { drain: Duration::ZERO, total: Duration::from_millis(20) };

    #[tokio::test(start_paused = true)]
    async fn the_deadline_ends_what_does_not_end_by_itself() {
        let (stopper, shutdown) = channel(None);
        shutdown.spawn(pending());
        let waits = shutdown.clone();
        shutdown.spawn(async move { waits.reached(Stage::Closing).await });
        let tunnel = shutdown.clone();
        shutdown.spawn_tunnel(async move { tunnel.reached(Stage::Ended).await });
        assert_eq!(stopper.stop(NOW, Haste::Drain).await, 2);
        assert_eq!(shutdown.stage(), Stage::Ended);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_waited_for_that_has_ended() {
        let (stopper, _shutdown) = channel(None);
        let hour = Duration::from_secs(3600);
        let started = Instant::now();
        assert_eq!(stopper.stop(Deadlines { drain: hour, total: hour }, Haste::Close).await, 0);
        assert!(started.elapsed() < hour);
    }

    #[tokio::test]
    async fn a_window_wakes_only_where_it_is_another_one() {
        let (_stopper, shutdown) = channel(None);
        let mut listening = shutdown.listen();
        let window =
            |seconds| Some(CloseWindow { began: Instant::now(), length: Duration::from_secs(seconds) });
        let (minute, hour) = (window(60), window(3600));
        for (set, wakes) in [(None, false), (minute, true), (minute, false), (hour, true), (None, true)] {
            shutdown.set_close_window(set);
            let woken = tokio::time::timeout(Duration::ZERO, listening.changed()).await.is_ok();
            assert_eq!((woken, listening.now()), (wakes, (Stage::Serving, set)));
        }
    }
}
