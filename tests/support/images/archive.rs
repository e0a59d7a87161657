//! The docker-archive format: `manifest.json`, a configuration and one layer.
//!
//! Format: "Docker Image Specification v1.2", <https://github.com/moby/docker-image-spec>.
//! Times are zero and owners numeric, so that equal files give equal archives.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use aws_lc_rs::digest::{self, SHA256};
use serde_json::{Value, json};

use super::Image;

/// Writes `image` with `files` (by their place in the image) to `out`.
pub fn write(image: &Image, files: &BTreeMap<String, PathBuf>, out: &mut File) -> Result<()> {
    // The layer's digest stands in the configuration, so the layer is made first.
    let mut layer = tempfile::tempfile().context("No temporary file can be made")?;
    write_layer(files, &mut layer)?;
    let layer_size = layer.stream_position()?;
    let layer_digest = digest_of(&mut layer)?;

    let config = serde_json::to_vec(&configuration(image, &layer_digest))?;
    let config_name = format!("{}.json", hex(digest::digest(&SHA256, &config).as_ref()));
    let layer_name = format!("{layer_digest}/layer.tar");
    let manifest = serde_json::to_vec(&json!([{
        "Config": config_name,
        "RepoTags": [image.reference],
        "Layers": [layer_name],
    }]))?;

    let mut archive = tar::Builder::new(out);
    append(&mut archive, &config_name, 0o644, config.len() as u64, config.as_slice())?;
    layer.seek(SeekFrom::Start(0))?;
    append(&mut archive, &layer_name, 0o644, layer_size, &layer)?;
    append(&mut archive, "manifest.json", 0o644, manifest.len() as u64, manifest.as_slice())?;
    archive.into_inner()?.flush()?;
    Ok(())
}

fn configuration(image: &Image, layer_digest: &str) -> Value {
    json!({
        "architecture": architecture(),
        "os": "linux",
        "config": {
            "User": image.user,
            "Entrypoint": image.entrypoint,
            "Env": image.env,
            "WorkingDir": image.working_dir,
        },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{layer_digest}")] },
        "history": [{ "created_by": "socketio-affinity tests, from local files" }],
    })
}

/// The machine's architecture by the name that image configurations use.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn write_layer(files: &BTreeMap<String, PathBuf>, layer: &mut File) -> Result<()> {
    let mut archive = tar::Builder::new(layer);
    for directory in directories(files) {
        let mut header = header(0o755, 0);
        header.set_entry_type(tar::EntryType::Directory);
        archive.append_data(&mut header, format!("{directory}/"), io::empty())?;
    }
    for (destination, source) in files {
        let unreadable = || format!("{} cannot be read", source.display());
        let file = File::open(source).with_context(unreadable)?;
        let metadata = file.metadata().with_context(unreadable)?;
        // Only "may it be executed" is kept: the rest depends on who checked the files out.
        let executable = metadata.permissions().mode() & 0o111 != 0;
        let mode = if executable { 0o755 } else { 0o644 };
        append(&mut archive, destination.trim_start_matches('/'), mode, metadata.len(), file)
            .with_context(unreadable)?;
    }
    archive.into_inner()?.flush()?;
    Ok(())
}

/// All directories above `files`, parents first, relative to the root.
fn directories(files: &BTreeMap<String, PathBuf>) -> BTreeSet<String> {
    let mut directories = BTreeSet::new();
    for destination in files.keys() {
        for parent in Path::new(destination).ancestors().skip(1) {
            let relative = parent.to_string_lossy().trim_start_matches('/').to_owned();
            if !relative.is_empty() {
                directories.insert(relative);
            }
        }
    }
    directories
}

fn append<W: Write>(
    archive: &mut tar::Builder<W>,
    path: &str,
    mode: u32,
    size: u64,
    data: impl Read,
) -> io::Result<()> {
    archive.append_data(&mut header(mode, size), path, data)
}

fn header(mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

fn digest_of(file: &mut File) -> Result<String> {
    file.seek(SeekFrom::Start(0))?;
    let mut context = digest::Context::new(&SHA256);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hex(context.finish().as_ref()));
        }
        context.update(&buffer[..read]);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
