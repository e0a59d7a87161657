//! The operator: from a SocketIoCluster to everything that it needs in Kubernetes.
//!
//! | module | does |
//! | --- | --- |
//! | [`crd`] | the API: types, rules, the generated CustomResourceDefinition |
//! | [`controller`] | the passes over an object: read, validate, plan, build, apply, say so |
//! | `credentials` | the keys and certificates of a cluster, and their renewal |
//! | [`metrics`] | what is counted |

pub mod controller;
pub mod crd;
mod credentials;
pub mod metrics;
