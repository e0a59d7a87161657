//! A real nginx, configured as the controller would from one golden file.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::chown;
use std::path::Path;

use rustix::process::geteuid;
use serde_json::Value;
use support::deployment::Kubectl;
use support::harness::{Answer, Place, Process, Wire, eventually};
use tempfile::TempDir;
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::Command;

/// Port for clients. The pods are on the ports after it.
const PORT: u16 = 8080;

/// `nobody`, as whom nginx runs where the tests are root.
const NOBODY: u32 = 65534;

/// A party that connects.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Peer {
    /// Someone that is no trusted proxy.
    Client,
    /// A trusted proxy, if any is trusted.
    Proxy,
}

/// A running nginx, which ends with its test.
pub(crate) struct Nginx {
    place: Place,
    process: Process,
    setup: Setup,
    _directory: TempDir,
}

/// Setup of nginx.
#[derive(Clone)]
struct Setup {
    form: &'static str,
    trusted: &'static [&'static str],
    pods: u16,
    /// A pod before the others, which the test plays.
    played: Option<SocketAddr>,
}

/// `GET /` with these fields.
pub(crate) fn request(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: test\r\n{fields}\r\n")
}

/// The key by which the pod was chosen.
pub(crate) fn key_of(answer: &Answer) -> &str {
    assert_eq!(answer.status, 200, "{}", answer.head);
    answer.header("key").expect("the configuration adds it")
}

impl Nginx {
    /// Starts it for this golden file, with these networks trusted, before so many pods.
    pub(crate) async fn start(form: &'static str, trusted: &'static [&'static str], pods: u16) -> Self {
        Self::start_at(Place::new(), Setup { form, trusted, pods, played: None }).await
    }

    /// Starts it for this golden file, before a pod that the test plays, and one more.
    pub(crate) async fn start_with(form: &'static str, played: SocketAddr) -> Self {
        Self::start_at(Place::new(), Setup { form, trusted: &[], pods: 1, played: Some(played) }).await
    }

    /// Ends it, and starts it with so many pods.
    pub(crate) async fn restart(self, pods: u16) -> Self {
        let (place, setup) = (self.place.clone(), Setup { pods, ..self.setup.clone() });
        self.end().await;
        Self::start_at(place, setup).await
    }

    async fn start_at(place: Place, setup: Setup) -> Self {
        let form = setup.form;
        let directory = TempDir::new().expect("a directory can be made");
        let configuration = configuration(&annotations(form), place.ip, &setup);
        fs::write(directory.path().join("nginx.conf"), &configuration).expect("it can be written to");
        if geteuid().is_root() {
            chown(directory.path(), Some(NOBODY), Some(NOBODY)).expect("it can be given away");
        }
        let checked = nginx(directory.path())
            .arg("-t")
            .output()
            .await
            .expect("nginx can be started; where it is absent, `apt-get install nginx` has it");
        let said = String::from_utf8_lossy(&checked.stderr);
        let is_fine = said.lines().count() == 2 && said.contains("syntax is ok") && checked.status.success();
        assert!(is_fine, "nginx says of {form}:\n{said}\nThe configuration:\n{configuration}");

        let process = Process::start("nginx", &mut nginx(directory.path()));
        let nginx = Self { place, process, setup, _directory: directory };
        let address = nginx.listens_on();
        eventually("nginx listens", async || TcpStream::connect(address).await.is_ok()).await;
        nginx
    }

    fn listens_on(&self) -> SocketAddr {
        SocketAddr::new(self.place.ip, PORT)
    }

    /// The address that connections of `peer` come from.
    pub(crate) fn address(&self, peer: Peer) -> IpAddr {
        match peer {
            Peer::Client => Ipv4Addr::LOCALHOST.into(),
            Peer::Proxy => self.place.ip,
        }
    }

    /// Connects as `peer`.
    pub(crate) async fn connect(&self, peer: Peer) -> Wire {
        let socket = TcpSocket::new_v4().expect("there are sockets left");
        socket.bind(SocketAddr::new(self.address(peer), 0)).expect("it is a loopback address");
        Wire::new(socket.connect(self.listens_on()).await.expect("nginx listens"))
    }

    /// Sends `GET /` with these fields, on a connection of its own.
    pub(crate) async fn ask(&self, peer: Peer, fields: &str) -> Answer {
        let mut wire = self.connect(peer).await;
        wire.send(request(fields)).await;
        wire.answer().await
    }

    /// The key of such a request.
    pub(crate) async fn key(&self, peer: Peer, fields: &str) -> String {
        key_of(&self.ask(peer, fields).await).to_owned()
    }

    /// Ends it. It must not have complained.
    pub(crate) async fn end(self) {
        let said = self.said().await;
        assert!(said.is_empty(), "nginx says: {said:#?}");
    }

    /// Ends it. It must have complained of this, and of nothing else.
    pub(crate) async fn end_having_said(self, text: &str) {
        let said = self.said().await;
        assert!(!said.is_empty() && said.iter().all(|line| line.contains(text)), "nginx says: {said:#?}");
    }

    async fn said(mut self) -> Vec<String> {
        self.process.kill().await;
        self.process.output().await
    }
}

/// nginx in the foreground, as one process, all of whose files are in `directory`.
fn nginx(directory: &Path) -> Command {
    // Users' PATH often lacks /usr/sbin.
    let administrators = Path::new("/usr/sbin/nginx");
    let mut command = Command::new(if administrators.exists() { administrators } else { Path::new("nginx") });
    command.args(["-e", "stderr", "-c", "nginx.conf", "-p"]).arg(directory).current_dir(directory);
    if geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// The annotations in a golden file, after the API server has taken the whole Ingress.
fn annotations(form: &str) -> Value {
    let repository = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let namespace = format!("--filename={repository}/examples/chat/k8s/namespace.yaml");
    Kubectl::run(&["apply", &namespace]).expect("the namespace can be made");
    let golden = format!("--filename={repository}/operator/src/controller/edge/ingress_nginx/{form}.yaml");
    let mut ingress = Kubectl::json(&["create", "--dry-run=server", &golden]).expect("the Ingress is valid");
    ingress["metadata"]["annotations"].take()
}

/// Renders these annotations as the controller's template does, as far as it concerns them, in its order.
/// Without trusted networks, the controller is one whose ConfigMap enables nothing.
fn configuration(annotations: &Value, ip: IpAddr, setup: &Setup) -> String {
    let value =
        |name: &str| annotations[format!("nginx.ingress.kubernetes.io/{name}")].as_str().unwrap_or_default();
    let (hash, key) = match value("upstream-hash-by") {
        "" => (String::new(), String::new()),
        key => (format!("hash {key} consistent;"), format!("add_header Key {key} always;")),
    };
    let real_ip: String = match setup.trusted {
        [] => String::new(),
        networks => networks
            .iter()
            .map(|network| format!("set_real_ip_from {network};\n"))
            .chain([format!(
                "set_real_ip_from {ip};\nreal_ip_header X-Forwarded-For;\nreal_ip_recursive on;"
            )])
            .collect(),
    };
    let played = setup.played.map(|address| format!("server {address} max_fails=0;\n"));
    let members: String = played
        .into_iter()
        .chain((1..=setup.pods).map(|pod| format!("server {ip}:{};\n", PORT + pod)))
        .collect();
    let pods: String = (1..=setup.pods)
        .map(|pod| {
            format!(
                "server {{ listen {ip}:{}; return 200 \"pod {pod}, $request, Host: $http_host, Upgrade: $http_upgrade, \
                 Connection: $http_connection\"; }}\n",
                PORT + pod
            )
        })
        .collect();
    format!(
        r#"
daemon off;
master_process off;
pid nginx.pid;
events {{ worker_connections 512; }}
http {{
access_log off;
client_body_temp_path client_body;
proxy_temp_path proxy;
fastcgi_temp_path fastcgi;
uwsgi_temp_path uwsgi;
scgi_temp_path scgi;
{real_ip}
map $http_upgrade $connection_upgrade {{
  default upgrade;
  '' '';
}}
upstream pods {{
{hash}
{members}
}}
{pods}
server {{
  listen {ip}:{PORT};
  location / {{
    proxy_set_header Host $host;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $connection_upgrade;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_send_timeout {send}s;
    proxy_read_timeout {read}s;
    proxy_http_version 1.1;
    proxy_next_upstream {next_upstream};
    {snippet}
    {key}
    proxy_pass http://pods;
  }}
}}
}}
"#,
        send = value("proxy-send-timeout"),
        read = value("proxy-read-timeout"),
        next_upstream = value("proxy-next-upstream"),
        snippet = value("configuration-snippet"),
    )
}
