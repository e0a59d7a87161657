//! Building components with Go, with a line of progress every few seconds.
//!
//! Cancelling ends Go and the compilers it started.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval_at, sleep};

use super::{Component, go_module};
use crate::programs;
use crate::report::{elapsed, say};

const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// Builds what is absent, all at once: while one downloads, another compiles.
pub(super) async fn build_absent(wanted: &[Component], cache: &Path, components: &Path) -> Result<()> {
    fs::create_dir_all(components)
        .with_context(|| format!("The cache {} cannot be made", components.display()))?;
    let _lock = lock(&cache.join("lock")).await?;
    let mut builds = JoinSet::new();
    for component in wanted.iter().filter(|component| !component.is_built(components)) {
        let (component, cache, components) = (*component, cache.to_path_buf(), components.to_path_buf());
        builds.spawn(async move { build(&component, &cache, &components).await });
    }
    // The first failure ends the other builds, which are dropped with the set.
    while let Some(built) = builds.join_next().await {
        built.context("A build ended unexpectedly")??;
    }
    Ok(())
}

/// Waits until no other build runs. The kernel releases the lock of one that was killed.
async fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).with_context(|| format!("{} cannot be written", path.display()))?;
    let start = Instant::now();
    let mut next_line = Duration::ZERO;
    while flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        if start.elapsed() >= next_line {
            say(format_args!("another build is under way; waiting for it ({})", elapsed(start.elapsed())));
            next_line += PROGRESS_EVERY;
        }
        sleep(Duration::from_millis(500)).await;
    }
    Ok(file)
}

async fn build(component: &Component, cache: &Path, components: &Path) -> Result<()> {
    let Component { name, module, version, .. } = *component;
    let key = component.key();
    let directory = cache.join("build").join(&key);
    let finished = directory.join("out");
    let _ = fs::remove_dir_all(&finished);
    fs::create_dir_all(&finished)
        .with_context(|| format!("The directory {} cannot be made", finished.display()))?;
    say(format_args!(
        "building {name} {version}: about {} min on two cores, once; kept in {}",
        component.minutes,
        components.display()
    ));
    let start = Instant::now();
    write_module(component, &directory).await?;

    let mut go = programs::command("go");
    go.current_dir(&directory)
        .args(["build", "-v", "-mod=mod", "-trimpath", "-buildvcs=false", "-ldflags"])
        .arg(format!("-s -w {}", component.link))
        .arg("-o")
        .arg(format!("{}/", finished.display()))
        .args(component.packages)
        .env("CGO_ENABLED", "0")
        // The compilers live for seconds: collecting garbage less often saves a twentieth of the time.
        .env("GOGC", "400")
        .env("GOWORK", "off");
    let log = directory.join("build.log");
    compile(go, name, &log).await.with_context(|| {
        format!("{name} {version} ({module}) cannot be built; the whole log is {}", log.display())
    })?;

    // All programs of a component appear at once, so that a kill leaves no half of it.
    let place = component.directory(components);
    let _ = fs::remove_dir_all(&place);
    fs::rename(&finished, &place).with_context(|| format!("{} cannot be written", place.display()))?;
    say(format_args!("built {name} {version} in {}", elapsed(start.elapsed())));
    Ok(())
}

/// Writes go.mod (and main.go), and finds out whether this Go can build it.
async fn write_module(component: &Component, directory: &Path) -> Result<()> {
    let Component { name, module, version, .. } = *component;
    if programs::find("go").is_none() {
        bail!("Go is not installed; install Go 1.26 or newer, with which {name} {version} is built");
    }
    // They may be of another recipe.
    for old in ["go.mod", "go.sum"] {
        let _ = fs::remove_file(directory.join(old));
    }
    let mut download = programs::command("go");
    let answer = programs::output(
        download
            .current_dir(directory)
            .args(["mod", "download", "-json", &format!("{module}@{version}")])
            .env("GOWORK", "off")
            .env("GOFLAGS", ""),
    )
    .await
    .context("The Go module cannot be downloaded")?;
    let answer: serde_json::Value = serde_json::from_str(&answer).context("Go's answer is not JSON")?;
    let upstream = answer["GoMod"].as_str().context("Go does not say where the module's go.mod is")?;
    let upstream = fs::read_to_string(upstream).with_context(|| format!("{upstream} cannot be read"))?;
    fs::write(directory.join("go.mod"), go_module::go_mod(name, module, version, &upstream))?;
    if let Some(main) = component.main {
        fs::write(directory.join("main.go"), main)?;
    }
    let mut version_of_go = programs::command("go");
    programs::output(version_of_go.current_dir(directory).args(["env", "GOVERSION"]).env("GOWORK", "off"))
        .await
        .context("This Go is too old; install Go 1.26 or newer")?;
    Ok(())
}

/// Runs `go build -v`, counting the packages that it names, and keeps its messages in `log`.
async fn compile(mut go: tokio::process::Command, name: &str, log: &Path) -> Result<()> {
    let mut log = File::create(log).with_context(|| format!("{} cannot be written", log.display()))?;
    let mut child = go
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .context("go cannot be run")?;
    let mut group = Group(child.id());
    let mut lines = BufReader::new(child.stderr.take().context("go has no output")?).lines();
    let (mut downloaded, mut compiled, mut messages) = (0_u32, 0_u32, Vec::new());
    let start = Instant::now();
    let mut tick = interval_at(tokio::time::Instant::now() + PROGRESS_EVERY, PROGRESS_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            line = lines.next_line() => {
                let Some(line) = line? else { break };
                writeln!(log, "{line}")?;
                match kind_of(&line) {
                    Line::Downloading => downloaded += 1,
                    Line::Package => compiled += 1,
                    Line::Message => messages.push(line),
                }
            }
            _ = tick.tick() => {
                let time = elapsed(start.elapsed());
                let doing = match compiled {
                    0 => format!("{downloaded} modules downloaded"),
                    _ => format!("{compiled} packages compiled"),
                };
                say(format_args!("  {name}: {doing}, {time}"));
            }
        }
    }
    let status = child.wait().await?;
    group.0 = None;
    if !status.success() {
        let last = messages.len().saturating_sub(10);
        bail!("{}", messages[last..].join("\n"));
    }
    Ok(())
}

enum Line {
    Downloading,
    Package,
    Message,
}

fn kind_of(line: &str) -> Line {
    if line.starts_with("go: downloading ") {
        Line::Downloading
    } else if !line.is_empty() && !line.contains([' ', ':', '#', '\t']) {
        Line::Package
    } else {
        Line::Message
    }
}

/// Ends go's compilers with it, when the build is cancelled.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}
