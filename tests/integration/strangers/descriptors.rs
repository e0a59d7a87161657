//! Descriptors and the kernel's queue: what is left for others when strangers take all they can get.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::harness::{Config, NodeServer, Place, Polling, Scripted, Sidecar, Wire, ask, get};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{PROBE, alone, raise_descriptor_limit, stranger};

#[tokio::test]
async fn probes_and_peers_are_answered_when_clients_take_all_descriptors_they_can_get() {
    let _alone = alone().await;
    let (config, place, other) = (Config::new("enforce").await, Place::new(), Place::new());
    let _server = NodeServer::start("v4", place.app(), &[]).await;
    let mut sidecar = Sidecar::start_with_descriptors(&config, &place, 256, &[]).await;
    let line = sidecar.process.line_with("the limit of open files is too low").await;
    assert!(line.contains("--max-connections"), "{line}");
    let other = Sidecar::start(&config, &other).await;
    let session = Polling::join(place.clients()).await;
    let mut hanging = Vec::new();
    for n in 0..500 {
        let Some(stream) = stranger(place.clients(), n).await else { continue };
        let mut wire = Wire::new(stream);
        // A poll, which takes a connection to the application as well.
        let _ = wire.try_send(get("/socket.io/?EIO=4&transport=polling")).await;
        hanging.push(wire);
    }
    let mut late = Vec::new();
    for _ in 0..10 {
        let started = Instant::now();
        assert_eq!(ask(place.admin(), &get("/livez")).await.status, 200);
        let readyz = ask(place.admin(), &get("/readyz")).await;
        assert!(readyz.status == 200 || readyz.text().contains("--max-connections"), "{readyz:?}");
        late.extend(Some(started.elapsed()).filter(|taken| *taken >= 2 * PROBE));
    }
    assert!(late.len() <= 1, "two probes take longer than kubelet waits: {late:?}");
    assert_eq!(session.echo(other.place.clients(), "x").await, r#"["x"]"#, "through a peer");
    let lines = sidecar.process.lines();
    let errors = lines.iter().filter(|line| line.contains("cannot accept connections")).count();
    assert!(errors < 10, "{errors} lines");
}

#[tokio::test]
async fn a_storm_of_500_connections_waits_for_nothing() {
    let _alone = alone().await;
    raise_descriptor_limit();
    let (config, place) = (Config::new("enforce").await, Place::new());
    let _app = Scripted::bind(place.app()).await;
    let sidecar = Sidecar::start(&config, &place).await;
    // Nothing is accepted meanwhile.
    sidecar.signal(Signal::STOP);
    let mut open = Vec::new();
    for port in [place.clients(), place.peers(), place.admin()] {
        for n in 0..500 {
            // A SYN that is dropped is repeated after a second.
            let connected = timeout(Duration::from_millis(900), TcpStream::connect(port)).await;
            open.push(connected.unwrap_or_else(|_| panic!("connection {n} to {port} waits")).unwrap());
        }
    }
    sidecar.signal(Signal::CONT);
}
