//! The configuration directory: read at start, and again whenever it changes.
//!
//! # Invariants
//! - What is applied is one set of files, which two successive reads agree on. A set that is refused changes nothing: the
//!   one before stays in force, and the refusal is logged once and shown on the admin port.
//! - The directory is read once a second rather than watched: that costs five small reads, and works
//!   on every file system and with the way in which kubelet swaps the directories of a volume.
//! - Only regular files are read, and by one thread of their own ([`Reading`]): a file system that hangs stops nothing else.
//! - A paced close begins when the first settings with `closeOver` are applied, and its window goes on
//!   through all later ones that have it.
//! - Connections that are open keep the TLS settings they were made with; requests see new settings at
//!   once.

mod reading;
mod tls;

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use rustix::fs::OFlags;
use socketio_sidecar_core::config::{
    CA_FILE, CERTIFICATE_FILE, CONFIG_FILE, ConfigRefusal, KEY_FILE, Settings, TAG_KEYS_FILE, peer_name,
};
use socketio_sidecar_core::owner_tag::{Owner, PodDigest};
use socketio_sidecar_core::ownership::Rules;
use socketio_sidecar_core::pace::Closing;
use tokio::time::Instant;

pub(crate) use reading::{Reading, Tick};
pub(crate) use tls::{PeerTls, WATCH_PROTOCOL};

/// Time between two readings of the directory.
pub const RELOAD_INTERVAL: Duration = Duration::from_secs(1);
/// The longest file that is read, in bytes.
const FILE_MOST: u64 = 1 << 20;

/// Pod of this sidecar.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The pod's IP, at which its peers reach it.
    pub pod_ip: IpAddr,
    /// The pod's UID, or whatever else names this place uniquely.
    pub pod_uid: String,
    /// The port of the application.
    pub app_port: u16,
}

/// A set of settings in force.
#[derive(Debug)]
pub struct Applied {
    pub(crate) settings: Settings,
    pub(crate) own: Owner,
    pub(crate) tls: PeerTls,
    pub(crate) close_window: Option<CloseWindow>,
}

/// Over which time sessions are closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CloseWindow {
    pub(crate) began: Instant,
    pub(crate) length: Duration,
}

impl Applied {
    /// Rules of the ownership decision in force now.
    pub(crate) fn rules(&self) -> Rules<'_> {
        let closing = self
            .close_window
            .map(|window| Closing { window: window.length, elapsed: window.began.elapsed() });
        Rules { path: &self.settings.path, keys: &self.settings.keys, own: &self.own, closing }
    }

    /// In a paced close: how many seconds its window has left, begun ones included.
    pub(crate) fn seconds_to_close(&self) -> Option<u64> {
        let window = self.close_window?;
        let left = window.length.saturating_sub(window.began.elapsed());
        Some(left.as_secs() + u64::from(left.subsec_nanos() > 0))
    }
}

/// Reason why a directory cannot be applied.
#[derive(Debug, thiserror::Error)]
pub enum SettingsRefusal {
    /// A file cannot be read.
    #[error("{path}: {error}; {}", why_unreadable(path, error))]
    Read {
        /// The file.
        path: PathBuf,
        /// Cause.
        error: io::Error,
    },
    /// A file's content is refused.
    #[error(transparent)]
    Content(#[from] ConfigRefusal),
    /// The certificate, its key or the CA is refused.
    #[error(transparent)]
    Tls(#[from] tls::TlsRefusal),
}

/// Advice for a file that cannot be read.
fn why_unreadable(path: &Path, error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound if path.parent().is_some_and(Path::is_dir) => {
            "the directory is not complete: copy the file from another sidecar of the cluster"
        }
        io::ErrorKind::NotFound => "`socketio-sidecar init DIR` makes a directory with all files",
        io::ErrorKind::NotADirectory => "name the directory, not a file in it",
        io::ErrorKind::PermissionDenied => "let the user of the sidecar read it",
        _ => "the sidecar needs all five files of its configuration directory",
    }
}

/// The files as read, in the order of [`FILES`].
type Files = [Vec<u8>; 5];
const FILES: [&str; 5] = [CONFIG_FILE, TAG_KEYS_FILE, CA_FILE, CERTIFICATE_FILE, KEY_FILE];

/// The settings in force, and where they come from.
#[derive(Debug)]
pub struct Source {
    directory: PathBuf,
    identity: Identity,
    applied: ArcSwap<Applied>,
    /// The files that were read last, locked while they are read again.
    seen: Mutex<Files>,
    refusal: Mutex<Option<String>>,
}

/// Result of a read of the directory.
#[derive(Debug, PartialEq, Eq)]
pub enum Reload {
    /// The directory is as it was before.
    Unchanged,
    /// New settings, now in force.
    Applied,
    /// Something that cannot be applied, and is not what was refused before.
    Refused(String),
}

impl Source {
    /// Reads `directory` for the first time.
    ///
    /// # Errors
    /// See [`SettingsRefusal`].
    pub fn open(directory: &Path, identity: Identity) -> Result<Self, SettingsRefusal> {
        let files = read(directory)?;
        let applied = ArcSwap::from_pointee(apply(&files, &identity, None)?);
        let (seen, refusal) = (Mutex::new(files), Mutex::default());
        Ok(Self { directory: directory.to_owned(), identity, applied, seen, refusal })
    }

    /// The settings in force.
    pub fn applied(&self) -> Arc<Applied> {
        self.applied.load_full()
    }

    /// Reason why the directory as it is now is not applied, if it is not.
    pub fn refusal(&self) -> Option<String> {
        self.lock_refusal().clone()
    }

    fn lock_refusal(&self) -> MutexGuard<'_, Option<String>> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the directory again, and applies it if it has changed. Connections that are open learn of a
    /// close window from whoever calls this. Blocks for as long as the file system does.
    pub fn reload(&self) -> Reload {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = read(&self.directory).and_then(|files| {
            // A directory that is just being written is looked at again later.
            if files == *seen || read(&self.directory)? != files {
                return Ok(Reload::Unchanged);
            }
            let applied = apply(&files, &self.identity, self.applied().close_window)?;
            self.applied.store(Arc::new(applied));
            *seen = files;
            Ok(Reload::Applied)
        });
        let mut last = self.lock_refusal();
        match outcome {
            Ok(outcome) => {
                *last = None;
                outcome
            }
            Err(refusal) => {
                let refusal = refusal.to_string();
                if last.as_ref() == Some(&refusal) {
                    return Reload::Unchanged;
                }
                *last = Some(refusal.clone());
                Reload::Refused(refusal)
            }
        }
    }
}

fn read(directory: &Path) -> Result<Files, SettingsRefusal> {
    // kubelet swaps the link `..data` to the volume's new content; through the link's target, all
    // files are of one version.
    let data = directory.join("..data");
    let directory = fs::canonicalize(&data).unwrap_or_else(|_| directory.to_owned());
    let mut files = Files::default();
    for (file, name) in files.iter_mut().zip(FILES) {
        let path = directory.join(name);
        *file = read_bounded(&path).map_err(|error| SettingsRefusal::Read { path, error })?;
    }
    Ok(files)
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).map_err(io::Error::other)?;
    // To open a FIFO would wait for a writer.
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("the path is not a regular file"));
    }
    let mut content = Vec::new();
    file.take(FILE_MOST + 1).read_to_end(&mut content)?;
    if content.len() as u64 > FILE_MOST {
        return Err(io::Error::other("the file is longer than 1 MiB, so it is something else"));
    }
    Ok(content)
}

fn apply(
    files: &Files,
    identity: &Identity,
    closing: Option<CloseWindow>,
) -> Result<Applied, SettingsRefusal> {
    let [config, tag_keys, ca, certificate, key] = files;
    let settings = Settings::parse(config, tag_keys)?;
    let pod = PodDigest::of_uid(&identity.pod_uid);
    let own = Owner { ip: identity.pod_ip.to_canonical(), pod, app_port: identity.app_port };
    let tls = PeerTls::new(ca, certificate, key, &peer_name(pod, &settings.config.cluster))?;
    let began = || closing.map_or_else(Instant::now, |window| window.began);
    let close_window = settings.close_over().map(|length| CloseWindow { began: began(), length });
    Ok(Applied { settings, own, tls, close_window })
}

#[cfg(test)]
mod tests;
