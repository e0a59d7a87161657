//! A process that was started, which ends with the run: by being dropped, and where `setpriv` is there even
//! when this program is killed.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Error, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::cores::{Core, Cores};
use crate::programs;

/// A running program.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` on `core`. What it prints goes into a file of `directory`.
    pub(crate) fn start(
        name: impl Into<String>,
        cores: Cores,
        core: Core,
        directory: &Path,
        command: impl IntoIterator<Item = OsString>,
    ) -> Result<Self> {
        Self::spawn(name.into(), cores, core, directory, command, false)
    }

    /// As [`Self::start`], but with pipes to tell it what to do and to read what it answers.
    pub(crate) fn start_talking(
        name: impl Into<String>,
        cores: Cores,
        core: Core,
        directory: &Path,
        command: impl IntoIterator<Item = OsString>,
    ) -> Result<(Self, ChildStdin, ChildStdout)> {
        let mut process = Self::spawn(name.into(), cores, core, directory, command, true)?;
        let pipes = process.child.stdin.take().zip(process.child.stdout.take());
        let (stdin, stdout) = pipes.context("both are pipes")?;
        Ok((process, stdin, stdout))
    }

    fn spawn(
        name: String,
        cores: Cores,
        core: Core,
        directory: &Path,
        command: impl IntoIterator<Item = OsString>,
        talks: bool,
    ) -> Result<Self> {
        let mut command: Vec<OsString> = command.into_iter().collect();
        if let Some(setpriv) = programs::in_path("setpriv") {
            command.splice(0..0, [setpriv.into(), "--pdeathsig".into(), "KILL".into(), "--".into()]);
        }
        let log = directory.join(format!("{name}.log"));
        let output = File::options().create(true).append(true).open(&log)?;
        let mut start = Command::new(command.first().context("a command is never empty")?);
        start.args(command.get(1..).unwrap_or_default()).current_dir(directory);
        // Programs of ours end when their input does, so it stays open as long as they are wanted.
        start.stdin(Stdio::piped()).stderr(output.try_clone()?);
        start.stdout(if talks { Stdio::piped() } else { output.into() });
        let child = cores.on(core, || start.spawn())?.with_context(|| format!("{name} cannot be started"))?;
        Ok(Self { name, child, log })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Fails if it has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(self.explain(&anyhow!("it has ended with {status}"))),
        }
    }

    /// Asks it to end by itself, and waits for that.
    pub(crate) fn end(&mut self, patience: Duration) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("a pid is positive")?;
        kill_process(pid, Signal::INT)?;
        let until = Instant::now() + patience;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > until {
                bail!("{} does not end within {} s of SIGINT", self.name, patience.as_secs());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// What went wrong, with the last it has printed.
    pub(crate) fn explain(&self, error: &Error) -> Error {
        let log = self.printed();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines.get(lines.len().saturating_sub(3)..).unwrap_or_default().join("\n  ");
        match last.as_str() {
            "" => anyhow!("{error:#}; {} has printed nothing", self.name),
            last => anyhow!("{error:#}; {} last printed:\n  {last}", self.name),
        }
    }

    /// All it has printed.
    pub(crate) fn printed(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Process {
    /// Ends it at once.
    pub(crate) fn kill(&mut self) {
        // Nothing of a proxy is worth waiting for, and it may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
