//! The cluster without Docker: upstream's own programs, as one node in namespaces.
//!
//! The node is a process tree in a network, a mount and a process namespace of its own, made
//! by `unshare`. That is what makes it vanish: when process 1 of it ends, the kernel ends all
//! others, containers and their shims included, and with the last of them go the interfaces,
//! packet rules and mounts. Process 1 ends when its standard input closes, which happens
//! whenever this program ends, even by SIGKILL. Outside remain the cgroups and the state
//! directory, which are removed by name; [`state`] describes how a later start finds them.

mod boot;
mod cgroups;
mod control;
mod files;
mod inside;
pub(crate) mod node;
mod pki;
mod services;
pub(crate) mod state;

pub(crate) use boot::Local;
pub(crate) use inside::Running;
