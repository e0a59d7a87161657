//! What this benchmark and that of the operator share.
//!
//! | module | is |
//! | --- | --- |
//! | [`procfs`] | CPU time, memory and threads of a process; what a core has done |
//! | [`stats`] | percentiles, and medians with their spread |
//! | [`svg`] | plots, written by hand |

pub mod procfs;
pub mod stats;
pub mod svg;
