//! The log: no client decides how much is written.

use support::harness::{Config, Place, Sidecar, Wire, eventually, get};

use super::alone;

#[tokio::test]
async fn what_requests_cause_is_bounded_and_counted() {
    let _alone = alone().await;
    let (config, place) = (Config::new("enforce").await, Place::new());
    // Nobody listens at the application's address, so that each request has its line.
    let mut sidecar = Sidecar::start(&config, &place).await;
    for _ in 0..1000 {
        let mut client = Wire::connect(place.clients()).await;
        client.send(get("/x")).await;
        assert_eq!(client.answer().await.status, 503);
    }
    eventually("what was left out is counted", async || {
        sidecar.metric("log_lines_left_out_total", &[]).await > 0
    })
    .await;
    sidecar.process.line_with("log lines of the last second were left out").await;
    sidecar.signal(rustix::process::Signal::INT);
    let lines = sidecar.process.output().await;
    assert!(lines.iter().any(|line| line.contains("stopped")), "the end is always told");
    let about = lines.iter().filter(|line| line.contains("no connection onward")).count();
    assert!((200..1000).contains(&about), "{about} lines");
}
