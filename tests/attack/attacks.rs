//! The attacks, in the order in which they run.
//!
//! # Invariants
//! - Each ends at its deadline, with all its connections.
//! - An attacker whose connection is closed comes back with another.

mod bombs;
mod floods;
mod slow;

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout, timeout_at};

use crate::network::ATTACKERS;
use crate::world::World;

/// Connections that are being opened at a time.
const AT_ONCE: usize = 512;
/// Longest wait for a connection or an answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long an attacker waits before it comes back.
const PAUSE: Duration = Duration::from_millis(50);

/// What is attacked, and until when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    /// Where clients connect: the sidecar, or the application in a control.
    pub door: SocketAddr,
    /// When the attack ends.
    pub until: Instant,
}

type Running = Pin<Box<dyn Future<Output = String>>>;

/// One attack.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attack {
    /// Name on the command line and in the table.
    pub name: &'static str,
    /// What the attackers do.
    pub what: &'static str,
    /// The same can be done to the application without a sidecar.
    pub has_control: bool,
    /// Limit of descriptors of the attacked sidecar.
    pub descriptors: Option<u32>,
    /// Runs the attack, and returns a sentence about it.
    pub run: fn(Target) -> Running,
}

/// All attacks.
pub(crate) const ATTACKS: [Attack; 18] = [
    new("slow heads", "3,000 connections send a head, one byte a second", |t| Box::pin(slow::heads(t))),
    new("incomplete heads", "4,096 connections send 30 KB of a head, and not its end", |t| {
        Box::pin(slow::incomplete_heads(t))
    }),
    new("slow bodies", "1,000 connections send a body, one byte a second", |t| Box::pin(slow::bodies(t))),
    new("slow readers", "4,096 connections with a window of 2 KiB ask for 308 KB and read nothing", |t| {
        Box::pin(slow::readers(t))
    }),
    sidecar("slow readers of forwarded answers", "the same for a session of the other pod", |t| {
        Box::pin(slow::forwarded_readers(t))
    }),
    new(
        "slow readers of WebSockets",
        "4,096 WebSockets with a window of 2 KiB ask for a message of 308 KB and read nothing",
        |t| Box::pin(slow::websocket_readers(t)),
    ),
    new("idle connections", "6,000 connections send one request each, then nothing", |t| {
        Box::pin(floods::idle(t))
    }),
    new("idle WebSockets", "4,096 WebSockets are opened, and send nothing", |t| {
        Box::pin(floods::websockets(t))
    }),
    sidecar(
        "silence on the peer port",
        "6,000 connections to port 7901 send nothing, or the start of a TLS handshake",
        |t| Box::pin(floods::peers(t)),
    ),
    sidecar(
        "silence on the admin port",
        "3,000 connections to port 7902 send nothing, or half a large head",
        |t| Box::pin(floods::admin(t)),
    ),
    new(
        "large heads",
        "4 connections at full speed: heads of 31 KB with 250 fields, each fourth too large",
        |t| Box::pin(bombs::heads(t)),
    ),
    new(
        "Connection options",
        "4 connections at full speed: `Connection` with 7,000 options and 90 fields",
        |t| Box::pin(bombs::options(t)),
    ),
    new("tiny chunks", "4 connections at full speed: bodies without an end in chunks of one byte", |t| {
        Box::pin(bombs::chunks(t))
    }),
    new(
        "spoiled bodies",
        "4 connections at full speed: each spelling of a body that Node and a proxy may end differently",
        |t| Box::pin(bombs::spoiled(t)),
    ),
    new("pings", "4 WebSockets at full speed: pings without payload", |t| Box::pin(bombs::pings(t))),
    sidecar("forged tags", "4 connections at full speed: sids with random tags", |t| {
        Box::pin(bombs::tags(t))
    }),
    new("reconnect storm", "5,000 clients open a session at the same moment", |t| Box::pin(floods::storm(t))),
    Attack {
        descriptors: Some(256),
        has_control: false,
        ..new(
            "descriptors",
            "the sidecar may have 256 descriptors; 1,000 connections send one request each, then nothing",
            |t| Box::pin(floods::few_descriptors(t)),
        )
    },
];

const fn new(name: &'static str, what: &'static str, run: fn(Target) -> Running) -> Attack {
    Attack { name, what, has_control: true, descriptors: None, run }
}

const fn sidecar(name: &'static str, what: &'static str, run: fn(Target) -> Running) -> Attack {
    Attack { has_control: false, ..new(name, what, run) }
}

/// Counts of what attackers did.
#[derive(Debug, Default)]
struct Tally {
    opened: Cell<u64>,
    open: Cell<u64>,
    most: Cell<u64>,
    refused: Cell<u64>,
    done: Cell<u64>,
}

impl Tally {
    fn enter(&self) {
        bump(&self.opened);
        bump(&self.open);
        self.most.set(self.most.get().max(self.open.get()));
    }

    fn leave(&self) {
        self.open.set(self.open.get().saturating_sub(1));
    }

    fn held(&self) -> String {
        let (most, opened, refused) = (self.most.get(), self.opened.get(), self.refused.get());
        format!(
            "at most {most} open at a time, {opened} opened in all, {refused} not accepted in {} s",
            PATIENCE.as_secs()
        )
    }
}

fn bump(cell: &Cell<u64>) {
    cell.set(cell.get() + 1);
}

/// Keeps `count` connections to `to`, each of which does `each`, until the deadline.
async fn hold(
    target: Target,
    to: SocketAddr,
    count: usize,
    window: Option<u32>,
    each: impl AsyncFn(TcpStream, &Tally) -> io::Result<()> + 'static,
) -> Rc<Tally> {
    let (tally, each, door) = (Rc::new(Tally::default()), Rc::new(each), Rc::new(Semaphore::new(AT_ONCE)));
    let mut attackers = JoinSet::new();
    for _ in 0..count {
        let (tally, each, door) = (tally.clone(), each.clone(), door.clone());
        attackers.spawn_local(async move {
            loop {
                let connected = {
                    let _permit = door.acquire().await;
                    timeout(PATIENCE, connect(to, window)).await
                };
                if let Ok(Ok(stream)) = connected {
                    tally.enter();
                    // However the connection ends, the attacker comes back.
                    let _ = each(stream, &tally).await;
                    tally.leave();
                } else {
                    bump(&tally.refused);
                }
                sleep(PAUSE).await;
            }
        });
    }
    let deadline = target.until.into();
    let _ = timeout_at(deadline, async { while attackers.join_next().await.is_some() {} }).await;
    attackers.shutdown().await;
    tally
}

async fn connect(to: SocketAddr, window: Option<u32>) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    if let Some(window) = window {
        socket.set_recv_buffer_size(window)?;
    }
    socket.bind(SocketAddr::new(ATTACKERS, 0))?;
    let stream = socket.connect(to).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Reads until the other side closes the connection.
async fn read_on(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let mut buffer = [0; 1024];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

/// Reads something of an answer; false at the end.
async fn some_answer(stream: &mut TcpStream, patience: Duration) -> io::Result<bool> {
    let mut buffer = [0; 4096];
    Ok(timeout(patience, stream.read(&mut buffer)).await?? > 0)
}

/// Where peers connect.
fn peer_door() -> SocketAddr {
    World::peer_door()
}

/// Where clients connect to the other pod.
fn owner_door() -> SocketAddr {
    World::owner_door()
}

/// Where the kubelet connects.
fn admin_door() -> SocketAddr {
    World::admin_door()
}
