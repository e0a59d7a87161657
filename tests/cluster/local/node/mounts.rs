//! The node's own view of the file system.
//!
//! ```text
//! /run           empty, in memory: sockets, containers' state, network namespaces
//! /run/cluster   the cluster's state directory; bin is where the components are
//! /var/lib       its lib:  etcd, images, volumes
//! /var/log       its log
//! /tmp           empty, in memory
//! ```
//!
//! So the programs use the places that they use anywhere, and nothing of it is the machine's.
//! The rest (`/usr`, `/etc`, the project) is. The mounts go with the namespace.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_change};

use super::services::{COMPONENTS, STATE};

/// Mounts everything, in a mount namespace that the process was started in.
pub(super) fn prepare(state: &Path, components: &Path) -> Result<()> {
    // `unshare` cut the ties to the machine's mounts; inside, volumes may be shared.
    mount_change("/", MountPropagationFlags::SHARED | MountPropagationFlags::REC)
        .context("The node's mounts cannot be changed")?;
    in_memory("/run")?;
    fs::create_dir(STATE).with_context(|| format!("{STATE} cannot be made"))?;
    bind(state, STATE)?;
    bind(components, COMPONENTS)?;
    in_memory("/tmp")?;
    bind(&Path::new(STATE).join("log"), "/var/log")?;
    bind(&Path::new(STATE).join("lib"), "/var/lib")
}

fn in_memory(place: &str) -> Result<()> {
    mount("tmpfs", place, "tmpfs", MountFlags::NOSUID | MountFlags::NODEV, None)
        .with_context(|| format!("Nothing can be mounted on {place}"))
}

fn bind(source: &Path, place: &str) -> Result<()> {
    mount_bind(source, place).with_context(|| format!("{} cannot be mounted on {place}", source.display()))
}
