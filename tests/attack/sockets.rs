//! Memory that the kernel holds for the attacked sidecar's sockets, as `ss` shows it.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::network::{Network, PODS};

const INTERVAL: Duration = Duration::from_millis(700);

/// A sampler that runs until it is asked for the peak.
#[derive(Debug)]
pub(crate) struct Sampler {
    stop: Arc<AtomicBool>,
    peak: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Sampler {
    /// Begins.
    pub(crate) fn start(network: &Network) -> Self {
        let (stop, peak) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let words: Vec<String> = network.among_pods().map(str::to_owned).to_vec();
        let (stopped, highest) = (stop.clone(), peak.clone());
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                highest.fetch_max(sample(&words).unwrap_or(0), Ordering::Relaxed);
                thread::sleep(INTERVAL);
            }
        });
        Self { stop, peak, thread }
    }

    /// Ends, and returns the highest sum of bytes that was seen.
    pub(crate) fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.join();
        self.peak.load(Ordering::Relaxed)
    }
}

fn sample(words: &[String]) -> Option<u64> {
    let (program, arguments) = words.split_first()?;
    let output = Command::new(program).args(arguments).args(["ss", "-tmnOH"]).output().ok()?;
    Some(sum(&String::from_utf8_lossy(&output.stdout), &PODS[0].to_string()))
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
