//! Reads from the sidecars' logs which session's WebSocket tunnel ran through which pod.

use std::collections::HashSet;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use support::deployment::{NAMESPACE, Pod};

/// Follows the logs of pods to their end, which the API server no longer has once they are gone.
pub(crate) struct FollowedLogs {
    _directory: tempfile::TempDir,
    followers: Vec<(Pod, PathBuf, Child)>,
}

impl FollowedLogs {
    pub(crate) fn follow(pods: &[Pod]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let followers = pods
            .iter()
            .map(|pod| {
                let path = directory.path().join(&pod.name);
                let follower = Command::new("kubectl")
                    .args([
                        "--namespace",
                        NAMESPACE,
                        "logs",
                        "--follow",
                        &pod.name,
                        "--container=socketio-sidecar",
                    ])
                    .stdin(Stdio::null())
                    .stdout(File::create(&path).unwrap())
                    .stderr(Stdio::null())
                    .spawn()
                    .unwrap();
                (pod.clone(), path, follower)
            })
            .collect();
        Self { _directory: directory, followers }
    }

    /// The lines about tunnels of the pods for which `of` holds.
    pub(crate) fn tunnels(&self, of: impl Fn(&Pod) -> bool) -> Vec<TunnelLine> {
        let logs = self.followers.iter().filter(|(pod, ..)| of(pod));
        logs.flat_map(|(_, path, _)| {
            let text = fs::read_to_string(path).unwrap();
            text.lines().filter_map(TunnelLine::parse).collect::<Vec<_>>()
        })
        .collect()
    }
}

impl Drop for FollowedLogs {
    fn drop(&mut self) {
        for (.., follower) in &mut self.followers {
            let _ = follower.kill();
            let _ = follower.wait();
        }
    }
}

/// A line "WebSocket closed".
#[derive(Debug)]
pub(crate) struct TunnelLine {
    /// The address it came from.
    pub(crate) peer: String,
    /// `client` or `peer`.
    pub(crate) from: String,
    /// The session's hash, where there was a session already.
    pub(crate) session: Option<String>,
}

impl TunnelLine {
    fn parse(line: &str) -> Option<Self> {
        if !line.contains("WebSocket closed") {
            return None;
        }
        let field = |name: &str| {
            let (_, rest) = line.split_once(&format!(" {name}="))?;
            Some(rest.split(' ').next()?.trim_matches('"').to_owned())
        };
        Some(Self { peer: field("peer")?, from: field("from")?, session: field("session") })
    }
}

/// The sessions among `lines`.
pub(crate) fn sessions<'l>(lines: impl IntoIterator<Item = &'l TunnelLine>) -> HashSet<String> {
    lines.into_iter().filter_map(|line| line.session.clone()).collect()
}
