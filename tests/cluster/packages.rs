//! The Debian packages that a node needs beside Kubernetes' own programs.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::programs;
use crate::report::say;

/// What is needed, and the package that has it.
const NEEDED: [(&str, &str); 9] = [
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("runc", "runc"),
    ("/usr/lib/cni/ptp", "containernetworking-plugins"),
    ("nft", "nftables"),
    ("ip", "iproute2"),
    ("nsenter", "util-linux"),
    ("unshare", "util-linux"),
    // For the pause image, which is one small C program.
    ("cc", "gcc libc6-dev"),
];

/// Installs what is absent, saying so.
pub(crate) async fn install_absent() -> Result<()> {
    let packages = absent();
    if packages.is_empty() {
        return Ok(());
    }
    if programs::find("apt-get").is_none() {
        bail!(
            "These Debian packages, or what your system calls them, must be installed: {}",
            packages.join(" ")
        );
    }
    say(format_args!("installing {} with apt-get", packages.join(" ")));
    // Package lists that are absent or old are the usual reason for a failure.
    if !apt_get(&["install"], &packages).await? {
        apt_get(&["update"], &[]).await?;
        if !apt_get(&["install"], &packages).await? {
            bail!("apt-get cannot install {}; see its messages above", packages.join(" "));
        }
    }
    match absent() {
        still if still.is_empty() => Ok(()),
        still => bail!("apt-get installed {}, but what is needed of it is not there", still.join(" ")),
    }
}

fn absent() -> Vec<&'static str> {
    let mut packages: Vec<&str> = NEEDED
        .iter()
        .filter(|(what, _)| match what.starts_with('/') {
            true => !Path::new(what).exists(),
            false => programs::find(what).is_none(),
        })
        .flat_map(|(_, packages)| packages.split(' '))
        .collect();
    packages.dedup();
    packages
}

/// Its errors can be read; the progress of each package is of no interest.
async fn apt_get(action: &[&str], packages: &[&str]) -> Result<bool> {
    let status = programs::command("apt-get")
        .args(["-qq", "-y", "--no-install-recommends"])
        .args(action)
        .args(packages)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .await
        .context("apt-get cannot be run")?;
    Ok(status.success())
}
