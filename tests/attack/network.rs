//! Two network namespaces and the link between them: the world, where clients are, and the pods.
//!
//! # Invariants
//! - Nothing gets out: both have an `unreachable` default route.
//! - Dropping [`Network`] removes both. What a killed run has left is removed by the next run.

use std::net::{IpAddr, Ipv4Addr};
use std::{fs, process};

use anyhow::Result;
use support::network::{enter, ip};

/// Address of the honest clients.
pub(crate) const HONEST: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 203, 0, 2));
/// Address of the attackers.
pub(crate) const ATTACKERS: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 203, 0, 3));
/// Addresses of the pods. Attackers connect to the first.
pub(crate) const PODS: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(10, 203, 0, 10)), IpAddr::V4(Ipv4Addr::new(10, 203, 0, 11))];

const PREFIX: &str = "sio-attack-";

/// Both namespaces.
#[derive(Debug)]
pub(crate) struct Network {
    world: String,
    pods: String,
}

impl Network {
    /// Makes both and moves this thread, and all threads that it starts later, into the world.
    pub(crate) fn make() -> Result<Self> {
        remove_leftovers();
        let id = process::id();
        let network = Self { world: format!("{PREFIX}{id}-world"), pods: format!("{PREFIX}{id}-pods") };
        let (world, pods) = (network.world.as_str(), network.pods.as_str());
        for namespace in [world, pods] {
            ip(&format!("netns add {namespace}"))?;
            ip(&format!("-n {namespace} link set lo up"))?;
            ip(&format!("-n {namespace} route add unreachable default"))?;
        }
        ip(&format!("-n {world} link add link0 type veth peer name link0 netns {pods}"))?;
        for (namespace, addresses) in [(world, [HONEST, ATTACKERS]), (pods, PODS)] {
            for address in addresses {
                ip(&format!("-n {namespace} address add {address}/24 dev link0"))?;
            }
            ip(&format!("-n {namespace} link set link0 up"))?;
        }
        enter(world)?;
        // One source address opens thousands of connections in each of many attacks.
        fs::write("/proc/sys/net/ipv4/ip_local_port_range", "1024 65000")?;
        fs::write("/proc/sys/net/ipv4/tcp_tw_reuse", "1")?;
        Ok(network)
    }

    /// The words that run a program among the pods.
    pub(crate) fn among_pods(&self) -> [&str; 4] {
        ["ip", "netns", "exec", &self.pods]
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for namespace in [&self.world, &self.pods] {
            let _ = ip(&format!("netns delete {namespace}"));
        }
    }
}

/// Removes the namespaces of runs that were killed.
fn remove_leftovers() {
    let Ok(namespaces) = fs::read_dir("/run/netns") else { return };
    for namespace in namespaces.flatten() {
        let name = namespace.file_name().to_string_lossy().into_owned();
        let id = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if let Some(id) = id
            && !fs::exists(format!("/proc/{id}")).unwrap_or(true)
        {
            let _ = ip(&format!("netns delete {name}"));
        }
    }
}
