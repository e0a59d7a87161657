//! Memory that the kernel holds for the attacked sidecar's sockets, as `ss` shows it.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use crate::network::{Network, PODS};

const INTERVAL: Duration = Duration::from_millis(700);

/// A sampler that runs until it is asked for the peak.
#[derive(Debug)]
pub(crate) struct Sampler {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<u64>>,
}

impl Sampler {
    /// Begins.
    pub(crate) fn start(network: &Network) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let words: Vec<String> = network.among_pods().map(str::to_owned).to_vec();
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            let mut peak = 0;
            while !stopped.load(Ordering::Relaxed) {
                peak = peak.max(sample(&words)?);
                thread::sleep(INTERVAL);
            }
            Ok(peak)
        });
        Self { stop, thread }
    }

    /// Ends, and returns the highest sum of bytes that was seen.
    ///
    /// # Errors
    /// A sample could not be taken.
    pub(crate) fn end(self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the sampler of sockets failed"))?
    }
}

fn sample(words: &[String]) -> Result<u64> {
    let (program, arguments) = words.split_first().context("no words run a program among the pods")?;
    let output = Command::new(program).args(arguments).args(["ss", "-tmnOH"]).output();
    let output = output.with_context(|| format!("{program} cannot be run; install iproute2"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "ss cannot list the sockets; install iproute2: {}", said.trim());
    Ok(sum(&String::from_utf8_lossy(&output.stdout), &PODS[0].to_string()))
}

/// Adds up what is queued in both directions on the sockets of the sidecar in this pod: those on its own
/// ports, and those that it has opened to an application or to a peer.
fn sum(output: &str, pod: &str) -> u64 {
    let sockets = output.lines().filter_map(|line| {
        let mut words = line.split_whitespace().skip(3);
        let (local, peer) = (words.next()?, words.next()?);
        let port = local.strip_prefix(pod)?.strip_prefix(':')?;
        let ours =
            ["7900", "7901", "7902"].contains(&port) || peer.ends_with(":3000") || peer.ends_with(":7901");
        let memory = line.split("skmem:(").nth(1)?.split(')').next()?;
        let queued = memory.split(',').filter_map(|item| {
            let digits = item.find(|character: char| character.is_ascii_digit())?;
            // Received, forward-allocated and queued to be sent (ss(8), skmem).
            ["r", "f", "w"].contains(&item.get(..digits)?).then(|| item.get(digits..)?.parse::<u64>().ok())?
        });
        ours.then(|| queued.sum::<u64>())
    });
    sockets.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sidecars_sockets_count_and_the_applications_do_not() {
        let line = |local: &str, peer: &str| {
            format!("ESTAB 0 0 {local} {peer} skmem:(r100,rb131072,t0,tb87040,f20,w3,o0,bl0,d0)\n")
        };
        let output = line("10.203.0.10:7900", "10.203.0.2:40000")
            + &line("10.203.0.10:41000", "10.203.0.10:3000")
            + &line("10.203.0.10:3000", "10.203.0.10:41000")
            + &line("10.203.0.11:7900", "10.203.0.2:40000");
        assert_eq!(sum(&output, "10.203.0.10"), 246);
    }
}
