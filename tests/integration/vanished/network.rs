//! Two pods in network namespaces of their own, and a router between them that can drop packets.
//!
//! # Invariants
//! - Nothing gets out: no namespace has a link to anything else.
//! - Dropping a [`Network`] removes the namespaces and moves the thread back.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;
use std::process::{Command, id};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use support::harness::Place;

/// A namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pod {
    /// Where the test, the clients and the forwarding sidecar are.
    Here,
    /// Where the owner of the sessions is.
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
        ip(&["netns", "add", &router]);
        for pod in [Pod::Here, Pod::Owner] {
            let (namespace, address) = (network.name(pod), pod.address());
            let [a, b, link, _] = address.octets();
            let (gateway, link) = (format!("{a}.{b}.{link}.1"), format!("link{link}"));
            ip(&["netns", "add", &namespace]);
            ip(&["-n", &namespace, "link", "set", "lo", "up"]);
            ip(&[
                "-n", &router, "link", "add", &link, "type", "veth", "peer", "name", "link0", "netns",
                &namespace,
            ]);
            ip(&["-n", &router, "address", "add", &format!("{gateway}/24"), "dev", &link]);
            ip(&["-n", &router, "link", "set", &link, "up"]);
            ip(&["-n", &namespace, "address", "add", &format!("{address}/24"), "dev", "link0"]);
            ip(&["-n", &namespace, "link", "set", "link0", "up"]);
            ip(&["-n", &namespace, "route", "add", "default", "via", &gateway]);
        }
        run("ip", &["netns", "exec", &router, "sysctl", "-q", "-w", "net.ipv4.ip_forward=1"]);
        network.enter(Pod::Here);
        network
    }

    /// Moves this thread, and what it starts from now on.
    pub(super) fn enter(&self, pod: Pod) {
        let namespace = File::open(format!("/run/netns/{}", self.name(pod))).unwrap();
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
    }

    /// Drops every packet between the pods, and tells neither.
    pub(super) fn cut(&self) {
        self.drop_packets("-A", &[]);
    }

    /// Ends what [`Self::cut`] began.
    pub(super) fn mend(&self) {
        self.drop_packets("-D", &[]);
    }

    /// Drops every packet that begins a connection to the peer port.
    pub(super) fn drop_new_connections(&self) {
        self.drop_packets("-A", &["-p", "tcp", "--dport", "7901", "--syn"]);
    }

    fn drop_packets(&self, action: &str, which: &[&str]) {
        let router = self.router();
        let mut words = vec!["netns", "exec", &router, "iptables", action, "FORWARD"];
        words.extend(which);
        words.extend(["-j", "DROP"]);
        ip(&words);
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
        let _ = move_into_link_name_space(self.before.as_fd(), Some(LinkNameSpaceType::Network));
        for namespace in [self.name(Pod::Here), self.name(Pod::Owner), self.router()] {
            let _ = Command::new("ip").args(["netns", "delete", &namespace]).output();
        }
    }
}

fn ip(arguments: &[&str]) {
    run("ip", arguments);
}

fn run(program: &str, arguments: &[&str]) {
    let output =
        Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {}: {}; these tests need root, iproute2 and iptables",
        arguments.join(" "),
        said.trim()
    );
}
