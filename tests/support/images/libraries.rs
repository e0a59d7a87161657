//! The shared libraries that a program needs, as the machine's own `ldd` resolves them.
//!
//! `ldd` lets the dynamic loader answer, so only programs that one trusts may be asked about.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

const ELF_MAGIC: [u8; 4] = [0x7f, b'E', b'L', b'F'];

/// The libraries and the loader that `file` needs; none for a script, data or a static program.
pub fn needed_by(file: &Path) -> Result<Vec<PathBuf>> {
    if !is_elf(file)? {
        return Ok(Vec::new());
    }
    let output = Command::new("ldd")
        .arg(file)
        .env("LC_ALL", "C")
        .output()
        .context("ldd cannot be run; it comes with the C library (Debian: libc-bin)")?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    if stderr.contains("not a dynamic executable") {
        return Ok(Vec::new());
    }
    if !output.status.success() {
        bail!("ldd {} failed: {}", file.display(), stderr.trim());
    }
    parse(&stdout).with_context(|| format!("The libraries of {} are not known", file.display()))
}

/// Reads `ldd`'s answer.
pub fn parse(answer: &str) -> Result<Vec<PathBuf>> {
    let mut libraries = Vec::new();
    for line in answer.lines().map(str::trim) {
        if line.is_empty() || line == "statically linked" {
            continue;
        }
        // `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)`, or the loader's path alone.
        let resolved = line.split_once(" => ").map_or(line, |(_, resolved)| resolved);
        if resolved.starts_with("not found") {
            bail!("ldd does not find the library {line:?}; install the package that has it");
        }
        let path = resolved.split(" (").next().unwrap_or(resolved);
        // linux-vdso has no file: the kernel provides it.
        if path.starts_with('/') {
            libraries.push(PathBuf::from(path));
        }
    }
    Ok(libraries)
}

fn is_elf(file: &Path) -> Result<bool> {
    let mut start = Vec::with_capacity(ELF_MAGIC.len());
    File::open(file)
        .and_then(|open| open.take(ELF_MAGIC.len() as u64).read_to_end(&mut start))
        .with_context(|| format!("{} cannot be read", file.display()))?;
    Ok(start == ELF_MAGIC)
}
