//! The fence that each request of a leader passes, when it is handed to the connection.
//!
//! Dropping the leader's work would not be enough: parts of it run as tasks of their own. After a pause of the whole
//! process, any of them may go on before the timer that ends it.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// Longest wait for an answer to begin. Admission webhooks may take 30 s.
const ANSWER: Duration = Duration::from_secs(35);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Reasons for which a request was not sent, or its answer was not awaited.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("this process is not the leader any more")]
    Shut,
    #[error("the API server did not answer within {} s", ANSWER.as_secs())]
    NoAnswer,
}

/// Open until a moment that is put off again and again, or shut for good.
#[derive(Debug, Clone)]
pub(super) struct Fence(Arc<watch::Sender<Option<Instant>>>);

impl Fence {
    pub(super) fn new(until: Instant) -> Self {
        Self(Arc::new(watch::Sender::new(Some(until))))
    }

    /// A fence that was shut stays shut.
    pub(super) fn open_until(&self, until: Instant) {
        self.0.send_modify(|open| *open = open.map(|_| until));
    }

    /// Lets nothing pass any more, and gives up what waits for an answer.
    pub(super) fn shut(&self) {
        self.0.send_replace(None);
    }

    /// `client`, behind this fence. A watch that has begun goes on: it only reads.
    pub(super) fn guard(&self, client: Client) -> Client {
        let namespace = client.default_namespace().to_owned();
        let fence = self.clone();
        let service = tower::service_fn(move |request| {
            let (fence, client) = (fence.clone(), client.clone());
            async move { fence.pass(client.send(request)).await }
        });
        Client::new(service, namespace)
    }

    async fn pass<T>(&self, send: impl Future<Output = Result<T, kube::Error>>) -> Result<T, BoxError> {
        let mut state = self.0.subscribe();
        if state.borrow().is_none_or(|until| Instant::now() >= until) {
            return Err(Refused::Shut.into());
        }
        tokio::select! {
            biased;
            // The sender is in `self`, so this does end with the fence shut.
            _ = state.wait_for(Option::is_none) => Err(Refused::Shut.into()),
            answer = timeout(ANSWER, send) => match answer {
                Ok(answer) => answer.map_err(BoxError::from),
                Err(_) => Err(Refused::NoAnswer.into()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    async fn passes(fence: &Fence) -> bool {
        fence.pass(async { Ok(()) }).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_passes_after_its_moment_even_if_nobody_has_shut_it() {
        let fence = Fence::new(Instant::now() + Duration::from_secs(10));
        tokio::time::advance(Duration::from_millis(9_999)).await;
        assert!(passes(&fence).await);
        fence.open_until(Instant::now() + Duration::from_secs(10));
        tokio::time::advance(Duration::from_millis(9_999)).await;
        assert!(passes(&fence).await);
        tokio::time::advance(Duration::from_millis(1)).await;
        let sent = std::cell::Cell::new(false);
        let send = async {
            sent.set(true);
            Ok(())
        };
        assert!(fence.pass(send).await.is_err() && !sent.get());
    }

    #[tokio::test(start_paused = true)]
    async fn shut_is_for_good_and_gives_up_what_is_under_way() {
        let fence = Fence::new(Instant::now() + Duration::from_secs(10));
        let waits = tokio::spawn({
            let fence = fence.clone();
            async move { fence.pass(pending::<Result<(), _>>()).await }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        fence.shut();
        let started = Instant::now();
        assert_eq!(waits.await.unwrap().unwrap_err().to_string(), Refused::Shut.to_string());
        assert_eq!(started.elapsed(), Duration::ZERO);
        fence.open_until(Instant::now() + Duration::from_secs(10));
        assert!(!passes(&fence).await);
    }

    #[tokio::test(start_paused = true)]
    async fn no_answer_is_waited_for_forever() {
        let fence = Fence::new(Instant::now() + Duration::from_secs(3600));
        let refused = fence.pass(pending::<Result<(), _>>()).await.unwrap_err();
        assert_eq!(refused.to_string(), Refused::NoAnswer.to_string());
    }
}
