//! What this benchmark, that of the operator and the attack program share.
//!
//! | module | is |
//! | --- | --- |
//! | [`interrupt`] | Ctrl-C and SIGTERM, as a flag |
//! | [`machine`] | the machine's CPU, kernel and load, for reports |
//! | [`procfs`] | CPU time, memory and threads of a process; what a core has done |
//! | [`progress`] | lines for a person who waits |
//! | [`stats`] | percentiles, and medians with their spread |
//! | [`svg`] | plots, written by hand |

pub mod interrupt;
pub mod machine;
pub mod procfs;
pub mod progress;
pub mod stats;
pub mod svg;
