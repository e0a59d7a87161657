//! `socketio-sidecar init`: the configuration directory of a new cluster.
//!
//! The CA's key is thrown away once it has signed the one certificate that all sidecars share, so that
//! nothing can join the cluster later by a certificate of its own. To renew, make a new directory.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use socketio_sidecar_core::certificates::{CertificateAuthority, CertificateFailure};
use socketio_sidecar_core::config::{
    CA_FILE, CERTIFICATE_FILE, CONFIG_FILE, Config, KEY_FILE, Mode, TAG_KEYS_FILE, TagKey, TagKeys,
    encode_key,
};
use socketio_sidecar_core::owner_tag::KEY_LENGTH;

/// Content of the directory to make.
#[derive(Debug)]
pub struct Init {
    /// The directory, which must not exist.
    pub directory: PathBuf,
    /// The cluster's name.
    pub cluster: String,
    /// The mode to begin in.
    pub mode: Mode,
    /// For how many days the certificates are valid.
    pub valid_days: u32,
}

/// Reason why the directory cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum InitFailure {
    /// The directory is there already.
    #[error("{0} exists already; name another directory, or remove it first: its keys would be lost")]
    Exists(PathBuf),
    /// A file cannot be written.
    #[error("{path}: {error}")]
    Write {
        /// Path of the file or directory.
        path: PathBuf,
        /// Cause.
        error: io::Error,
    },
    /// Certificates cannot be made.
    #[error(transparent)]
    Certificate(#[from] CertificateFailure),
    /// The system gives no random bytes.
    #[error("cannot make a key: the system gives no random bytes")]
    Random,
    /// The configuration cannot be written as JSON.
    #[error("cannot write the configuration: {0}")]
    Json(#[from] serde_json::Error),
}

/// Makes the directory, readable by its owner only.
///
/// # Errors
/// See [`InitFailure`]. What was written until then is left, except where the directory existed.
pub fn init(init: &Init) -> Result<(), InitFailure> {
    let write_error = |path: &Path| {
        let path = path.to_owned();
        move |error: io::Error| match error.kind() {
            io::ErrorKind::AlreadyExists => InitFailure::Exists(path),
            _ => InitFailure::Write { path, error },
        }
    };
    fs::DirBuilder::new().mode(0o700).create(&init.directory).map_err(write_error(&init.directory))?;

    let mut key = [0; KEY_LENGTH];
    aws_lc_rs::rand::fill(&mut key).map_err(|_| InitFailure::Random)?;
    let tag_keys = TagKeys { seal_with: 1, keys: vec![TagKey { id: 1, key: encode_key(&key) }] };
    let config = Config {
        revision: "1".to_owned(),
        cluster: init.cluster.clone(),
        mode: init.mode,
        path: "/socket.io/".to_owned(),
        forwarded_for: None,
        trusted_proxies: Vec::new(),
        proxy_protocol: false,
        close_over: None,
    };
    let mut config = serde_json::to_value(config)?;
    // What is edited first stands there to be edited, though it may be the default, which is not written.
    config["mode"] = serde_json::to_value(init.mode)?;
    let (now, valid_for) = (SystemTime::now(), Duration::from_secs(86_400 * u64::from(init.valid_days)));
    let authority = CertificateAuthority::generate("socketio-affinity peers CA")?;
    let leaf = authority.issue(&init.cluster, now, valid_for)?;
    for (name, content) in [
        (CONFIG_FILE, serde_json::to_string_pretty(&config)? + "\n"),
        (TAG_KEYS_FILE, serde_json::to_string_pretty(&tag_keys)? + "\n"),
        (CA_FILE, authority.certificate(now, valid_for)?),
        (CERTIFICATE_FILE, leaf.certificate),
        (KEY_FILE, leaf.key),
    ] {
        let path = init.directory.join(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(content.as_bytes())).map_err(write_error(&path))?;
    }
    Ok(())
}
