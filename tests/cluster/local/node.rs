//! Process 1 of the node: prepares the namespaces it was started in, then runs the services.
//!
//! It is started by [`super::boot`] through `unshare` and starts nothing by itself: it is told
//! over its socket ([`super::control`]), so the order stands in one place. It ends when its
//! standard input closes, and with it everything in the node.
//!
//! Paths inside the node differ from the machine's: see [`mounts`].

mod mounts;
mod network;
mod supervisor;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use self::supervisor::Supervisor;
use super::{control, services};
use crate::cli;
use crate::report::say;

/// Whoever asks writes one short line at once.
const REQUEST_WITHIN: Duration = Duration::from_secs(5);

/// Runs the node until standard input closes.
pub(crate) fn run(node: &cli::Node) -> Result<ExitCode> {
    end_with_standard_input();
    mounts::prepare(&node.state, &node.components)?;
    network::prepare()?;
    let supervisor =
        Arc::new(Supervisor::new(services::all(), Path::new("/var/log"), &node.state.join("log")));
    let socket = Path::new(services::STATE).join(control::SOCKET);
    let listener =
        UnixListener::bind(&socket).with_context(|| format!("{} cannot be bound", socket.display()))?;
    let answering = Arc::clone(&supervisor);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let supervisor = Arc::clone(&answering);
            thread::spawn(move || {
                // Whoever asked may be gone; that is no concern of the node.
                let _ = answer(stream, &supervisor);
            });
        }
    });
    supervisor.reap()
}

/// The program that started the node holds the other end of standard input, and nobody else.
fn end_with_standard_input() {
    thread::spawn(|| {
        let mut byte = [0];
        while std::io::stdin().read(&mut byte).is_ok_and(|read| read > 0) {}
        std::process::exit(0);
    });
}

fn answer(mut stream: UnixStream, supervisor: &Arc<Supervisor>) -> Result<()> {
    stream.set_read_timeout(Some(REQUEST_WITHIN))?;
    let mut line = String::new();
    BufReader::new(stream.try_clone()?.take(256)).read_line(&mut line)?;
    let result = match line.trim().split_once(' ') {
        Some(("start", name)) => supervisor.start(name),
        Some(("stop", name)) => supervisor.stop(name),
        _ => Err(anyhow::anyhow!("the node does not understand {line:?}")),
    };
    match result {
        Ok(()) => writeln!(stream, "{}", control::OK)?,
        Err(error) => writeln!(stream, "{error:#}")?,
    }
    Ok(())
}

/// Says what a person should know of, such as a service that ended by itself.
fn warn(line: std::fmt::Arguments<'_>) {
    say(format_args!("node: {line}"));
}
