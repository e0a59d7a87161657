//! The workload's pods as they are: which are ready, which have the sidecar, and why one is not. Pure.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt;

use crate::controller::names::{CLUSTER_LABEL, SIDECAR};

/// Longest start of an application that is not reported as a trouble.
const STARTING: Duration = Duration::from_secs(30);

/// The state of the workload's pods.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pods {
    /// All that are not going.
    pub(crate) all: usize,
    /// The ready ones with a ready sidecar: name and IP.
    pub(crate) with_sidecar: Vec<(String, String)>,
    /// The names of the ready ones without.
    pub(crate) without_sidecar: Vec<String>,
    /// Pods that have the sidecar, ready or not.
    pub(crate) injected: usize,
    /// Advice for the first pod with the sidecar that does not get ready.
    pub(crate) trouble: Option<String>,
    /// The first pod with the sidecar that is not ready, and why.
    pub(crate) unready: Option<String>,
}

impl Pods {
    /// Looks at the pods of the workload of `cluster`.
    pub(crate) fn read(pods: &[Pod], cluster: &str, app_port: u16, now: Timestamp) -> Self {
        let mut seen = Self::default();
        for pod in pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none() && !is_over(pod)) {
            seen.all += 1;
            let injected = pod.labels().get(CLUSTER_LABEL).is_some_and(|label| label == cluster);
            seen.injected += usize::from(injected);
            let sidecar = sidecar_status(pod);
            let name = pod.name_any();
            match (is_ready(pod), injected && sidecar.is_some_and(|status| status.ready), ip(pod)) {
                (true, true, Some(ip)) => seen.with_sidecar.push((name, ip)),
                (true, ..) => seen.without_sidecar.push(name),
                (false, ..) if injected => {
                    seen.trouble =
                        seen.trouble.take().or_else(|| trouble(&name, pod, sidecar, app_port, now));
                    seen.unready.get_or_insert_with(|| {
                        format!("pod {name} is not ready ({})", why_unready(pod, app_port))
                    });
                }
                (false, ..) => {}
            }
        }
        seen
    }

    /// The ready ones.
    pub(crate) fn ready(&self) -> usize {
        self.with_sidecar.len() + self.without_sidecar.len()
    }
}

fn is_over(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn ip(pod: &Pod) -> Option<String> {
    pod.status.as_ref()?.pod_ip.clone()
}

fn sidecar_status(pod: &Pod) -> Option<&ContainerStatus> {
    let status = pod.status.as_ref()?;
    status.init_container_statuses.iter().flatten().find(|container| container.name == SIDECAR)
}

fn trouble(
    name: &str,
    pod: &Pod,
    sidecar: Option<&ContainerStatus>,
    app_port: u16,
    now: Timestamp,
) -> Option<String> {
    let sidecar = sidecar?;
    let state = sidecar.state.as_ref()?;
    if let Some(reason) = state.waiting.as_ref().and_then(|waiting| waiting.reason.as_deref())
        && reason != "PodInitializing"
    {
        return Some(format!(
            "the sidecar of pod {name} does not start ({reason}); see `kubectl describe pod {name}`"
        ));
    }
    let containers = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    // The application's image may come much later than the sidecar's.
    let starts: Option<Vec<Timestamp>> = containers.map(started).collect();
    let since = starts?.into_iter().max()?.max(started(sidecar)?);
    let long = now.duration_since(since).unsigned_abs() >= STARTING;
    (long && !sidecar.ready).then(|| {
        format!(
            "in pod {name} nobody accepts connections on port {app_port}; set app.port to the port that the \
             application listens on, or see in its log what it waits for"
        )
    })
}

/// The time at which the container started.
fn started(container: &ContainerStatus) -> Option<Timestamp> {
    Some(container.state.as_ref()?.running.as_ref()?.started_at.as_ref()?.0)
}

fn runs(container: &ContainerStatus) -> bool {
    container.state.as_ref().is_some_and(|state| state.running.is_some())
}

/// Says why a pod is not ready, in words that stay the same while nothing changes.
fn why_unready(pod: &Pod, app_port: u16) -> String {
    const ON_ITS_WAY: [&str; 2] = ["PodInitializing", "ContainerCreating"];
    let Some(status) = &pod.status else { return "it has no node yet".to_owned() };
    let mut conditions = status.conditions.iter().flatten();
    if conditions.any(|condition| condition.type_ == "PodScheduled" && condition.status == "False") {
        return "no node takes it".to_owned();
    }
    let own = || status.container_statuses.iter().flatten();
    let stuck = status.init_container_statuses.iter().flatten().chain(own()).find_map(|container| {
        let reason = container.state.as_ref()?.waiting.as_ref()?.reason.as_deref()?;
        (!ON_ITS_WAY.contains(&reason)).then(|| format!("its container {}: {reason}", container.name))
    });
    let ended = || {
        own().find_map(|container| {
            let ended = container.state.as_ref()?.terminated.as_ref()?;
            Some(format!("its container {} has ended with {}", container.name, ended.exit_code))
        })
    };
    let late = || {
        let late = |container: &&ContainerStatus| !container.ready && runs(container);
        match sidecar_status(pod).filter(late) {
            Some(_) if own().all(runs) => Some(format!("nobody in it listens on port {app_port} yet")),
            _ => {
                own().find(late).map(|container| format!("its container {} is not ready yet", container.name))
            }
        }
    };
    stuck.or_else(ended).or_else(late).unwrap_or_else(|| "it is starting".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn now() -> Timestamp {
        "2026-01-01T00:01:00Z".parse().unwrap()
    }

    fn pod(name: &str, injected: bool, ready: bool, sidecar: &Value) -> Pod {
        let labels = if injected { json!({CLUSTER_LABEL: "chat"}) } else { json!({}) };
        serde_json::from_value(json!({
            "metadata": {"name": name, "labels": labels},
            "status": {
                "podIP": "10.0.0.1",
                "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}],
                "initContainerStatuses": if injected { json!([sidecar]) } else { json!([]) },
                "containerStatuses": [
                    {"name": "chat", "ready": ready, "image": "", "imageID": "", "restartCount": 0,
                     "state": {"running": {"startedAt": "2026-01-01T00:00:20Z"}}},
                ],
            },
        }))
        .unwrap()
    }

    fn sidecar(ready: bool, state: &Value) -> Value {
        json!({"name": SIDECAR, "ready": ready, "image": "", "imageID": "", "restartCount": 0, "state": state})
    }

    #[test]
    fn pods_are_told_apart() {
        let up = sidecar(true, &json!({"running": {}}));
        let mut going = pod("going", true, true, &up);
        going.metadata.deletion_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::UNIX_EPOCH));
        let pods = [
            pod("old", false, true, &up),
            pod("new", true, true, &up),
            pod("starting", true, false, &sidecar(false, &json!({"waiting": {"reason": "PodInitializing"}}))),
            going,
        ];
        let seen = Pods::read(&pods, "chat", 3000, now());
        assert_eq!(seen.with_sidecar, [("new".to_owned(), "10.0.0.1".to_owned())]);
        assert_eq!(seen.without_sidecar, ["old"]);
        assert_eq!((seen.all, seen.injected, seen.ready()), (3, 2, 2));
        assert_eq!(seen.trouble, None);
        // The sidecar of another cluster is none of this one.
        assert_eq!(Pods::read(&pods, "other", 3000, now()).without_sidecar, ["old", "new"]);
    }

    #[test]
    fn what_keeps_a_pod_from_being_ready_is_said() {
        let pull = sidecar(false, &json!({"waiting": {"reason": "ImagePullBackOff"}}));
        let seen = Pods::read(&[pod("a", true, false, &pull)], "chat", 3000, now());
        assert!(seen.trouble.unwrap().contains("does not start (ImagePullBackOff)"));
        let starts = sidecar(false, &json!({"running": {"startedAt": "2026-01-01T00:00:31Z"}}));
        assert_eq!(Pods::read(&[pod("a", true, false, &starts)], "chat", 3000, now()).trouble, None);
        let deaf = sidecar(false, &json!({"running": {"startedAt": "2026-01-01T00:00:30Z"}}));
        let seen = Pods::read(&[pod("a", true, false, &deaf)], "chat", 3000, now());
        assert!(seen.trouble.unwrap().contains("nobody accepts connections on port 3000"));
        // Its image came late.
        let mut late = pod("a", true, false, &deaf);
        let app = late.status.as_mut().unwrap().container_statuses.as_mut().unwrap();
        let state = json!({"running": {"startedAt": "2026-01-01T00:00:31Z"}});
        app[0].state = serde_json::from_value(state).unwrap();
        assert_eq!(Pods::read(&[late], "chat", 3000, now()).trouble, None);
    }

    #[test]
    fn the_first_new_pod_that_is_not_ready_is_named_with_the_reason() {
        let up = sidecar(true, &json!({"running": {}}));
        let of = |change: &dyn Fn(&mut Value)| {
            let mut new = serde_json::to_value(pod("new", true, false, &up)).unwrap();
            change(&mut new["status"]);
            let pods = [pod("old", false, false, &up), serde_json::from_value(new).unwrap()];
            Pods::read(&pods, "chat", 3000, now()).unready.unwrap()
        };
        let app = |state: &Value| {
            let state = state.clone();
            move |status: &mut Value| {
                status["containerStatuses"][0]["state"] = state.clone();
            }
        };
        let down = sidecar(false, &json!({"running": {}}));
        for (said, why) in [
            (
                of(&app(&json!({"waiting": {"reason": "CrashLoopBackOff"}}))),
                "its container chat: CrashLoopBackOff",
            ),
            (of(&app(&json!({"waiting": {"reason": "ContainerCreating"}}))), "it is starting"),
            (of(&app(&json!({"terminated": {"exitCode": 3}}))), "its container chat has ended with 3"),
            (of(&|_| {}), "its container chat is not ready yet"),
            (
                of(&|status| status["initContainerStatuses"][0] = down.clone()),
                "nobody in it listens on port 3000 yet",
            ),
            (
                of(&|status| status["conditions"] = json!([{"type": "PodScheduled", "status": "False"}])),
                "no node takes it",
            ),
        ] {
            assert_eq!(said, format!("pod new is not ready ({why})"));
        }
        assert_eq!(Pods::read(&[pod("old", false, false, &up)], "chat", 3000, now()).unready, None);
    }
}
