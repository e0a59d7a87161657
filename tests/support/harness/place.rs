//! A loopback IP of one's own, in place of a pod.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};

use socketio_sidecar_core::owner_tag::{Owner, PodDigest};

/// The application's port.
pub const APP: u16 = 3000;
/// The sidecar's port for clients.
pub const CLIENTS: u16 = 7900;
/// The sidecar's port for its peers.
pub const PEERS: u16 = 7901;
/// The sidecar's admin port.
pub const ADMIN: u16 = 7902;

/// Addresses of an application and its sidecar.
#[derive(Debug, Clone)]
pub struct Place {
    /// IP of the pod that the place stands for.
    pub ip: IpAddr,
    /// UID of that pod, which names it to other sidecars.
    pub uid: String,
}

impl Place {
    /// A place that no other test uses, in this process or another one.
    #[must_use]
    pub fn new() -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(number < 2 * 254, "out of loopback addresses: use fewer places");
        let [.., high, low] = std::process::id().to_be_bytes();
        // Of the process's number 15 bits; the 16th is the place's, since one process may use more than 254.
        let [block, last] = [number / 254, number % 254 + 1].map(|part| part.to_be_bytes()[1]);
        // 127.0.0.0/16 is left to whatever else runs on the machine.
        let second = (high & 0x7f).max(1) | (block << 7);
        let ip = IpAddr::V4(Ipv4Addr::new(127, second, low, last));
        Self { ip, uid: format!("uid-of-{ip}") }
    }

    /// The same IP, given to another pod.
    #[must_use]
    pub fn reused(&self) -> Self {
        Self { ip: self.ip, uid: format!("{}-reused", self.uid) }
    }

    /// The application's address.
    #[must_use]
    pub fn app(&self) -> SocketAddr {
        SocketAddr::new(self.ip, APP)
    }

    /// Address of the sidecar's port for clients.
    #[must_use]
    pub fn clients(&self) -> SocketAddr {
        SocketAddr::new(self.ip, CLIENTS)
    }

    /// Address of the sidecar's port for peers.
    #[must_use]
    pub fn peers(&self) -> SocketAddr {
        SocketAddr::new(self.ip, PEERS)
    }

    /// Address of the sidecar's admin port.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        SocketAddr::new(self.ip, ADMIN)
    }

    /// The place as tags name it.
    #[must_use]
    pub fn owner(&self) -> Owner {
        Owner { ip: self.ip, pod: PodDigest::of_uid(&self.uid), app_port: APP }
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}
