//! What is measured of a system: how long messages and connects take, and what they cost.
//!
//! Node compiles what it does often. So each program does all of it often enough before it counts, and
//! each server as often as the one of a single pod.
//!
//! All systems have the same load: so many messages a second of so many clients, which is far below what
//! one pod bears.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::clients::Command;
use super::{Running, System};
use crate::stats::percentile;
use crate::warm_up::is_warm;

/// How many clients there are. They are connected one after the other, and each connect counts.
pub(crate) const CLIENTS: usize = 100;
/// How many messages a second all of them send.
pub(crate) const RATE: usize = 200;

const POLLING: &[&str] = &["polling"];
/// As the library does unless it is told otherwise.
const UPGRADED: &[&str] = &["polling", "websocket"];
const WEBSOCKET: &[&str] = &["websocket"];

/// How many clients warm a system up, and how many messages they send for each server.
const WARM_CLIENTS: usize = 30;
const WARM_MESSAGES: usize = 2000;

/// Longest warm-up of sidecars by messages. About 20 s are needed.
const WARM_SIDECARS: Duration = Duration::from_secs(90);

/// Longest wait for what the clients are told, beyond the time that it is to take.
const PATIENCE: Duration = Duration::from_secs(60);
/// The part of its core's time beyond which the load itself would be what is measured.
const TOO_BUSY: f64 = 0.8;

/// What one round has shown of a system.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SystemSample {
    /// Over long-polling.
    pub polling: Talk,
    /// Over WebSockets to which the clients have upgraded.
    pub websocket: Talk,
    /// Until a client was connected over long-polling.
    pub connect_polling: Times,
    /// Until a client was connected over a WebSocket from the start.
    pub connect_websocket: Times,
    /// The part of the clients' requests that were forwarded; none without sidecars.
    pub forwarded: Option<f64>,
}

/// Messages, each of which is acknowledged.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Talk {
    /// From a message to its acknowledgement.
    pub round_trip: Times,
    /// The servers' CPU time, in microseconds for each message.
    pub servers_us: f64,
    /// The sidecars' likewise; none without them.
    pub sidecars_us: Option<f64>,
    /// The part of the pods' core that servers and sidecars used.
    pub pods_used: f64,
    /// The part of their core that the clients used.
    pub clients_used: f64,
}

impl Talk {
    /// The CPU time of all pods, in microseconds for each message.
    pub(crate) fn pods_us(&self) -> f64 {
        self.servers_us + self.sidecars_us.unwrap_or_default()
    }
}

/// Times in microseconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Times {
    pub p50_us: f64,
    pub p99_us: f64,
}

impl Times {
    fn of(ascending: &[u64]) -> Result<Self> {
        let (Some(p50), Some(p99)) = (percentile(ascending, 50), percentile(ascending, 99)) else {
            bail!("the clients have seen nothing")
        };
        Ok(Self { p50_us: p50 as f64, p99_us: p99 as f64 })
    }
}

impl Running {
    /// Measures all of it, messages for as long as `counted`.
    pub(crate) fn measure(&mut self, counted: Duration) -> Result<SystemSample> {
        for transports in [POLLING, UPGRADED] {
            self.connect(transports, WARM_CLIENTS)?;
            let messages = WARM_MESSAGES * self.servers.len();
            self.clients.tell(Command::Warm { messages }, PATIENCE)?;
            if transports == POLLING {
                self.warm_sidecars()?;
            }
            self.clients.tell(Command::Disconnect, PATIENCE)?;
        }
        let before = self.requests()?;

        let connect_polling = Times::of(&self.connect(POLLING, CLIENTS)?)?;
        let polling = self.talk(counted)?;
        self.clients.tell(Command::Disconnect, PATIENCE)?;
        self.connect(UPGRADED, CLIENTS)?;
        let websocket = self.talk(counted)?;
        self.clients.tell(Command::Disconnect, PATIENCE)?;
        let connect_websocket = Times::of(&self.connect(WEBSOCKET, CLIENTS)?)?;
        self.clients.tell(Command::Disconnect, PATIENCE)?;

        let after = self.requests()?;
        let forwarded =
            (self.system == System::RoundRobin).then(|| (after.0 - before.0) / (after.1 - before.1));
        ensure!(
            forwarded.is_none_or(|share| share > 0.2),
            "hardly anything was forwarded: this is no round robin"
        );
        Ok(SystemSample { polling, websocket, connect_polling, connect_websocket, forwarded })
    }

    /// Sends messages until the sidecars use connections to the servers again without further proof.
    fn warm_sidecars(&mut self) -> Result<()> {
        let until = Instant::now() + WARM_SIDECARS;
        let are_warm = |system: &Self| -> Result<bool> {
            let mut pods = system.pods.iter().take(system.sidecars.len());
            pods.try_fold(true, |all, pod| Ok(all && is_warm(pod.admin())?))
        };
        while !are_warm(self)? {
            ensure!(
                Instant::now() < until,
                "the sidecars are still not warm after {} s of messages",
                WARM_SIDECARS.as_secs()
            );
            self.clients.tell(Command::Talk { rate: RATE, ms: 1000 }, PATIENCE)?;
        }
        Ok(())
    }

    fn connect(&mut self, transports: &'static [&'static str], clients: usize) -> Result<Vec<u64>> {
        self.clients.tell(Command::Connect { transports, clients }, PATIENCE)
    }

    fn talk(&mut self, counted: Duration) -> Result<Talk> {
        let ms = u64::try_from(counted.as_millis())?;
        let (began, before) = (Instant::now(), self.cpu_times()?);
        let times = self.clients.tell(Command::Talk { rate: RATE, ms }, counted + PATIENCE)?;
        let (after, passed) = (self.cpu_times()?, began.elapsed().as_secs_f64());
        let count = times.len() as f64;
        let spent = |after: Duration, before: Duration| {
            let spent = after.checked_sub(before);
            anyhow::Ok(spent.context("a thread has ended, and its CPU time with it")?.as_secs_f64())
        };
        let servers = spent(after.servers, before.servers)?;
        let sidecars = spent(after.sidecars, before.sidecars)?;
        let talk = Talk {
            round_trip: Times::of(&times)?,
            servers_us: servers * 1e6 / count,
            sidecars_us: (!self.sidecars.is_empty()).then_some(sidecars * 1e6 / count),
            pods_used: (servers + sidecars) / passed,
            clients_used: spent(after.clients, before.clients)? / passed,
        };
        ensure!(
            talk.pods_used.max(talk.clients_used) < TOO_BUSY,
            "{RATE} messages a second are too many for this machine: of their core, the pods used {:.0} % and the clients {:.0} %",
            100.0 * talk.pods_used,
            100.0 * talk.clients_used
        );
        Ok(talk)
    }
}
