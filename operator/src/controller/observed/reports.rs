//! The revisions that sidecars say they have applied. Pure: [`revisions`](crate::controller::revisions) asks for them.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::controller::names::ADMIN_PORT;
use crate::crd::SocketIoCluster;

/// By pod, the revision that its sidecar has applied; or why it could not be asked.
pub(crate) type Reports = BTreeMap<String, Result<Applied, String>>;

/// The report of a sidecar on its configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Applied {
    /// The revision in force.
    pub(crate) revision: String,
    /// Reason for which the sidecar refuses the newest revision.
    #[serde(default)]
    pub(crate) refused: Option<String>,
}

/// Returns true if some step waits for reports.
pub(crate) fn are_of_interest(cluster: &SocketIoCluster) -> bool {
    let Some(status) = &cluster.status else { return false };
    cluster.metadata.deletion_timestamp.is_some() || status.applied_revision != status.revision
}

/// The pods that have not applied `revision`, each with what is known about why.
pub(crate) fn lagging(pods: &[(String, String)], reports: &Reports, revision: &str) -> Vec<String> {
    let lags = |name: &String| match reports.get(name) {
        Some(Ok(applied)) if applied.revision == revision => None,
        Some(Ok(Applied { refused: Some(_), .. })) => Some(format!("{name} (which refuses it: see its log)")),
        Some(Ok(_)) | None => Some(name.clone()),
        Some(Err(why)) => Some(format!(
            "{name} (its port {ADMIN_PORT} cannot be reached: {why}; let the operator's namespace through)"
        )),
    };
    pods.iter().filter_map(|(name, _)| lags(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_lags_until_it_says_the_revision_and_why_is_said() {
        let pods: Vec<_> = ["a", "b", "c", "d", "e"].map(|name| (name.to_owned(), String::new())).to_vec();
        let applied = |revision: &str, refused: Option<&str>| {
            Ok(Applied { revision: revision.to_owned(), refused: refused.map(str::to_owned) })
        };
        let reports = Reports::from([
            ("a".to_owned(), applied("2", None)),
            ("b".to_owned(), applied("1", None)),
            ("c".to_owned(), applied("1", Some("config.json: no"))),
            ("d".to_owned(), Err("connection refused".to_owned())),
        ]);
        let lagging = lagging(&pods, &reports, "2");
        assert_eq!(lagging.len(), 4);
        assert_eq!(lagging[0], "b");
        assert!(lagging[1].contains("refuses it: see its log") && !lagging[1].contains("config.json"));
        assert!(lagging[2].contains("cannot be reached: connection refused"));
        assert_eq!(lagging[3], "e");
    }
}
