//! Programs of Debian testing, which has the current stable releases, on whichever Debian this is.
//!
//! apt-get works in directories of its own here: it downloads the packages and all they need, libc
//! included, as for an empty system. They are unpacked, not installed, and a program is started by the
//! dynamic loader that came with it. The system's package lists stay as they are; its archive keyring and
//! its mirror are used.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{cache, in_path, output};

/// What valgrind has to know of a libc that is not the system's.
const SYMBOLS: &str = "libc6-dbg";
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// The command that starts this program, whose package has the same name. `modules` are packages that go with it.
pub(super) fn program(name: &str, modules: &[&str]) -> Result<Vec<OsString>> {
    let root = cache()?.join("debian-testing").join(name);
    let unpacked = root.join("root");
    if !unpacked.is_dir() {
        crate::progress::say(format_args!("fetching {name} of Debian testing"));
        fetch(name, modules, &root, &unpacked)?;
    }
    fetched(name)
}

/// The command that starts this program, if it was fetched before.
pub(super) fn fetched(name: &str) -> Result<Vec<OsString>> {
    let unpacked = cache()?.join("debian-testing").join(name).join("root");
    if !unpacked.is_dir() {
        bail!("{} is missing", unpacked.display());
    }
    let loader =
        find(&unpacked.join("usr/lib"), |name| name.starts_with("ld-linux-")).with_context(|| {
            format!("{} has no dynamic loader; remove it to fetch it again", unpacked.display())
        })?;
    let program = unpacked.join("usr/sbin").join(name);
    let libraries = loader.parent().context("a file has a directory")?;
    Ok(vec![loader.clone().into(), "--library-path".into(), libraries.into(), program.into()])
}

/// The debugging symbols that came with it.
pub(super) fn symbols(name: &str) -> Result<PathBuf> {
    let symbols = cache()?.join("debian-testing").join(name).join("root/usr/lib/debug");
    if symbols.is_dir() { Ok(symbols) } else { bail!("{} is missing", symbols.display()) }
}

fn fetch(name: &str, modules: &[&str], root: &Path, unpacked: &Path) -> Result<()> {
    for tool in ["apt-get", "dpkg-deb"] {
        in_path(tool).with_context(|| format!("{tool} is missing; this is no Debian"))?;
    }
    if !Path::new(KEYRING).exists() {
        bail!("{KEYRING} is missing; install debian-archive-keyring");
    }
    let (lists, archives) = (root.join("lists"), root.join("cache/archives"));
    for directory in [lists.join("partial"), archives.join("partial")] {
        fs::create_dir_all(&directory).with_context(|| format!("{} cannot be made", directory.display()))?;
    }
    let (sources, status) = (root.join("sources.list"), root.join("status"));
    let mirror = mirror()?;
    fs::write(&sources, format!("deb [signed-by={KEYRING}] {mirror} testing main\n"))?;
    fs::write(&status, "")?;
    let options = [
        format!("Dir::Etc::sourcelist={}", sources.display()),
        "Dir::Etc::sourceparts=-".to_owned(),
        format!("Dir::State::lists={}", lists.display()),
        format!("Dir::State::status={}", status.display()),
        format!("Dir::Cache={}", root.join("cache").display()),
        // The sandbox's user may not write here.
        "APT::Sandbox::User=root".to_owned(),
    ];
    let apt_get = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.arg("-qq").args(options.iter().flat_map(|option| ["-o", option.as_str()]));
        output(command.args(arguments))
    };
    apt_get(&["update"])?;
    let install = ["install", "--yes", "--download-only", "--no-install-recommends", name, SYMBOLS];
    apt_get(&[&install, modules].concat())?;
    // Whole or not at all: an interrupted run must not leave half of it under the final name.
    let partial = root.join("root.partial");
    for package in fs::read_dir(&archives)? {
        let package = package?.path();
        if package.extension().is_some_and(|extension| extension == "deb") {
            output(Command::new("dpkg-deb").arg("--extract").arg(&package).arg(&partial))?;
        }
    }
    fs::rename(&partial, unpacked).context("what was unpacked cannot be renamed")?;
    Ok(())
}

/// The mirror that this system has its packages from.
fn mirror() -> Result<String> {
    let said =
        output(Command::new("apt-get").args(["indextargets", "--format", "$(REPO_URI) $(ORIGIN) $(SUITE)"]))?;
    let mirror = said.lines().find_map(|line| {
        let mut words = line.split(' ');
        let (uri, origin, suite) = (words.next()?, words.next()?, words.next()?);
        (origin == "Debian" && !suite.contains('-')).then(|| uri.to_owned())
    });
    mirror.context("apt-get knows no mirror of Debian; run `apt-get update` first")
}

fn find(directory: &Path, wanted: impl Fn(&str) -> bool + Copy) -> Option<PathBuf> {
    let entries = fs::read_dir(directory).ok()?;
    let mut directories = Vec::new();
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            directories.push(entry.path());
        } else if entry.file_name().to_str().is_some_and(wanted) {
            return Some(entry.path());
        }
    }
    directories.into_iter().find_map(|directory| find(&directory, wanted))
}
