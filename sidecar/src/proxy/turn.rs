//! A WebSocket's turn in a paced close.
//!
//! # Invariants
//! - While nothing is to be closed, a WebSocket that waits for its turn has no timer: it is woken when
//!   the settings begin or cease to close.
//! - One without a tag that was opened after the close began has no turn in it.
//! - Waiting is cancel safe: nothing is drawn or counted by it that would be lost.

use std::future::pending;

use prometheus::IntGauge;
use socketio_sidecar_core::pace::Lot;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::Proxy;
use super::session::Session;
use crate::metrics::Counted;
use crate::origin::Side;
use crate::settings::CloseWindow;

/// What decides when a WebSocket's turn comes.
#[derive(Debug)]
pub(super) struct Turn {
    window: watch::Receiver<Option<CloseWindow>>,
    lot: Lot,
    /// Its session has a tag, and so a turn whenever the WebSocket was opened: the session is older.
    has_tag: bool,
    opened: Instant,
    /// Counts those that are still to end.
    left: IntGauge,
}

/// A turn that has come.
#[derive(Debug)]
pub(super) struct Come {
    /// When the window ends.
    pub(super) window_ends: Instant,
    /// To be held until the WebSocket has ended.
    pub(super) left: Counted,
}

impl Turn {
    /// That of a WebSocket which is opened now; `None` where the sidecar that the client is connected to
    /// sees to it.
    pub(super) fn new(proxy: &Proxy, side: Side, session: Option<Session>) -> Option<Self> {
        if side == Side::Peer {
            return None;
        }
        let session = session.filter(|session| session.is_tagged).map(|session| session.hash);
        Some(Self {
            window: proxy.source.close_window(),
            lot: session.map_or_else(|| proxy.next_lot(), Lot::of_session),
            has_tag: session.is_some(),
            opened: Instant::now(),
            left: proxy.metrics.tunnels_to_close.clone(),
        })
    }

    /// Waits until it comes, which may be never.
    pub(super) async fn comes(&mut self) -> Come {
        loop {
            let window = *self.window.borrow_and_update();
            match window.filter(|window| self.has_tag || self.opened <= window.began) {
                Some(window) => {
                    // Boxed: while nothing is to be closed, no room is kept for it.
                    if let Some(come) = Box::pin(self.comes_in(window)).await {
                        return come;
                    }
                }
                None => self.changed().await,
            }
        }
    }

    /// Waits for its moment of `window`; `None` when something has changed before.
    async fn comes_in(&mut self, window: CloseWindow) -> Option<Come> {
        let left = Counted::new(self.left.clone());
        tokio::select! {
            () = sleep_until(window.began + self.lot.moment(window.length)) => {
                Some(Come { window_ends: window.began + window.length, left })
            }
            () = self.changed() => None,
        }
    }

    /// Waits until sessions begin or cease to be closed; for ever once no settings can come any more.
    async fn changed(&mut self) {
        if self.window.changed().await.is_err() {
            pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    const SECOND: Duration = Duration::from_secs(1);

    fn window(began: Instant, seconds: u32) -> Option<CloseWindow> {
        Some(CloseWindow { began, length: SECOND * seconds })
    }

    struct Fixture {
        sender: watch::Sender<Option<CloseWindow>>,
        left: IntGauge,
    }

    impl Fixture {
        fn new() -> Self {
            let left = IntGauge::new("left", "left").unwrap();
            Self { sender: watch::channel(None).0, left }
        }

        /// With a lot in the middle of the window.
        fn turn(&self, has_tag: bool) -> Turn {
            let middle = socketio_sidecar_core::owner_tag::PodDigest([0x80, 0, 0, 0, 0, 0, 0, 0]);
            Turn {
                window: self.sender.subscribe(),
                lot: Lot::of_number(middle, 0),
                has_tag,
                opened: Instant::now(),
                left: self.left.clone(),
            }
        }
    }

    async fn comes(mut turn: Turn) -> Come {
        turn.comes().await
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_comes_at_its_own_moment_of_the_window() {
        let fixture = Fixture::new();
        let mut turn = Box::pin(comes(fixture.turn(false)));
        assert!(timeout(SECOND * 9999, &mut turn).await.is_err(), "nothing is closed");
        let began = Instant::now();
        fixture.sender.send_replace(window(began, 100));
        assert!(timeout(SECOND * 49, &mut turn).await.is_err());
        assert_eq!(fixture.left.get(), 1);
        let come = turn.await;
        assert_eq!((began.elapsed().as_secs(), come.window_ends), (50, began + SECOND * 100));
        assert_eq!(fixture.left.get(), 1, "until it has ended");
        drop(come);
        assert_eq!(fixture.left.get(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn no_turn_comes_once_the_close_is_taken_back() {
        let fixture = Fixture::new();
        let mut turn = Box::pin(comes(fixture.turn(true)));
        fixture.sender.send_replace(window(Instant::now(), 100));
        assert!(timeout(SECOND * 49, &mut turn).await.is_err());
        fixture.sender.send_replace(None);
        assert!(timeout(SECOND * 9999, &mut turn).await.is_err());
        assert_eq!(fixture.left.get(), 0);
        let began = Instant::now();
        fixture.sender.send_replace(window(began, 10));
        turn.await;
        assert_eq!(began.elapsed().as_secs(), 5, "a new close is a new window");
    }

    #[tokio::test(start_paused = true)]
    async fn another_length_moves_the_turn_and_not_the_beginning() {
        let fixture = Fixture::new();
        let mut turn = Box::pin(comes(fixture.turn(false)));
        let began = Instant::now();
        fixture.sender.send_replace(window(began, 100));
        assert!(timeout(SECOND * 10, &mut turn).await.is_err());
        fixture.sender.send_replace(window(began, 40));
        turn.await;
        assert_eq!(began.elapsed().as_secs(), 20);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_opened_later_is_closed_only_if_its_session_is_older() {
        let fixture = Fixture::new();
        fixture.sender.send_replace(window(Instant::now(), 100));
        tokio::time::advance(SECOND).await;
        let mut later = Box::pin(comes(fixture.turn(false)));
        assert!(timeout(SECOND * 9999, &mut later).await.is_err());
        assert_eq!(fixture.left.get(), 0);
        timeout(SECOND, comes(fixture.turn(true))).await.expect("its moment has passed");
    }

    #[tokio::test(start_paused = true)]
    async fn without_anybody_to_close_it_no_turn_comes() {
        let Fixture { sender, left } = Fixture::new();
        let turn = Fixture { sender: sender.clone(), left }.turn(true);
        drop(sender);
        assert!(timeout(SECOND * 9999, comes(turn)).await.is_err());
    }
}
