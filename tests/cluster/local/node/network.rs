//! The node's network: a loopback, one interface with the node's address, and no way out.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::services::NODE_IP;
use crate::programs;

/// Sets the network up, in a network namespace that the process was started in.
pub(super) fn prepare() -> Result<()> {
    ip("link set lo up")?;
    // kubelet refuses a loopback address. Not every kernel has `dummy`; a bridge does as well.
    if ip("link add node0 type dummy").is_err() {
        ip("link add node0 type bridge")?;
    }
    ip(&format!("address add {NODE_IP}/24 dev node0"))?;
    ip("link set node0 up")?;
    // Components look for the default route's interface.
    ip("route add default dev node0")?;
    fs::write("/proc/sys/net/ipv4/ip_forward", "1")
        .context("The node cannot be allowed to forward packets between pods")
}

fn ip(arguments: &str) -> Result<()> {
    let output = Command::new("ip")
        .args(arguments.split(' '))
        .env("PATH", programs::search_path())
        .output()
        .context("ip cannot be run; install iproute2")?;
    if !output.status.success() {
        bail!("`ip {arguments}` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
