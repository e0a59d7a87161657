//! Container images made from local files, without Docker.
//!
//! An [`Image`] is what a Dockerfile's last stage says: a user, an entrypoint, an environment
//! and files. [`Image::write`] turns it into a docker-archive, which both `ctr images import`
//! and `kind load image-archive` take. Beside each ELF program go the shared libraries and the
//! dynamic loader that `ldd` names for it on this machine, so an image holds exactly what its
//! program needs and no base image has to be downloaded.
//!
//! - [`definitions`]: the project's own images; their Dockerfiles describe the same.
//! - [`archive`]: the file format.
//! - [`libraries`]: what `ldd` says.
//! - [`dockerfile`]: enough of the Dockerfile language to compare the two.
//!
//! Invariant: the same files give the same bytes (sorted paths, no times, no owners' names).
//! Caveat: an image has the machine's architecture and C library, so it is for clusters on
//! this machine, never for a registry.

pub mod archive;
pub mod definitions;
pub mod dockerfile;
pub mod libraries;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// An image: its configuration and where its files come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Name and tag, as a pod names it.
    pub reference: String,
    /// `UID:GID`.
    pub user: String,
    /// The program and its first arguments.
    pub entrypoint: Vec<String>,
    /// `NAME=VALUE` pairs.
    pub env: Vec<String>,
    /// The directory in which the program starts.
    pub working_dir: String,
    /// Files and directories to copy.
    pub contents: Vec<Copied>,
}

/// A file, or a directory with all that is in it, and its absolute place in the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// On this machine.
    pub source: PathBuf,
    /// In the image.
    pub destination: String,
    /// Source of the file in a Dockerfile: a copy (`Project`), or the base image (`Base`).
    pub origin: Origin,
}

/// Source of a file when the image is built from its Dockerfile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The Dockerfile copies it.
    Project,
    /// The Dockerfile's base image has it.
    Base,
}

impl Image {
    /// Writes the image as a docker-archive to `out`, replacing what is there.
    ///
    /// The file appears complete or not at all.
    pub fn write(&self, out: &Path) -> Result<()> {
        let files = self.files()?;
        let parent = match out.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        std::fs::create_dir_all(parent)
            .with_context(|| format!("The directory {} cannot be made", parent.display()))?;
        let mut temporary = tempfile::NamedTempFile::new_in(parent)
            .with_context(|| format!("No file can be written in {}", parent.display()))?;
        archive::write(self, &files, temporary.as_file_mut())
            .with_context(|| format!("The image {} cannot be made", self.reference))?;
        temporary.persist(out).with_context(|| format!("{} cannot be written", out.display()))?;
        Ok(())
    }

    /// The project's files in the image: what its Dockerfile must copy, and nothing else.
    pub fn project_files(&self) -> Vec<&str> {
        let mut paths: Vec<&str> = self
            .contents
            .iter()
            .filter(|copied| copied.origin == Origin::Project)
            .map(|copied| copied.destination.as_str())
            .collect();
        paths.sort_unstable();
        paths
    }

    /// Every file of the image, by its place in it: what is copied, and the libraries it needs.
    pub fn files(&self) -> Result<BTreeMap<String, PathBuf>> {
        let mut files = BTreeMap::new();
        for copied in &self.contents {
            collect(&copied.source, &copied.destination, &mut files)?;
        }
        let programs: Vec<PathBuf> = files.values().cloned().collect();
        for program in programs {
            for library in libraries::needed_by(&program)? {
                let destination = library.to_string_lossy().into_owned();
                files.entry(destination).or_insert(library);
            }
        }
        Ok(files)
    }
}

/// Lists `source` (with all that is below a directory) under `destination`.
///
/// Symbolic links are followed: the image holds what they lead to.
fn collect(source: &Path, destination: &str, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    let metadata = std::fs::metadata(source)
        .with_context(|| format!("{} is needed for the image, but cannot be read", source.display()))?;
    if !metadata.is_dir() {
        files.insert(destination.to_owned(), source.to_path_buf());
        return Ok(());
    }
    for entry in std::fs::read_dir(source)
        .with_context(|| format!("The directory {} cannot be read", source.display()))?
    {
        let entry = entry?;
        let name = entry.file_name();
        // npm's links to programs (`node_modules/.bin`) are for development only.
        if name == ".bin" {
            continue;
        }
        let below = format!("{destination}/{}", name.to_string_lossy());
        collect(&entry.path(), &below, files)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
