//! The command line.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use socketio_sidecar_core::config::Mode;
use socketio_sidecar_core::http1::{HeadLimits, MAX_FIELDS_SETTING, MAX_HEAD_SETTING};
use tracing_subscriber::filter::{LevelFilter, Targets};

use crate::app::App;
use crate::init::Init;
use crate::proxy::{Heads, Timeouts};
use crate::shutdown::Deadlines;
use crate::upstream::AppKeepAlive;

/// Forwards each Socket.IO request to the pod that owns its session.
///
/// One sidecar runs beside each Socket.IO process, and clients connect to the sidecars, through any
/// load balancer. Start with `socketio-sidecar init DIR`, which makes the directory that all sidecars
/// of one cluster share.
#[derive(Debug, Parser)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    allow_negative_numbers = true
)]
pub struct Cli {
    /// Command to run. Without a command, the sidecar runs.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Arguments of the sidecar.
    #[command(flatten)]
    pub run: RunArgs,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create the configuration directory of a new cluster: keys, certificates and config.json.
    Init(InitArgs),
}

/// `socketio-sidecar`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Address on which the application listens.
    #[arg(long, env = "SOCKETIO_SIDECAR_APP", value_name = "HOST:PORT", default_value = "127.0.0.1:3000", value_parser = resolve)]
    app: SocketAddr,

    /// Reuse of connections to the application.
    #[arg(long, env = "SOCKETIO_SIDECAR_APP_KEEP_ALIVE", value_name = "REUSE", value_enum, default_value_t = KeepAliveArg::Auto)]
    app_keep_alive: KeepAliveArg,

    /// IP address of this sidecar. The other sidecars connect to it, and this sidecar listens on it for them.
    #[arg(long, env = "POD_IP", value_name = "IP", required = true)]
    pod_ip: Option<IpAddr>,

    /// Unique name of this place: the Pod's UID, or any name that no other sidecar has. It must survive a restart of
    /// the sidecar.
    #[arg(long, env = "POD_UID", value_name = "UID", required = true, value_parser = NonEmptyStringValueParser::new())]
    pod_uid: Option<String>,

    /// Directory with config.json, tag-keys.json, ca.crt, tls.crt and tls.key. The sidecar applies changes within
    /// about two seconds.
    #[arg(
        long,
        env = "SOCKETIO_SIDECAR_CONFIG_DIR",
        value_name = "DIR",
        default_value = "/etc/socketio-sidecar"
    )]
    config_dir: PathBuf,

    /// Address to which clients and edges connect [default: port 7900 on all addresses].
    #[arg(long, env = "SOCKETIO_SIDECAR_LISTEN", value_name = "IP:PORT", value_parser = listen_address)]
    listen: Option<SocketAddr>,

    /// Port on which sidecars reach each other. All sidecars of a cluster need the same port.
    #[arg(long, env = "SOCKETIO_SIDECAR_PEER_PORT", value_name = "PORT", default_value_t = 7901, value_parser = number(1..=u16::MAX))]
    peer_port: u16,

    /// Address that serves /livez, /readyz, /metrics and /config [default: port 7902 on all addresses].
    #[arg(long, env = "SOCKETIO_SIDECAR_ADMIN_LISTEN", value_name = "IP:PORT", value_parser = listen_address)]
    admin_listen: Option<SocketAddr>,

    /// Most connections for requests that are open from clients, and as many again from peers. At the limit
    /// the connection that has been idle longest is closed. Memory: 2 KiB per idle connection; up to 300 KiB per
    /// client that stops reading (256 KiB of it in the kernel). --max-buffered limits the sum of the latter.
    #[arg(long, env = "SOCKETIO_SIDECAR_MAX_CONNECTIONS", value_name = "COUNT", default_value_t = 4096,
          value_parser = number(1..=1_000_000_u32))]
    max_connections: u32,

    /// Maximum size of the head of a request, in bytes: request line and header fields. The sidecar answers a longer
    /// head with 431.
    #[arg(long, env = "SOCKETIO_SIDECAR_MAX_REQUEST_HEAD", value_name = "BYTES", default_value_t = 32 * 1024,
          value_parser = number(MIN_HEAD..=MAX_HEAD_SETTING))]
    max_request_head: usize,

    /// Maximum size of the head of an answer of the application, in bytes. The client gets a 502 in place of an
    /// answer with a longer head.
    #[arg(long, env = "SOCKETIO_SIDECAR_MAX_ANSWER_HEAD", value_name = "BYTES", default_value_t = 64 * 1024,
          value_parser = number(MIN_HEAD..=MAX_HEAD_SETTING))]
    max_answer_head: usize,

    /// Maximum number of header fields of a request or an answer.
    #[arg(long, env = "SOCKETIO_SIDECAR_MAX_FIELDS", value_name = "COUNT", default_value_t = 256,
          value_parser = number(MIN_FIELDS..=MAX_FIELDS_SETTING))]
    max_fields: usize,

    /// Maximum of open WebSockets from clients, and the same number again from peers [default: the value of
    /// --max-connections]. WebSockets do not count for --max-connections. At the limit the sidecar refuses an upgrade
    /// with 503, and its client stays on polling.
    #[arg(long, env = "SOCKETIO_SIDECAR_MAX_WEBSOCKETS", value_name = "COUNT",
          value_parser = number(0..=1_000_000_u32))]
    max_websockets: Option<u32>,

    /// Maximum of connections per source: an IPv4 address or an IPv6 /64 network. The source is the client that a trusted
    /// proxy names, or else the other end of the connection. Open connections count, or requests under way and
    /// WebSockets where X-Forwarded-For names the client. At the limit a new connection is closed, and a request that
    /// counts is answered with 429. Clients behind one NAT, or behind an edge that is not in trustedProxies, are one
    /// source. The value 0 sets no limit.
    #[arg(long, env = "SOCKETIO_SIDECAR_MAX_CONNECTIONS_PER_SOURCE", value_name = "COUNT", default_value_t = 0,
          value_parser = number(0..=1_000_000_u32))]
    max_connections_per_source: u32,

    /// Maximum of memory, in MiB, for data that connections have not taken yet, an estimate of the kernel's part
    /// included [default: 40 % of the container's memory limit, 256 without a limit]. Above half of it, connections
    /// that take nothing end after 5 s in place of the stall timeout, and those that never take all after 30 s; above three
    /// quarters, after 1 s and 5 s. Above 100 %, the connections that have held data longest are closed first; above
    /// 125 %, any that begins to hold data.
    #[arg(long, env = "SOCKETIO_SIDECAR_MAX_BUFFERED", value_name = "MIB",
          value_parser = number(1..=1_048_576_u32))]
    max_buffered: Option<u32>,

    /// Number of threads that serve connections.
    #[arg(long, env = "SOCKETIO_SIDECAR_THREADS", value_name = "COUNT", default_value_t = 1,
          value_parser = number(1..=256_u16))]
    pub threads: u16,

    /// Maximum time to wait for the head of a request, in seconds.
    #[arg(long, env = "SOCKETIO_SIDECAR_HEAD_TIMEOUT", value_name = "SECONDS", default_value_t = 15,
          value_parser = number(1..=u32::MAX))]
    head_timeout: u32,

    /// Maximum time for the body of a request, from its head to its last byte, in seconds. The sidecar answers a
    /// slower request with 408. Answers, such as event streams and downloads, have no such limit.
    #[arg(long, env = "SOCKETIO_SIDECAR_BODY_TIMEOUT", value_name = "SECONDS", default_value_t = 300,
          value_parser = number(1..=u32::MAX))]
    body_timeout: u32,

    /// Maximum time to wait for the next request on a connection, in seconds. The default is longer than any edge
    /// keeps a connection.
    #[arg(long, env = "SOCKETIO_SIDECAR_IDLE_TIMEOUT", value_name = "SECONDS", default_value_t = 620,
          value_parser = number(60..=u32::MAX))]
    idle_timeout: u32,

    /// Maximum time without progress of a body that is under way, in seconds. Waiting for an answer to begin has no
    /// limit.
    #[arg(long, env = "SOCKETIO_SIDECAR_STALL_TIMEOUT", value_name = "SECONDS", default_value_t = 60,
          value_parser = number(1..=u32::MAX))]
    stall_timeout: u32,

    /// Seconds after SIGTERM during which the sidecar serves as before, so that endpoints can be updated. SIGINT
    /// skips this time.
    #[arg(long, env = "SOCKETIO_SIDECAR_DRAIN", value_name = "SECONDS", default_value_t = 5,
          value_parser = number(0..=u32::MAX))]
    drain: u32,

    /// Seconds after which a sidecar that stops ends every connection, open WebSockets included.
    #[arg(long, env = "SOCKETIO_SIDECAR_SHUTDOWN_TIMEOUT", value_name = "SECONDS", default_value_t = 30,
          value_parser = number(0..=u32::MAX))]
    shutdown_timeout: u32,

    /// Format of the log lines.
    #[arg(long, env = "SOCKETIO_SIDECAR_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// Level of the log lines: off, error, warn, info, debug or trace. Directives such as
    /// `info,socketio_sidecar::upstream=debug` set it for a module.
    #[arg(long, env = "SOCKETIO_SIDECAR_LOG", value_name = "LEVEL", default_value = "info", value_parser = log_levels)]
    pub log: Targets,
}

/// Smallest limit of a head, in bytes: less, and browsers' own requests are refused.
const MIN_HEAD: usize = 4 * 1024;
/// Smallest limit of header fields.
const MIN_FIELDS: usize = 50;

/// `socketio-sidecar init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Directory to create. It must not exist.
    directory: PathBuf,

    /// Name of the cluster. Every cluster needs a name of its own.
    #[arg(long, value_name = "NAME", default_value = "standalone", value_parser = NonEmptyStringValueParser::new())]
    cluster: String,

    /// Mode in which the sidecars begin.
    #[arg(long, value_enum, ignore_case = true, default_value_t = ModeArg::Enforce)]
    mode: ModeArg,

    /// Days for which the certificates are valid.
    #[arg(long, value_name = "DAYS", default_value_t = 825, value_parser = number(1..=36500_u32))]
    valid_days: u32,
}

/// Format of the log lines.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum LogFormat {
    /// Text for people.
    Text,
    /// JSON, with an object on each line.
    Json,
}

/// [`AppKeepAlive`], on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum KeepAliveArg {
    /// A connection carries another request within what the application was seen to keep open.
    Auto,
    /// A connection carries another request as the application's Connection and Keep-Alive fields allow.
    Always,
    /// Each request takes a new connection.
    Never,
}

/// [`Mode`], on the command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum ModeArg {
    /// New sessions get no tag.
    Off,
    /// New sessions get no tag, and requests that fail are counted.
    Observe,
    /// New sessions get a tag, and requests are forwarded.
    Enforce,
}

impl RunArgs {
    /// Builds the sidecar that these arguments describe, in a process that may open so many `descriptors`.
    ///
    /// `None`: `required` arguments are absent. The parser rules that out when there is no subcommand.
    #[must_use]
    pub fn app(&self, descriptors: Option<u64>) -> Option<App> {
        let pod_ip = self.pod_ip?;
        let any = match pod_ip {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let limits = |bytes| HeadLimits { bytes, fields: self.max_fields };
        let count = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        Some(App {
            app: self.app,
            app_keep_alive: match self.app_keep_alive {
                KeepAliveArg::Auto => AppKeepAlive::Auto,
                KeepAliveArg::Always => AppKeepAlive::Always,
                KeepAliveArg::Never => AppKeepAlive::Never,
            },
            listen: self.listen.unwrap_or(SocketAddr::new(any, 7900)),
            peer_listen: SocketAddr::new(pod_ip, self.peer_port),
            admin_listen: self.admin_listen.unwrap_or(SocketAddr::new(any, 7902)),
            pod_uid: self.pod_uid.clone()?,
            config_dir: self.config_dir.clone(),
            heads: Heads { requests: limits(self.max_request_head), answers: limits(self.max_answer_head) },
            max_connections: count(self.max_connections),
            max_websockets: count(self.max_websockets.unwrap_or(self.max_connections)),
            max_connections_per_source: Some(count(self.max_connections_per_source)).filter(|most| *most > 0),
            descriptors,
            max_buffered: self.max_buffered.and_then(|mib| usize::try_from(u64::from(mib) << 20).ok()),
            timeouts: Timeouts {
                head: seconds(self.head_timeout),
                body: seconds(self.body_timeout),
                idle: seconds(self.idle_timeout),
                stall: seconds(self.stall_timeout),
            },
            deadlines: Deadlines { drain: seconds(self.drain), total: seconds(self.shutdown_timeout) },
        })
    }
}

impl From<InitArgs> for Init {
    fn from(args: InitArgs) -> Self {
        let mode = match args.mode {
            ModeArg::Off => Mode::Off,
            ModeArg::Observe => Mode::Observe,
            ModeArg::Enforce => Mode::Enforce,
        };
        Self { directory: args.directory, cluster: args.cluster, mode, valid_days: args.valid_days }
    }
}

fn resolve(text: &str) -> Result<SocketAddr, String> {
    let usage = "give HOST:PORT, such as 127.0.0.1:3000";
    let mut addresses = text.to_socket_addrs().map_err(|error| format!("{error}; {usage}"))?;
    addresses.next().ok_or_else(|| format!("it has no address; {usage}"))
}

fn listen_address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "give IP:PORT, such as 0.0.0.0:7900 or [::]:7900")
}

/// Parser of a whole number within `range`. The option's value name is the unit.
fn number<T>(range: RangeInclusive<T>) -> impl Fn(&str) -> Result<T, String> + Clone
where
    T: FromStr + PartialOrd + Display + Clone,
{
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| format!("give a whole number from {} to {}", range.start(), range.end()))
    }
}

fn log_levels(text: &str) -> Result<Targets, &'static str> {
    const USAGE: &str = "give off, error, warn, info, debug or trace, or such a level for a module, as in info,socketio_sidecar=debug";
    // The library takes any other word for a module, whose lines all pass, and no others.
    let is_module = |directive: &str| !directive.contains('=') && directive.parse::<LevelFilter>().is_err();
    if text.split(',').any(is_module) {
        return Err(USAGE);
    }
    text.parse().map_err(|_| USAGE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn three_arguments_are_enough_and_ipv6_pods_listen_on_ipv6() {
        let parse = |ip: &str| {
            let cli = Cli::try_parse_from(["socketio-sidecar", "--pod-ip", ip, "--pod-uid", "u"]).unwrap();
            cli.run.app(None).unwrap()
        };
        assert_eq!(parse("10.0.0.1").listen.to_string(), "0.0.0.0:7900");
        assert_eq!(parse("10.0.0.1").peer_listen.to_string(), "10.0.0.1:7901");
        assert_eq!(parse("fd00::1").admin_listen.to_string(), "[::]:7902");
    }

    #[test]
    fn as_many_websockets_as_connections_may_be_open_unless_said_otherwise() {
        let limits = |more: &[&str]| {
            let place = ["socketio-sidecar", "--pod-ip", "10.0.0.1", "--pod-uid", "u"];
            let app = Cli::try_parse_from([&place[..], more].concat()).unwrap().run.app(None).unwrap();
            (app.max_connections, app.max_websockets)
        };
        assert_eq!(limits(&[]), (4096, 4096));
        assert_eq!(limits(&["--max-connections", "20000"]), (20_000, 20_000));
        assert_eq!(limits(&["--max-connections", "20000", "--max-websockets", "0"]), (20_000, 0));
    }

    #[test]
    fn init_needs_none_of_the_arguments_of_a_run() {
        let cli = Cli::try_parse_from(["socketio-sidecar", "init", "d"]).unwrap();
        assert!(matches!(cli.command, Some(Command::Init(_))));
        assert!(cli.run.app(None).is_none());
    }
}
