//! nginx, HAProxy and Envoy, each with its configuration of `tests/bench/peers`.

use std::ffi::OsString;
use std::fs;

use anyhow::{Context, Result, bail};

use super::{Ground, Process, Running};
use crate::cores::Core;
use crate::programs::Peer;

pub(super) fn start(
    ground: &Ground,
    peer: Peer,
    third: u8,
    wrapper: &[OsString],
    running: &mut Running,
) -> Result<()> {
    let program = ground.peers.iter().find(|(of, _)| *of == peer);
    let (_, program) = program.with_context(|| format!("{} cannot be had here", peer.name()))?;
    running.entry = (ground.ip(third, 1), 8080).into();
    running.owner = running.entry;

    let (template, file) = match peer {
        Peer::Nginx => (include_str!("../../peers/nginx.conf"), "nginx.conf"),
        Peer::Haproxy => (include_str!("../../peers/haproxy.cfg"), "haproxy.cfg"),
        Peer::Envoy => (include_str!("../../peers/envoy.yaml"), "envoy.yaml"),
    };
    let directory = running.directory.path().to_owned();
    let configuration = fill(
        template,
        &[
            ("listen", running.entry.to_string()),
            ("listen_ip", running.entry.ip().to_string()),
            ("listen_port", running.entry.port().to_string()),
            ("application", ground.application().to_string()),
            ("application_ip", ground.application().ip().to_string()),
            ("application_port", ground.application().port().to_string()),
            ("descriptors", ground.descriptors.to_string()),
            ("worker_connections", (ground.descriptors * 5 / 4).to_string()),
            ("connections", ground.connections().to_string()),
            ("directory", directory.display().to_string()),
        ],
    )?;
    let path = directory.join(file);
    fs::write(&path, configuration)?;

    let arguments: Vec<OsString> = match peer {
        Peer::Nginx => vec!["-e".into(), "stderr".into(), "-c".into(), path.into()],
        Peer::Haproxy => vec!["-db".into(), "-f".into(), path.into()],
        Peer::Envoy => vec![
            "-c".into(),
            path.into(),
            "--concurrency".into(),
            "1".into(),
            "--disable-hot-restart".into(),
            "--log-level".into(),
            "error".into(),
        ],
    };
    let command = wrapper.iter().chain(&program.command).cloned().chain(arguments);
    running.processes.push(Process::start(peer.name(), ground.cores, Core::Proxy, &directory, command)?);
    Ok(())
}

/// `template` with each `{{name}}` replaced; all that it names must be there.
fn fill(template: &str, values: &[(&str, String)]) -> Result<String> {
    let mut filled = template.to_owned();
    for (name, value) in values {
        filled = filled.replace(&format!("{{{{{name}}}}}"), value);
    }
    match filled.split_once("{{") {
        Some((_, rest)) => {
            bail!("nothing is known to put in place of {{{{{}", rest.lines().next().unwrap_or_default())
        }
        None => Ok(filled),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_filled_whole() {
        assert_eq!(fill("a {{b}} {{b}}", &[("b", "c".to_owned())]).unwrap(), "a c c");
        assert!(fill("a {{b}}", &[]).is_err());
    }
}
