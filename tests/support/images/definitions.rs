//! The project's own images. Each has a Dockerfile that describes the same; a test compares
//! the two (`tests/integration/images.rs`). And Redis, which has an official image: where that cannot
//! be pulled, the machine's own Redis takes its place.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::{Copied, Image, Origin};

/// The sidecar (`sidecar/Dockerfile`).
pub const SIDECAR: &str = "socketio-affinity/sidecar:dev";
/// The operator (`operator/Dockerfile`).
pub const OPERATOR: &str = "socketio-affinity/operator:dev";
/// The example chat (`examples/chat/Dockerfile`).
pub const CHAT: &str = "socketio-affinity/chat:dev";
/// The load program (`tests/load/Dockerfile`).
pub const LOAD: &str = "socketio-affinity/load:dev";

/// Stands in for the official image, `redis:7` (`examples/chat/k8s/redis.yaml`).
pub const REDIS: &str = "socketio-affinity/redis:dev";

/// Distroless images' `nonroot`: a number, so that Kubernetes can see that it is not root.
const USER: &str = "65532:65532";
const NODE_IN_IMAGE: &str = "/nodejs/bin/node";
const APP: &str = "/app";

/// The sidecar's image from its release binary.
pub fn sidecar(binary: &Path) -> Image {
    program_image(SIDECAR, binary, "/socketio-sidecar")
}

/// The operator's image from its release binary.
pub fn operator(binary: &Path) -> Image {
    program_image(OPERATOR, binary, "/socketio-operator")
}

/// An image with the machine's Redis, whose program is in the same place as in the official image.
pub fn redis(binary: &Path) -> Image {
    program_image(REDIS, binary, "/usr/local/bin/redis-server")
}

/// An image with one program and nothing else.
pub fn program_image(reference: &str, binary: &Path, destination: &str) -> Image {
    Image {
        reference: reference.to_owned(),
        user: USER.to_owned(),
        entrypoint: vec![destination.to_owned()],
        env: Vec::new(),
        working_dir: String::new(),
        contents: vec![Copied {
            source: binary.to_path_buf(),
            destination: destination.to_owned(),
            origin: Origin::Project,
        }],
    }
}

/// The image of the Node program in `dir` that starts with `entry`.
///
/// It holds what such a program runs from: its scripts (no tests), `package.json`,
/// `node_modules` and `public`; and `node`, the machine's own.
pub fn node_app(reference: &str, dir: &Path, entry: &str, node: &Path) -> Result<Image> {
    if !dir.join(entry).is_file() {
        bail!("{} has no {entry}, with which the program would start", dir.display());
    }
    let package = dir.join("package.json");
    if package.is_file() && !dir.join("node_modules").is_dir() {
        bail!("{0} has no node_modules; run `npm ci` in {0} first", dir.display());
    }
    let mut contents = vec![Copied {
        source: node.to_path_buf(),
        destination: NODE_IN_IMAGE.to_owned(),
        origin: Origin::Base,
    }];
    for entry in
        std::fs::read_dir(dir).with_context(|| format!("The directory {} cannot be read", dir.display()))?
    {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if is_part_of_node_program(&name) {
            contents.push(Copied {
                source: dir.join(&name),
                destination: format!("{APP}/{name}"),
                origin: Origin::Project,
            });
        }
    }
    Ok(Image {
        reference: reference.to_owned(),
        user: USER.to_owned(),
        entrypoint: vec![NODE_IN_IMAGE.to_owned(), format!("{APP}/{entry}")],
        env: vec!["NODE_ENV=production".to_owned()],
        working_dir: APP.to_owned(),
        contents,
    })
}

fn is_part_of_node_program(name: &str) -> bool {
    let script = [".js", ".mjs", ".cjs"].iter().any(|end| name.ends_with(end));
    let test = [".test.", ".spec.", ".config."].iter().any(|part| name.contains(part));
    (script && !test) || ["package.json", "node_modules", "public"].contains(&name)
}

/// The machine's `node`, from `PATH`.
pub fn find_node() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|dir| dir.join("node")).find(|node| node.is_file());
    let found = found.context("node is not installed; install Node.js 20 or newer")?;
    // A version manager's shim is a script; the program itself says where it is.
    let output = std::process::Command::new(&found)
        .args(["--print", "process.execPath"])
        .output()
        .with_context(|| format!("{} cannot be run", found.display()))?;
    let program = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !output.status.success() || program.is_empty() {
        bail!("{} does not work: {}", found.display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(PathBuf::from(program))
}
