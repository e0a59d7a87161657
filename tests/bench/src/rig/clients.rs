//! The clients of one measurement, and what they have seen.
//!
//! | pace | a connection sends its next request |
//! | --- | --- |
//! | closed | when its answer is there: as many per second as the proxy bears |
//! | open | when the schedule says so, on whichever connection is idle: for latency |
//! | once | once, and is idle from then on |
//!
//! Slow readers are clients beside these, which take a large answer a little at a time; they are counted
//! in nothing.

mod client;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use client::{Client, Progress};

use super::schedule::Schedule;
use super::stream::Stream;
use super::{Epoll, Failure, Side};
use crate::wire::Bytes;

/// How many connections may be opening at once: fewer than any proxy's backlog.
const OPENING: usize = 64;
/// How often, and how much at a time, a slow reader reads: 400 KiB a second.
const SLOW_EVERY: Duration = Duration::from_millis(20);
const SLOW_BYTES: usize = 8 * 1024;
/// How far an open loop may be behind before it is given up.
const BEHIND: u64 = 2;

/// What a client does over and over. Each has a session of its own, as long as there are enough.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    /// Opens a WebSocket first, on which messages and their echoes are then frames. Else empty.
    pub upgrades: Vec<Bytes>,
    /// What is sent.
    pub messages: Vec<Bytes>,
    /// On a new connection each time.
    pub reconnect: bool,
    /// Each message is the next one in turn, whoever sends it; else each client has one of its own.
    pub in_turn: bool,
}

/// What the client with this index sends.
fn of(all: &[Bytes], index: usize) -> Option<&Bytes> {
    all.get(index.checked_rem(all.len())?)
}

/// When it does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Again after each answer.
    Closed,
    /// So many times a second, by all clients together.
    Open(u32),
    /// Once each.
    Once,
}

/// What was seen since the count was last begun.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tally {
    /// Answers.
    pub completed: u64,
    /// How long each took from when it was due, in nanoseconds; of an open loop alone.
    pub latencies: Vec<u64>,
}

/// All clients of one measurement.
#[derive(Debug)]
pub(crate) struct Clients {
    target: Option<SocketAddr>,
    script: Script,
    clients: Vec<Client>,
    wanted: usize,
    opening: usize,
    pace: Pace,
    schedule: Option<Schedule>,
    awake: bool,
    idle: VecDeque<usize>,
    waiting: VecDeque<Instant>,
    slow: VecDeque<usize>,
    slow_at: Instant,
    steps: u64,
    sent: usize,
    under_way: usize,
    tally: Tally,
}

impl Clients {
    /// As many clients as `count`, of the proxy at `target`.
    pub(crate) fn new(target: SocketAddr, script: Script, count: usize, pace: Pace) -> Self {
        Self {
            target: Some(target),
            script,
            clients: Vec::with_capacity(count),
            wanted: count,
            opening: 0,
            pace,
            schedule: None,
            awake: false,
            idle: VecDeque::new(),
            waiting: VecDeque::new(),
            slow: VecDeque::new(),
            slow_at: Instant::now(),
            steps: 0,
            sent: 0,
            under_way: 0,
            tally: Tally::default(),
        }
    }

    /// Nobody.
    pub(crate) fn none() -> Self {
        let script = Script { upgrades: Vec::new(), messages: Vec::new(), reconnect: false, in_turn: false };
        Self { target: None, ..Self::new(SocketAddr::from(([127, 0, 0, 1], 0)), script, 0, Pace::Once) }
    }

    /// Adds slow readers, who ask for `message`. Before all others, so that these find them at work.
    pub(crate) fn with_slow(
        &mut self,
        rig: &super::Rig,
        count: usize,
        message: &Bytes,
    ) -> Result<(), Failure> {
        let Some(target) = self.target else { return Ok(()) };
        for _ in 0..count {
            let mut stream = Stream::new(client::connect_slow(target, SLOW_BYTES)?)?;
            rig.epoll.add(&stream, Side::Client, self.clients.len())?;
            stream.send(message)?;
            self.slow.push_back(self.clients.len());
            self.clients.push(Client::slow(stream, message.clone()));
            self.wanted += 1;
        }
        Ok(())
    }

    /// How many are connected, and ready for their first message.
    pub(crate) fn open(&self) -> usize {
        self.clients.len() - self.opening
    }

    /// Raises the number there will be.
    pub(crate) fn want(&mut self, count: usize) {
        self.wanted = count;
    }

    /// Grows with everything that goes forward.
    pub(super) fn steps(&self) -> u64 {
        self.steps
    }

    /// Whether anything has been asked that is not answered.
    pub(super) fn expect_answers(&self) -> bool {
        self.opening + self.under_way > 0
    }

    /// How many answers were seen since the count was begun.
    pub(crate) fn completed(&self) -> u64 {
        self.tally.completed
    }

    /// Begins to count anew, and returns what was counted. With `unfinished`, what is still waited for in
    /// an open loop counts as answered now: it is no faster than that.
    pub(crate) fn count_anew(&mut self, now: Instant, unfinished: bool) -> Tally {
        let mut tally = std::mem::take(&mut self.tally);
        if unfinished {
            let under_way = self.clients.iter().filter_map(|client| client.due);
            let late = under_way.chain(self.waiting.iter().copied());
            tally.latencies.extend(late.map(|due| nanos(now - due)));
        }
        tally
    }

    /// From now on, does not sleep while it waits: for answers, since to wake it up would be the proxy's
    /// work, nor for what is due, since waking up takes as long as an answer.
    pub(crate) fn stay_awake(&mut self) {
        self.awake = true;
    }

    /// How long nothing will be due.
    pub(super) fn wait(&self) -> Duration {
        if self.awake || self.clients.len() < self.wanted { Duration::ZERO } else { Duration::from_millis(5) }
    }

    /// Opens what is not yet open, and sends what is due.
    pub(super) fn tick(&mut self, epoll: &Epoll, now: Instant, buffer: &mut [u8]) -> Result<(), Failure> {
        while self.clients.len() < self.wanted && self.opening < OPENING {
            let index = self.clients.len();
            let client = self.connect(epoll, index)?;
            self.clients.push(client);
        }
        if let Pace::Open(rate) = self.pace
            && self.open() >= self.wanted
        {
            let schedule = self.schedule.get_or_insert_with(|| Schedule::new(now, rate));
            while let Some(due) = schedule.due(now) {
                self.waiting.push_back(due);
            }
            if self.waiting.len() as u64 > u64::from(schedule.rate()) * BEHIND {
                return Err(Failure::Overrun(schedule.rate()));
            }
            self.send_waiting()?;
        }
        if !self.slow.is_empty() && now - self.slow_at >= SLOW_EVERY {
            self.slow_at = now;
            for index in &self.slow {
                if let Some(client) = self.clients.get_mut(*index) {
                    client.read_slowly(buffer.get_mut(..SLOW_BYTES).unwrap_or_default())?;
                }
            }
        }
        Ok(())
    }

    /// Reads what has come for a client.
    pub(super) fn ready(&mut self, epoll: &Epoll, index: usize, buffer: &mut [u8]) -> Result<(), Failure> {
        let Some(client) = self.clients.get_mut(index) else { return Ok(()) };
        match client.read(buffer)? {
            Progress::None => return Ok(()),
            Progress::Some => self.steps += 1,
            Progress::Opened => {
                self.steps += 1;
                self.opening -= 1;
                self.next(epoll, index)?;
            }
            Progress::Answered => {
                self.steps += 1;
                self.under_way -= 1;
                self.tally.completed += 1;
                if let Some(due) = client.due.take() {
                    self.tally.latencies.push(nanos(due.elapsed()));
                }
                self.next(epoll, index)?;
            }
        }
        Ok(())
    }

    /// What a client does that has nothing to do.
    fn next(&mut self, epoll: &Epoll, index: usize) -> Result<(), Failure> {
        match self.pace {
            Pace::Once if self.clients.get(index).is_some_and(|client| client.used) => Ok(()),
            Pace::Once => self.send(index, None),
            Pace::Open(_) => {
                self.idle.push_back(index);
                self.send_waiting()
            }
            Pace::Closed if self.script.reconnect => {
                let client = self.connect(epoll, index)?;
                if let Some(slot) = self.clients.get_mut(index) {
                    *slot = client;
                }
                Ok(())
            }
            Pace::Closed => self.send(index, None),
        }
    }

    fn send_waiting(&mut self) -> Result<(), Failure> {
        while !self.waiting.is_empty()
            && let Some(index) = self.idle.pop_front()
        {
            let due = self.waiting.pop_front();
            self.send(index, due)?;
        }
        Ok(())
    }

    /// What the client with this index sends next.
    fn message(&mut self, index: usize) -> Option<Bytes> {
        let next = if self.script.in_turn { self.sent } else { index };
        self.sent = self.sent.wrapping_add(1);
        of(&self.script.messages, next).cloned()
    }

    fn send(&mut self, index: usize, due: Option<Instant>) -> Result<(), Failure> {
        let message = self.message(index);
        if let Some(client) = self.clients.get_mut(index)
            && let Some(message) = message
        {
            client.due = due;
            client.used = true;
            client.stream.send(&message)?;
            self.under_way += 1;
        }
        Ok(())
    }

    fn connect(&mut self, epoll: &Epoll, index: usize) -> Result<Client, Failure> {
        let target = self.target.ok_or(Failure::Closed)?;
        let stream = Stream::new(client::connect(target)?)?;
        epoll.add(&stream, Side::Client, index)?;
        let upgrade = of(&self.script.upgrades, index);
        let mut client = Client::new(stream, upgrade.is_some());
        self.steps += 1;
        if let Some(upgrade) = upgrade {
            client.stream.send(upgrade)?;
            self.opening += 1;
        } else if matches!(self.pace, Pace::Open(_)) {
            self.idle.push_back(index);
        } else if let Some(message) = self.message(index) {
            client.used = true;
            client.stream.send(&message)?;
            self.under_way += 1;
        }
        Ok(client)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
