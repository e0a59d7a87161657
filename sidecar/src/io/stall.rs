//! Notices that something which should move does not.

use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use super::Deadline;

/// A clock for one direction of a connection. It costs nothing while nothing is under way: no timer
/// exists then, no room is kept for one, and the time is not asked for.
#[derive(Debug, Default)]
pub(crate) struct StallAlarm(Option<Box<Armed>>);

#[derive(Debug)]
struct Armed {
    progressed: Instant,
    deadline: Deadline,
}

impl StallAlarm {
    /// Something moved.
    pub(crate) fn progress(&mut self) {
        if let Some(armed) = &mut self.0 {
            armed.progressed = Instant::now();
        }
    }

    /// Ready when something has been under way for `limit` without any progress.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, under_way: bool, limit: Duration) -> Poll<()> {
        if !under_way {
            self.0 = None;
            return Poll::Pending;
        }
        let armed = self.0.get_or_insert_with(|| {
            let now = Instant::now();
            Box::new(Armed { progressed: now, deadline: Deadline::new(now + limit) })
        });
        armed.deadline.set(armed.progressed + limit);
        armed.deadline.poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    const LIMIT: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn progress_puts_the_alarm_off() {
        let (mut alarm, started) = (StallAlarm::default(), Instant::now());
        let half = tokio::time::timeout(LIMIT / 2, poll_fn(|cx| alarm.poll(cx, true, LIMIT))).await;
        assert!(half.is_err());
        alarm.progress();
        poll_fn(|cx| alarm.poll(cx, true, LIMIT)).await;
        assert!(started.elapsed() >= LIMIT + LIMIT / 2, "{:?}", started.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_under_way_does_not_stall() {
        let mut alarm = StallAlarm::default();
        let first = tokio::time::timeout(LIMIT / 2, poll_fn(|cx| alarm.poll(cx, true, LIMIT))).await;
        let idle = tokio::time::timeout(LIMIT * 9, poll_fn(|cx| alarm.poll(cx, false, LIMIT))).await;
        assert!(first.is_err() && idle.is_err());
        let started = Instant::now();
        poll_fn(|cx| alarm.poll(cx, true, LIMIT)).await;
        assert_eq!(started.elapsed(), LIMIT);
    }
}
