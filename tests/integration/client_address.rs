//! Client address, protocol and host, as real frameworks and servers see them: without a sidecar, with one, and through
//! two. `docs/client-address.md` shows the rows that these tests compute.
//!
//! In place of networks there are loopback addresses: [`EDGE`] is a load balancer, [`CLIENT`] a client that connects
//! by itself. The sidecar reaches its application from 127.0.0.1, as in a pod.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use serde_json::{Value, json};
use support::harness::node::node;
use support::harness::{Answer, Config, NodeServer, Place, Process, Sidecar, Wire, ask, get, repository};
use tokio::net::TcpSocket;
use tokio::process::Command;

const EDGE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 77));
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 78));
/// Fields that an HTTP proxy sends. It overwrites what the client sent.
const OF_PROXY: &str = "X-Forwarded-For: 203.0.113.7\r\nX-Real-IP: 203.0.113.7\r\nX-Forwarded-Proto: https\r\n\
    X-Forwarded-Host: chat.example\r\n";
/// Fields by which a client would like to be somebody else.
const FORGED: &str = "X-Forwarded-For: 6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n\
    X-Forwarded-Host: evil.example\r\nForwarded: for=6.6.6.6;proto=https;host=evil.example\r\nSCRIPT_NAME: /socket.io\r\n";

/// A kind of edge, and the setting for it.
struct Edge {
    name: &'static str,
    setting: fn() -> Value,
    from: IpAddr,
    /// The PROXY protocol header, where there is one.
    begins: &'static str,
    fields: &'static str,
}

const EDGES: [Edge; 5] = [
    Edge {
        name: "HTTP proxy (Ingress)",
        setting: || json!({"forwardedFor": "Preserve"}),
        from: EDGE,
        begins: "",
        fields: OF_PROXY,
    },
    Edge {
        name: "HTTP proxy (`trustedProxies`)",
        setting: || json!({"trustedProxies": ["127.0.0.77/32"]}),
        from: EDGE,
        begins: "",
        fields: OF_PROXY,
    },
    Edge {
        name: "TCP (LoadBalancer, `trustedProxyCount: 0`)",
        setting: || json!({"forwardedFor": "Replace"}),
        from: CLIENT,
        begins: "",
        fields: FORGED,
    },
    Edge {
        name: "TCP with `proxyProtocol`",
        setting: || json!({"proxyProtocol": true, "trustedProxies": ["127.0.0.77/32"]}),
        from: EDGE,
        begins: "PROXY TCP4 203.0.113.7 10.0.0.1 50000 443\r\n",
        fields: FORGED,
    },
    Edge { name: "TCP, not known", setting: || json!({}), from: CLIENT, begins: "", fields: FORGED },
];

async fn send(from: IpAddr, to: SocketAddr, request: &str) -> Answer {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(from, 0)).unwrap();
    let mut wire = Wire::new(socket.connect(to).await.unwrap());
    wire.send(request).await;
    wire.answer().await
}

/// An application behind a sidecar, and another sidecar that forwards to it.
struct Behind {
    config: Config,
    own: Sidecar,
    other: Sidecar,
    _app: Process,
}

impl Behind {
    async fn start(app: impl AsyncFnOnce(&Place) -> Process) -> Self {
        let (config, own, other) = (Config::new("enforce").await, Place::new(), Place::new());
        let app = app(&own).await;
        let own = Sidecar::start(&config, &own).await;
        Self { other: Sidecar::start(&config, &other).await, own, config, _app: app }
    }

    /// Applies a setting to both sidecars.
    async fn set(&self, setting: &Value) {
        let revision = self.config.change(|config| {
            let kept = ["revision", "cluster", "mode"].map(|field| (field, config[field].clone()));
            let kept = BTreeMap::from(kept);
            *config = json!(kept);
            for (key, value) in setting.as_object().unwrap() {
                config[key] = value.clone();
            }
        });
        self.own.applies(&revision).await;
        self.other.applies(&revision).await;
    }

    fn request(&self, target: &str, fields: &str) -> String {
        let session = self.config.tagged("abc", &self.own.place.owner());
        let target = if target.is_empty() {
            format!("/socket.io/?EIO=4&transport=polling&sid={session}")
        } else {
            target.to_owned()
        };
        format!("GET {target} HTTP/1.1\r\nHost: chat.example\r\n{fields}\r\n")
    }

    /// Computes the rows of the table for this application, and checks what holds of all.
    async fn rows(&self, name: &str) -> Vec<String> {
        let mut rows = Vec::new();
        for edge in &EDGES {
            self.set(&(edge.setting)()).await;
            let request = self.request("", edge.fields);
            let without = match has_control(name, edge) {
                true => shown(&send(edge.from, self.own.place.app(), &request).await),
                false => "–".to_owned(),
            };
            let proxied = format!("{}{request}", edge.begins);
            let before = self.other.forwarded().await;
            let with = shown(&send(edge.from, self.own.place.clients(), &proxied).await);
            let forwarded = shown(&send(edge.from, self.other.place.clients(), &proxied).await);
            assert_eq!(self.other.forwarded().await, before + 1);
            assert_eq!(with, forwarded, "{name}, {}: direct and forwarded", edge.name);
            let is_closed = edge.fields == FORGED && !edge.name.contains("not known");
            for forged in ["forged", "evil", "https", "/socket.io"] {
                let is_new = with.contains(forged) && !without.contains(forged);
                assert!(!is_closed || !is_new, "{name}, {}: a client is believed: {with}", edge.name);
            }
            rows.push(format!("| {name} | {} | {without} | {with} |", edge.name));
        }
        rows
    }
}

/// Holds `docs/client-address.md` against rows that were computed.
fn assert_on_page(rows: &[String]) {
    let page = include_str!("../../docs/client-address.md");
    let is_missing = |row: &&String| !page.contains(row.as_str());
    assert!(
        !rows.iter().any(|row| is_missing(&row)),
        "docs/client-address.md should have:\n{}",
        rows.join("\n")
    );
}

/// Reports whether the row can be computed without a sidecar. Applications do not read the PROXY protocol. To one that trusts
/// loopback, all addresses of these tests are trusted, which they are not on a network.
fn has_control(name: &str, edge: &Edge) -> bool {
    let trusts_all = name.contains("loopback") && (edge.from == CLIENT || !name.contains("the edge"));
    edge.begins.is_empty() && !trusts_all
}

/// An answer's address, protocol and host, as the table shows them.
fn shown(answer: &Answer) -> String {
    let who: Value = serde_json::from_str(&answer.text()).unwrap_or_else(|_| panic!("{answer:?}"));
    let address = match who["address"].as_str().unwrap() {
        "203.0.113.7" | "127.0.0.78" => "client",
        "127.0.0.77" => "edge",
        "6.6.6.6" => "**forged**",
        "127.0.0.1" => "127.0.0.1",
        other => panic!("{other}"),
    };
    let host = who["host"].as_str().unwrap();
    let host = if host == "chat.example" { host.to_owned() } else { format!("**{host}**") };
    format!("{address}, {}, {host}", who["protocol"].as_str().unwrap())
}

async fn node_app(place: &Place, arguments: &[&str]) -> Process {
    let (host, port) = (place.ip.to_string(), place.app().port().to_string());
    let mut command = node("tests/integration/node/proxied.js");
    command.args(["--host", &host, "--port", &port]).args(arguments);
    let mut process = Process::start("the application", &mut command);
    process.line_with("{\"port\":").await;
    process
}

#[tokio::test]
async fn express_sees_the_client_as_before() {
    let mut rows = Vec::new();
    for (name, arguments) in [
        ("Express", &[][..]),
        ("Express, `trust proxy: 1`", &["--trust", "1"]),
        ("Express, `trust proxy: 'loopback'`", &["--trust", "loopback"]),
        ("Express, `trust proxy` = the edge's address", &["--trust", "127.0.0.77"]),
        ("Express, `trust proxy` = the edge's address and `loopback`", &["--trust", "127.0.0.77,loopback"]),
    ] {
        rows.extend(Behind::start(async |place| node_app(place, arguments).await).await.rows(name).await);
    }
    assert_on_page(&rows);
}

#[tokio::test]
async fn nest_sees_the_client_as_before() {
    let arguments = ["--framework", "nest", "--trust", "1"];
    let behind = Behind::start(async |place| node_app(place, &arguments).await).await;
    assert_on_page(&behind.rows("NestJS, `trust proxy: 1`").await);
}

/// The statuses of 30 requests of 30 clients behind an HTTP proxy, sorted out.
async fn of_30_clients(to: SocketAddr) -> BTreeMap<u16, usize> {
    let mut statuses = BTreeMap::new();
    for client in 0..30 {
        let request = format!(
            "GET /limited HTTP/1.1\r\nHost: chat.example\r\nX-Forwarded-For: 203.0.113.{client}\r\n\r\n"
        );
        *statuses.entry(send(EDGE, to, &request).await.status).or_default() += 1;
    }
    statuses
}

#[tokio::test]
async fn a_rate_limit_of_each_client_stays_one_behind_an_http_proxy() {
    let all_served = BTreeMap::from([(200, 30)]);
    for setting in
        [json!({}), json!({"forwardedFor": "Preserve"}), json!({"trustedProxies": ["127.0.0.77/32"]})]
    {
        let behind = Behind::start(async |place| node_app(place, &["--trust", "1"]).await).await;
        assert_eq!(of_30_clients(behind.own.place.app()).await, all_served, "without a sidecar");
        let behind = Behind::start(async |place| node_app(place, &["--trust", "1"]).await).await;
        behind.set(&setting).await;
        assert_eq!(of_30_clients(behind.own.place.clients()).await, all_served, "{setting}");
    }
    // Append puts the proxy's address where the client's is looked for: all clients are one.
    let behind = Behind::start(async |place| node_app(place, &["--trust", "1"]).await).await;
    behind.set(&json!({"forwardedFor": "Append"})).await;
    assert_eq!(of_30_clients(behind.own.place.clients()).await, BTreeMap::from([(200, 15), (429, 15)]));
}

#[tokio::test]
async fn a_secure_cookie_is_set_behind_an_http_proxy_and_not_on_a_clients_word() {
    for framework in ["express", "nest"] {
        let arguments = ["--framework", framework, "--trust", "1"];
        let behind = Behind::start(async |place| node_app(place, &arguments).await).await;
        for (setting, from, fields, is_set) in [
            (json!({}), EDGE, OF_PROXY, true),
            (json!({"forwardedFor": "Preserve"}), EDGE, OF_PROXY, true),
            (json!({"trustedProxies": ["127.0.0.77/32"]}), EDGE, OF_PROXY, true),
            (json!({"trustedProxies": ["127.0.0.77/32"]}), CLIENT, FORGED, false),
            (json!({"forwardedFor": "Replace"}), CLIENT, FORGED, false),
        ] {
            behind.set(&setting).await;
            let request = behind.request("/login", fields);
            let answer = send(from, behind.own.place.clients(), &request).await;
            let cookie = answer.header("set-cookie").is_some_and(|cookie| cookie.contains("Secure"));
            assert_eq!(cookie, is_set, "{framework}, {setting} from {from}");
        }
    }
}

#[tokio::test]
async fn socket_io_itself_sees_loopback_and_the_fields_that_the_page_names() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let _ = config.change(|config| config["forwardedFor"] = json!("Replace"));
    let server = NodeServer::start("v4", place.app(), &[]).await;
    let _sidecar = Sidecar::start(&config, &place).await;
    let request = get("/socket.io/?EIO=4&transport=polling");
    assert_eq!(send(CLIENT, place.app(), &request).await.status, 200);
    assert_eq!(server.stats().await["handshake"]["peer"], "127.0.0.78");
    assert_eq!(send(CLIENT, place.clients(), &request).await.status, 200);
    let handshake = &server.stats().await["handshake"];
    assert_eq!(handshake["peer"], "127.0.0.1");
    assert_eq!(handshake["headers"]["x-forwarded-for"], "127.0.0.78");
    assert_eq!(handshake["headers"]["x-real-ip"], "127.0.0.78");
}

/// Starts a server of Python's on `who:<application>`.
async fn python(program: &str, application: &str, place: &Place, listens: &str) -> Process {
    let bin = std::env::var_os("SOCKETIO_PYTHON_BIN").expect(
        "SOCKETIO_PYTHON_BIN names the bin directory of an environment with tests/integration/python/requirements.txt; \
         `make client-address` makes one and runs this",
    );
    let mut command = Command::new(std::path::Path::new(&bin).join(program));
    command.current_dir(repository().join("tests/integration/python")).arg(format!("who:{application}"));
    match program {
        "uvicorn" => {
            command.args(["--host", &place.ip.to_string(), "--port", &place.app().port().to_string()])
        }
        _ => command.args(["--bind", &place.app().to_string()]),
    };
    let mut process = Process::start(program, &mut command);
    process.line_with(listens).await;
    support::harness::eventually("it answers", async || ask(place.app(), &get("/")).await.status == 200)
        .await;
    process
}

#[tokio::test]
#[ignore = "needs Python packages; `make soak` runs it"]
async fn uvicorn_gunicorn_and_flask_see_the_client_as_before() {
    let mut rows = Vec::new();
    for (name, program, application, listens) in [
        ("uvicorn", "uvicorn", "asgi", "running on"),
        ("gunicorn, Flask", "gunicorn", "flask", "Booting worker"),
        ("gunicorn, Flask with `ProxyFix`", "gunicorn", "fixed", "Booting worker"),
    ] {
        let behind = Behind::start(async |place| python(program, application, place, listens).await).await;
        rows.extend(behind.rows(name).await);
    }
    assert_on_page(&rows);
}
