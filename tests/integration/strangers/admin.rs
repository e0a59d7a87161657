//! The admin port: kubelet's probes are answered, whoever else connects.

use std::time::{Duration, Instant};

use support::harness::{Config, Place, Recorder, Sidecar, Wire, ask, get};
use tokio::io::AsyncWriteExt;

use super::{PROBE, alone, raise_descriptor_limit, stranger};

/// By how much strangers on the admin port make the sidecar grow at most: 256 places of 8 KiB, and what is around them.
const MAX_GROWTH: u64 = 12 << 20;

async fn start() -> (Sidecar, Recorder) {
    raise_descriptor_limit();
    let (config, place) = (Config::new("enforce").await, Place::new());
    let app = Recorder::start(place.app(), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    (Sidecar::start(&config, &place).await, app)
}

/// Probes as kubelet does, which acts on three failures in a row: one probe of ten may be late, on a busy machine.
async fn probes_are_answered(sidecar: &Sidecar, count: usize) {
    let mut late = Vec::new();
    for n in 0..count {
        for path in ["/readyz", "/livez"] {
            let started = Instant::now();
            assert_eq!(ask(sidecar.place.admin(), &get(path)).await.status, 200, "{path}, probe {n}");
            if started.elapsed() >= PROBE {
                late.push((path, n, started.elapsed()));
            }
        }
    }
    assert!(late.len() <= count.div_ceil(10), "{late:?}");
}

#[tokio::test]
async fn probes_are_answered_while_3000_connections_are_silent() {
    let _alone = alone().await;
    let (sidecar, _app) = start().await;
    probes_are_answered(&sidecar, 1).await;
    let before = sidecar.resident();
    let mut silent = Vec::new();
    for n in 0..3000 {
        silent.extend(stranger(sidecar.place.admin(), n).await);
    }
    probes_are_answered(&sidecar, 20).await;
    let grown = sidecar.resident().saturating_sub(before);
    assert!(grown < MAX_GROWTH, "{grown} bytes");
    let evicted = sidecar.metric("connections_evicted_total", &["limit=\"admin\""]).await;
    assert!(evicted >= 3000 - 256, "{evicted}");
}

#[tokio::test]
async fn probes_are_answered_while_others_send_heads_without_an_end() {
    let _alone = alone().await;
    let (sidecar, _app) = start().await;
    probes_are_answered(&sidecar, 1).await;
    let before = sidecar.resident();
    let mut senders = Vec::new();
    for n in 0..300 {
        let Some(mut stream) = stranger(sidecar.place.admin(), n).await else { continue };
        let head = format!("GET /livez HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(500_000));
        senders.push(tokio::spawn(async move {
            // The sidecar closes at its limits.
            let _ = tokio::time::timeout(PROBE * 4, stream.write_all(head.as_bytes())).await;
            stream
        }));
    }
    probes_are_answered(&sidecar, 5).await;
    let grown = sidecar.resident().saturating_sub(before);
    assert!(grown < MAX_GROWTH, "{grown} bytes");
    for sender in senders {
        sender.abort();
    }
}

#[tokio::test]
async fn readiness_is_told_while_others_ask_and_do_not_read() {
    let _alone = alone().await;
    let (sidecar, app) = start().await;
    let mut askers = Vec::new();
    for n in 0..1000 {
        if let Some(mut stream) = stranger(sidecar.place.admin(), n).await {
            let path = if n % 2 == 0 { "/readyz" } else { "/metrics" };
            let _ = stream.write_all(get(path).as_bytes()).await;
            askers.push(stream);
        }
    }
    probes_are_answered(&sidecar, 10).await;
    assert!(
        app.connections() < 500,
        "requests share their connections to the application: {}",
        app.connections()
    );
}

#[tokio::test]
async fn a_connection_without_a_head_is_closed_within_its_time() {
    let _alone = alone().await;
    let (sidecar, _app) = start().await;
    let mut silent = Wire::connect(sidecar.place.admin()).await;
    let started = Instant::now();
    silent.rest().await;
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}
