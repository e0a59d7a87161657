//! The clients of a system: `node/clients.js`, which is told what to do line by line.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ChildStdin;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde::{Deserialize, Serialize};

use crate::cores::Core;
use crate::interrupt;
use crate::subject::{Ground, Process};

/// How often it is looked whether the run was interrupted.
const LOOK: Duration = Duration::from_millis(20);

/// Where the clients' requests go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Those of one client always to the same pod.
    Affine,
    /// Each to the next pod.
    RoundRobin,
}

/// What the clients can be told.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(tag = "do", rename_all = "lowercase")]
pub(super) enum Command {
    /// To connect, one after the other. Answered with how long each took.
    Connect { transports: &'static [&'static str], clients: usize },
    /// To send so many messages, as fast as they can.
    Warm { messages: usize },
    /// To send so many a second. Answered with how long each took.
    Talk { rate: usize, ms: u64 },
    /// To end all connections.
    Disconnect,
}

#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(default)]
    us: Vec<u64>,
    error: Option<String>,
}

/// The program.
#[derive(Debug)]
pub(super) struct NodeClients {
    process: Process,
    commands: ChildStdin,
    answers: Receiver<std::io::Result<String>>,
}

impl NodeClients {
    /// Starts it, for clients of a system that is reached at these addresses.
    pub(super) fn start(
        ground: &Ground,
        directory: &Path,
        program: &Path,
        way: Way,
        targets: &[SocketAddr],
    ) -> Result<Self> {
        let way = match way {
            Way::Affine => "affine",
            Way::RoundRobin => "round-robin",
        };
        let mut command: Vec<OsString> = vec!["node".into(), program.into(), way.into()];
        command.extend(targets.iter().map(|target| format!("http://{target}").into()));
        let (process, commands, output) =
            Process::start_talking("the clients", ground.cores, Core::Load, directory, command)?;
        let (sender, answers) = sync_channel(1);
        // Ends with the pipe, or when nobody reads what it has read.
        thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { process, commands, answers })
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Has them do it, and returns the times that they saw, in ascending order and microseconds.
    pub(super) fn tell(&mut self, command: Command, patience: Duration) -> Result<Vec<u64>> {
        let line = serde_json::to_string(&command)? + "\n";
        let told = self.commands.write_all(line.as_bytes());
        told.map_err(|error| self.process.explain(&anyhow!("the clients cannot be told: {error}")))?;
        let until = Instant::now() + patience;
        let line = loop {
            interrupt::check()?;
            match self.answers.recv_timeout(LOOK) {
                Ok(line) => break line?,
                Err(RecvTimeoutError::Timeout) if Instant::now() < until => {}
                Err(RecvTimeoutError::Timeout) => {
                    bail!("the clients have not done this within {} s: {command:?}", patience.as_secs())
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(self.process.explain(&anyhow!("the clients' program has ended")));
                }
            }
        };
        let answer: Answer = serde_json::from_str(&line).context("the clients' answer cannot be read")?;
        if let Some(error) = answer.error {
            bail!("the clients failed: {error}");
        }
        let mut times = answer.us;
        times.sort_unstable();
        Ok(times)
    }
}
