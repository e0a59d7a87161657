//! A world of sidecars, the first of which is looked at.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use super::{CROWD, Look, World};
use crate::cores::Core;
use crate::metrics::Metrics;
use crate::procfs::{self, cpu_time};
use crate::rig::clients::{Clients, Pace, Script};
use crate::rig::{PATIENCE, Rig};
use crate::sessions::ask;
use crate::subject::ours::{Pod, init};
use crate::subject::{Ground, Process, wait_until_they_listen};
use crate::warm_up::Cold;
use crate::wire::Bytes;
use crate::wire::text::{self, Size};

/// The third byte of the first addresses, of which each network has [`EACH`].
const NETWORK: usize = 32;
const EACH: usize = 200;
/// How many of a crowd come at the same moment: fewer than any queue is long.
const AT_ONCE: usize = 32;
/// Longer than a sidecar takes to notice what has become of its connections.
const SETTLE: Duration = Duration::from_millis(1500);

/// A world that runs. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Running {
    /// Which one.
    pub world: World,
    pods: Vec<Pod>,
    processes: Vec<Process>,
    /// A session of each, in the same order.
    sids: Vec<String>,
    // The last field: what is in it is used by the others.
    _directory: TempDir,
}

impl Running {
    /// Starts all of them, and opens a session with each.
    pub(super) fn start(rig: &mut Rig, ground: &Ground, world: World) -> Result<Self> {
        let directory = TempDir::with_prefix("socketio-affinity-bench-")?;
        let config = init(ground, "enforce", directory.path())?;
        let first = NETWORK + if world == World::Few { 0 } else { 1 };
        let (mut pods, mut processes) = (Vec::new(), Vec::new());
        for number in 0..world.count() {
            let third = u8::try_from(first + number / EACH)?;
            let ip = ground.ip(third, u8::try_from(1 + number % EACH)?);
            let pod = Pod { ip, app: ground.application() };
            let core = if number == 0 { Core::Proxy } else { Core::Load };
            let command = pod.sidecar(ground, &config);
            let name = format!("sidecar {}", number + 1);
            processes.push(Process::start(name, ground.cores, core, directory.path(), command)?);
            pods.push(pod);
        }
        let all: Vec<SocketAddr> = pods.iter().map(|pod| pod.clients()).collect();
        wait_until_they_listen(&all, &mut processes)?;
        let sids = rig.serve(move || -> Result<Vec<String>> {
            let mut sids = Vec::new();
            for at in all {
                sids.extend(ask(at, 1).with_context(|| format!("the sidecar at {at} opens no session"))?);
            }
            Ok(sids)
        })??;
        Ok(Self { world, pods, processes, sids, _directory: directory })
    }

    /// What the first one's warm-up needs.
    pub(super) fn cold(&self) -> Result<Cold> {
        let (own, pod) = (self.sids.first().context("there is a session of each")?, self.pod()?);
        let messages = vec![self.poll(own)?];
        let script = Script { upgrades: Vec::new(), messages, reconnect: false, in_turn: true };
        Ok(Cold { entry: pod.clients(), script, admin: pod.admin() })
    }

    /// How many threads the first has.
    pub(super) fn threads(&self) -> Result<usize> {
        Ok(procfs::threads(self.process()?.pid())?)
    }

    /// What the first one holds.
    pub(super) fn look(&self, rig: &mut Rig) -> Result<Look> {
        rig.rest(SETTLE)?;
        Look::at(self.pod()?, self.process()?)
    }

    /// The CPU time in microseconds of a hit in the first one's own session.
    pub(super) fn local(&self, rig: &mut Rig, counted: Duration) -> Result<f64> {
        let own = self.sids.first().context("there is a session of each")?;
        self.cpu(rig, vec![self.poll(own)?], counted)
    }

    /// The first one's CPU time in microseconds of a hit in a session of another one, always the last.
    pub(super) fn forwarded_to_one(&self, rig: &mut Rig, counted: Duration) -> Result<f64> {
        let last = self.sids.last().context("there is a session of each")?;
        self.forwarded(rig, vec![self.poll(last)?], counted)
    }

    /// Likewise of another one's, the next one's each time.
    pub(super) fn forwarded_to_each(&self, rig: &mut Rig, counted: Duration) -> Result<f64> {
        self.forwarded(rig, self.polls_of_others()?, counted)
    }

    fn forwarded(&self, rig: &mut Rig, messages: Vec<Bytes>, counted: Duration) -> Result<f64> {
        let count = || -> Result<f64> {
            let metrics = Metrics::read(self.pod()?.admin())?;
            Ok(metrics.sum("requests_total", &["from=\"client\"", "decision=\"forward\""]))
        };
        let before = count()?;
        let cpu = self.cpu(rig, messages, counted)?;
        ensure!(count()? > before, "nothing was forwarded");
        Ok(cpu)
    }

    fn cpu(&self, rig: &mut Rig, messages: Vec<Bytes>, counted: Duration) -> Result<f64> {
        // Each message a few times, so that connections are there and all that grows has grown.
        let warm = 4 * messages.len().max(100) as u64;
        let mut clients = self.clients(messages, 1, Pace::Closed)?;
        rig.drive(&mut clients, Instant::now() + 2 * PATIENCE, |clients| clients.completed() >= warm)?;
        clients.count_anew(Instant::now(), false);
        let (began, before) = (Instant::now(), cpu_time(self.process()?.pid())?);
        rig.drive(&mut clients, began + counted, |_| false)?;
        let cpu = cpu_time(self.process()?.pid())?
            .checked_sub(before)
            .context("a thread of the sidecar has ended, and its CPU time with it")?;
        let completed = clients.completed();
        ensure!(completed > 0, "nothing was answered while it counted");
        Ok(cpu.as_secs_f64() * 1e6 / completed as f64)
    }

    /// Has the first forward a request to every other one, and every other one a request to the first.
    pub(super) fn connect(&self, rig: &mut Rig) -> Result<()> {
        let polls = self.polls_of_others()?;
        let wanted = polls.len();
        // Each of a client of its own, none of which goes away with a request under way.
        let mut clients = self.clients(polls, wanted, Pace::Once)?;
        let until = Instant::now() + PATIENCE;
        rig.drive(&mut clients, until, |clients| clients.completed() >= wanted as u64)?;
        ensure!(clients.completed() >= wanted as u64, "{} of {wanted} were forwarded", clients.completed());
        drop(clients);
        let own = self.sids.first().context("there is a session of each")?;
        for other in self.pods.iter().skip(1) {
            let at = other.clients();
            let messages = vec![text::poll(&at.to_string(), own, Size::Small)];
            let script = Script { upgrades: Vec::new(), messages, reconnect: false, in_turn: false };
            let mut client = Clients::new(at, script, 1, Pace::Once);
            rig.drive(&mut client, Instant::now() + PATIENCE, |client| client.completed() > 0)?;
            ensure!(client.completed() > 0, "the sidecar at {at} does not forward");
        }
        Ok(())
    }

    /// Has [`CROWD`] polls of all others wait at the same time, and then answers them. Returns what the first
    /// one held meanwhile.
    pub(super) fn crowd(&self, rig: &mut Rig) -> Result<Look> {
        rig.hold_polls(true);
        let waited = self.wait_in_a_crowd(rig).and_then(|clients| Ok((clients, self.look(rig)?)));
        rig.hold_polls(false);
        let (mut clients, look) = waited?;
        rig.drive(&mut clients, Instant::now() + PATIENCE, |clients| clients.completed() >= CROWD as u64)?;
        if clients.completed() < CROWD as u64 {
            bail!("{} of {CROWD} polls were answered", clients.completed());
        }
        Ok(look)
    }

    fn wait_in_a_crowd(&self, rig: &mut Rig) -> Result<Clients> {
        let mut clients = self.clients(self.polls_of_others()?, 0, Pace::Once)?;
        let until = Instant::now() + 3 * PATIENCE;
        for wanted in (AT_ONCE..=CROWD).step_by(AT_ONCE).chain([CROWD]) {
            clients.want(wanted);
            while rig.held_polls() < wanted {
                rig.drive(&mut clients, Instant::now() + Duration::from_millis(2), |_| false)?;
                ensure!(Instant::now() < until, "{} of {wanted} polls came to wait", rig.held_polls());
            }
        }
        Ok(clients)
    }

    fn clients(&self, messages: Vec<Bytes>, count: usize, pace: Pace) -> Result<Clients> {
        let script = Script { upgrades: Vec::new(), messages, reconnect: false, in_turn: true };
        Ok(Clients::new(self.pod()?.clients(), script, count, pace))
    }

    fn polls_of_others(&self) -> Result<Vec<Bytes>> {
        self.sids.iter().skip(1).map(|sid| self.poll(sid)).collect()
    }

    fn poll(&self, sid: &str) -> Result<Bytes> {
        Ok(text::poll(&self.pod()?.clients().to_string(), sid, Size::Small))
    }

    fn pod(&self) -> Result<Pod> {
        self.pods.first().copied().context("there is a first one")
    }

    fn process(&self) -> Result<&Process> {
        self.processes.first().context("there is a first one")
    }
}
