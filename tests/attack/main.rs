//! The sidecar under attack, with honest clients: `make attacks`.
//!
//! Each attack meets a world of its own: two pods with real Socket.IO servers and sidecars, a load balancer
//! without stickiness, real clients, and clients that measure. A control does the same to an application
//! without a sidecar. Every world is in network namespaces that this program makes, which needs root.
//!
//! | module | is |
//! | --- | --- |
//! | [`network`], [`world`], [`process`] | what is attacked |
//! | [`balancer`], [`session`], [`honest`] | who must not notice |
//! | [`attacks`] | who attacks |
//! | [`measure`], [`sockets`], [`report`] | what is seen, and how it is told |
//!
//! # Invariants
//! - Everything is bounded in time and count, and ends with the program, also on Ctrl-C.
//! - The exit code is 1 when a session was lost, a program died, or the sidecar took more memory than the
//!   operator gives it.

mod attacks;
mod balancer;
mod honest;
mod measure;
mod network;
mod process;
mod report;
mod session;
mod sockets;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Parser;
use socketio_affinity_bench::interrupt;
use socketio_affinity_bench::progress::say;

use attacks::ATTACKS;
use measure::Row;
use network::Network;

/// Attacks real sidecars and measures what honest clients see.
#[derive(Debug, Parser)]
struct Options {
    /// Sidecar program to attack
    #[arg(long, default_value = "target/release/socketio-sidecar")]
    sidecar: PathBuf,
    /// Seconds that each attack lasts
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(2..=600))]
    seconds: u64,
    /// Only attacks whose name contains this text; may be repeated
    #[arg(long)]
    only: Vec<String>,
    /// Leave out the controls without a sidecar
    #[arg(long)]
    no_control: bool,
    /// File for the report, in Markdown
    #[arg(long)]
    out: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(_) if interrupt::check().is_err() => {
            say(format_args!("interrupted; nothing was written"));
            ExitCode::from(130)
        }
        Err(error) => {
            say(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Runs all attacks; false when one did harm.
fn run(options: &Options) -> Result<bool> {
    let wanted = |name: &str| options.only.is_empty() || options.only.iter().any(|text| name.contains(text));
    let attacks: Vec<_> = ATTACKS.iter().filter(|attack| wanted(attack.name)).collect();
    ensure!(!attacks.is_empty(), "no attack has such a name");
    let sidecar = std::path::absolute(&options.sidecar)?;
    ensure!(sidecar.exists(), "{} does not exist; build it first", sidecar.display());
    ensure!(rustix::process::geteuid().is_root(), "network namespaces need root");
    interrupt::listen()?;
    let network = Network::make()?;
    let length = Duration::from_secs(options.seconds);
    let mut rows: Vec<Row> = Vec::new();
    for (number, attack) in attacks.iter().enumerate() {
        say(format_args!("[{}/{}] {}: {}", number + 1, attacks.len(), attack.name, attack.what));
        let row = measure::measure(&network, &sidecar, attack, length, !options.no_control)?;
        say(format_args!("  {}", report::line(&row)));
        for report in &row.with.sessions.reports {
            say(format_args!("  {report}"));
        }
        rows.push(row);
    }
    println!("{}", report::table(&rows));
    if let Some(out) = &options.out {
        std::fs::write(out, report::page(&rows, length))?;
    }
    Ok(rows.iter().all(Row::is_good))
}
