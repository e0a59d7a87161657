//! Sessions live behind real nginx and HAProxy, and applications see the client's address.
//!
//! | edge | to the sidecars |
//! | --- | --- |
//! | nginx `http` | HTTP/1.0 with `Connection: close`, the default before nginx 1.29.7 |
//! | nginx `stream` | PROXY protocol version 1 |
//! | HAProxy, TCP and HTTP mode | PROXY protocol versions 1 and 2 |
//! | HAProxy, `proto h2` | HTTP/2 with prior knowledge, which is refused |
//!
//! Needs the programs that `make edge-programs` fetches.

mod http_1_0;
mod http_2;
mod proxy_protocol;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde_json::{Value, json};
use support::harness::node::{kept_their_sessions, returning_clients};
use support::harness::{Config, NodeServer, Place, Sidecar, Wire, client, get, wire};
use tokio::net::TcpSocket;

/// The address of a client that is told from all others.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 78));

/// Least number of messages that each client has sent and got acknowledged.
const LEAST_ACKED: u64 = 20;

/// Three servers, a sidecar beside each, and the place of the edge that they trust.
struct Pods {
    servers: Vec<NodeServer>,
    sidecars: Vec<Sidecar>,
    edge: Place,
    _config: Config,
}

impl Pods {
    /// Starts servers of `engine`. `settings` are set in `config.json`.
    async fn start(engine: &str, settings: Value) -> Self {
        Self::start_with(engine, settings, &[], &[]).await
    }

    /// As [`Self::start`], with arguments of the servers and of the sidecars.
    async fn start_with(engine: &str, settings: Value, server: &[&str], sidecar: &[&str]) -> Self {
        let (config, edge) = (Config::new("enforce").await, Place::new());
        let _ = config.change(|config| {
            config["trustedProxies"] = json!([format!("{}/32", edge.ip)]);
            for (key, value) in settings.as_object().unwrap() {
                config[key] = value.clone();
            }
        });
        let (mut servers, mut sidecars) = (Vec::new(), Vec::new());
        for place in [Place::new(), Place::new(), Place::new()] {
            servers.push(NodeServer::start(engine, place.app(), server).await);
            sidecars.push(Sidecar::start_with(&config, &place, sidecar).await);
        }
        Self { servers, sidecars, edge, _config: config }
    }

    /// The address at which clients find the edge.
    fn at(&self) -> SocketAddr {
        self.edge.clients()
    }

    /// The sidecars, each in a line made of its number and address.
    fn lines(&self, line: impl Fn(usize, SocketAddr) -> String) -> String {
        let places = self.sidecars.iter().enumerate();
        places.map(|(number, sidecar)| line(number, sidecar.place.clients())).collect::<Vec<_>>().join("\n")
    }

    async fn metric(&self, name: &str, labels: &[&str]) -> u64 {
        Sidecar::metric_of_all(&self.sidecars, name, labels).await
    }

    /// Asserts that sessions over polling live, and that each transport of `transports` reaches a server with its
    /// client's address.
    async fn keep_sessions(&self, transports: &[&str], what: &str) {
        let mut clients = Vec::new();
        for transport in transports {
            clients.push(returning_clients("v4", transport, self.at(), 8).await);
        }
        tokio::time::sleep(std::time::Duration::from_secs(3)).await;
        for clients in clients {
            kept_their_sessions(clients, LEAST_ACKED, what).await;
        }
        assert!(
            self.metric("requests_total", &["decision=\"forward\"", "from=\"client\""]).await > 0,
            "{what}"
        );
    }

    /// Asserts that the server that answers `request`, sent from [`CLIENT`], sees the client's address.
    async fn know_the_client(&self, what: &str) {
        let seen = seen_by_server(CLIENT, self.at()).await;
        assert_eq!(seen["x-forwarded-for"], CLIENT.to_string(), "{what}: {seen}");
        let mut handshakes = 0;
        for server in &self.servers {
            let handshake = &server.stats().await["handshake"];
            if !handshake.is_null() {
                handshakes += 1;
                assert_eq!(handshake["headers"]["x-forwarded-for"], "127.0.0.1", "{what}: {handshake}");
            }
        }
        assert!(handshakes > 0, "{what}");
    }
}

/// The fields that a server sees of a request from `source`, forged ones included.
async fn seen_by_server(source: IpAddr, edge: SocketAddr) -> Value {
    let socket = if source.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.unwrap();
    socket.bind(SocketAddr::new(source, 0)).unwrap();
    let mut wire = Wire::new(socket.connect(edge).await.unwrap());
    wire.send("GET /seen HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n").await;
    let answer: Value = serde_json::from_str(&wire.answer().await.text()).unwrap();
    answer["headers"].clone()
}
