//! Strangers open connections and are silent, on each port. Everybody else is served.

mod admin;
mod clients;
mod descriptors;
mod log;
mod peers;

use std::net::{Ipv4Addr, SocketAddr};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpSocket, TcpStream};

/// Lets this process open as many descriptors as it may.
fn raise_descriptor_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
}

/// A connection from the `n`th of 20 source addresses. `None` where it was refused.
async fn stranger(to: SocketAddr, n: usize) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    let last = u8::try_from(n % 20 + 1).unwrap();
    socket.bind(SocketAddr::new(Ipv4Addr::new(127, 0, 9, last).into(), 0)).unwrap();
    socket.connect(to).await.ok()
}
