//! Stands between the operator and the API server, and kills the operator at its first write.
//!
//! `kubectl proxy` does what TLS and credentials need, so that HTTP in plain passes here. A client of
//! HTTP/1.1 that does not pipeline begins each request with a segment of its own: a segment that begins
//! with a writing method is a write. (Bodies are JSON, and do not begin so.)

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tempfile::NamedTempFile;

const METHODS: [&str; 4] = ["POST ", "PUT ", "PATCH ", "DELETE "];

pub(super) struct Relay {
    state: Arc<Mutex<State>>,
    kubeconfig: NamedTempFile,
    proxy: Mutex<Child>,
}

#[derive(Default)]
struct State {
    /// The operator that runs; none while it is dead.
    operator: Option<Pid>,
    /// Number of operators that were killed. Connections that were made before the last time go nowhere.
    killings: usize,
    /// At which writes.
    writes: Vec<String>,
}

impl Relay {
    pub(super) fn start() -> Self {
        let mut proxy = Command::new("kubectl")
            .args(["proxy", "--port=0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(proxy.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let upstream: SocketAddr = said.trim().rsplit(' ').next().unwrap().parse().expect(&said);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        let mut kubeconfig = NamedTempFile::new().unwrap();
        let content = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "relay",
            "clusters": [{"name": "relay", "cluster": {"server": server}}],
            "users": [{"name": "relay", "user": {}}],
            "contexts": [{"name": "relay", "context": {"cluster": "relay", "user": "relay"}}],
        });
        kubeconfig.write_all(content.to_string().as_bytes()).unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                relay(client, upstream, &shared);
            }
        });
        Self { state, kubeconfig, proxy: Mutex::new(proxy) }
    }

    /// The kubeconfig that the operator is started with.
    pub(super) fn kubeconfig(&self) -> &Path {
        self.kubeconfig.path()
    }

    /// From its next write on, this one is dead.
    pub(super) fn has_to_kill(&self, operator: &Child) {
        self.state.lock().unwrap().operator = Some(Pid::from_child(operator));
    }

    /// Returns true if the operator is killed.
    pub(super) fn has_killed(&self) -> bool {
        self.state.lock().unwrap().operator.is_none()
    }

    /// The writes at which it was killed since the last call: `before` or `after`, method and path.
    pub(super) fn take_writes(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().writes)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let proxy = self.proxy.get_mut().unwrap();
        let _ = proxy.kill();
        let _ = proxy.wait();
    }
}

impl State {
    /// Every write is not let through at first; then, when the next life comes to it, it is.
    fn lets_through(&self) -> bool {
        self.killings % 2 == 1
    }

    fn kill(&mut self, when: &str, write: &str) {
        let Some(operator) = self.operator.take() else { return };
        // Nobody has waited for it, so its number is still its own.
        kill_process(operator, Signal::KILL).unwrap();
        self.killings += 1;
        self.writes.push(format!("{when} {write}"));
    }
}

/// A connection of the operator.
struct Connection {
    state: Arc<Mutex<State>>,
    /// During which of its lives it was made.
    life: usize,
    /// The write that has no answer yet.
    unanswered: Mutex<Option<String>>,
}

impl Connection {
    /// Passes on what the operator sends. False: the operator is dead.
    fn passes_up(&self, segment: &[u8]) -> bool {
        let mut state = self.state.lock().unwrap();
        if state.killings != self.life {
            return false;
        }
        let Some(write) = write(segment) else { return true };
        if !state.lets_through() {
            state.kill("before", &write);
            return false;
        }
        *self.unanswered.lock().unwrap() = Some(write);
        true
    }

    /// Passes on what the operator is answered.
    fn passes_down(&self) -> bool {
        let mut state = self.state.lock().unwrap();
        if state.killings != self.life {
            return false;
        }
        let Some(write) = self.unanswered.lock().unwrap().take() else { return true };
        state.kill("after", &write);
        false
    }
}

/// Method and path, if a segment begins a request that writes, for real and not to a Lease.
fn write(segment: &[u8]) -> Option<String> {
    let line = String::from_utf8_lossy(segment.split(|byte| *byte == b'\r').next()?).into_owned();
    let counts = !line.contains("/leases") && !line.contains("dryRun=All");
    let is_write = METHODS.iter().any(|method| line.starts_with(method)) && counts;
    is_write.then(|| line.split('?').next().unwrap_or_default().trim_end_matches(" HTTP/1.1").to_owned())
}

fn relay(client: TcpStream, upstream: SocketAddr, state: &Arc<Mutex<State>>) {
    let life = state.lock().unwrap().killings;
    let connection = Arc::new(Connection { state: state.clone(), life, unanswered: Mutex::default() });
    let Ok(server) = TcpStream::connect(upstream) else { return };
    let (Ok(from), Ok(to)) = (client.try_clone(), server.try_clone()) else { return };
    let up = connection.clone();
    std::thread::spawn(move || pass(from, to, |segment| up.passes_up(segment)));
    std::thread::spawn(move || pass(server, client, |_| connection.passes_down()));
}

/// Passes on what comes, until either side ends or `passes` says so; then both end.
fn pass(mut from: TcpStream, mut to: TcpStream, passes: impl Fn(&[u8]) -> bool) {
    let mut buffer = [0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if !passes(&buffer[..read]) || to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    // They may be closed already.
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
