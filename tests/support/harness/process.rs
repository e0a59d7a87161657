//! A program that ends with its test, and what it has printed.

use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{WAIT, eventually};

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    /// Tasks that read what the program prints.
    readers: [JoinHandle<()>; 2],
}

impl Process {
    /// Starts `command`; `name` is for messages.
    #[must_use]
    pub fn start(name: &str, command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let readers = [
            tokio::spawn(keep(child.stdout.take().expect("piped"), lines.clone())),
            tokio::spawn(keep(child.stderr.take().expect("piped"), lines.clone())),
        ];
        Self { name: name.to_owned(), child, lines, readers }
    }

    /// All it has printed so far, on standard output and error.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("no test panics while it prints").clone()
    }

    /// Waits for a line that holds `text`, and returns it.
    pub async fn line_with(&mut self, text: &str) -> String {
        let found = self.line_with_or_end(text).await;
        found.unwrap_or_else(|| panic!("{} did not print {text:?} but {:#?}", self.name, self.lines()))
    }

    /// Waits for a line that holds `text`, or for the program's end. `None`: no such line came in time.
    pub async fn line_with_or_end(&mut self, text: &str) -> Option<String> {
        let mut found = None;
        let waited = timeout(WAIT, async {
            loop {
                // In this order: its last lines may not have been read yet when it has ended.
                let ended = self.child.try_wait().expect("a child can be waited for").is_some();
                let is_all = ended && self.readers.iter().all(JoinHandle::is_finished);
                found = self.lines().into_iter().find(|line| line.contains(text));
                if found.is_some() || is_all {
                    break;
                }
                tokio::time::sleep(super::LOOK).await;
            }
        });
        let _ = waited.await;
        found
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the program runs");
    }

    /// Process id of the program.
    #[must_use]
    pub fn pid(&self) -> Pid {
        let id = self.child.id().unwrap_or_else(|| panic!("{} has ended: {:#?}", self.name, self.lines()));
        Pid::from_raw(id.try_into().expect("a pid is small")).expect("a pid is not zero")
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> ExitStatus {
        match timeout(WAIT, self.child.wait()).await {
            Ok(status) => status.expect("a child can be waited for"),
            Err(_) => panic!("{} does not end: {:#?}", self.name, self.lines()),
        }
    }

    /// Kills it and waits for its end.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("it can be killed");
    }

    /// Waits until all that it printed before its end has been read, and returns it.
    pub async fn output(&mut self) -> Vec<String> {
        self.ended().await;
        // The two readers hold the other references until they have read to the end.
        eventually("the output is read", async || Arc::strong_count(&self.lines) == 1).await;
        self.lines()
    }
}

async fn keep(from: impl AsyncRead + Unpin, lines: Arc<Mutex<Vec<String>>>) {
    let mut reader = BufReader::new(from).lines();
    while let Ok(Some(line)) = reader.next_line().await {
        lines.lock().expect("no test panics while it prints").push(line);
    }
}
