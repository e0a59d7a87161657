//! Turns for making connections to the same pod.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::PodKey;

/// Most connections to one pod that are being made at the same time: few beside the handshakes that the peer has places for.
pub(super) const MAX_DIALS: usize = 16;

/// Permits for making connections to a pod, while connections are being made or waited for.
pub(super) type Dials = Mutex<HashMap<PodKey, Arc<Semaphore>>>;

/// Right to make a connection to a pod, until this is dropped.
pub(super) struct DialTurn<'d> {
    dials: &'d Dials,
    key: PodKey,
    permit: Option<OwnedSemaphorePermit>,
}

impl<'d> DialTurn<'d> {
    /// Waits for a turn without a limit. Cancel safe.
    pub(super) async fn wait(dials: &'d Dials, key: PodKey) -> Self {
        // Its permit is given back where this future is dropped as well.
        let mut turn = Self { dials, key, permit: None };
        let permits = {
            let mut dials = dials.lock().unwrap_or_else(PoisonError::into_inner);
            dials.entry(key).or_insert_with(|| Arc::new(Semaphore::new(MAX_DIALS))).clone()
        };
        turn.permit = permits.acquire_owned().await.ok();
        turn
    }
}

impl Drop for DialTurn<'_> {
    fn drop(&mut self) {
        self.permit = None;
        let mut dials = self.dials.lock().unwrap_or_else(PoisonError::into_inner);
        if dials.get(&self.key).is_some_and(|permits| Arc::strong_count(permits) == 1) {
            dials.remove(&self.key);
        }
    }
}
