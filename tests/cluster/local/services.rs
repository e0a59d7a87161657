//! The node's services: which programs, with which arguments.
//!
//! All paths are those inside the node; see [`super::node`].

use std::path::PathBuf;

use crate::components::{COREDNS, Component, ETCD, KUBERNETES};

/// Where the node finds the components.
pub(crate) const COMPONENTS: &str = "/run/cluster/bin";
/// Where the node finds the cluster's state directory.
pub(crate) const STATE: &str = "/run/cluster";
/// The node's address. The configuration files name it too.
pub(crate) const NODE_IP: &str = "10.88.0.2";
/// The node's name. The configuration files name it too.
pub(crate) const NODE_NAME: &str = "node";

/// A program that runs as long as the node, and is started again when it ends.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    /// As `cluster component` names it, and its log file.
    pub(crate) name: &'static str,
    /// The program.
    pub(crate) program: PathBuf,
    /// Its arguments.
    pub(crate) args: Vec<String>,
}

/// All services.
pub(crate) fn all() -> Vec<Service> {
    vec![
        service(
            "etcd",
            built(&ETCD, "etcd"),
            "--data-dir=/var/lib/etcd --log-level=warn --unsafe-no-fsync=true \
             --listen-client-urls=http://127.0.0.1:2379 --advertise-client-urls=http://127.0.0.1:2379",
        ),
        service("containerd", PathBuf::from("containerd"), "--config=/run/cluster/etc/containerd.toml"),
        service(
            "kube-apiserver",
            built(&KUBERNETES, "kube-apiserver"),
            "--etcd-servers=http://127.0.0.1:2379 --advertise-address=10.88.0.2 --secure-port=6443 \
             --service-cluster-ip-range=10.96.0.0/16 --allow-privileged=true \
             --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
             --client-ca-file=PKI/ca.crt --tls-cert-file=PKI/kube-apiserver.crt \
             --tls-private-key-file=PKI/kube-apiserver.key \
             --kubelet-certificate-authority=PKI/ca.crt \
             --kubelet-client-certificate=PKI/kubelet-client.crt \
             --kubelet-client-key=PKI/kubelet-client.key \
             --kubelet-preferred-address-types=InternalIP \
             --service-account-issuer=https://kubernetes.default.svc.cluster.local \
             --service-account-key-file=PKI/service-accounts.pub \
             --service-account-signing-key-file=PKI/service-accounts.key --profiling=false",
        ),
        // One of each is enough, so none waits for a lease; without an API server they wait.
        // A node whose heartbeats did not arrive because the API server was stopped for a
        // minute is not taken for dead when it is back. At its usual rate, making the
        // controllers' accounts takes four seconds.
        service(
            "kube-controller-manager",
            built(&KUBERNETES, "kube-controller-manager"),
            "--kubeconfig=ETC/kube-controller-manager.kubeconfig \
             --authentication-kubeconfig=ETC/kube-controller-manager.kubeconfig \
             --authorization-kubeconfig=ETC/kube-controller-manager.kubeconfig \
             --bind-address=127.0.0.1 --leader-elect=false --use-service-account-credentials=true \
             --kube-api-qps=500 --kube-api-burst=1000 \
             --root-ca-file=PKI/ca.crt --cluster-signing-cert-file=PKI/ca.crt \
             --cluster-signing-key-file=PKI/ca.key \
             --service-account-private-key-file=PKI/service-accounts.key \
             --flex-volume-plugin-dir=/var/lib/kubelet/volume-plugins \
             --node-monitor-grace-period=5m --profiling=false",
        ),
        service(
            "kube-scheduler",
            built(&KUBERNETES, "kube-scheduler"),
            "--kubeconfig=ETC/kube-scheduler.kubeconfig \
             --authentication-kubeconfig=ETC/kube-scheduler.kubeconfig \
             --authorization-kubeconfig=ETC/kube-scheduler.kubeconfig \
             --bind-address=127.0.0.1 --leader-elect=false --profiling=false",
        ),
        service(
            "kubelet",
            built(&KUBERNETES, "kubelet"),
            "--config=ETC/kubelet.yaml --kubeconfig=ETC/kubelet.kubeconfig \
             --hostname-override=node --node-ip=10.88.0.2",
        ),
        service("kube-proxy", built(&KUBERNETES, "kube-proxy"), "--config=ETC/kube-proxy.yaml"),
        service("coredns", built(&COREDNS, "coredns"), "-conf=ETC/Corefile"),
    ]
}

fn service(name: &'static str, program: PathBuf, args: &str) -> Service {
    let etc = format!("{STATE}/etc");
    let args = args.replace("PKI/", &format!("{etc}/pki/")).replace("ETC/", &format!("{etc}/"));
    Service { name, program, args: args.split_whitespace().map(str::to_owned).collect() }
}

fn built(component: &Component, program: &str) -> PathBuf {
    component.directory(COMPONENTS.as_ref()).join(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_name_places_inside_the_node() {
        for service in all() {
            for arg in &service.args {
                assert!(!arg.contains("PKI/") && !arg.contains("ETC/"), "{arg}");
                assert!(arg.starts_with('-'), "{arg}");
            }
        }
    }
}
