//! Deadlines that are put off often and seldom come.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep, sleep_until};

/// A deadline. To put it off costs nothing: its timer is touched only when it fires, and then set anew.
#[derive(Debug)]
pub(crate) struct Deadline {
    at: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Deadline {
    pub(crate) fn new(at: Instant) -> Self {
        Self { at, timer: Box::pin(sleep_until(at)) }
    }

    pub(crate) fn set(&mut self, at: Instant) {
        self.at = at;
        if at < self.timer.deadline() {
            self.timer.as_mut().reset(at);
        }
    }

    /// Ready once it has come.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.timer.as_mut().poll(cx).is_ready() {
            if self.at <= Instant::now() {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(self.at);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn it_comes_when_it_was_last_set_to_earlier_or_later() {
        let started = Instant::now();
        let after = |seconds| started + Duration::from_secs(seconds);
        let mut deadline = Deadline::new(after(60));
        for (set, comes) in [(vec![30], 30), (vec![70, 90], 90), (vec![200, 100], 100), (vec![50], 100)] {
            for seconds in set {
                deadline.set(after(seconds));
                // As it is once something else has woken its task.
                let _ = poll_fn(|cx| Poll::Ready(deadline.poll(cx))).await;
            }
            poll_fn(|cx| deadline.poll(cx)).await;
            assert_eq!(started.elapsed().as_secs(), comes);
        }
    }
}
