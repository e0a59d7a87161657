//! What is measured: our sidecar in each of its roles, its peers, and no proxy at all.

pub(crate) mod ours;
mod peers;
mod process;

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tempfile::TempDir;

pub(crate) use process::Process;

use crate::cores::Cores;
use crate::interrupt;
use crate::procfs::{self, Ticks};
use crate::programs::{Peer, Program};
use crate::sessions::Sessions;
use crate::warm_up::Cold;
use crate::work::Work;

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// The clients reach the application itself.
    Direct,
    /// Enforce; the session is of this sidecar.
    Local,
    /// Enforce; the session is of another sidecar, which is reached with mutual TLS. Both are counted.
    Forwarded,
    /// The mode Observe.
    Observe,
    /// The mode Off.
    Off,
    /// Another proxy.
    Peer(Peer),
}

impl Subject {
    /// All, in the order of tables.
    pub(crate) const ALL: [Self; 8] = [
        Self::Direct,
        Self::Local,
        Self::Forwarded,
        Self::Observe,
        Self::Off,
        Self::Peer(Peer::Nginx),
        Self::Peer(Peer::Haproxy),
        Self::Peer(Peer::Envoy),
    ];

    /// As it is named on the command line and in files.
    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Local => "local",
            Self::Forwarded => "forwarded",
            Self::Observe => "observe",
            Self::Off => "off",
            Self::Peer(peer) => peer.name(),
        }
    }

    /// As readers see it.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Direct => "no proxy",
            Self::Local => "sidecar: local hit",
            Self::Forwarded => "sidecars: forwarded hit",
            Self::Observe => "sidecar: Observe",
            Self::Off => "sidecar: Off",
            Self::Peer(Peer::Nginx) => "nginx",
            Self::Peer(Peer::Haproxy) => "HAProxy",
            Self::Peer(Peer::Envoy) => "Envoy",
        }
    }
}

/// What all of them are started with.
#[derive(Debug)]
pub(crate) struct Ground {
    /// The two cores.
    pub cores: Cores,
    /// The sidecar's program.
    pub sidecar: PathBuf,
    /// The peers that can be had.
    pub peers: Vec<(Peer, Program)>,
    /// How many descriptors a process may have.
    pub descriptors: usize,
    /// The second byte of this run's loopback addresses, so that two runs do not meet.
    pub network: u8,
}

impl Ground {
    /// Where the application listens.
    pub(crate) fn application(&self) -> SocketAddr {
        SocketAddr::new(self.ip(0, 1), 3000)
    }

    /// How many clients a proxy can have at once: each takes two descriptors.
    pub(crate) fn connections(&self) -> usize {
        self.descriptors.saturating_sub(200) / 2
    }

    /// The numbers of WebSockets that `subject` can have at once, ascending. A sidecar fits its limits to the
    /// descriptors (`sidecar/src/limits.rs`): some 600 and three sixteenths of the rest, but no more than 3,072, are
    /// kept back, and a connection takes two. Clients get three quarters of what is left and peers one, and half of
    /// each is left to requests. A forwarded WebSocket comes from a peer.
    pub(crate) fn websockets(&self, subject: Subject) -> Vec<usize> {
        let rest = self.descriptors.saturating_sub(600);
        let from_peers = ((rest - (rest / 16 * 3).min(3_072)) / 2 / 4 / 2).max(1);
        match subject {
            Subject::Forwarded => vec![from_peers],
            _ => vec![from_peers, 3 * from_peers],
        }
    }

    /// An address of this run. Subjects have those whose third byte is below 16.
    pub(crate) fn ip(&self, third: u8, fourth: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(127, self.network, third, fourth))
    }

    /// Starts `subject` and waits until it takes connections. `wrapper` precedes its command.
    pub(crate) fn start(&self, subject: Subject, wrapper: &[OsString]) -> Result<Running> {
        let third = Subject::ALL.iter().position(|one| *one == subject).and_then(|at| u8::try_from(at).ok());
        let third = 1 + third.unwrap_or_default();
        let directory = TempDir::with_prefix("socketio-affinity-bench-")?;
        let mut running = Running {
            subject,
            entry: self.application(),
            owner: self.application(),
            processes: Vec::new(),
            directory,
        };
        match subject {
            Subject::Direct => {}
            Subject::Peer(peer) => peers::start(self, peer, third, wrapper, &mut running)?,
            role => ours::start(self, role, third, wrapper, &mut running)?,
        }
        running.wait_until_it_serves()?;
        Ok(running)
    }
}

/// A subject that runs. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Running {
    /// What it is.
    pub subject: Subject,
    /// Where the measured requests go.
    pub entry: SocketAddr,
    /// Where sessions are opened.
    pub owner: SocketAddr,
    /// All its processes: of two sidecars, that at `entry` comes first.
    pub processes: Vec<Process>,
    directory: TempDir,
}

impl Running {
    /// What a sidecar's warm-up needs, where this is one.
    pub(crate) fn cold(&self, sessions: &Sessions) -> Option<Cold> {
        match self.subject {
            Subject::Direct | Subject::Peer(_) => None,
            _ => Some(Cold {
                entry: self.entry,
                script: Work::PollSmall.script(&self.entry.to_string(), &sessions.sids),
                admin: SocketAddr::new(self.owner.ip(), ours::ADMIN),
            }),
        }
    }

    /// The CPU time of all its processes.
    pub(crate) fn cpu_time(&self) -> Result<Duration> {
        let mut total = Duration::ZERO;
        for process in &self.processes {
            total += procfs::cpu_time(process.pid()).map_err(|error| process.explain(&error.into()))?;
        }
        Ok(total)
    }

    /// How the kernel's clock has found all its processes.
    pub(crate) fn ticks(&self) -> Result<Ticks> {
        let mut all = Ticks::default();
        for process in &self.processes {
            let ticks = procfs::ticks(process.pid()).map_err(|error| process.explain(&error.into()))?;
            all.own += ticks.own;
            all.kernel += ticks.kernel;
        }
        Ok(all)
    }

    /// `error`, with what its processes have printed about it.
    pub(crate) fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        self.processes.iter().fold(error, |error, process| match process.printed().trim() {
            "" => error,
            _ => process.explain(&error),
        })
    }

    fn wait_until_it_serves(&mut self) -> Result<()> {
        // The application's listener is there already, and takes this without being served meanwhile.
        wait_until_they_listen(&[self.entry, self.owner], &mut self.processes)
    }
}

/// Waits until connections are taken at all of these addresses, as long as these processes live.
pub(crate) fn wait_until_they_listen(addresses: &[SocketAddr], processes: &mut [Process]) -> Result<()> {
    // A program under valgrind takes long to start.
    let until = Instant::now() + Duration::from_secs(120);
    for address in addresses {
        while TcpStream::connect_timeout(address, Duration::from_secs(1)).is_err() {
            interrupt::check()?;
            for process in &mut *processes {
                process.check()?;
            }
            if Instant::now() > until {
                bail!("nobody listens on {address} after two minutes");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    Ok(())
}
