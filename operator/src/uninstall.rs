//! `socketio-operator uninstall-check`: may the operator be removed?
//!
//! Each SocketIoCluster has a finalizer that only the operator takes off, after it has given the workload
//! back. Without the operator they could not be deleted, and the sidecars would stay.

use std::collections::BTreeMap;
use std::time::Duration;

use kube::api::{Api, ListParams};
use kube::{Client, Error, ResourceExt};
use tokio::time::{sleep, timeout};

use crate::client::explain;
use crate::crd::SocketIoCluster;

/// Longest wait for the API server.
const ANSWER: Duration = Duration::from_secs(20);
/// Time between two requests to the API server.
const AGAIN: Duration = Duration::from_secs(1);
/// Most objects that are named.
const NAMED: usize = 5;

/// Reasons for which the operator may not be removed.
#[derive(Debug, thiserror::Error)]
pub enum UninstallError {
    /// There are objects.
    #[error(
        "{which} still there; delete what is left with {commands}, which gives the workloads back, and uninstall \
         again; or keep the operator, and put Helm's record right with `helm rollback` to the revision that \
         `helm list` shows"
    )]
    Left {
        /// SocketIoClusters that exist.
        which: String,
        /// Commands that delete them.
        commands: String,
    },
    /// The API server refused, or is away.
    #[error("it is unknown whether there are SocketIoClusters, so nothing is removed: {0}")]
    Unknown(String),
}

/// Succeeds if there is no SocketIoCluster in these namespaces; none means all.
///
/// # Errors
/// Which there are, or why that is unknown.
pub async fn uninstall_check(client: &Client, namespaces: &[String]) -> Result<(), UninstallError> {
    let mut last = "the API server does not answer".to_owned();
    let listed = timeout(ANSWER, async {
        loop {
            match list(client, namespaces).await {
                Ok(left) => return Ok(left),
                Err(Error::Api(status)) if (400..500).contains(&status.code) && status.code != 429 => {
                    return Err(UninstallError::Unknown(explain(&Error::Api(status))));
                }
                // It is starting, or a moment away.
                Err(error) => last = explain(&error),
            }
            sleep(AGAIN).await;
        }
    });
    let listed = listed.await;
    let left = listed.unwrap_or(Err(UninstallError::Unknown(last)))?;
    match sentence(&left) {
        Some(which) => Err(UninstallError::Left { which, commands: commands(&left) }),
        None => Ok(()),
    }
}

/// Namespace and name of each.
async fn list(client: &Client, namespaces: &[String]) -> Result<Vec<(String, String)>, Error> {
    let mut apis: Vec<Api<SocketIoCluster>> =
        namespaces.iter().map(|namespace| Api::namespaced(client.clone(), namespace)).collect();
    if apis.is_empty() {
        apis.push(Api::all(client.clone()));
    }
    let mut names = Vec::new();
    for api in apis {
        match api.list_metadata(&ListParams::default()).await {
            Ok(found) => {
                names.extend(found.iter().map(|it| (it.namespace().unwrap_or_default(), it.name_any())));
            }
            // The definition is gone, and with it all objects.
            Err(Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(error),
        }
    }
    Ok(names)
}

/// Builds a command for each namespace. The command names its objects, or `--all` when there are many.
fn commands(names: &[(String, String)]) -> String {
    let mut by_namespace: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (namespace, name) in names {
        by_namespace.entry(namespace).or_default().push(name);
    }
    let command = |(namespace, names): (&&str, &Vec<&str>)| {
        let which = if names.len() > NAMED { "--all".to_owned() } else { names.join(" ") };
        format!("`kubectl delete socketiocluster --namespace {namespace} {which}`")
    };
    let shown: Vec<_> = by_namespace.iter().take(NAMED).map(command).collect();
    match by_namespace.len() - shown.len() {
        0 => shown.join(" and "),
        more => format!("{}, and likewise in {more} more namespaces", shown.join(", ")),
    }
}

fn sentence(names: &[(String, String)]) -> Option<String> {
    let shown: Vec<_> =
        names.iter().take(NAMED).map(|(namespace, name)| format!("{namespace}/{name}")).collect();
    let shown = shown.join(", ");
    match names.len() {
        0 => None,
        1 => Some(format!("the SocketIoCluster {shown} is")),
        count if count <= NAMED => Some(format!("the SocketIoClusters {shown} are")),
        count => Some(format!("the SocketIoClusters {shown} and {} more are", count - NAMED)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_named_up_to_five() {
        let names: Vec<_> = (1..=7).map(|n| ("chat".to_owned(), format!("c{n}"))).collect();
        assert_eq!(sentence(&[]), None);
        assert_eq!(sentence(&names[..1]).unwrap(), "the SocketIoCluster chat/c1 is");
        assert_eq!(sentence(&names[..2]).unwrap(), "the SocketIoClusters chat/c1, chat/c2 are");
        let many = "the SocketIoClusters chat/c1, chat/c2, chat/c3, chat/c4, chat/c5 and 2 more are";
        assert_eq!(sentence(&names).unwrap(), many);
    }

    #[test]
    fn the_refusal_says_what_to_run_in_which_namespace() {
        let mut names: Vec<_> = (1..=2).map(|n| ("chat".to_owned(), format!("c{n}"))).collect();
        names.push(("game".to_owned(), "g".to_owned()));
        let error = UninstallError::Left { which: sentence(&names).unwrap(), commands: commands(&names) };
        assert_eq!(
            error.to_string(),
            "the SocketIoClusters chat/c1, chat/c2, game/g are still there; delete what is left with \
             `kubectl delete socketiocluster --namespace chat c1 c2` and \
             `kubectl delete socketiocluster --namespace game g`, which gives the workloads back, and uninstall \
             again; or keep the operator, and put Helm's record right with `helm rollback` to the revision that \
             `helm list` shows"
        );
        let many: Vec<_> = (1..=7).map(|n| ("chat".to_owned(), format!("c{n}"))).collect();
        assert_eq!(commands(&many), "`kubectl delete socketiocluster --namespace chat --all`");
        let wide: Vec<_> = (1..=7).map(|n| (format!("n{n}"), "c".to_owned())).collect();
        assert!(commands(&wide).ends_with("--namespace n5 c`, and likewise in 2 more namespaces"));
    }
}
