//! The files that configure a sidecar: the contract between it and whoever writes them.
//!
//! One directory holds all that can change while a sidecar runs, so that one update changes it whole
//! (in Kubernetes a Secret, mounted as a directory and never by `subPath`, which would not be updated):
//!
//! | file | holds |
//! | --- | --- |
//! | [`CONFIG_FILE`] | [`Config`] |
//! | [`TAG_KEYS_FILE`] | [`TagKeys`] |
//! | [`CA_FILE`], [`CERTIFICATE_FILE`], [`KEY_FILE`] | PEM: the cluster's CA, and this sidecar's certificate and key for the connections between peers |
//!
//! A certificate of a cluster is valid for the names [`peer_name`] gives.

mod json;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::engine_io::EngineIoPath;
pub use crate::forwarded::ForwardedFor;
use crate::forwarded::Trust;
use crate::owner_tag::{KeyRing, KeyRingRefusal, PodDigest};
use json::Content;

pub use json::JsonRefusal;

/// The name of the file with the [`Config`], as JSON.
pub const CONFIG_FILE: &str = "config.json";
/// The name of the file with the [`TagKeys`], as JSON.
pub const TAG_KEYS_FILE: &str = "tag-keys.json";
/// The name of the file with the cluster's CA certificates, as PEM.
pub const CA_FILE: &str = "ca.crt";
/// The name of the file with the sidecars' certificate chain, as PEM.
pub const CERTIFICATE_FILE: &str = "tls.crt";
/// The name of the file with the private key of that certificate, as PEM.
pub const KEY_FILE: &str = "tls.key";

/// The longest window of a paced close, in seconds.
const CLOSE_OVER_MOST: u32 = 3600;

/// Treatment of sessions by a sidecar.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// Gives out no tags. Tags that are out are still honoured, until their sessions end.
    #[default]
    Off,
    /// Like `Off`, and counts the requests whose session the application did not know.
    Observe,
    /// Tags handshakes and forwards what arrives at the wrong pod.
    Enforce,
}

/// [`CONFIG_FILE`].
///
/// A field that it does not know makes a sidecar refuse the file: whoever writes it by hand learns of a wrong
/// name. So that a program may write it for sidecars that are older than itself, nothing is written that has
/// its default value: a field that such a sidecar does not know stands there only where it is made use of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// Names this configuration; a sidecar that has applied it says so on its admin port. At most 63 letters,
    /// digits, `.`, `_` and `-`.
    pub revision: String,
    /// The UID of the SocketIoCluster, or any name that no other cluster has.
    pub cluster: String,
    /// Default: `Off`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: Mode,
    /// Path at which the application serves Engine.IO; default `/socket.io/`.
    #[serde(default = "default_path", skip_serializing_if = "is_default_path")]
    pub path: String,
    /// The treatment of `X-Forwarded-For` and the like from peers that are no trusted proxies. Default: `Replace`
    /// where there are trusted proxies, else `Preserve`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub forwarded_for: Option<ForwardedFor>,
    /// The networks of the proxies whose `X-Forwarded-For` and the like pass unchanged; default none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub trusted_proxies: Vec<IpNet>,
    /// Trusted proxies begin each connection with a PROXY protocol header. A connection from them without it is
    /// refused. Default: `false`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub proxy_protocol: bool,
    /// A paced close: from the moment that a sidecar applies this, it ends the sessions that run through
    /// it so that their clients come back, spread over so many seconds, 1 to 3600; default: nothing is
    /// closed. While it stands here, no tags are given out, whatever the mode says.
    ///
    /// - A session with a tag, whatever it runs over, has a moment of its own, the same at every
    ///   sidecar. A request of it that starts later goes to the local application with its tag on, as one
    ///   for a session that nobody knows; its WebSocket ends.
    /// - Any other WebSocket that was open when the close began ends at a moment of its own. One that was
    ///   opened later stays: it belongs to what comes next. So do polling sessions without a tag.
    /// - The window begins when a configuration with this field is applied after one without it, or when
    ///   the sidecar starts with it, and goes on through every later one that has it; another number
    ///   moves its end. Without the field again, what has not been closed goes on.
    #[serde(default, skip_serializing_if = "is_default")]
    pub close_over: Option<u32>,
}

const DEFAULT_PATH: &str = "/socket.io/";

fn default_path() -> String {
    DEFAULT_PATH.to_owned()
}

fn is_default_path(path: &str) -> bool {
    path == DEFAULT_PATH
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// [`TAG_KEYS_FILE`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TagKeys {
    /// The id of the key that new tags are sealed with.
    pub seal_with: u8,
    /// All keys that open tags.
    pub keys: Vec<TagKey>,
}

/// A key of [`TagKeys`].
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TagKey {
    /// 0 to 15, unique.
    pub id: u8,
    /// 32 random bytes in base64.
    pub key: String,
}

/// The longest revision, in characters.
const MAX_REVISION_LENGTH: usize = 63;
/// The shapes of the files, as a refusal words them.
const CONFIG_SHAPE: &str =
    "an object with revision and cluster (strings), and with what else a configuration may have";
const TAG_KEYS_SHAPE: &str =
    "{\"sealWith\": ID, \"keys\": [{\"id\": ID, \"key\": \"BASE64\"}]} with IDs from 0 to 15";

/// Reasons to refuse a file. No variant holds any part of a key, wherever in the files it stands; see [`JsonRefusal`].
#[derive(Debug, thiserror::Error)]
pub enum ConfigRefusal {
    /// Not JSON of the right shape.
    #[error("{file}: {error}")]
    Json {
        /// The file's name.
        file: &'static str,
        /// Position and cause.
        error: JsonRefusal,
    },
    /// A path that cannot be matched.
    #[error(
        "{CONFIG_FILE}: path is not usable; give the application's Engine.IO path, such as \"/socket.io/\""
    )]
    Path,
    /// No revision, so that nobody could tell whether it was applied.
    #[error("{CONFIG_FILE}: revision is empty; give each change another one, such as a counter")]
    NoRevision,
    /// A revision that may be something else: it is shown to whoever asks, so it must not be a secret.
    #[error(
        "{CONFIG_FILE}: revision is not usable; give at most {MAX_REVISION_LENGTH} letters, digits, '.', '_' and \
         '-', such as a counter"
    )]
    Revision,
    /// A window of a length that makes no sense.
    #[error(
        "{CONFIG_FILE}: closeOver is {0}; give the seconds over which sessions are to be closed, 1 to \
         {CLOSE_OVER_MOST}, or leave it out"
    )]
    CloseOver(u32),
    /// PROXY protocol headers from anybody.
    #[error(
        "{CONFIG_FILE}: proxyProtocol needs trustedProxies; name the networks of the load balancers that send the \
         header, none of prefix length 0"
    )]
    ProxyProtocol,
    /// A key that is not base64.
    #[error("{TAG_KEYS_FILE}: key {0} is not base64; make one with `openssl rand -base64 32`")]
    KeyEncoding(u8),
    /// A set of keys that cannot work.
    #[error("{TAG_KEYS_FILE}: {0}")]
    Keys(KeyRingRefusal),
    /// A cluster name that cannot work.
    #[error("{CONFIG_FILE}: {0}")]
    Cluster(KeyRingRefusal),
}

/// A configuration that was read and found usable.
#[derive(Debug)]
pub struct Settings {
    /// The file's content.
    pub config: Config,
    /// [`Config::path`], ready to match.
    pub path: EngineIoPath,
    /// The tag keys, ready to use.
    pub keys: KeyRing,
}

impl Settings {
    /// Reads the contents of [`CONFIG_FILE`] and [`TAG_KEYS_FILE`].
    ///
    /// # Errors
    /// Names the file, the place in it, and what to do; see [`ConfigRefusal`].
    pub fn parse(config: &[u8], tag_keys: &[u8]) -> Result<Self, ConfigRefusal> {
        let config: Config = json::parse(config, CONFIG_SHAPE, Content::Public)
            .map_err(|error| ConfigRefusal::Json { file: CONFIG_FILE, error })?;
        if config.revision.is_empty() {
            return Err(ConfigRefusal::NoRevision);
        }
        if !is_revision(&config.revision) {
            return Err(ConfigRefusal::Revision);
        }
        if let Some(seconds) = config.close_over.filter(|seconds| !(1..=CLOSE_OVER_MOST).contains(seconds)) {
            return Err(ConfigRefusal::CloseOver(seconds));
        }
        let names_all = |network: &IpNet| network.prefix_len() == 0;
        if config.proxy_protocol
            && (config.trusted_proxies.is_empty() || config.trusted_proxies.iter().any(names_all))
        {
            return Err(ConfigRefusal::ProxyProtocol);
        }
        let path = EngineIoPath::new(&config.path).map_err(|_| ConfigRefusal::Path)?;
        let tag_keys: TagKeys = json::parse(tag_keys, TAG_KEYS_SHAPE, Content::Secret)
            .map_err(|error| ConfigRefusal::Json { file: TAG_KEYS_FILE, error })?;
        let mut keys = Vec::with_capacity(tag_keys.keys.len());
        for TagKey { id, key } in &tag_keys.keys {
            keys.push((*id, STANDARD.decode(key).map_err(|_| ConfigRefusal::KeyEncoding(*id))?));
        }
        let borrowed = keys.iter().map(|(id, key)| (*id, key.as_slice()));
        let keys =
            KeyRing::new(&config.cluster, tag_keys.seal_with, borrowed).map_err(|refusal| match refusal {
                KeyRingRefusal::NoCluster => ConfigRefusal::Cluster(refusal),
                refusal => ConfigRefusal::Keys(refusal),
            })?;
        Ok(Self { config, path, keys })
    }

    /// Over how long sessions are to be closed, if they are.
    #[must_use]
    pub fn close_over(&self) -> Option<Duration> {
        self.config.close_over.map(|seconds| Duration::from_secs(seconds.into()))
    }

    /// Reports whether new sessions are given tags.
    #[must_use]
    pub fn gives_tags(&self) -> bool {
        self.config.mode == Mode::Enforce && self.config.close_over.is_none()
    }

    /// The settings that say whose `X-Forwarded-For` and the like are believed.
    #[must_use]
    pub fn trust(&self) -> Trust<'_> {
        Trust { forwarded_for: self.config.forwarded_for, trusted_proxies: &self.config.trusted_proxies }
    }
}

/// Returns true if a revision can be shown. A key in base64 ends with `=`, and PEM has spaces.
fn is_revision(revision: &str) -> bool {
    revision.len() <= MAX_REVISION_LENGTH
        && revision.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// Encodes a key for a [`TagKey`].
#[must_use]
pub fn encode_key(key: &[u8]) -> String {
    STANDARD.encode(key)
}

/// The DNS name by which a sidecar asks a peer to prove that it is the one in this very pod. One
/// certificate, for `*.<domain>`, serves all pods of a cluster; see [`peer_domain`].
#[must_use]
pub fn peer_name(pod: PodDigest, cluster: &str) -> String {
    format!("{:016x}.{}", u64::from_be_bytes(pod.0), peer_domain(cluster))
}

/// The domain of a cluster's [`peer_name`]s. It is never looked up. The cluster's name is digested,
/// since it may hold what a DNS name may not.
#[must_use]
pub fn peer_domain(cluster: &str) -> String {
    format!("{:016x}.peers.socketio-affinity.internal", u64::from_be_bytes(PodDigest::of_uid(cluster).0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &str =
        r#"{"sealWith":1,"keys":[{"id":1,"key":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="}]}"#;

    fn refusal(config: &str, keys: &str) -> String {
        Settings::parse(config.as_bytes(), keys.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn two_lines_are_a_configuration() {
        let settings = Settings::parse(br#"{"revision":"1","cluster":"c"}"#, KEYS.as_bytes()).unwrap();
        assert_eq!(settings.config.mode, Mode::Off);
        assert_eq!(settings.path, EngineIoPath::new("/socket.io").unwrap());
    }

    #[test]
    fn what_has_its_default_value_is_not_written_so_that_older_sidecars_can_read_the_rest() {
        let least = r#"{"revision":"1","cluster":"c"}"#;
        let everything = r#"{"revision":"1","cluster":"c","mode":"Enforce","path":"/chat/","forwardedFor":"Preserve","trustedProxies":["10.0.0.0/8"],"proxyProtocol":true,"closeOver":1}"#;
        for text in [least, everything] {
            let settings = Settings::parse(text.as_bytes(), KEYS.as_bytes()).unwrap();
            assert_eq!(serde_json::to_string(&settings.config).unwrap(), text);
        }
        // No field is missing above, and one that is added is not written without need.
        let unknown = refusal(r#"{"revision":"1","cluster":"c","?":1}"#, KEYS);
        let fields = unknown.split("expected one of").nth(1).unwrap().split('`').skip(1).step_by(2);
        for field in fields {
            assert!(everything.contains(&format!("\"{field}\":")), "{field} is to be tried here: {unknown}");
        }
    }

    #[test]
    fn a_refusal_names_the_file_and_what_to_do() {
        let good = r#"{"revision":"1","cluster":"c"}"#;
        for (config, keys, says) in [
            ("{", KEYS, "config.json: not JSON: EOF while parsing an object at line 1 column 1"),
            (r#"{"revision":"1","cluster":"c","mod":"Off"}"#, KEYS, "config.json: unknown field `mod`"),
            (
                r#"{"revision":"1","cluster":"c","mode":"on"}"#,
                KEYS,
                "expected one of `Off`, `Observe`, `Enforce`",
            ),
            (r#"{"revision":"","cluster":"c"}"#, KEYS, "config.json: revision is empty"),
            (r#"{"revision":"1","cluster":""}"#, KEYS, "config.json: cluster is empty"),
            (r#"{"revision":"1","cluster":"c","path":"x"}"#, KEYS, "config.json: path is not usable; give"),
            (
                r#"{"revision":"1=","cluster":"c"}"#,
                KEYS,
                "config.json: revision is not usable; give at most 63",
            ),
            (
                r#"{"revision":"1","cluster":"c","trustedProxies":["10.0.0.1"]}"#,
                KEYS,
                "config.json: invalid IP address syntax; give a network such as \"10.0.0.0/8\" at line 1 column",
            ),
            (
                r#"{"revision":"1","cluster":"c","proxyProtocol":true}"#,
                KEYS,
                "config.json: proxyProtocol needs trustedProxies; name",
            ),
            (
                r#"{"revision":"1","cluster":"c","proxyProtocol":true,"trustedProxies":["10.0.0.0/8","::/0"]}"#,
                KEYS,
                "config.json: proxyProtocol needs trustedProxies; name",
            ),
            (
                r#"{"revision":"1","cluster":"c","closeOver":0}"#,
                KEYS,
                "config.json: closeOver is 0; give the seconds over which sessions are to be closed, 1 to 3600, or",
            ),
            (
                r#"{"revision":"1","cluster":"c","closeOver":3601}"#,
                KEYS,
                "config.json: closeOver is 3601; give",
            ),
            (
                r#"{"revision":"1","cluster":"c","closeOver":-1}"#,
                KEYS,
                "config.json: invalid value: integer `-1`",
            ),
            (good, "{}", "tag-keys.json: another shape than {\"sealWith\": ID"),
            (good, r#"{"sealWith":1,"keys":[{"id":1,"key":"!"}]}"#, "tag-keys.json: key 1 is not base64"),
            (
                good,
                r#"{"sealWith":1,"keys":[{"id":1,"key":"AQE="}]}"#,
                "tag-keys.json: key 1 is not 32 bytes long",
            ),
            (good, r#"{"sealWith":1,"keys":[]}"#, "tag-keys.json: sealWith names key 1, which is not among"),
        ] {
            let said = refusal(config, keys);
            assert!(said.contains(says), "{said:?} should say {says:?}");
        }
    }

    #[test]
    fn while_sessions_are_closed_none_is_given_a_tag() {
        for (more, gives_tags, close_over) in [
            ("", false, None),
            (r#","mode":"Observe""#, false, None),
            (r#","mode":"Enforce""#, true, None),
            (r#","mode":"Enforce","closeOver":3600"#, false, Some(Duration::from_secs(3600))),
            (r#","closeOver":1"#, false, Some(Duration::from_secs(1))),
        ] {
            let config = format!(r#"{{"revision":"1","cluster":"c"{more}}}"#);
            let settings = Settings::parse(config.as_bytes(), KEYS.as_bytes()).unwrap();
            assert_eq!((settings.gives_tags(), settings.close_over()), (gives_tags, close_over), "{config}");
        }
    }

    #[test]
    fn a_peer_name_is_a_dns_name_whatever_the_cluster_is_called() {
        let name = peer_name(PodDigest::of_uid("pod"), "a cluster / with *");
        assert!(name.len() < 253 && name.split('.').all(|label| (1..=63).contains(&label.len())));
        assert!(
            name.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte))
        );
    }
}
