//! A load balancer that knows nothing of sessions: each connection goes to the next pod in turn.
//!
//! It has a runtime of its own, so that attackers do not slow it down.

use std::net::SocketAddr;
use std::thread;

use anyhow::Result;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

use crate::network::HONEST;

/// Listens until the program ends, and returns where.
pub(crate) fn start(pods: Vec<SocketAddr>) -> Result<SocketAddr> {
    let listener = std::net::TcpListener::bind(SocketAddr::new(HONEST, 0))?;
    listener.set_nonblocking(true)?;
    let at = listener.local_addr()?;
    let runtime = Builder::new_current_thread().enable_io().build()?;
    thread::spawn(move || runtime.block_on(serve(listener, pods)));
    Ok(at)
}

async fn serve(listener: std::net::TcpListener, pods: Vec<SocketAddr>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    for pod in pods.iter().cycle() {
        let Ok((client, _)) = listener.accept().await else { continue };
        tokio::spawn(pass(client, *pod));
    }
}

async fn pass(mut client: TcpStream, pod: SocketAddr) {
    let Ok(mut onward) = TcpStream::connect(pod).await else { return };
    let _ = (client.set_nodelay(true), onward.set_nodelay(true));
    // How a connection ends is for its two ends to judge.
    let _ = tokio::io::copy_bidirectional(&mut client, &mut onward).await;
}
