//! Network namespaces of tests, made with `ip`.

use std::fs::File;
use std::os::fd::AsFd;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Runs `ip` with these arguments, which single spaces part.
///
/// # Errors
/// `ip` is not installed, or refuses.
pub fn ip(arguments: &str) -> Result<()> {
    let output = Command::new("ip").args(arguments.split(' ')).output();
    let output = output.context("ip cannot be run; install iproute2")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ip {arguments}: {}", said.trim());
    Ok(())
}

/// Moves this thread, and what it starts from now on, into the namespace that `ip netns` has made under `name`.
///
/// # Errors
/// There is no such namespace, or this process may not enter it.
pub fn enter(name: &str) -> Result<()> {
    let namespace =
        File::open(format!("/run/netns/{name}")).with_context(|| format!("no namespace {name}"))?;
    enter_file(&namespace)
}

/// Moves this thread, and what it starts from now on, into the network namespace of an open file.
///
/// # Errors
/// This process may not enter it.
pub fn enter_file(namespace: &File) -> Result<()> {
    Ok(move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?)
}
