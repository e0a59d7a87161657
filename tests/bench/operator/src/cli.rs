//! The command line.

use std::path::PathBuf;

use clap::Parser;

/// Most pods of one SocketIoCluster: each has an address of its own in one loopback network.
const MOST_PODS: i64 = 250;

/// Measure what the operator costs, by the number of SocketIoClusters
///
/// Run it in a cluster of its own, which it leaves unusable for anything else:
/// `cluster run -- bench-operator`. It takes about twenty minutes.
#[derive(Parser, Debug)]
#[command(name = "bench-operator", version, max_term_width = 100)]
pub(crate) struct Cli {
    /// The operator's program, built for release
    #[arg(
        long,
        value_name = "FILE",
        env = "SOCKETIO_OPERATOR_PROGRAM",
        default_value = "target/release/socketio-operator"
    )]
    pub(crate) program: PathBuf,
    /// The program that stops what is in the way
    #[arg(long, value_name = "FILE", default_value = "target/debug/cluster")]
    pub(crate) cluster: PathBuf,
    /// Numbers of SocketIoClusters to measure with, in ascending order
    #[arg(long, value_delimiter = ',', default_value = "10,100,300,1000", value_parser = clap::value_parser!(u32).range(1..=16_000))]
    pub(crate) sizes: Vec<u32>,
    /// Pods of each
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=MOST_PODS))]
    pub(crate) pods: u8,
    /// Seconds at rest, in which nothing may be written
    #[arg(long, default_value_t = 70, value_name = "SECONDS")]
    pub(crate) rest: u64,
    /// Pods that are changed, one after the other
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) changes: u32,
    /// Where the page goes; the plot goes beside it
    #[arg(long, value_name = "FILE", default_value = "target/bench/performance-operator.md")]
    pub(crate) out: PathBuf,
}
