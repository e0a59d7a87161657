//! What the sidecar costs, beside nginx, HAProxy and Envoy in the same role: `make bench`.
//!
//! | module | is |
//! | --- | --- |
//! | [`run`] | a run: programs, rates, rounds, probes |
//! | [`measure`] | one measurement, and what its numbers mean |
//! | [`work`] | what clients do; [`subject`] what it is done to |
//! | [`warm_up`] | what sidecars need before they are measured |
//! | [`rig`] | clients and application in one loop on one core; [`wire`] what they say |
//! | [`probe`] | memory, system calls, instructions |
//! | [`system`] | whole systems, with real Socket.IO servers and clients |
//! | [`scale`] | what a sidecar costs among 3 and among 300 |
//! | [`results`], [`report`] | what was seen, and how it is told |
//!
//! # Invariants
//! - What is compared was measured in the same round; a ratio comes with its spread.
//! - What could not be measured is named in the report, never left blank or made up.
//! - Everything is bounded, and everything that was started ends with the run.

mod cli;
mod cores;
mod measure;
mod metrics;
mod probe;
mod report;
mod results;
mod rig;
mod run;
mod scale;
mod sessions;
mod subject;
mod system;
mod warm_up;
mod wire;
mod work;

use std::process::ExitCode;

use clap::Parser;
use socketio_affinity_bench::{interrupt, procfs, programs, progress, stats, svg};

fn main() -> ExitCode {
    match run::run(&cli::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) if interrupt::check().is_err() => {
            progress::say(format_args!("interrupted; nothing was written"));
            ExitCode::from(130)
        }
        Err(error) => {
            progress::say(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
