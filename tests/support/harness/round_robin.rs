//! The load balancer that knows nothing of sessions: each connection goes to the next in turn.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};

/// A TCP proxy, until the test ends.
#[derive(Debug)]
pub struct RoundRobin;

impl RoundRobin {
    /// Listens on `at` and sends connections to `targets` in turn.
    pub async fn start(at: SocketAddr, targets: Vec<SocketAddr>) {
        let listener = TcpListener::bind(at).await.expect("the address is ours");
        tokio::spawn(async move {
            for target in targets.iter().cycle() {
                let Ok((client, _)) = listener.accept().await else { return };
                tokio::spawn(pass(client, *target));
            }
        });
    }
}

async fn pass(mut client: TcpStream, target: SocketAddr) {
    let Ok(mut onward) = TcpStream::connect(target).await else { return };
    let _ = (client.set_nodelay(true), onward.set_nodelay(true));
    // How a connection ends is for its two ends to judge.
    let _ = tokio::io::copy_bidirectional(&mut client, &mut onward).await;
}
