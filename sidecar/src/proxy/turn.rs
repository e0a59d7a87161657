//! End of a WebSocket by this sidecar: at its turn in a paced close, or at the last stage of stopping.
//!
//! # Invariants
//! - While nothing is to be closed, a WebSocket that waits for its turn has no timer: it is woken when
//!   sessions begin or cease to be closed.
//! - A WebSocket without a tag that was opened after the close began has no turn in it.
//! - Waiting is cancel safe: nothing is drawn or counted by it that would be lost.

use prometheus::IntGauge;
use socketio_sidecar_core::pace::Lot;
use tokio::time::{Instant, sleep_until};

use super::Proxy;
use super::session::Session;
use crate::metrics::Counted;
use crate::origin::Side;
use crate::settings::CloseWindow;
use crate::shutdown::{Listening, Stage};

/// Decides when this sidecar ends a WebSocket.
#[derive(Debug)]
pub(super) struct Turn {
    listening: Listening,
    opened: Instant,
    paced: Paced,
    /// Counts those that are still to end in a paced close.
    left: IntGauge,
}

/// Role of a WebSocket in a paced close.
#[derive(Debug, Clone, Copy)]
enum Paced {
    /// The sidecar that the client is connected to closes the WebSocket.
    Elsewhere,
    /// The WebSocket has no tag, and draws a lot of its own.
    Untagged(Lot),
    /// The session has a tag, and so a turn whenever the WebSocket was opened: the session is older.
    Tagged(Lot),
}

/// Causes for which this sidecar ends an open WebSocket.
#[derive(Debug)]
pub(super) enum Come {
    /// Stopping has come to its last stage.
    Shutdown,
    /// The WebSocket's turn in a paced close has come.
    Turn {
        /// End of the window.
        window_ends: Instant,
        /// To be held until the WebSocket has ended.
        left: Counted,
    },
}

impl Turn {
    /// Draws the turn of a WebSocket that is opened now.
    pub(super) fn new(proxy: &Proxy, side: Side, session: Option<Session>) -> Self {
        let tagged = session.filter(|session| session.is_tagged);
        let paced = match (side, tagged) {
            (Side::Peer, _) => Paced::Elsewhere,
            (Side::Client, Some(session)) => Paced::Tagged(Lot::of_session(session.hash)),
            (Side::Client, None) => Paced::Untagged(proxy.next_lot()),
        };
        let left = proxy.metrics.tunnels_to_close.clone();
        Self { listening: proxy.shutdown.listen(), opened: Instant::now(), paced, left }
    }

    /// Time at which the WebSocket was opened.
    pub(super) fn opened(&self) -> Instant {
        self.opened
    }

    /// Waits until the turn comes, which may be never.
    pub(super) async fn comes(&mut self) -> Come {
        loop {
            let (stage, window) = self.listening.now();
            if stage == Stage::Ended {
                return Come::Shutdown;
            }
            let moment = window.and_then(|window| Some((window, self.moment(window)?)));
            match moment {
                Some((window, moment)) => {
                    // Boxed: while nothing is to be closed, no room is kept for it.
                    if let Some(come) = Box::pin(self.comes_at(moment, window)).await {
                        return come;
                    }
                }
                None => self.listening.changed().await,
            }
        }
    }

    /// Waits for the last stage of stopping.
    pub(super) async fn last_stage(&mut self) {
        self.listening.reached(Stage::Ended).await;
    }

    /// Returns the WebSocket's moment of `window`, if it has one.
    fn moment(&self, window: CloseWindow) -> Option<Instant> {
        let lot = match self.paced {
            Paced::Tagged(lot) => lot,
            Paced::Untagged(lot) if self.opened <= window.began => lot,
            Paced::Untagged(_) | Paced::Elsewhere => return None,
        };
        Some(window.began + lot.moment(window.length))
    }

    /// Waits for its `moment` of `window`; `None` when something has changed before.
    async fn comes_at(&mut self, moment: Instant, window: CloseWindow) -> Option<Come> {
        let left = Counted::new(self.left.clone());
        tokio::select! {
            () = sleep_until(moment) => {
                Some(Come::Turn { window_ends: window.began + window.length, left })
            }
            () = self.listening.changed() => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shutdown::{Deadlines, Haste, Shutdown, Stopper, channel};
    use std::time::Duration;
    use tokio::time::timeout;

    const SECOND: Duration = Duration::from_secs(1);

    fn window(began: Instant, seconds: u32) -> Option<CloseWindow> {
        Some(CloseWindow { began, length: SECOND * seconds })
    }

    struct Fixture {
        stopper: Stopper,
        shutdown: Shutdown,
        left: IntGauge,
    }

    /// In the middle of the window.
    fn lot() -> Lot {
        Lot::of_number(socketio_sidecar_core::owner_tag::PodDigest([0x80, 0, 0, 0, 0, 0, 0, 0]), 0)
    }

    impl Fixture {
        fn new() -> Self {
            let (stopper, shutdown) = channel(None);
            Self { stopper, shutdown, left: IntGauge::new("left", "left").unwrap() }
        }

        fn turn(&self, paced: Paced) -> Turn {
            let listening = self.shutdown.listen();
            Turn { listening, opened: Instant::now(), paced, left: self.left.clone() }
        }
    }

    async fn comes(mut turn: Turn) -> Come {
        turn.comes().await
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_comes_at_its_own_moment_of_the_window() {
        let fixture = Fixture::new();
        let mut turn = Box::pin(comes(fixture.turn(Paced::Untagged(lot()))));
        assert!(timeout(SECOND * 9999, &mut turn).await.is_err(), "nothing is closed");
        let began = Instant::now();
        fixture.shutdown.set_close_window(window(began, 100));
        assert!(timeout(SECOND * 49, &mut turn).await.is_err());
        assert_eq!(fixture.left.get(), 1);
        let Come::Turn { window_ends, left } = turn.await else { panic!("nothing stops") };
        assert_eq!((began.elapsed().as_secs(), window_ends), (50, began + SECOND * 100));
        assert_eq!(fixture.left.get(), 1, "until it has ended");
        drop(left);
        assert_eq!(fixture.left.get(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn no_turn_comes_once_the_close_is_taken_back() {
        let fixture = Fixture::new();
        let mut turn = Box::pin(comes(fixture.turn(Paced::Tagged(lot()))));
        fixture.shutdown.set_close_window(window(Instant::now(), 100));
        assert!(timeout(SECOND * 49, &mut turn).await.is_err());
        fixture.shutdown.set_close_window(None);
        assert!(timeout(SECOND * 9999, &mut turn).await.is_err());
        assert_eq!(fixture.left.get(), 0);
        let began = Instant::now();
        fixture.shutdown.set_close_window(window(began, 10));
        turn.await;
        assert_eq!(began.elapsed().as_secs(), 5, "a new close is a new window");
    }

    #[tokio::test(start_paused = true)]
    async fn another_length_moves_the_turn_and_not_the_beginning() {
        let fixture = Fixture::new();
        let mut turn = Box::pin(comes(fixture.turn(Paced::Untagged(lot()))));
        let began = Instant::now();
        fixture.shutdown.set_close_window(window(began, 100));
        assert!(timeout(SECOND * 10, &mut turn).await.is_err());
        fixture.shutdown.set_close_window(window(began, 40));
        turn.await;
        assert_eq!(began.elapsed().as_secs(), 20);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_opened_later_is_closed_only_if_its_session_is_older() {
        let fixture = Fixture::new();
        fixture.shutdown.set_close_window(window(Instant::now(), 100));
        tokio::time::advance(SECOND).await;
        let mut later = Box::pin(comes(fixture.turn(Paced::Untagged(lot()))));
        assert!(timeout(SECOND * 9999, &mut later).await.is_err());
        assert_eq!(fixture.left.get(), 0);
        timeout(SECOND, comes(fixture.turn(Paced::Tagged(lot())))).await.expect("its moment has passed");
    }

    #[tokio::test(start_paused = true)]
    async fn without_anybody_to_say_so_nothing_ends() {
        let Fixture { stopper, shutdown, left } = Fixture::new();
        let listening = shutdown.listen();
        let mut turn =
            Turn { listening, opened: Instant::now(), paced: Paced::Tagged(lot()), left: left.clone() };
        drop((stopper, shutdown));
        assert!(timeout(SECOND * 9999, turn.comes()).await.is_err());
        assert!(timeout(SECOND * 9999, turn.last_stage()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_from_a_peer_has_no_turn() {
        let fixture = Fixture::new();
        fixture.shutdown.set_close_window(window(Instant::now(), 100));
        assert!(timeout(SECOND * 9999, comes(fixture.turn(Paced::Elsewhere))).await.is_err());
        assert_eq!(fixture.left.get(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_stage_of_stopping_ends_all_whatever_they_wait_for() {
        for window in [None, window(Instant::now(), 1000)] {
            for paced in [Paced::Elsewhere, Paced::Untagged(lot()), Paced::Tagged(lot())] {
                let fixture = Fixture::new();
                fixture.shutdown.set_close_window(window);
                let turn = fixture.turn(paced);
                let ended = tokio::spawn(comes(turn));
                let deadlines = Deadlines { drain: SECOND, total: SECOND * 10 };
                // Something must be left for the deadline to end.
                fixture.shutdown.spawn(std::future::pending());
                fixture.stopper.stop(deadlines, Haste::Drain).await;
                let ended = timeout(SECOND, ended).await;
                assert!(matches!(ended, Ok(Ok(Come::Shutdown))), "{ended:?} {paced:?} {window:?}");
                assert_eq!(fixture.left.get(), 0);
            }
        }
    }
}
