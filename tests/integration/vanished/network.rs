//! Two pods in network namespaces of their own, and a router between them that can drop packets.
//!
//! # Invariants
//! - Nothing gets out: no namespace has a link to anything else.
//! - Dropping a [`Network`] removes the namespaces and moves the thread back.

use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr};
use std::process::id;
use std::sync::atomic::{AtomicU32, Ordering};

use support::harness::Place;
use support::network::{enter, enter_file};

const ACKNOWLEDGEMENTS: &str = " -p tcp --dport 7900 --tcp-flags SYN,PSH,FIN,RST NONE";

/// A namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pod {
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

    pub(crate) fn place(self) -> Place {
        let ip = IpAddr::V4(self.address());
        Place { ip, uid: format!("uid-of-{ip}") }
    }
}

/// The namespaces. The thread that made them is in one of them.
#[derive(Debug)]
pub(crate) struct Network {
    prefix: String,
    before: File,
}

impl Network {
    /// Makes the namespaces, and moves this thread to [`Pod::Here`].
    pub(crate) fn new() -> Self {
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
    pub(crate) fn enter(&self, pod: Pod) {
        enter(&self.name(pod)).unwrap();
    }

    /// Drops every packet between the pods, and tells neither.
    pub(crate) fn cut(&self) {
        self.drop_packets("-A", "");
    }

    /// Ends what [`Self::cut`] began.
    pub(crate) fn mend(&self) {
        self.drop_packets("-D", "");
    }

    /// Drops every packet that begins a connection to the peer port.
    pub(crate) fn drop_new_connections(&self) {
        self.drop_packets("-A", " -p tcp --dport 7901 --syn");
    }

    /// Drops every packet by which a client acknowledges what it has received, and which carries nothing else.
    pub(crate) fn drop_acknowledgements(&self) {
        self.drop_packets("-A", ACKNOWLEDGEMENTS);
    }

    /// Ends what [`Self::drop_acknowledgements`] began.
    pub(crate) fn pass_acknowledgements(&self) {
        self.drop_packets("-D", ACKNOWLEDGEMENTS);
    }

    /// Bytes that this pod's kernel holds for clients, since they have not acknowledged them.
    pub(crate) fn unacknowledged(&self, pod: Pod) -> usize {
        self.enter(pod);
        // proc_pid_net(5): local address, remote address, state, and the bytes to be sent before a colon.
        let sockets = fs::read_to_string("/proc/thread-self/net/tcp").unwrap();
        self.enter(Pod::Here);
        let sockets = sockets.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let of_clients = sockets.filter(|words| words[1].ends_with(":1EDC"));
        of_clients.map(|words| usize::from_str_radix(words[4].split(':').next().unwrap(), 16).unwrap()).sum()
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
