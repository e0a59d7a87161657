//! Node, in a process of its own, asked one thing after another (`tests/integration/node/differential.js`).

use std::cell::RefCell;
use std::process::Stdio;

use serde_json::{Value, json};
use support::harness::{WAIT, node::node};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::reading::{End, Fields, Message, Reading};

/// Both peers: Node's process, and what runs hyper.
#[derive(Debug)]
pub(super) struct Peers {
    pub(super) runtime: Runtime,
    node: RefCell<Node>,
}

#[derive(Debug)]
struct Node {
    /// Killed when it is dropped.
    _child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Peers {
    /// Starts Node.
    pub(super) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let inside = runtime.enter();
        let mut command = node("tests/integration/node/differential.js");
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let (to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        drop(inside);
        Self { runtime, node: RefCell::new(Node { _child: child, to, from }) }
    }

    /// Asks Node, and waits for what it says.
    pub(super) fn ask(&self, question: &Value) -> Value {
        let mut node = self.node.borrow_mut();
        let mut said = String::new();
        let asked = async {
            node.to.write_all(format!("{question}\n").as_bytes()).await.unwrap();
            node.from.read_line(&mut said).await.unwrap();
        };
        let waited = self.runtime.block_on(async { timeout(WAIT, asked).await });
        assert!(waited.is_ok(), "Node does not answer {question}");
        let said: Value =
            serde_json::from_str(&said).unwrap_or_else(|_| panic!("Node ended over {question}"));
        assert!(said["failed"].is_null(), "Node failed over {question}: {said}");
        said
    }

    /// Reads a stream with a Node server; with `upgrades` it takes WebSockets.
    pub(super) fn node_requests(&self, bytes: &[u8], upgrades: bool) -> Reading {
        let said = self.ask(&json!({ "ask": "requests", "bytes": text(bytes), "upgrades": upgrades }));
        reading(&said, ["method", "target"])
    }

    /// Reads a stream with a Node client that asked with `method`.
    pub(super) fn node_answer(&self, bytes: &[u8], method: &str) -> Reading {
        let said = self.ask(&json!({ "ask": "answer", "bytes": text(bytes), "method": method }));
        reading(&said, ["status", "reason"])
    }
}

fn reading(said: &Value, start: [&str; 2]) -> Reading {
    let end = match said["end"].as_str().unwrap() {
        "waiting" => End::Waiting,
        "complete" => End::Closed,
        "upgraded" => End::Upgraded,
        why => End::Refused(why.to_owned()),
    };
    let message = |said: &Value| Message {
        start: start
            .map(|part| said[part].as_str().map_or_else(|| said[part].to_string(), ToOwned::to_owned)),
        http_1_0: said["version"] == "1.0",
        fields: Fields::new(
            said["headers"]
                .as_array()
                .unwrap()
                .iter()
                .map(|field| (field[0].as_str().unwrap(), bytes(field[1].as_str().unwrap()))),
        ),
        body: bytes(said["body"].as_str().unwrap()),
    };
    Reading { messages: said["messages"].as_array().unwrap().iter().map(message).collect(), end }
}

/// Text with one character for each byte.
pub(super) fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|character| u8::try_from(u32::from(character)).unwrap()).collect()
}
