//! Honest clients that measure: round trips at a steady rate, and the kubelet's probe.
//!
//! A round trip that takes longer than the interval stands for those that could not begin meanwhile
//! (correction for coordinated omission), so that a stall of seconds shows in the percentiles.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socketio_affinity_bench::stats::percentile;

/// Between two requests of one client.
const INTERVAL: Duration = Duration::from_millis(20);
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two probes, and the time that the kubelet gives a probe here.
const PROBE_INTERVAL: Duration = Duration::from_millis(250);
const PROBE_PATIENCE: Duration = Duration::from_secs(2);
/// Length of the windows in which recovery is looked for.
const WINDOW: Duration = Duration::from_millis(500);

/// A request that a client repeats.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub at: SocketAddr,
    pub request: String,
    /// The client keeps its connection.
    pub keeps: bool,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Instant,
    took: Duration,
    ok: bool,
}

type Samples = Arc<Mutex<Vec<Sample>>>;

/// Clients that run until they are dropped.
#[derive(Debug)]
pub(crate) struct Honest {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    answers: Samples,
    probes: Samples,
}

/// Answers between two moments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub p99: Option<Duration>,
    pub failed: usize,
    pub asked: usize,
}

impl Honest {
    /// Starts a thread for each of `asks`, and another for the kubelet where there is an admin port.
    pub(crate) fn start(asks: Vec<Ask>, admin: Option<SocketAddr>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (answers, probes) = (Samples::default(), Samples::default());
        let kubelet = admin.map(|at| Ask { at, request: get("/readyz"), keeps: false });
        let asks = asks.into_iter().map(|ask| (ask, &answers, INTERVAL, PATIENCE));
        let kubelet = kubelet.into_iter().map(|ask| (ask, &probes, PROBE_INTERVAL, PROBE_PATIENCE));
        let threads = asks
            .chain(kubelet)
            .map(|(ask, samples, interval, patience)| {
                let (samples, stop) = (samples.clone(), stop.clone());
                thread::spawn(move || run(&ask, interval, patience, &samples, &stop))
            })
            .collect();
        Self { stop, threads, answers, probes }
    }

    /// Results of the clients between two moments.
    pub(crate) fn seen(&self, from: Instant, to: Instant) -> Seen {
        seen(&self.answers, from, to)
    }

    /// Results of the kubelet's probes between two moments.
    pub(crate) fn probed(&self, from: Instant, to: Instant) -> Seen {
        seen(&self.probes, from, to)
    }

    /// Time from `end` until a whole window is answered within `bound`, if there has been one by now.
    pub(crate) fn recovered(&self, end: Instant, bound: Duration) -> Option<Duration> {
        let mut from = end;
        while from + WINDOW < Instant::now() {
            let window = self.seen(from, from + WINDOW);
            if window.failed == 0 && window.p99.is_some_and(|p99| p99 <= bound) {
                return Some(from - end);
            }
            from += WINDOW / 5;
        }
        None
    }
}

impl Drop for Honest {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// `GET target`.
pub(crate) fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n")
}

fn seen(samples: &Samples, from: Instant, to: Instant) -> Seen {
    let samples = samples.lock().unwrap_or_else(PoisonError::into_inner);
    let within = samples.iter().filter(|sample| (from..to).contains(&sample.at));
    let within: Vec<&Sample> = within.collect();
    let mut took: Vec<Duration> = within.iter().map(|sample| sample.took).collect();
    took.sort();
    let failed = within.iter().filter(|sample| !sample.ok).count();
    Seen { p99: percentile(&took, 99), failed, asked: within.len() }
}

fn run(ask: &Ask, interval: Duration, patience: Duration, samples: &Samples, stop: &AtomicBool) {
    let mut kept = None;
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let ok = exchange(&mut kept, ask, patience).unwrap_or(false);
        let took = began.elapsed();
        {
            let mut samples = samples.lock().unwrap_or_else(PoisonError::into_inner);
            samples.push(Sample { at: began, took, ok });
            let mut waited = interval;
            while waited < took {
                samples.push(Sample { at: began + waited, took: took - waited, ok: true });
                waited += interval;
            }
        }
        thread::sleep(interval.saturating_sub(took));
    }
}

fn exchange(kept: &mut Option<TcpStream>, ask: &Ask, patience: Duration) -> std::io::Result<bool> {
    let until = Instant::now() + patience;
    let mut stream = match kept.take() {
        Some(stream) => stream,
        None => {
            let stream = TcpStream::connect_timeout(&ask.at, patience)?;
            stream.set_nodelay(true)?;
            stream
        }
    };
    stream.write_all(ask.request.as_bytes())?;
    let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
    while !is_whole(&answer) {
        let left = until.saturating_duration_since(Instant::now());
        stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            return Ok(false);
        }
        answer.extend(buffer.iter().take(read));
    }
    let closes = String::from_utf8_lossy(&answer).to_ascii_lowercase().contains("connection: close");
    if ask.keeps && !closes {
        *kept = Some(stream);
    }
    Ok(answer.starts_with(b"HTTP/1.1 200 "))
}

fn is_whole(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer).to_ascii_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    length.is_none_or(|length| body.len() >= length.trim().parse().unwrap_or(0))
}
