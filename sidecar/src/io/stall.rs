//! Notices that something which should move does not.

use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use super::Deadline;
use super::budget::{Budget, Charge, KERNEL_BYTES};
use super::settle::SETTLE_TIMEOUT;

/// The cause for which a direction of a connection waits.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wait {
    /// Nothing is under way.
    Nothing,
    /// Something is under way, and should move within `limit`. So many bytes are `held` for a reader meanwhile, and the
    /// kernel may hold more.
    Progress { held: usize, limit: Duration },
    /// The same, where the kernel holds nothing: all that came was read.
    Here { held: usize, limit: Duration },
    /// The kernel may hold so many bytes, all that was written, and does not say when the other side acknowledges some of
    /// them. `renewed`: none of them are those that it held when this wait began.
    Kernel { held: usize, renewed: bool },
}

/// Reason why an alarm comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stall {
    /// No byte has moved for too long.
    NoProgress,
    /// The budget ran short.
    Budget,
}

/// A clock for one direction of a connection. It costs nothing while nothing is under way: no timer
/// exists then, no room is kept for one, and the time is not asked for.
#[derive(Debug, Default)]
pub(crate) struct StallAlarm(Option<Box<Armed>>);

#[derive(Debug)]
struct Armed {
    progressed: Instant,
    /// Time since which the connection has always held something.
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

    /// Ready when something has been under way for too long without any progress, or when the budget no longer
    /// has room for what waits for a reader.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, wait: Wait, budget: &Budget) -> Poll<Stall> {
        let (charged, limit, shows_progress, renewed) = match wait {
            Wait::Nothing => {
                self.0 = None;
                return Poll::Pending;
            }
            Wait::Progress { held: 0, limit } => (0, limit, true, false),
            Wait::Progress { held, limit } => (held + KERNEL_BYTES, limit, true, false),
            Wait::Here { held, limit } => (held, limit, true, false),
            Wait::Kernel { held, renewed } => (held, SETTLE_TIMEOUT, false, renewed),
        };
        let armed = self.0.get_or_insert_with(|| {
            let now = Instant::now();
            let (charge, deadline) = (Charge::none(budget), Deadline::new(now + limit));
            Box::new(Armed { progressed: now, holding: now, looked: now, charge, deadline })
        });
        if charged > 0 && armed.charge.is_none() {
            if budget.is_at_bound() {
                budget.count_ended();
                return Poll::Ready(Stall::Budget);
            }
            armed.looked = Instant::now();
            armed.holding = armed.looked;
        } else if renewed {
            armed.holding = Instant::now();
        }
        armed.charge.set(charged);
        armed.deadline.set(armed.next_look(limit, budget));
        while armed.deadline.poll(cx).is_ready() {
            let now = Instant::now();
            if now >= armed.progressed + limit {
                return Poll::Ready(Stall::NoProgress);
            }
            if armed.is_out_of_patience(now, shows_progress, budget) {
                budget.count_ended();
                return Poll::Ready(Stall::Budget);
            }
            armed.looked = now;
            armed.deadline.set(armed.next_look(limit, budget));
        }
        Poll::Pending
    }
}

impl Armed {
    fn next_look(&self, timeout: Duration, budget: &Budget) -> Instant {
        let stalled = self.progressed + timeout;
        if self.charge.is_none() { stalled } else { stalled.min(self.looked + budget.look_interval()) }
    }

    fn is_out_of_patience(&self, now: Instant, shows_progress: bool, budget: &Budget) -> bool {
        let patience = budget.patience();
        // Time before the bytes came does not count.
        let still = now.duration_since(self.progressed.max(self.holding));
        let is_stalled = shows_progress && still >= patience.progress;
        !self.charge.is_none() && (is_stalled || now.duration_since(self.holding) >= patience.drain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::budget::tests::budget;
    use prometheus::{IntCounter, IntGauge};
    use std::future::poll_fn;

    const LIMIT: Duration = Duration::from_secs(60);
    const SECOND: Duration = Duration::from_secs(1);
    /// Bytes that a connection is charged which holds one.
    const ONE: usize = KERNEL_BYTES + 1;
    const HELD: Wait = Wait::Progress { held: 1, limit: LIMIT };

    fn calm() -> Budget {
        budget(1 << 30)
    }

    #[tokio::test(start_paused = true)]
    async fn progress_puts_the_alarm_off() {
        let (mut alarm, started, calm) = (StallAlarm::default(), Instant::now(), calm());
        let half = tokio::time::timeout(LIMIT / 2, poll_fn(|cx| alarm.poll(cx, HELD, &calm))).await;
        assert!(half.is_err());
        alarm.progress();
        poll_fn(|cx| alarm.poll(cx, HELD, &calm)).await;
        assert!(started.elapsed() >= LIMIT + LIMIT / 2, "{:?}", started.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_under_way_does_not_stall() {
        let (mut alarm, calm) = (StallAlarm::default(), calm());
        let first = tokio::time::timeout(LIMIT / 2, poll_fn(|cx| alarm.poll(cx, HELD, &calm))).await;
        let idle = tokio::time::timeout(LIMIT * 9, poll_fn(|cx| alarm.poll(cx, Wait::Nothing, &calm))).await;
        assert!(first.is_err() && idle.is_err());
        let started = Instant::now();
        poll_fn(|cx| alarm.poll(cx, HELD, &calm)).await;
        assert_eq!(started.elapsed(), LIMIT);
    }

    /// Polls the alarm of something that waits, with progress twice a second or none, until it comes.
    async fn comes_after(budget: &Budget, wait: Wait, has_progress: bool) -> u64 {
        let (mut alarm, started) = (StallAlarm::default(), Instant::now());
        loop {
            if has_progress {
                alarm.progress();
            }
            let come = poll_fn(|cx| alarm.poll(cx, wait, budget));
            if tokio::time::timeout(SECOND / 2, come).await.is_ok() || started.elapsed() > 2 * LIMIT {
                return started.elapsed().as_secs();
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn pressure_shortens_the_wait_and_ends_those_that_only_trickle() {
        // One connection is two thirds of the first budget, and nine tenths of the second.
        let (calm, half, most) = (calm(), budget(ONE / 2 * 3), budget(ONE / 9 * 10));
        assert_eq!(comes_after(&calm, HELD, false).await, 60);
        assert_eq!(comes_after(&half, HELD, false).await, 5);
        assert_eq!(comes_after(&most, HELD, false).await, 1);
        assert!(comes_after(&calm, HELD, true).await > 60);
        assert_eq!(comes_after(&half, HELD, true).await, 30);
        assert_eq!(comes_after(&most, HELD, true).await, 5);
        // A slow client that reads all the time must not end as if it had read nothing.
        let (waits, renewed) =
            (Wait::Kernel { held: ONE, renewed: false }, Wait::Kernel { held: ONE, renewed: true });
        assert!(comes_after(&calm, waits, false).await > 60);
        assert_eq!(comes_after(&half, waits, false).await, 30);
        assert_eq!(comes_after(&most, waits, false).await, 5);
        assert!(comes_after(&most, renewed, false).await > 60);
    }

    #[tokio::test(start_paused = true)]
    async fn a_quarter_beyond_the_budget_nothing_more_is_held() {
        // Two connections are more than the budget, three more than its bound.
        let budget = budget(ONE / 10 * 19);
        let mut alarms = [const { StallAlarm(None) }; 5];
        let held = [1, 1, 100_000, 1, 0];
        // The last one holds nothing, and waits as ever.
        let comes = [false, false, false, true, false];
        for ((alarm, held), comes) in alarms.iter_mut().zip(held).zip(comes) {
            let come =
                poll_fn(|cx| Poll::Ready(alarm.poll(cx, Wait::Progress { held, limit: LIMIT }, &budget)))
                    .await;
            assert_eq!(come, if comes { Poll::Ready(Stall::Budget) } else { Poll::Pending });
        }
    }

    /// A budget for 100 holders, and its gauge.
    fn room_for_a_hundred() -> (Budget, IntGauge) {
        let gauge = IntGauge::new("held", "held").unwrap();
        let connections = ["clients", "peers"].map(|name| IntGauge::new(name, name).unwrap());
        let ended = IntCounter::new("ended", "ended").unwrap();
        (Budget::new(100 * ONE, gauge.clone(), ended, connections), gauge)
    }

    /// Number of connections whose charges the gauge shows.
    fn connections(gauge: &IntGauge) -> usize {
        usize::try_from(gauge.get()).unwrap() / ONE
    }

    /// A connection that holds bytes, takes some of them all the time, and has begun then.
    struct Holder(StallAlarm, Instant);

    impl Holder {
        fn new() -> Self {
            Self(StallAlarm::default(), Instant::now())
        }

        async fn comes(&mut self, budget: &Budget) -> bool {
            self.0.progress();
            poll_fn(|cx| Poll::Ready(self.0.poll(cx, HELD, budget))).await.is_ready()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn beyond_the_budget_newcomers_survive_and_those_end_that_have_held_longest() {
        let (budget, gauge) = room_for_a_hundred();
        // 40 a second take a byte now and then. 10 a second take everything within 300 ms.
        let (mut slow, mut honest) = (Vec::new(), Vec::new());
        let mut most = 0;
        for _ in 0..300 {
            slow.extend((0..4).map(|_| Holder::new()));
            honest.push(Holder::new());
            honest.retain(|holder| holder.1.elapsed() < Duration::from_millis(300));
            let mut left = Vec::new();
            for mut holder in slow.drain(..) {
                if !holder.comes(&budget).await {
                    left.push(holder);
                } else {
                    assert!(holder.1.elapsed() >= 2 * SECOND, "{:?}", holder.1.elapsed());
                }
            }
            slow = left;
            for holder in &mut honest {
                assert!(!holder.comes(&budget).await, "after {:?}", holder.1.elapsed());
            }
            most = most.max(connections(&gauge));
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        assert!((101..=125).contains(&most), "{most}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_holds_a_quarter_more_than_the_budget_at_most() {
        let (budget, gauge) = room_for_a_hundred();
        let mut holders: Vec<Holder> = Vec::new();
        for _ in 0..100 {
            holders.extend((0..50).map(|_| Holder::new()));
            let mut left = Vec::new();
            for mut holder in holders.drain(..) {
                if !holder.comes(&budget).await {
                    left.push(holder);
                }
                assert!(connections(&gauge) <= 126, "{}", gauge.get());
            }
            holders = left;
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        drop(holders);
        assert_eq!(gauge.get(), 0);
    }
}
