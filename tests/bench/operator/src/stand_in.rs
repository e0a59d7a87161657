//! What stands in for the Deployment controller, kubelet and the sidecars, by what they show of themselves:
//! a Deployment's status, pods that are ready, and the revision that each sidecar has applied.
//!
//! Each pod has an address in 127.0.0.0/8, where its sidecar's admin port answers. A failure is said and ends
//! the work on that object; the measurement then waits in vain, and says for what.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use futures::StreamExt;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::fleet::{self, create};
use crate::say;

/// Of pods with the sidecar, and of the operator's Secrets for them.
const LABEL: &str = "socketio-affinity.dev/cluster";
const SIDECAR: &str = "socketio-sidecar";
const ADMIN_PORT: u16 = 7902;
/// How many Deployments are rolled out at once.
const AT_ONCE: usize = 8;

/// The newest revision of each, by number.
type Revisions = Arc<Mutex<HashMap<u32, String>>>;

/// The address of a pod.
fn address(number: u32, pod: u8) -> IpAddr {
    let [.., high, low] = number.to_be_bytes();
    // 127.0.x.x is everybody's.
    Ipv4Addr::new(127, high + 1, low, pod + 1).into()
}

fn number_at(address: IpAddr) -> Option<u32> {
    let IpAddr::V4(address) = address else { return None };
    let [_, high, low, _] = address.octets();
    Some(u32::from(high.checked_sub(1)?) << 8 | u32::from(low))
}

/// The name of a pod.
pub(crate) fn pod_name(name: &str, pod: u8) -> String {
    format!("{name}-{pod}")
}

/// Starts all of it, for as long as what is returned is held.
///
/// # Errors
/// The sidecars' port is taken.
pub(crate) async fn start(client: &Client, pods: u8) -> Result<JoinSet<()>> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, ADMIN_PORT)).await;
    let listener = listener.with_context(|| format!("port {ADMIN_PORT}, which sidecars use, is taken"))?;
    let revisions = Revisions::default();
    let mut tasks = JoinSet::new();
    tasks.spawn(roll_out(client.clone(), pods));
    tasks.spawn(follow_secrets(client.clone(), revisions.clone()));
    tasks.spawn(answer_all(listener, revisions));
    Ok(tasks)
}

/// As the Deployment controller and kubelet do.
async fn roll_out(client: Client, pods: u8) {
    let deployments = watcher(Api::<Deployment>::all(client.clone()), watcher::Config::default());
    let deployments = deployments.default_backoff().applied_objects().filter_map(|seen| async { seen.ok() });
    let work = deployments.for_each_concurrent(AT_ONCE, |deployment| {
        let client = client.clone();
        async move {
            if let Err(error) = roll_out_one(&client, &deployment, pods).await {
                say(&format!("{} is not rolled out: {error:#}", deployment.name_any()));
            }
        }
    });
    work.await;
}

async fn roll_out_one(client: &Client, deployment: &Deployment, pods: u8) -> Result<()> {
    let generation = deployment.metadata.generation;
    let seen = deployment.status.as_ref().and_then(|status| status.observed_generation);
    let Some(spec) = deployment.spec.as_ref().filter(|_| seen < generation) else { return Ok(()) };
    let (name, namespace) = (deployment.name_any(), deployment.namespace().unwrap_or_default());
    let number = fleet::number(&name).context("it is not of the fleet")?;
    let template = serde_json::to_value(&spec.template)?;
    // Pods come with the sidecar only: none had to go before.
    let injected = template["metadata"]["labels"][LABEL].is_string();
    let count = if injected { pods } else { 0 };
    for pod in 0..count {
        start_pod(client, &namespace, &pod_name(&name, pod), address(number, pod), &template).await?;
    }
    let status = json!({"status": {
        "observedGeneration": generation,
        "replicas": count, "updatedReplicas": if injected { pods } else { 0 }, "readyReplicas": count,
        "availableReplicas": count,
    }});
    let api: Api<Deployment> = Api::namespaced(client.clone(), &namespace);
    api.patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await?;
    Ok(())
}

async fn start_pod(client: &Client, namespace: &str, name: &str, ip: IpAddr, template: &Value) -> Result<()> {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let mut spec = template["spec"].clone();
    spec["nodeName"] = json!("nowhere");
    let pod = json!({"metadata": {"name": name, "labels": template["metadata"]["labels"]}, "spec": spec});
    if !create::<Pod>(client, namespace, pod).await? {
        // For an earlier generation of its Deployment.
        return Ok(());
    }
    let runs = |name: &str| {
        json!({
            "name": name, "ready": true, "started": true, "restartCount": 0, "image": "none", "imageID": "none",
            "state": {"running": {"startedAt": jiff::Timestamp::now().to_string()}},
        })
    };
    let status = json!({"status": {
        "phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}],
        "conditions": [{"type": "Ready", "status": "True"}],
        "initContainerStatuses": [runs(SIDECAR)],
        "containerStatuses": [runs("chat")],
    }});
    api.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await?;
    Ok(())
}

/// As kubelet brings Secrets into pods.
async fn follow_secrets(client: Client, revisions: Revisions) {
    let ours = watcher::Config::default().labels(LABEL);
    let mut secrets = watcher(Api::<Secret>::all(client), ours).default_backoff().applied_objects().boxed();
    while let Some(seen) = secrets.next().await {
        let Ok(secret) = seen else { continue };
        let Some((number, revision)) = revision_of(&secret) else { continue };
        if let Ok(mut revisions) = revisions.lock() {
            revisions.insert(number, revision);
        }
    }
}

fn revision_of(secret: &Secret) -> Option<(u32, String)> {
    let number = fleet::number(secret.labels().get(LABEL)?)?;
    let config = &secret.data.as_ref()?.get("config.json")?.0;
    let config: Value = serde_json::from_slice(config).ok()?;
    Some((number, config["revision"].as_str()?.to_owned()))
}

/// As the sidecars' admin ports do.
async fn answer_all(listener: TcpListener, revisions: Revisions) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let revisions = revisions.clone();
        // Whoever asked sees that the answer is missing.
        connections.spawn(async move { drop(answer(stream, &revisions).await) });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(mut stream: TcpStream, revisions: &Revisions) -> Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut bytes = [0; 1024];
        let count = stream.read(&mut bytes).await?;
        anyhow::ensure!(count > 0 && head.len() < 8192, "no request");
        head.extend_from_slice(&bytes[..count]);
    }
    let number = number_at(stream.local_addr()?.ip()).context("nobody's address")?;
    let revision = revisions.lock().ok().and_then(|revisions| revisions.get(&number).cloned());
    let body =
        json!({"revision": revision.unwrap_or_default(), "mode": "Enforce", "refused": null}).to_string();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all((head + &body).as_bytes()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_tells_whose_it_is() {
        for number in [0, 1, 255, 256, 999, 15_999] {
            for pod in [0, 249] {
                assert_eq!(number_at(address(number, pod)), Some(number));
                assert!(address(number, pod).is_loopback());
            }
        }
        assert_ne!(address(1, 0), address(1, 1));
        assert_eq!(number_at(Ipv4Addr::LOCALHOST.into()), None);
    }
}
