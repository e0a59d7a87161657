//! A configuration directory, made by `socketio-sidecar init`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};
use socketio_sidecar_core::config::{CONFIG_FILE, Settings, TAG_KEYS_FILE};
use socketio_sidecar_core::owner_tag::{KeyRing, Owner};
use tempfile::TempDir;
use tokio::process::Command;

use super::sidecar::program;

/// The name of every cluster here, unless a test says otherwise.
pub const CLUSTER: &str = "test";

/// A directory that one or several sidecars are started with.
#[derive(Debug)]
pub struct Config {
    directory: TempDir,
}

impl Config {
    /// A new cluster, in `off`, `observe` or `enforce`.
    pub async fn new(mode: &str) -> Self {
        Self::of_cluster(CLUSTER, mode).await
    }

    /// A new cluster of this name, with keys of its own.
    pub async fn of_cluster(cluster: &str, mode: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let config = Self { directory };
        let made = Command::new(program())
            .args(["init", "--cluster", cluster, "--mode", mode])
            .arg(config.path())
            .output()
            .await
            .expect("the sidecar runs");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        config
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("config")
    }

    /// A file's content.
    #[must_use]
    pub fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path().join(file)).expect("init makes all files")
    }

    /// Replaces a file, in one step.
    pub fn write(&self, file: &str, content: &str) {
        replace(&self.path(), file, content);
    }

    /// Changes `config.json`, and returns the new revision.
    #[must_use = "wait until a sidecar has applied it"]
    pub fn change(&self, change: impl FnOnce(&mut Value)) -> String {
        static REVISION: AtomicU32 = AtomicU32::new(100);
        let revision = REVISION.fetch_add(1, Ordering::Relaxed).to_string();
        let mut config: Value = serde_json::from_str(&self.read(CONFIG_FILE)).expect("it is JSON");
        change(&mut config);
        config["revision"] = json!(revision);
        self.write(CONFIG_FILE, &config.to_string());
        revision
    }

    /// Sets the mode, as `config.json` spells it, and returns the new revision.
    #[must_use = "wait until a sidecar has applied it"]
    pub fn set_mode(&self, mode: &str) -> String {
        self.change(|config| config["mode"] = json!(mode))
    }

    /// Tag keys of the directory.
    #[must_use]
    pub fn keys(&self) -> KeyRing {
        let (config, keys) = (self.read(CONFIG_FILE), self.read(TAG_KEYS_FILE));
        Settings::parse(config.as_bytes(), keys.as_bytes()).expect("it is a configuration").keys
    }

    /// `sid` with a tag that names `owner`, as a sidecar of this cluster gives it out.
    #[must_use]
    pub fn tagged(&self, sid: &str, owner: &Owner) -> String {
        format!("{sid}.{}", self.keys().seal(sid, owner).expect("it can be sealed"))
    }
}

fn replace(directory: &Path, file: &str, content: &str) {
    let new = directory.join(format!(".{file}.new"));
    fs::write(&new, content).expect("the directory is ours");
    fs::rename(new, directory.join(file)).expect("the directory is ours");
}
