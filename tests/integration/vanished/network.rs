//! Two pods in network namespaces of their own, and a router between them that can drop packets.
//!
//! # Invariants
//! - Nothing gets out: no namespace has a link to anything else.
//! - Dropping a [`Network`] removes the namespaces and moves the thread back.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::process::id;
use std::sync::atomic::{AtomicU32, Ordering};

use support::harness::Place;
use support::network::{enter, enter_file};

/// A namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pod {
    /// The pod of the test, the clients and the forwarding sidecar.
    Here,
    /// The pod that owns the sessions.
    Owner,
}

impl Pod {
    const fn address(self) -> Ipv4Addr {
        match self {
            Self::Here => Ipv4Addr::new(10, 204, 1, 2),
            Self::Owner => Ipv4Addr::new(10, 204, 2, 2),
        }
    }

    pub(super) fn place(self) -> Place {
        let ip = IpAddr::V4(self.address());
        Place { ip, uid: format!("uid-of-{ip}") }
    }
}

/// The namespaces. The thread that made them is in one of them.
#[derive(Debug)]
pub(super) struct Network {
    prefix: String,
    before: File,
}

impl Network {
    /// Makes the namespaces, and moves this thread to [`Pod::Here`].
    pub(super) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let prefix = format!("sio-vanished-{}-{}", id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let before = File::open("/proc/thread-self/ns/net").unwrap();
        let network = Self { prefix, before };
        let router = network.router();
        ip(&format!("netns add {router}"));
        for pod in [Pod::Here, Pod::Owner] {
            let (namespace, address) = (network.name(pod), pod.address());
            let [a, b, link, _] = address.octets();
            let (gateway, link) = (format!("{a}.{b}.{link}.1"), format!("link{link}"));
            ip(&format!("netns add {namespace}"));
            ip(&format!("-n {namespace} link set lo up"));
            ip(&format!("-n {router} link add {link} type veth peer name link0 netns {namespace}"));
            ip(&format!("-n {router} address add {gateway}/24 dev {link}"));
            ip(&format!("-n {router} link set {link} up"));
            ip(&format!("-n {namespace} address add {address}/24 dev link0"));
            ip(&format!("-n {namespace} link set link0 up"));
            ip(&format!("-n {namespace} route add default via {gateway}"));
        }
        ip(&format!("netns exec {router} sysctl -q -w net.ipv4.ip_forward=1"));
        network.enter(Pod::Here);
        network
    }

    /// Moves this thread, and what it starts from now on.
    pub(super) fn enter(&self, pod: Pod) {
        enter(&self.name(pod)).unwrap();
    }

    /// Drops every packet between the pods, and tells neither.
    pub(super) fn cut(&self) {
        self.drop_packets("-A", "");
    }

    /// Ends what [`Self::cut`] began.
    pub(super) fn mend(&self) {
        self.drop_packets("-D", "");
    }

    /// Drops every packet that begins a connection to the peer port.
    pub(super) fn drop_new_connections(&self) {
        self.drop_packets("-A", " -p tcp --dport 7901 --syn");
    }

    fn drop_packets(&self, action: &str, which: &str) {
        ip(&format!("netns exec {} iptables {action} FORWARD{which} -j DROP", self.router()));
    }

    fn name(&self, pod: Pod) -> String {
        format!("{}-{pod:?}", self.prefix)
    }

    fn router(&self) -> String {
        format!("{}-router", self.prefix)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = enter_file(&self.before);
        for namespace in [self.name(Pod::Here), self.name(Pod::Owner), self.router()] {
            let _ = support::network::ip(&format!("netns delete {namespace}"));
        }
    }
}

fn ip(arguments: &str) {
    let done = support::network::ip(arguments);
    done.unwrap_or_else(|error| panic!("{error:#}; these tests need root, iproute2 and iptables"));
}
