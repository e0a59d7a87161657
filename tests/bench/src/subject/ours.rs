//! The sidecar, in each of its roles.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::{Ground, Process, Running, Subject};

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

    // The owner of a forwarded hit is a second one.
    let places: &[(u8, &'static str)] = match role {
        Subject::Forwarded => &[(1, "the sidecar"), (2, "the owner's sidecar")],
        _ => &[(1, "the sidecar")],
    };
    for (fourth, name) in places {
        let ip = ground.ip(third, *fourth);
        let arguments: [OsString; 16] = [
            "--app".into(),
            ground.application().to_string().into(),
            "--pod-ip".into(),
            ip.to_string().into(),
            "--pod-uid".into(),
            format!("bench-{fourth}").into(),
            "--config-dir".into(),
            config.clone().into(),
            "--listen".into(),
            SocketAddr::new(ip, 7900).to_string().into(),
            "--admin-listen".into(),
            SocketAddr::new(ip, 7902).to_string().into(),
            "--max-connections".into(),
            ground.connections().to_string().into(),
            "--log".into(),
            "error".into(),
        ];
        let command = wrapper.iter().cloned().chain([ground.sidecar.clone().into()]).chain(arguments);
        running.processes.push(Process::start(name, ground.cores, &directory, command)?);
        running.owner = SocketAddr::new(ip, 7900);
    }
    running.entry = SocketAddr::new(ground.ip(third, 1), 7900);
    Ok(())
}
