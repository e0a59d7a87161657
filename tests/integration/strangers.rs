//! Strangers open connections and are silent, or almost, on each port. Everybody else is served.
//!
//! The tests here run one after the other ([`alone`]): each has thousands of connections, and some measure time.

mod admin;
mod bodies;
mod clients;
mod descriptors;
mod log;
mod peers;
mod sources;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Mutex, MutexGuard};

/// Longest wait of the kubelet for the answer to a probe of a sidecar.
const PROBE: Duration = Duration::from_secs(2);
/// Held by the one test that runs.
static ALONE: Mutex<()> = Mutex::const_new(());

/// Waits until no other test of this module runs.
async fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().await
}

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
