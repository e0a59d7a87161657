//! Watches the users of a Service, the operator's writes, and the status of an object.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use support::deployment::{Kubectl, Operator};

/// Interval between two visits.
const VISIT: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(5);

/// Clients of a Service: one that stays connected by WebSocket, and others that open a session each.
pub(crate) struct Visitors {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Visits>>,
}

/// Results of the visits.
#[derive(Debug, Default)]
pub(crate) struct Visits {
    /// Number of visits that opened a session.
    pub(crate) opened: usize,
    /// Reasons for which the other visits did not.
    pub(crate) refused: Vec<String>,
    /// Reason for which the connection that was to stay is closed.
    pub(crate) left: Option<String>,
}

impl Visitors {
    /// Of the Service of this name.
    pub(crate) fn of(service: &str) -> Self {
        let service = Kubectl::json(&["get", "service", service]).unwrap();
        let address = format!("{}:80", service["spec"]["clusterIP"].as_str().unwrap());
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let mut stays = connect(&address).unwrap();
        let thread = std::thread::spawn(move || {
            let mut visits = Visits::default();
            while !stopped.load(Ordering::Relaxed) {
                match open(&address) {
                    Ok(()) => visits.opened += 1,
                    Err(error) => visits.refused.push(format!("{error:#}")),
                }
                if visits.left.is_none() {
                    visits.left = stay(&mut stays).err().map(|error| format!("{error:#}"));
                }
                std::thread::sleep(VISIT);
            }
            visits
        });
        Self { stop, thread: Some(thread) }
    }

    /// Sends them away.
    pub(crate) fn leave(mut self) -> Visits {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Visitors {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Visits {
    /// Whoever came was let in.
    #[track_caller]
    pub(crate) fn assert_let_in(&self) {
        assert!(self.opened > 4 && self.refused.is_empty(), "{self:?}");
    }

    /// And who was there stayed.
    #[track_caller]
    pub(crate) fn assert_undisturbed(&self) {
        self.assert_let_in();
        assert_eq!(self.left, None, "{self:?}");
    }
}

fn dial(address: &str) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address.parse()?, PATIENCE).context("connecting")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn open(address: &str) -> Result<()> {
    let mut stream = dial(address)?;
    let request =
        "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: chat\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("reading the answer")?;
    ensure!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"sid\":"), "{answer:?}");
    Ok(())
}

fn connect(address: &str) -> Result<TcpStream> {
    let mut stream = dial(address)?;
    let request = "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: chat\r\nConnection: Upgrade\r\n\
                   Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    while !answer.contains("\"sid\":") {
        let mut bytes = [0; 1024];
        let count = stream.read(&mut bytes).context("waiting for the session")?;
        ensure!(count > 0, "no session: {answer}");
        answer.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    // Without joining a namespace, Socket.IO ends the session soon.
    stream.write_all(&[0x81, 0x82, 0, 0, 0, 0, b'4', b'0'])?;
    stream.set_read_timeout(Some(Duration::from_millis(20)))?;
    Ok(stream)
}

/// Says something, which the server must not end the session for, and answers its pings.
fn stay(stream: &mut TcpStream) -> Result<()> {
    // A pong in a text frame under a mask of zeros: allowed at any time.
    stream.write_all(&[0x81, 0x81, 0, 0, 0, 0, b'3']).context("sending")?;
    let mut bytes = [0; 1024];
    match stream.read(&mut bytes) {
        Ok(count) => {
            ensure!(count > 0, "the connection was closed");
            // An opcode of 8 closes.
            ensure!(bytes[0] != 0x88, "the session was closed");
            Ok(())
        }
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(()),
        Err(error) => Err(error).context("reading"),
    }
}

/// Makes the operator look at an object now, not within a minute.
pub(crate) fn look(namespace: &str, name: &str) {
    let kubectl = |args: &[&str]| Kubectl::run(&[&["--namespace", namespace], args].concat()).unwrap();
    let object = ["socketiocluster", name];
    let version =
        kubectl(&[&["get"], &object[..], &["--output=jsonpath={.metadata.resourceVersion}"]].concat());
    let note = format!("test/looked-at={version}");
    kubectl(&[&["annotate", "--overwrite"], &object[..], &[&note]].concat());
}

/// The operator's counters, summed over labels: writes to the API server, and passes.
pub(crate) fn work() -> (f64, f64) {
    let selector = "--selector=app.kubernetes.io/instance=socketio-affinity";
    let pod = Operator::kubectl(&["get", "pods", selector, "--output=name"]).unwrap();
    let pod = pod.trim().strip_prefix("pod/").unwrap();
    let path = format!("/api/v1/namespaces/{}/pods/{pod}:8080/proxy/metrics", Operator::NAMESPACE);
    let text = Kubectl::run(&["get", "--raw", &path]).unwrap();
    let sum = |name: &str| {
        let lines = text.lines().filter(|line| line.starts_with(&format!("socketio_operator_{name}{{")));
        lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
    };
    (sum("api_writes_total"), sum("reconciles_total"))
}

/// The Events about a SocketIoCluster: type, reason, note, and how often.
pub(crate) fn events(namespace: &str, name: &str) -> Vec<(String, String, String, u64)> {
    let get = |args: &[&str]| -> Value {
        let args = [&["--namespace", namespace, "get"], args].concat();
        Kubectl::json(&args).unwrap()
    };
    let uid = get(&["socketiocluster", name])["metadata"]["uid"].clone();
    let events = get(&["events.events.k8s.io"]);
    let events = events["items"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    events
        .filter(|event| event["regarding"]["uid"] == uid)
        .map(|event| {
            let count = event["series"]["count"].as_u64().unwrap_or(1);
            (text(&event["type"]), text(&event["reason"]), text(&event["note"]), count)
        })
        .collect()
}

/// A message must be one sentence: it begins with what is wrong, a semicolon parts it from
/// what to do, and nothing is formatted wrongly.
#[track_caller]
pub(crate) fn assert_one_sentence(message: &str) {
    assert!(message.contains("; "), "it does not say what to do: {message:?}");
    for bad in ["  ", "\n", ". ", "Some(", "None", "{}", "Error"] {
        assert!(!message.contains(bad), "{bad:?} in {message:?}");
    }
    assert!(message.len() < 500, "{message:?}");
}
