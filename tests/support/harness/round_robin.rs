//! The load balancer that knows nothing of sessions: each connection goes to the next in turn.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

/// A TCP proxy, until its runtime ends.
#[derive(Debug)]
pub struct RoundRobin;

impl RoundRobin {
    /// Listens on `at`, sends connections to `targets` in turn, and returns the address that it listens on.
    ///
    /// # Panics
    /// The address is taken.
    pub async fn start(at: SocketAddr, targets: Vec<SocketAddr>) -> SocketAddr {
        let listener = TcpListener::bind(at).await.expect("the address is ours");
        let at = listener.local_addr().expect("a listener has an address");
        tokio::spawn(async move {
            for target in targets.iter().cycle() {
                // A client may be gone, and descriptors may be short for a moment.
                let Ok((client, _)) = listener.accept().await else {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                };
                tokio::spawn(pass(client, *target));
            }
        });
        at
    }
}

async fn pass(mut client: TcpStream, target: SocketAddr) {
    let Ok(mut onward) = TcpStream::connect(target).await else { return };
    let _ = (client.set_nodelay(true), onward.set_nodelay(true));
    // How a connection ends is for its two ends to judge.
    let _ = tokio::io::copy_bidirectional(&mut client, &mut onward).await;
}
