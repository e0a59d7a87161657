//! Notices that something which should move does not.

use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use super::Deadline;
use super::budget::{Budget, Charge};

/// How often a connection that holds bytes looks at the budget.
const LOOK: Duration = Duration::from_secs(1);

/// A clock for one direction of a connection. It costs nothing while nothing is under way: no timer
/// exists then, no room is kept for one, and the time is not asked for.
#[derive(Debug, Default)]
pub(crate) struct StallAlarm(Option<Box<Armed>>);

#[derive(Debug)]
struct Armed {
    progressed: Instant,
    /// Since then there has always been something that was held.
    holding: Instant,
    looked: Instant,
    charge: Charge,
    deadline: Deadline,
}

impl StallAlarm {
    /// Something moved.
    pub(crate) fn progress(&mut self) {
        if let Some(armed) = &mut self.0 {
            armed.progressed = Instant::now();
        }
    }

    /// Ready when something has been under way for `limit` without any progress, or when the budget no longer
    /// has room for the `held` bytes.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        under_way: bool,
        held: usize,
        limit: Duration,
        budget: &Budget,
    ) -> Poll<()> {
        if !under_way {
            self.0 = None;
            return Poll::Pending;
        }
        let armed = self.0.get_or_insert_with(|| {
            let now = Instant::now();
            let (charge, deadline) = (Charge::none(budget), Deadline::new(now + limit));
            Box::new(Armed { progressed: now, holding: now, looked: now, charge, deadline })
        });
        if held > 0 && armed.charge.is_none() {
            if budget.is_exceeded() {
                budget.count_ended();
                return Poll::Ready(());
            }
            armed.holding = Instant::now();
            armed.looked = armed.holding;
        }
        armed.charge.set(held);
        armed.deadline.set(armed.next_look(limit));
        while armed.deadline.poll(cx).is_ready() {
            let now = Instant::now();
            if now >= armed.progressed + limit {
                return Poll::Ready(());
            }
            if armed.is_out_of_patience(now, budget) {
                budget.count_ended();
                return Poll::Ready(());
            }
            armed.looked = now;
            armed.deadline.set(armed.next_look(limit));
        }
        Poll::Pending
    }
}

impl Armed {
    fn next_look(&self, timeout: Duration) -> Instant {
        let stalled = self.progressed + timeout;
        if self.charge.is_none() { stalled } else { stalled.min(self.looked + LOOK) }
    }

    fn is_out_of_patience(&self, now: Instant, budget: &Budget) -> bool {
        let patience = budget.patience();
        let is_stalled = now.duration_since(self.progressed) >= patience.progress;
        !self.charge.is_none() && (is_stalled || now.duration_since(self.holding) >= patience.drain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::budget::tests::budget;
    use std::future::poll_fn;

    const LIMIT: Duration = Duration::from_secs(60);
    const SECOND: Duration = Duration::from_secs(1);

    fn calm() -> Budget {
        budget(1 << 30)
    }

    #[tokio::test(start_paused = true)]
    async fn progress_puts_the_alarm_off() {
        let (mut alarm, started, calm) = (StallAlarm::default(), Instant::now(), calm());
        let half = tokio::time::timeout(LIMIT / 2, poll_fn(|cx| alarm.poll(cx, true, 1, LIMIT, &calm))).await;
        assert!(half.is_err());
        alarm.progress();
        poll_fn(|cx| alarm.poll(cx, true, 1, LIMIT, &calm)).await;
        assert!(started.elapsed() >= LIMIT + LIMIT / 2, "{:?}", started.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_under_way_does_not_stall() {
        let (mut alarm, calm) = (StallAlarm::default(), calm());
        let first =
            tokio::time::timeout(LIMIT / 2, poll_fn(|cx| alarm.poll(cx, true, 1, LIMIT, &calm))).await;
        let idle =
            tokio::time::timeout(LIMIT * 9, poll_fn(|cx| alarm.poll(cx, false, 0, LIMIT, &calm))).await;
        assert!(first.is_err() && idle.is_err());
        let started = Instant::now();
        poll_fn(|cx| alarm.poll(cx, true, 1, LIMIT, &calm)).await;
        assert_eq!(started.elapsed(), LIMIT);
    }

    /// Polls the alarm of something that holds bytes, with progress twice a second or none, until it comes.
    async fn comes_after(budget: &Budget, has_progress: bool) -> u64 {
        let (mut alarm, started) = (StallAlarm::default(), Instant::now());
        loop {
            if has_progress {
                alarm.progress();
            }
            let come = poll_fn(|cx| alarm.poll(cx, true, 1, LIMIT, budget));
            if tokio::time::timeout(SECOND / 2, come).await.is_ok() || started.elapsed() > 2 * LIMIT {
                return started.elapsed().as_secs();
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn pressure_shortens_the_wait_and_ends_those_that_only_trickle() {
        // One connection is charged 208 KiB and one byte.
        let (calm, half, most) = (calm(), budget(320_000), budget(240_000));
        assert_eq!(comes_after(&calm, false).await, 60);
        assert_eq!(comes_after(&half, false).await, 5);
        assert_eq!(comes_after(&most, false).await, 1);
        assert!(comes_after(&calm, true).await > 60);
        assert_eq!(comes_after(&half, true).await, 30);
        assert_eq!(comes_after(&most, true).await, 5);
    }

    #[tokio::test(start_paused = true)]
    async fn beyond_the_budget_nothing_more_is_held() {
        let budget = budget(200_000);
        let (mut first, mut second) = (StallAlarm::default(), StallAlarm::default());
        // The last one holds nothing, and waits as ever.
        let mut third = StallAlarm::default();
        for (alarm, held, comes) in [(&mut first, 1, false), (&mut second, 1, true), (&mut third, 0, false)] {
            let come = poll_fn(|cx| Poll::Ready(alarm.poll(cx, true, held, LIMIT, &budget))).await;
            assert_eq!(come.is_ready(), comes);
        }
    }
}
