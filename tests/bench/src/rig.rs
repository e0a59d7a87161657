//! The load and the application on one core, in one thread and one loop.
//!
//! They make as many system calls per request as a proxy has to, so they must spend next to nothing
//! beside them, or the proxy's core would never be the busy one: one epoll for both, edge-triggered, no
//! call but the needed reads and writes, and bytes that were made before.
//!
//! # Invariants
//! - Nothing waits without a limit: [`Rig::drive`] ends at its deadline, with the first failure, when
//!   nothing comes for [`PATIENCE`], and when the run is interrupted.
//! - The application outlives the clients: a proxy keeps its connections to it from one measurement to
//!   the next.

mod application;
pub(crate) mod clients;
pub(crate) mod schedule;
mod stream;

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};

use crate::interrupt::{self, Interrupted};
use crate::wire::Malformed;
use application::Application;
use clients::Clients;

/// After how long without an answer a measurement has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// How many events are taken at once: few, so that what is due meanwhile does not wait long.
const EVENTS: usize = 32;
const BUFFER: usize = 256 * 1024;

/// Why a measurement has no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The run was interrupted.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// No answer for [`PATIENCE`].
    #[error("nothing was answered for {} s", PATIENCE.as_secs())]
    Stalled,
    /// More was due than was done.
    #[error("cannot keep up with {0} per second")]
    Overrun(u32),
    /// A connection ended in the middle.
    #[error("closed a connection that was in use")]
    Closed,
    /// An answer that is not the expected one.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The application did not understand what came through the proxy.
    #[error("what it sent to the application: {0}")]
    Upstream(Malformed),
    /// A system call failed.
    #[error("a connection failed: {0}")]
    Io(#[from] io::Error),
}

impl From<rustix::io::Errno> for Failure {
    fn from(errno: rustix::io::Errno) -> Self {
        Self::Io(errno.into())
    }
}

/// Who an event is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Listener,
    Application,
    Client,
}

/// The one epoll.
#[derive(Debug)]
pub(crate) struct Epoll(OwnedFd);

impl Epoll {
    /// Both directions at once and for ever: an edge-triggered socket never needs another call.
    fn add(&self, socket: impl AsFd, side: Side, index: usize) -> Result<(), Failure> {
        let data = epoll::EventData::new_u64((side as u64) << 32 | index as u64);
        let mut flags = epoll::EventFlags::IN;
        if side != Side::Listener {
            flags |= epoll::EventFlags::OUT | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
        }
        Ok(epoll::add(&self.0, socket, data, flags)?)
    }
}

/// The application, and whatever clients it is driven with.
#[derive(Debug)]
pub(crate) struct Rig {
    epoll: Epoll,
    application: Application,
    buffer: Vec<u8>,
}

impl Rig {
    /// An application that listens on `at`.
    pub(crate) fn new(at: SocketAddr) -> Result<Self, Failure> {
        let epoll = Epoll(epoll::create(epoll::CreateFlags::CLOEXEC)?);
        let application = Application::listen(at)?;
        epoll.add(application.listener(), Side::Listener, 0)?;
        Ok(Self { epoll, application, buffer: vec![0; BUFFER] })
    }

    /// Lets clients go on until `until`, or until `enough` says so, which is asked between events.
    pub(crate) fn drive(
        &mut self,
        clients: &mut Clients,
        until: Instant,
        mut enough: impl FnMut(&Clients) -> bool,
    ) -> Result<(), Failure> {
        let mut events =
            [epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) }; EVENTS];
        let (mut seen, mut seen_at) = (clients.steps(), Instant::now());
        loop {
            let now = Instant::now();
            if now >= until || enough(clients) {
                return Ok(());
            }
            interrupt::check()?;
            if seen != clients.steps() || !clients.expect_answers() {
                (seen, seen_at) = (clients.steps(), now);
            } else if now - seen_at > PATIENCE {
                return Err(Failure::Stalled);
            }
            clients.tick(&self.epoll, now, &mut self.buffer)?;
            let wait = clients.wait().min(until - now);
            let wait = Timespec { tv_sec: 0, tv_nsec: wait.subsec_nanos().into() };
            let count = match epoll::wait(&self.epoll.0, &mut events, Some(&wait)) {
                Ok(count) => count,
                Err(rustix::io::Errno::INTR) => 0,
                Err(error) => return Err(error.into()),
            };
            for event in events.iter().take(count) {
                let data = event.data.u64();
                let index = usize::try_from(data & u64::from(u32::MAX)).unwrap_or_default();
                match data >> 32 {
                    side if side == Side::Listener as u64 => self.application.accept(&self.epoll)?,
                    side if side == Side::Application as u64 => {
                        self.application.ready(index, &mut self.buffer).map_err(Failure::Upstream)?;
                    }
                    _ => clients.ready(&self.epoll, index, &mut self.buffer)?,
                }
            }
        }
    }

    /// Serves the application for a while, without clients: connections that ended are noticed.
    pub(crate) fn rest(&mut self, time: Duration) -> Result<(), Failure> {
        let until = Instant::now() + time;
        self.drive(&mut Clients::none(), until, |_| false)
    }

    /// Serves the application until another thread has done `work`, which needs its answers.
    pub(crate) fn serve<T: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> anyhow::Result<T> {
        let working = thread::spawn(work);
        let until = Instant::now() + 4 * PATIENCE;
        while !working.is_finished() {
            self.rest(Duration::from_millis(1))?;
            anyhow::ensure!(Instant::now() < until, "nothing came of it in {} s", 4 * PATIENCE.as_secs());
        }
        working.join().map_err(|_| anyhow::anyhow!("the thread that was to do it has failed"))
    }

    /// From now on the application lets polls wait, or answers those that wait and all that come.
    pub(crate) fn hold_polls(&mut self, hold: bool) {
        self.application.hold(hold);
    }

    /// How many polls wait.
    pub(crate) fn held_polls(&self) -> usize {
        self.application.held()
    }

    /// How many connections the application has.
    pub(crate) fn connections(&self) -> usize {
        self.application.connections()
    }
}
