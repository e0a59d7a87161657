//! The limits of heads: the same for a request that is answered here and for one that is forwarded, and never
//! below those of common servers.

use serde_json::json;
use support::harness::{Config, Place, Recorder, Scripted, Sidecar, Wire, get};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Two sidecars that name the client in requests, and the target of a session that the first one owns.
struct Pods {
    owner: Place,
    other: Place,
    target: String,
    sidecars: (Sidecar, Sidecar),
}

impl Pods {
    async fn start(arguments: &[&str]) -> Self {
        let (config, owner, other) = (Config::new("enforce").await, Place::new(), Place::new());
        let _ = config.change(|config| config["forwardedFor"] = json!("Append"));
        let target =
            format!("/socket.io/?EIO=4&transport=polling&sid={}", config.tagged("abc", &owner.owner()));
        let sidecars = (
            Sidecar::start_with(&config, &owner, arguments).await,
            Sidecar::start_with(&config, &other, arguments).await,
        );
        Self { owner, other, target, sidecars }
    }

    /// A request of so many fields, `Host` included, and of exactly so many bytes.
    fn request(&self, fields: usize, bytes: usize) -> String {
        let more: String = (2..fields).map(|at| format!("X-{at}: 1\r\n")).collect();
        let head = format!("GET {} HTTP/1.1\r\nHost: a\r\n{more}Cookie: \r\n\r\n", self.target);
        let filler = "x".repeat(bytes - head.len());
        head.replace("Cookie: ", &format!("Cookie: {filler}"))
    }

    /// The status with which the request is answered, here and forwarded.
    async fn statuses(&self, request: &str) -> [u16; 2] {
        let mut statuses = [0; 2];
        for (at, status) in [&self.owner, &self.other].into_iter().zip(&mut statuses) {
            let mut client = Wire::connect(at.clients()).await;
            client.send(request).await;
            let answer = client.answer().await;
            if answer.status != 200 {
                assert_eq!(answer.header("connection"), Some("close"));
                client.ended().await;
            }
            *status = answer.status;
        }
        statuses
    }
}

#[tokio::test]
async fn a_request_at_the_limits_passes_here_and_forwarded_and_one_beyond_them_is_answered_431() {
    let pods = Pods::start(&[]).await;
    let app = Recorder::start(pods.owner.app(), OK).await;
    for (fields, bytes, status) in [
        (10, 20_000, 200),
        (256, 10_000, 200),
        (256, 32 * 1024 - 3, 200),
        (256, 32 * 1024, 200),
        (257, 10_000, 431),
        (10, 32 * 1024 + 1, 431),
    ] {
        let statuses = pods.statuses(&pods.request(fields, bytes)).await;
        assert_eq!(statuses, [status; 2], "{fields} fields, {bytes} bytes");
    }
    assert!(app.heads().iter().all(|head| head.contains("X-Forwarded-For: 127.")), "the hop adds a field");
    assert_eq!(pods.statuses(&format!("GET /{}", "x".repeat(40_000))).await, [431; 2], "without an end");
    for sidecar in [&pods.sidecars.0, &pods.sidecars.1] {
        assert_eq!(sidecar.metric("failures_total", &["cause=\"request_head_too_large\""]).await, 3);
    }
}

#[tokio::test]
async fn the_limits_can_be_set() {
    let pods = Pods::start(&["--max-request-head", "4096", "--max-fields", "50"]).await;
    let _app = Recorder::start(pods.owner.app(), OK).await;
    for (fields, bytes, status) in [(50, 4096, 200), (51, 4000, 431), (50, 4097, 431)] {
        assert_eq!(pods.statuses(&pods.request(fields, bytes)).await, [status; 2], "{fields} {bytes}");
    }
    let pods = Pods::start(&["--max-request-head", "262144", "--max-fields", "1000"]).await;
    let _app = Recorder::start(pods.owner.app(), OK).await;
    for (fields, bytes, status) in [(1000, 262_144, 200), (1001, 100_000, 431), (50, 262_145, 431)] {
        assert_eq!(pods.statuses(&pods.request(fields, bytes)).await, [status; 2], "{fields} {bytes}");
    }
}

#[tokio::test]
async fn an_answer_within_the_limits_passes_here_and_forwarded_and_one_beyond_them_names_the_flag() {
    let mut pods = Pods::start(&[]).await;
    let app = Scripted::bind(pods.owner.app()).await;
    let long = |bytes: usize| format!("X-Long: {}\r\n", "x".repeat(bytes));
    let many = |count: usize| "X-Many: 1\r\n".repeat(count);
    for (fields, status) in [
        (long(20_000), 200),
        (many(130), 200),
        // The rest of the head takes 29 bytes.
        (long(64 * 1024 - 29), 200),
        (many(256), 200),
        (long(64 * 1024 - 28), 502),
        (many(257), 502),
    ] {
        for at in [&pods.owner, &pods.other] {
            let mut client = Wire::connect(at.clients()).await;
            client.send(get(&pods.target)).await;
            let mut at_app = app.accept().await;
            at_app.head().await;
            // A body until close, so that each hop adds a field that says so.
            let sent = at_app.try_send(format!("HTTP/1.1 200 OK\r\n{fields}\r\nok")).await;
            drop(at_app);
            assert!(sent.is_ok() || status == 502, "{sent:?}");
            assert_eq!(client.answer().await.status, status, "{} bytes", fields.len());
        }
    }
    let sidecar = &mut pods.sidecars.0;
    assert_eq!(sidecar.metric("failures_total", &["cause=\"answer_head_too_large\""]).await, 4);
    for flag in ["--max-fields", "--max-answer-head"] {
        let line = sidecar.process.line_with(flag).await;
        assert!(line.contains("WARN"), "{line}");
    }
}
