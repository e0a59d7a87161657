//! A load balancer without stickiness, on a runtime of its own, so that attackers do not slow it down.

use std::net::SocketAddr;
use std::thread;

use anyhow::Result;
use support::harness::RoundRobin;
use tokio::runtime::Builder;

use crate::network::HONEST;

/// Listens until the program ends, and returns where.
pub(crate) fn start(pods: Vec<SocketAddr>) -> Result<SocketAddr> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let at = runtime.block_on(RoundRobin::start(SocketAddr::new(HONEST, 0), pods));
    thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
    Ok(at)
}
