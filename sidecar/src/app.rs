//! The whole sidecar: [`App::bind`] takes the ports, [`Bound::run`] serves until told to stop.
//!
//! The two are apart so that tests can bind port 0 and learn which ports they got.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use socket2::{Domain, Protocol, Socket, Type};
use socketio_sidecar_core::forwarded::Trust;
use tokio::net::TcpListener;

use crate::admin::{self, Admin};
use crate::cgroup;
use crate::io::{Budget, RECEIVE_BUFFER, SEND_BUFFER};
use crate::limits::Limits;
use crate::log_limit::LogLimit;
use crate::metrics::Metrics;
use crate::origin::Side;
use crate::proxy::{Doors, Heads, Listener, Proxy, Timeouts, listen};
use crate::settings::{Identity, RELOAD_INTERVAL, Reading, Reload, SettingsRefusal, Source, Tick};
use crate::shutdown::{self, Deadlines, Haste, Stopper};
use crate::throttle::Throttle;
use crate::upstream::{App as AppUpstream, AppKeepAlive, Peers};

/// Time between two checks of idle connections.
const REAP_INTERVAL: Duration = Duration::from_secs(1);
/// Time between two checks of the certificate's end.
const CERTIFICATE_INTERVAL: Duration = Duration::from_secs(3600);
/// With fewer days left than this, the log says so every time.
const CERTIFICATE_WARNING_DAYS: u32 = 14;

/// Options that a sidecar is started with and keeps for its life.
#[derive(Debug, Clone)]
pub struct App {
    /// Address of the application.
    pub app: SocketAddr,
    /// The condition under which a connection to the application carries another request.
    pub app_keep_alive: AppKeepAlive,
    /// Address for clients and edges.
    pub listen: SocketAddr,
    /// Address for peers. Peers reach each other on this same port.
    pub peer_listen: SocketAddr,
    /// The admin port.
    pub admin_listen: SocketAddr,
    /// UID of the pod; its IP is the one of `peer_listen`.
    pub pod_uid: String,
    /// The configuration directory.
    pub config_dir: PathBuf,
    /// Most connections open from clients, and as many again from peers.
    pub max_connections: usize,
    /// The limits of heads.
    pub heads: Heads,
    /// Most WebSockets open from clients, and as many again from peers.
    pub max_websockets: usize,
    /// Most connections open from one source address, if that is limited.
    pub max_connections_per_source: Option<usize>,
    /// Descriptors that the process may open; `None` for any number.
    pub descriptors: Option<u64>,
    /// Most bytes held for connections under backpressure; two fifths of the memory limit if `None`.
    pub max_buffered: Option<usize>,
    /// Limits of waiting for clients.
    pub timeouts: Timeouts,
    /// Limits of stopping.
    pub deadlines: Deadlines,
}

/// Reason why a sidecar does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartFailure {
    /// The configuration directory is refused.
    #[error(transparent)]
    Settings(#[from] SettingsRefusal),
    /// A port cannot be bound.
    #[error("cannot listen on {address} ({option}): {error}{}", why_not_bound(error))]
    Bind {
        /// The option that names the address.
        option: &'static str,
        /// The address.
        address: SocketAddr,
        /// Cause.
        error: io::Error,
    },
    /// The application's address is the one for clients.
    #[error(
        "--app and --listen name the same port of this host, {0}: requests would come back without an end"
    )]
    OwnPort(SocketAddr),
    /// The metrics clash.
    #[error("cannot register the metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// A sidecar with its ports taken.
#[derive(Debug)]
pub struct Bound {
    listen: TcpListener,
    peer_listen: TcpListener,
    admin_listen: TcpListener,
    proxy: Arc<Proxy>,
    stopper: Stopper,
    limits: Limits,
    settings: App,
}

impl App {
    /// Reads the configuration and takes the ports.
    ///
    /// # Errors
    /// See [`StartFailure`].
    pub async fn bind(self) -> Result<Bound, StartFailure> {
        if self.is_own_app() {
            return Err(StartFailure::OwnPort(self.app));
        }
        let identity = Identity {
            pod_ip: self.peer_listen.ip(),
            pod_uid: self.pod_uid.clone(),
            app_port: self.app.port(),
        };
        let source = Arc::new(Source::open(&self.config_dir, identity)?);
        let (data, admin) = (DATA_SOCKET, ADMIN_SOCKET);
        let listen = bind("--listen", self.listen, data)?;
        let peer_listen = bind("--pod-ip, --peer-port", self.peer_listen, data)?;
        let admin_listen = bind("--admin-listen", self.admin_listen, admin)?;
        let limits = Limits::fit(self.max_connections, self.max_websockets, self.descriptors);
        let (stopper, shutdown) = shutdown::channel(source.applied().close_window);
        let metrics = Arc::new(Metrics::new()?);
        let (held, ended) = (metrics.buffered_bytes.clone(), metrics.buffered_ended.clone());
        let connections =
            [Side::Client, Side::Peer].map(|side| metrics.connections.with_label_values(&[side.label()]));
        let limit = self.max_buffered.unwrap_or_else(cgroup::default_budget);
        let proxy = Arc::new(Proxy {
            source: source.clone(),
            budget: Budget::new(limit, held, ended, connections),
            app: AppUpstream::new(
                self.app,
                self.timeouts.stall,
                self.app_keep_alive,
                limits.idle,
                metrics.clone(),
            ),
            peers: Arc::new(Peers::new(
                source,
                self.peer_listen.port(),
                self.timeouts.stall,
                limits.idle,
                (metrics.owner_connects_ahead.clone(), metrics.peer_connections_lost.clone()),
            )),
            metrics,
            timeouts: self.timeouts,
            heads: self.heads,
            doors: Doors::new(&limits, self.max_connections_per_source),
            shutdown,
            http2_log: Throttle::default(),
            lots: AtomicU64::new(0),
            untagged_log: Throttle::default(),
            unproxied_log: Throttle::default(),
        });
        Ok(Bound { listen, peer_listen, admin_listen, proxy, stopper, limits, settings: self })
    }
}

impl App {
    /// Reports whether the address of the application leads to the sidecar's own port for clients.
    fn is_own_app(&self) -> bool {
        let (app, own) = (self.app.ip(), self.listen.ip());
        let is_here = app.is_loopback() || app.is_unspecified() || app == self.peer_listen.ip();
        self.app.port() == self.listen.port() && (app == own || (own.is_unspecified() && is_here))
    }
}

/// Advice for an address that cannot be taken.
fn why_not_bound(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; another program or another option has it: name another port",
        io::ErrorKind::AddrNotAvailable => "; no interface of this host has the address",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need a right: name a higher one",
        _ => "",
    }
}

/// Options of a listening socket.
#[derive(Debug, Clone, Copy)]
struct SocketOptions {
    /// Length of the kernel's queue of connections that nobody has accepted yet; the kernel's own limit may be lower.
    backlog: i32,
    /// Size of the receive buffer of each connection.
    receive_buffer: usize,
    /// Size of the send buffer of each connection; `None` lets the kernel choose.
    send_buffer: Option<usize>,
}

const DATA_SOCKET: SocketOptions =
    SocketOptions { backlog: 4096, receive_buffer: RECEIVE_BUFFER, send_buffer: Some(SEND_BUFFER) };
const ADMIN_SOCKET: SocketOptions =
    SocketOptions { backlog: 1024, receive_buffer: admin::RECEIVE_BUFFER_BYTES, send_buffer: None };

fn bind(
    option: &'static str,
    address: SocketAddr,
    options: SocketOptions,
) -> Result<TcpListener, StartFailure> {
    let bound = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        // Set before listening, so that connections inherit them.
        socket.set_recv_buffer_size(options.receive_buffer)?;
        if let Some(size) = options.send_buffer {
            socket.set_send_buffer_size(size)?;
        }
        socket.bind(&address.into())?;
        socket.listen(options.backlog)?;
        TcpListener::from_std(socket.into())
    };
    bound().map_err(|error| StartFailure::Bind { option, address, error })
}

impl Bound {
    /// Serves until `stop` is ready, then stops by the stages of [`crate::shutdown`]. Returns how many
    /// connections had to be ended by force. `log_limit` is told of in the log and in the metrics.
    pub async fn run(self, stop: impl Future<Output = Haste>, log_limit: Arc<LogLimit>) -> usize {
        let Self { listen: clients, peer_listen, admin_listen, proxy, stopper, limits, settings } = self;
        let config = proxy.source.applied();
        let config = &config.settings.config;
        tracing::info!(
            clients = %settings.listen, peers = %settings.peer_listen, admin = %settings.admin_listen,
            app = %settings.app, mode = ?config.mode, revision = config.revision,
            close_over = config.close_over, "serving"
        );
        warn_of_unknown_edge(&proxy.source.applied().settings.trust());
        if limits.is_cut(settings.max_connections, settings.max_websockets) {
            tracing::warn!(
                descriptors = settings.descriptors,
                needed = Limits::needed(settings.max_connections, settings.max_websockets),
                clients = limits.clients,
                peers = limits.peers,
                websockets = limits.websockets_of(limits.clients),
                "the limit of open files is too low for --max-connections and --max-websockets; fewer are accepted"
            );
        }
        let clients = Listener { socket: clients, side: Side::Client };
        let peers = Listener { socket: peer_listen, side: Side::Peer };
        tokio::spawn(listen(proxy.clone(), clients));
        tokio::spawn(listen(proxy.clone(), peers));
        let (source, metrics) = (proxy.source.clone(), proxy.metrics.clone());
        let places = proxy.doors.clients.places.clone();
        let admin = Admin::new(source, metrics, proxy.app.address(), places, limits.admin);
        let admin = tokio::spawn(Arc::new(admin).serve(admin_listen));
        let housekeeping = tokio::spawn(keep_house(proxy.clone(), log_limit));
        let watched = proxy.clone();
        let watch = tokio::spawn(async move { watched.app.watch().await });

        let haste = stop.await;
        tracing::info!(?haste, drain = ?settings.deadlines.drain, deadline = ?settings.deadlines.total, "stopping");
        let forced = stopper.stop(settings.deadlines, haste).await;
        housekeeping.abort();
        watch.abort();
        admin.abort();
        tracing::info!(forced, "stopped");
        forced
    }
}

/// Says once that anybody may write the fields that name the client.
fn warn_of_unknown_edge(trust: &Trust<'_>) {
    if trust.is_unset() {
        tracing::warn!(
            "X-Forwarded-* of clients pass unchanged, and an application that trusts loopback believes them; set \
             trustedProxies in config.json, or forwardedFor"
        );
    }
}

/// Applies changes of the configuration and closes idle connections, for as long as the sidecar runs.
async fn keep_house(proxy: Arc<Proxy>, log_limit: Arc<LogLimit>) {
    let mut reload = tokio::time::interval(RELOAD_INTERVAL);
    let mut reap = tokio::time::interval(REAP_INTERVAL);
    let mut certificate = tokio::time::interval(CERTIFICATE_INTERVAL);
    let mut reading = Reading::new();
    loop {
        tokio::select! {
            _ = reload.tick() => {
                let source = proxy.source.clone();
                if reading.tick(move || source.reload()) == Tick::Late {
                    proxy.metrics.reloads.with_label_values(&["late"]).inc();
                    tracing::warn!("reading the configuration directory takes long; the configuration read before stays in force");
                }
            }
            reloaded = reading.finished() => {
                if let Some(reload) = reloaded {
                    follow(&proxy, reload);
                }
            }
            _ = certificate.tick() => look_at_certificate(&proxy),
            _ = reap.tick() => {
                proxy.app.look_through();
                proxy.metrics.set_idle("owner", proxy.peers.look_through());
                let left_out = log_limit.take_left_out();
                if left_out > 0 {
                    proxy.metrics.log_lines_left_out.inc_by(left_out);
                    tracing::warn!(left_out, "log lines of the last second were left out: too many of a kind");
                }
            }
        }
    }
}

fn look_at_certificate(proxy: &Proxy) {
    let days = proxy.source.applied().tls.days_left(SystemTime::now());
    proxy.metrics.certificate_days_left.set(days.into());
    if days < CERTIFICATE_WARNING_DAYS {
        tracing::warn!(
            days,
            "the peer certificate expires soon, and then nothing can be forwarded; replace it"
        );
    }
}

fn follow(proxy: &Proxy, reload: Reload) {
    match reload {
        Reload::Unchanged => {}
        Reload::Applied => {
            proxy.metrics.reloads.with_label_values(&["applied"]).inc();
            look_at_certificate(proxy);
            let applied = proxy.source.applied();
            proxy.shutdown.set_close_window(applied.close_window);
            let config = &applied.settings.config;
            tracing::info!(
                mode = ?config.mode, revision = config.revision, close_over = config.close_over,
                "applied a changed configuration"
            );
        }
        Reload::Refused(why) => {
            proxy.metrics.reloads.with_label_values(&["refused"]).inc();
            tracing::error!(%why, "the changed configuration is refused; the one before stays in force");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::Stream;
    use socket2::SockRef;

    #[tokio::test]
    async fn every_connection_has_bounded_buffers() {
        let listener = bind("--listen", "127.0.0.1:0".parse().unwrap(), DATA_SOCKET).unwrap();
        let made = Stream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        for socket in [SockRef::from(&made), SockRef::from(&accepted)] {
            // The kernel doubles both for its own overhead.
            assert_eq!(socket.send_buffer_size().unwrap(), 2 * SEND_BUFFER);
            assert_eq!(socket.recv_buffer_size().unwrap(), 2 * RECEIVE_BUFFER);
        }
    }
}
