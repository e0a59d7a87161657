//! Running other programs, with one clear sentence when they fail.
//!
//! Dropping the future kills the program: that is how a signal cancels what is under way.

use std::path::PathBuf;
use std::process::{Output, Stdio};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

/// Where administrators' programs live; `su` and CI leave them out of PATH.
const SYSTEM: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// `PATH`, with the administrators' directories after it.
pub(crate) fn search_path() -> String {
    match std::env::var("PATH") {
        Ok(path) if !path.is_empty() => format!("{path}:{SYSTEM}"),
        _ => SYSTEM.to_owned(),
    }
}

/// Where `program` is, if it is installed.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = search_path();
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

/// A command that finds its program and ends with us.
pub(crate) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("PATH", search_path()).kill_on_drop(true);
    command
}

/// Runs `command` to its end and gives what it wrote to standard output.
pub(crate) async fn output(command: &mut Command) -> Result<String> {
    let shown = show(command);
    let output = finish(command).await?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("`{shown}` failed ({}): {}", output.status, stderr.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether `command` ends well. What it writes is of no interest.
pub(crate) async fn succeeds(command: &mut Command) -> bool {
    finish(command).await.is_ok_and(|output| output.status.success())
}

async fn finish(command: &mut Command) -> Result<Output> {
    let shown = show(command);
    command.stdin(Stdio::null()).output().await.with_context(|| format!("`{shown}` cannot be run"))
}

fn show(command: &Command) -> String {
    let command = command.as_std();
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
