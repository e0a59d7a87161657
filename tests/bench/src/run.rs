//! A run: find the programs, take the cores, pace the open loops, go through the rounds, look at what is
//! outside them, write the report.

mod plan;
mod probes;
mod rounds;
mod systems;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::cli::Cli;
use crate::cores::{self, Cores, Hurry};
use crate::interrupt;
use crate::programs::Peer;
use crate::progress::{minutes, say};
use crate::report;
use crate::results::Results;
use crate::rig::Rig;
use crate::subject::{Ground, Subject};
use crate::system;
use crate::work::Loop;
use plan::Plan;

/// Does as the command line says.
pub(crate) fn run(cli: &Cli) -> Result<()> {
    if cli.again {
        let data = &cli.data;
        let text = fs::read_to_string(data).with_context(|| format!("{} cannot be read", data.display()))?;
        let results = serde_json::from_str(&text)
            .with_context(|| format!("{} is not of this program", data.display()))?;
        return write(cli, &results);
    }
    if !cli.fetch.is_empty() {
        return fetch(&cli.fetch);
    }
    let mut plan = Plan::new(cli)?;
    interrupt::listen()?;
    let began = std::time::Instant::now();

    let mut results = Results {
        machine: cores::machine(),
        date: jiff::Zoned::now().strftime("%Y-%m-%d %H:%M %Z").to_string(),
        quick: cli.quick,
        preliminary: cli.quick || cli.preliminary,
        load_average: fs::read_to_string("/proc/loadavg")
            .unwrap_or_default()
            .split(' ')
            .take(3)
            .collect::<Vec<_>>()
            .join(" "),
        rounds: plan.rounds,
        turns: rounds::TURNS,
        counted: plan.times.counted.as_secs_f64(),
        talk: plan.talk.as_secs_f64(),
        ..Results::default()
    };
    let ground = ground(cli, &mut plan, &mut results)?;
    let _hurry = Hurry::begin();
    let mut rig = Rig::new(ground.application())
        .with_context(|| format!("the application cannot listen on {}", ground.application()))?;
    say(format_args!(
        "proxies on core {}, clients and application on core {}, up to {} connections",
        ground.cores.proxy,
        ground.cores.load,
        ground.connections()
    ));

    rounds::go(&mut rig, &ground, &plan, &mut results)?;
    if !cli.rounds_only {
        probes::scale(&mut rig, &ground, &plan, &mut results)?;
        if !plan.subjects.is_empty() {
            let valgrind = cli.callgrind.then_some(cli.profiles.as_deref());
            probes::go(&mut rig, &ground, &plan, valgrind, &mut results)?;
        }
    }
    drop(rig);
    say(format_args!("measured in {}", minutes(began.elapsed())));
    write(cli, &results)
}

/// Fetches programs for tests.
fn fetch(names: &[String]) -> Result<()> {
    for name in names {
        let peer = Peer::ALL.into_iter().find(|peer| peer.name() == name);
        let program = peer.with_context(|| format!("--fetch knows no {name}"))?.find(false)?;
        say(format_args!("{name} {}, {}", program.version, program.from));
    }
    Ok(())
}

/// Finds all programs, and leaves out of the plan what cannot be had.
fn ground(cli: &Cli, plan: &mut Plan, results: &mut Results) -> Result<Ground> {
    let sidecar = fs::canonicalize(&cli.sidecar).with_context(|| {
        format!(
            "there is no {}; build it with `cargo build --release --package socketio-sidecar`",
            cli.sidecar.display()
        )
    })?;
    let mut peers = Vec::new();
    for peer in Peer::ALL {
        if !plan.subjects.contains(&Subject::Peer(peer)) {
            continue;
        }
        match peer.find(cli.installed) {
            Ok(program) => {
                say(format_args!("{} {}, {}", Subject::Peer(peer).title(), program.version, program.from));
                let of = (peer.name().to_owned(), program.version.clone(), program.from.to_owned());
                results.programs.push(of);
                peers.push((peer, program));
            }
            Err(error) => {
                let why = format!("{}: {error:#}", Subject::Peer(peer).title());
                say(format_args!("not measured: {why}"));
                results.missing.push(why);
                plan.subjects.retain(|subject| *subject != Subject::Peer(peer));
            }
        }
    }
    if !plan.systems.is_empty() {
        match system::missing() {
            None => results.programs.extend(system::programs()?),
            Some(why) => {
                say(format_args!("not measured: {why}"));
                results.missing.push(why.to_owned());
                plan.systems.clear();
            }
        }
    }
    if plan.is_empty() {
        bail!("nothing is left to measure: {}", results.missing.join("; "));
    }
    results.programs.insert(0, ("sidecar".to_owned(), version(&sidecar)?, "this repository".to_owned()));
    let network = 64 + u8::try_from(std::process::id() % 128)?;
    Ok(Ground { cores: Cores::take()?, sidecar, peers, descriptors: raise_descriptors()?, network })
}

fn version(sidecar: &Path) -> Result<String> {
    let output = std::process::Command::new(sidecar).arg("--version").output();
    let output = output.with_context(|| format!("{} cannot be run", sidecar.display()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    Ok(said.split_whitespace().last().unwrap_or("unknown").to_owned())
}

/// As many descriptors as may be had; children inherit it.
fn raise_descriptors() -> Result<usize> {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.or(limit.current).unwrap_or(65_536);
    setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: limit.maximum })
        .context("the limit of open files cannot be raised to what it may be")?;
    // Loopback has some 28,000 ports for the way from a proxy to the application.
    Ok(usize::try_from(most)?.min(50_000))
}

fn write(cli: &Cli, results: &Results) -> Result<()> {
    let plot = cli.report.with_extension("svg");
    let plot_name = plot.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    for (path, text) in [
        (&cli.report, report::page(results, plot_name)),
        (&plot, report::plot(results)),
        (&cli.data, serde_json::to_string_pretty(results)? + "\n"),
    ] {
        if let Some(directory) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            fs::create_dir_all(directory)
                .with_context(|| format!("{} cannot be made", directory.display()))?;
        }
        fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    println!("{}", report::summary(results));
    say(format_args!("all numbers: {}, with a plot beside it", cli.report.display()));
    Ok(())
}

/// The loop whose capacity paces open ones.
const PACER: Loop = Loop::Closed;
