//! The Debian packages that a node needs beside Kubernetes' own programs, and those of the tests on it.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::programs;
use crate::report::say;

/// A program, by name or path, and the packages that bring it.
type Needed = (&'static str, &'static str);

/// What a node needs.
const NODE: [Needed; 9] = [
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

/// What the end-to-end tests run beside the cluster.
const TESTS: [Needed; 1] = [("nginx", NGINX)];

/// Has no package without a service, which starts at once and at every boot.
const NGINX: &str = "nginx";

/// The same program as `redis-server`: it goes by the name under which it is started. The package of
/// that name is not installed, since it would start a server on this machine.
const REDIS: Needed = ("redis-check-rdb", "redis-tools");

/// Installs what a node and the tests on it need and is absent, saying so.
pub(crate) async fn install_absent() -> Result<()> {
    install(&[&NODE[..], &TESTS].concat()).await
}

/// The program of a Redis server. It is installed if it is absent.
pub(crate) async fn redis() -> Result<PathBuf> {
    install(&[REDIS]).await?;
    programs::find(REDIS.0).context("Redis is installed, but is not found")
}

async fn install(needed: &[Needed]) -> Result<()> {
    let packages = absent(needed);
    if packages.is_empty() {
        return Ok(());
    }
    if programs::find("apt-get").is_none() || !rustix::process::geteuid().is_root() {
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
    if packages.contains(&NGINX) {
        end_service(NGINX).await?;
    }
    match absent(needed) {
        still if still.is_empty() => Ok(()),
        still => bail!("apt-get installed {}, but what is needed of it is not there", still.join(" ")),
    }
}

/// Ends a service that came with a package, for good: nobody asked for it.
async fn end_service(name: &str) -> Result<()> {
    // Without systemd, as in containers, packages start nothing.
    if Path::new("/run/systemd/system").exists() {
        let disabled = programs::command("systemctl")
            .args(["--quiet", "disable", "--now", name])
            .stdin(Stdio::null())
            .status()
            .await
            .context("systemctl cannot be run")?;
        if !disabled.success() {
            bail!(
                "the service {name}, which came with its package, still runs: `systemctl disable --now {name}` ends it"
            );
        }
    }
    Ok(())
}

fn absent(needed: &[Needed]) -> Vec<&'static str> {
    let mut packages: Vec<&str> = needed
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
