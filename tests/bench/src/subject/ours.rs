//! The sidecar: how it is started, and its roles among the subjects.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::{Ground, Process, Running, Subject};
use crate::cores::Core;

/// Where a sidecar listens for clients, and where its metrics are.
const CLIENTS: u16 = 7900;
pub(super) const ADMIN: u16 = 7902;

/// One sidecar: the pod it stands in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pod {
    /// Its IP.
    pub ip: IpAddr,
    /// Where its application listens.
    pub app: SocketAddr,
}

impl Pod {
    /// Where clients connect.
    pub(crate) fn clients(self) -> SocketAddr {
        SocketAddr::new(self.ip, CLIENTS)
    }

    /// Where metrics are.
    pub(crate) fn admin(self) -> SocketAddr {
        SocketAddr::new(self.ip, ADMIN)
    }

    /// The command of its sidecar, with a configuration of [`init`].
    pub(crate) fn sidecar(self, ground: &Ground, config: &Path) -> Vec<OsString> {
        let options: [(&str, OsString); 9] = [
            ("--app", self.app.to_string().into()),
            ("--pod-ip", self.ip.to_string().into()),
            ("--pod-uid", format!("bench-{}", self.ip).into()),
            ("--config-dir", config.into()),
            ("--listen", self.clients().to_string().into()),
            ("--admin-listen", self.admin().to_string().into()),
            ("--max-connections", ground.connections().to_string().into()),
            ("--max-websockets", ground.connections().to_string().into()),
            ("--log", "error".into()),
        ];
        let options = options.into_iter().flat_map(|(name, value)| [name.into(), value]);
        std::iter::once(ground.sidecar.clone().into()).chain(options).collect()
    }
}

/// Makes a configuration for sidecars of one cluster, and returns where it is.
pub(crate) fn init(ground: &Ground, mode: &str, directory: &Path) -> Result<PathBuf> {
    let config = directory.join("config");
    let made = Command::new(&ground.sidecar)
        .args(["init", "--cluster", "bench", "--mode", mode])
        .arg(&config)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .with_context(|| format!("{} cannot be run", ground.sidecar.display()))?;
    if !made.success() {
        bail!("`socketio-sidecar init` failed; see its message above");
    }
    Ok(config)
}

pub(super) fn start(
    ground: &Ground,
    role: Subject,
    third: u8,
    wrapper: &[OsString],
    running: &mut Running,
) -> Result<()> {
    let mode = match role {
        Subject::Observe => "observe",
        Subject::Off => "off",
        _ => "enforce",
    };
    let directory = running.directory.path().to_owned();
    let config = init(ground, mode, &directory)?;

    // The owner of a forwarded hit is a second one.
    let places: &[(u8, &str)] = match role {
        Subject::Forwarded => &[(1, "the sidecar"), (2, "the owner's sidecar")],
        _ => &[(1, "the sidecar")],
    };
    for (fourth, name) in places {
        let pod = Pod { ip: ground.ip(third, *fourth), app: ground.application() };
        let command = wrapper.iter().cloned().chain(pod.sidecar(ground, &config));
        running.processes.push(Process::start(*name, ground.cores, Core::Proxy, &directory, command)?);
        if *fourth == 1 {
            running.entry = pod.clients();
        }
        running.owner = pod.clients();
    }
    Ok(())
}
