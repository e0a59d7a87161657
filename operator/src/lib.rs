//! The operator: from a SocketIoCluster to everything that it needs in Kubernetes.
//!
//! | module | does |
//! | --- | --- |
//! | [`crd`] | the API: types, rules, the generated CustomResourceDefinition |
//! | [`controller`] | the passes over an object: read, validate, plan, build, apply, say so |
//! | `credentials` | the keys and certificates of a cluster, and their renewal |
//! | [`cli`] | the command line |
//! | [`leader`] | one process acts, the others wait |
//! | [`client`] | the connection to the API server, and how its errors are said |
//! | [`admin`], [`metrics`] | what kubelet and Prometheus are told |
//! | [`check`], [`uninstall`] | what `helm test` and `helm uninstall` ask |

pub mod admin;
pub mod check;
pub mod cli;
pub mod client;
pub mod controller;
pub mod crd;
mod credentials;
pub mod leader;
pub mod metrics;
pub mod uninstall;
