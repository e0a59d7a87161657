//! Real nginx and HAProxy, in front of sidecars.

use std::fs;
use std::net::SocketAddr;

use socketio_affinity_bench::programs::{Peer, Program};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::Command;

use super::{Process, eventually};

/// A running edge. Dropping it kills it.
#[derive(Debug)]
pub struct Edge {
    /// The program.
    pub process: Process,
    _directory: TempDir,
}

impl Edge {
    /// Starts nginx in one process, and waits until it accepts connections on `at`. `blocks` are the contexts `http`
    /// and `stream`.
    pub async fn nginx(at: SocketAddr, blocks: &str) -> Self {
        let program = program(Peer::Nginx);
        let directory = tempfile::tempdir().expect("a temporary directory");
        let load = match blocks.contains("stream {") {
            true => stream_module(&program).await,
            false => String::new(),
        };
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
        let temporary = temporary.map(|what| format!("{what}_temp_path {what};")).join(" ");
        let configuration = format!(
            "{load}\ndaemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr error;\n\
             events {{ worker_connections 4096; }}\n{}",
            blocks.replace("http {", &format!("http {{\n    access_log off;\n    {temporary}\n"))
        );
        let mut command = command(&program);
        command.arg("-e").arg("stderr").arg("-p").arg(directory.path()).arg("-c");
        Self::start("nginx", command, directory, &configuration, at).await
    }

    /// Starts HAProxy, and waits until it accepts connections on `at`.
    pub async fn haproxy(at: SocketAddr, configuration: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut command = command(&program(Peer::Haproxy));
        command.args(["-db", "-f"]);
        Self::start("haproxy", command, directory, configuration, at).await
    }

    async fn start(
        name: &str,
        mut command: Command,
        directory: TempDir,
        configuration: &str,
        at: SocketAddr,
    ) -> Self {
        let file = directory.path().join(format!("{name}.conf"));
        fs::write(&file, configuration).expect("the directory is ours");
        let process = Process::start(name, command.arg(file));
        eventually(&format!("{name} listens on {at}: {configuration}"), async || {
            TcpStream::connect(at).await.is_ok()
        })
        .await;
        Self { process, _directory: directory }
    }
}

fn program(peer: Peer) -> Program {
    peer.find_fetched().unwrap_or_else(|error| {
        panic!("run `make edge-programs`, or `make test`, which does: {error:#}");
    })
}

fn command(program: &Program) -> Command {
    let (first, rest) = program.command.split_first().expect("a command is never empty");
    let mut command = Command::new(first);
    command.args(rest);
    command
}

/// The directive that loads nginx' stream module, which Debian has apart and other builds have inside.
async fn stream_module(nginx: &Program) -> String {
    let built = command(nginx).arg("-V").output().await.expect("nginx runs");
    let built = String::from_utf8_lossy(&built.stderr).into_owned();
    if built.split_whitespace().any(|option| option == "--with-stream") {
        return String::new();
    }
    let installed = built.split_whitespace().find_map(|option| option.strip_prefix("--modules-path="));
    let program = std::path::Path::new(nginx.command.last().expect("a command is never empty"));
    // A fetched nginx is at <root>/usr/sbin/nginx.
    let fetched = program.ancestors().nth(2).expect("it is in /usr/sbin").join("lib/nginx/modules");
    let modules = [Some(fetched), installed.map(Into::into)];
    let found = modules.into_iter().flatten().map(|path| path.join("ngx_stream_module.so"));
    let found = found.into_iter().find(|path| path.is_file());
    let found =
        found.expect("nginx has no stream module: run `make edge-programs`, or `make test`, which does");
    format!("load_module {};", found.display())
}
