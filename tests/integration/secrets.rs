//! A sid is a bearer credential: neither metrics nor logs hold one.

use std::collections::BTreeSet;

use support::harness::node::websocket;
use support::harness::{Config, NodeServer, Place, Polling, RoundRobin, Sidecar, client};

#[tokio::test]
async fn after_a_busy_run_no_sid_stands_in_metrics_or_logs_and_lines_are_few() {
    let (config, edge) = (Config::new("enforce").await, Place::new());
    let places = [Place::new(), Place::new()];
    let (first, second) = tokio::join!(
        NodeServer::start("v4", places[0].app(), &[]),
        NodeServer::start("v4", places[1].app(), &[])
    );
    // All there is to read: debug shows more than anybody runs with.
    let verbose = ["--log", "trace", "--log-format", "json"];
    let noisy = Sidecar::start_with(&config, &places[0], &verbose).await;
    let usual = Sidecar::start(&config, &places[1]).await;
    RoundRobin::start(edge.clients(), places.iter().map(Place::clients).collect()).await;

    let mut secrets = BTreeSet::new();
    for transport in ["polling", "default", "websocket"] {
        let at = if transport == "polling" { edge.clients() } else { places[1].clients() };
        let result = client("v4", transport, at, &[]).await;
        assert_eq!(result["ok"], true, "{result}");
        secrets.insert(result["engine_id"].as_str().unwrap().to_owned());
        secrets.insert(result["server"]["engine_id"].as_str().unwrap().to_owned());
    }
    for (here, there) in [(0, 1), (1, 0)] {
        let session = Polling::join(places[here].clients()).await;
        secrets.insert(session.bare_sid().to_owned());
        let upgrade = session.target().replace("polling", "websocket");
        websocket(places[there].clients(), &upgrade, &["--send", "2probe", "--wait", "200"]).await;
        session.post(places[there].clients(), "1").await;
        // Unknown now, with its tag and without.
        session.poll(places[there].clients()).await;
        Polling { sid: session.bare_sid().to_owned() }.poll(places[there].clients()).await;
        secrets.insert(session.sid);
    }
    let gone = Polling { sid: config.tagged("sid-of-a-pod-that-is-gone", &Place::new().owner()) };
    gone.poll(places[0].clients()).await;
    gone.poll(places[1].clients()).await;
    secrets.extend([gone.sid, "sid-of-a-pod-that-is-gone".to_owned()]);
    secrets.extend(secrets.clone().iter().filter_map(|sid| Some(sid.split_once('.')?.1.to_owned())));
    drop((first, second));

    for mut sidecar in [noisy, usual] {
        let metrics = sidecar.metrics().await;
        let requests = sidecar.metric("requests_total", &[]).await;
        assert!(sidecar.forwarded().await > 0 && requests > 20, "it was busy: {metrics}");
        sidecar.signal(rustix::process::Signal::INT);
        let log = sidecar.process.output().await;
        for secret in &secrets {
            assert!(!metrics.contains(secret), "{secret} in\n{metrics}");
            assert!(!log.iter().any(|line| line.contains(secret)), "{secret} in\n{log:#?}");
        }
        let closed = log.iter().filter(|line| line.contains("WebSocket closed")).count();
        assert!(
            closed >= 1 && log.iter().any(|line| line.contains("session")),
            "a tunnel has its line: {log:#?}"
        );
        if sidecar.place.ip == places[1].ip {
            // Starting, stopping, and one line for each WebSocket: nothing for requests that went well.
            let others = log.len() - closed;
            assert!(others <= 5, "{log:#?}");
        }
    }
}
