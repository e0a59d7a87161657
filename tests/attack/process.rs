//! A program that ends with this one, also when this one is killed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// Longest wait for a program to say that it is ready.
const START: Duration = Duration::from_secs(20);

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `words`. What the program prints goes into a file of `directory`.
    pub(crate) fn start(name: &str, directory: &Path, words: &[&str]) -> Result<Self> {
        let log = directory.join(format!("{name}.log"));
        let output = File::create(&log)?;
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .args(words)
            // The Node programs end with their input.
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .context("setpriv cannot be run; install util-linux")?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// Waits until the program has printed `text`.
    pub(crate) fn wait_for(&mut self, text: &str) -> Result<()> {
        let until = Instant::now() + START;
        while !self.printed().contains(text) {
            if !self.runs() || Instant::now() > until {
                bail!("{} did not start; it printed:\n{}", self.name, self.printed());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Process id. `ip netns exec` and `setpriv` become the program, so that it is the program's own.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Reports whether the program has not ended.
    pub(crate) fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Asks the program to end, waits for it, and returns all that it has printed.
    pub(crate) fn end(mut self, signal: Signal, patience: Duration) -> Result<String> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("a pid is positive")?;
        if self.runs() {
            kill_process(pid, signal)?;
        }
        let until = Instant::now() + patience;
        while self.runs() {
            if Instant::now() > until {
                bail!("{} does not end within {} s", self.name, patience.as_secs());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(self.printed())
    }

    fn printed(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The program may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
