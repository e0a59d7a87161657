//! Signals, and the command that runs in the cluster.
//!
//! While the cluster starts, a signal cancels that. While the command runs, it is the command
//! that is told to end, and given some time, so that it can tidy up; the cluster goes after it.

use std::io::IsTerminal;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};
use tokio::time::timeout;

use crate::report::say;

const COMMAND_ENDS_WITHIN: Duration = Duration::from_secs(15);

/// This program was told to end.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("interrupted by {name}")]
pub(crate) struct Interrupted {
    name: &'static str,
    signal: Signal,
    number: u8,
}

impl Interrupted {
    /// The exit code by which shells know it.
    pub(crate) fn code(self) -> ExitCode {
        ExitCode::from(128 + self.number)
    }
}

/// The signals that ask this program to end.
pub(crate) struct Signals {
    interrupt: Stream,
    terminate: Stream,
    hang_up: Stream,
}

impl Signals {
    /// From now on these signals no longer end the program by themselves.
    pub(crate) fn new() -> Result<Self> {
        let stream = |kind| signal(kind).context("Signals cannot be received");
        Ok(Self {
            interrupt: stream(SignalKind::interrupt())?,
            terminate: stream(SignalKind::terminate())?,
            hang_up: stream(SignalKind::hangup())?,
        })
    }

    /// Waits for the next.
    pub(crate) async fn next(&mut self) -> Interrupted {
        tokio::select! {
            _ = self.interrupt.recv() => Interrupted { name: "Ctrl-C", signal: Signal::INT, number: 2 },
            _ = self.terminate.recv() => Interrupted { name: "SIGTERM", signal: Signal::TERM, number: 15 },
            _ = self.hang_up.recv() => Interrupted { name: "SIGHUP", signal: Signal::HUP, number: 1 },
        }
    }

    /// Does `work` unless a signal comes first, which drops it.
    pub(crate) async fn unless<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            result = work => result,
            interrupted = self.next() => Err(interrupted.into()),
        }
    }
}

/// Runs `command` with this program's terminal, and gives its exit code.
pub(crate) async fn run(mut command: Command, signals: &mut Signals) -> Result<ExitCode> {
    let mut child = command.spawn().context("The command cannot be run")?;
    let interrupted = tokio::select! {
        status = child.wait() => return Ok(code_of(status?)),
        interrupted = signals.next() => interrupted,
    };
    say(format_args!("{interrupted}; waiting for the command to end"));
    // The terminal has sent Ctrl-C to the command as well; a second one may mean "at once".
    let from_terminal = interrupted.signal == Signal::INT && std::io::stdin().is_terminal();
    if !from_terminal {
        send(&child, interrupted.signal);
    }
    if timeout(COMMAND_ENDS_WITHIN, child.wait()).await.is_err() {
        say(format_args!("the command does not end; it is killed"));
        child.kill().await.context("The command cannot be killed")?;
    }
    Err(interrupted.into())
}

fn send(child: &Child, signal: Signal) {
    // Its id is its own until it is waited for.
    if let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// A command's exit code; 128 and the signal's number when one ended it, as shells say it.
fn code_of(status: ExitStatus) -> ExitCode {
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_one_thread<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
    }

    #[test]
    fn the_commands_exit_code_is_passed_on() {
        on_one_thread(async {
            let mut signals = Signals::new().unwrap();
            let mut command = Command::new("sh");
            command.args(["-c", "exit 7"]);
            assert_eq!(run(command, &mut signals).await.unwrap(), ExitCode::from(7));
            let mut command = Command::new("sh");
            command.args(["-c", "kill -KILL $$"]);
            assert_eq!(run(command, &mut signals).await.unwrap(), ExitCode::from(137));
        });
    }
}
