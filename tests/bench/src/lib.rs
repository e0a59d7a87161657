//! Shared parts of this benchmark, that of the operator, the attack program and the integration tests.
//!
//! | module | is |
//! | --- | --- |
//! | [`interrupt`] | Ctrl-C and SIGTERM, as a flag |
//! | [`machine`] | the machine's CPU, kernel and load, for reports |
//! | [`procfs`] | CPU time, memory and threads of a process; what a core has done |
//! | [`programs`] | nginx, HAProxy and Envoy: fetched, or installed |
//! | [`progress`] | lines for a person who waits |
//! | [`stats`] | percentiles, and medians with their spread |
//! | [`svg`] | plots, written by hand |

pub mod interrupt;
pub mod machine;
pub mod procfs;
pub mod programs;
pub mod progress;
pub mod stats;
pub mod svg;
