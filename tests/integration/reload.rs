//! Everything in the configuration directory changes without a restart, and no session notices.

use serde_json::{Value, json};
use socketio_sidecar_core::config::{
    CA_FILE, CERTIFICATE_FILE, CONFIG_FILE, KEY_FILE, TAG_KEYS_FILE, encode_key,
};
use support::harness::node::{result_of, websocket};
use support::harness::{
    Config, NodeServer, Place, Polling, Process, RoundRobin, Sidecar, client, eventually, start_client,
};

/// Two sidecars of one cluster, each with a server.
struct Two {
    config: Config,
    one: Sidecar,
    two: Sidecar,
    servers: [NodeServer; 2],
    /// Sends each connection to the next of them.
    edge: Place,
}

impl Two {
    async fn new(mode: &str) -> Self {
        let (config, one, two, edge) = (Config::new(mode).await, Place::new(), Place::new(), Place::new());
        let servers =
            tokio::join!(NodeServer::start("v4", one.app(), &[]), NodeServer::start("v4", two.app(), &[]));
        let one = Sidecar::start(&config, &one).await;
        let two = Sidecar::start(&config, &two).await;
        RoundRobin::start(edge.clients(), vec![one.place.clients(), two.place.clients()]).await;
        Self { config, one, two, servers: servers.into(), edge }
    }

    async fn apply(&self, revision: &str) {
        self.one.applies(revision).await;
        self.two.applies(revision).await;
    }

    /// A client that sends a message every 20 ms for so long.
    async fn busy(&self, transport: &str, to: &Place, seconds: u32) -> Process {
        let (messages, hold) = ((seconds * 50).to_string(), ["--interval", "20", "--timeout", "60000"]);
        let arguments = [&["--messages", &messages][..], &hold].concat();
        let mut client = start_client("v4", transport, to.clients(), &arguments);
        client.line_with("connected").await;
        client
    }
}

#[tokio::test]
async fn the_mode_changes_under_live_clients_and_tags_given_out_are_honoured() {
    let all = Two::new("off").await;
    // Without tags, a client must stay with one of them.
    let before = all.busy("polling", &all.one.place, 5).await;
    assert!(!Polling::open(all.one.place.clients()).await.is_tagged());

    all.apply(&all.config.set_mode("Observe")).await;
    assert!(!Polling::open(all.one.place.clients()).await.is_tagged());

    all.apply(&all.config.set_mode("Enforce")).await;
    let tagged = all.busy("polling", &all.edge, 4).await;
    let session = Polling::join(all.one.place.clients()).await;
    assert!(session.is_tagged());

    let off = all.config.set_mode("Off");
    all.apply(&off).await;
    assert!(!Polling::open(all.one.place.clients()).await.is_tagged());
    for at in [all.one.place.clients(), all.two.place.clients()] {
        assert_eq!(session.echo(at, "still there").await, r#"["still there"]"#);
    }
    for running in [before, tagged] {
        let result = result_of(running).await;
        assert_eq!(result["ok"], true, "{result}");
    }
    assert!(all.one.forwarded().await + all.two.forwarded().await > 0);
    assert_eq!(all.one.metric("config_reloads_total", &["result=\"applied\""]).await, 3);
    assert_eq!(
        all.one.shown_config().await,
        json!({"revision": off, "mode": "Off", "refused": null, "closing": null})
    );
}

#[tokio::test]
async fn a_configuration_that_is_refused_changes_nothing_and_is_shown() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let _server = NodeServer::start("v4", place.app(), &[]).await;
    let sidecar = Sidecar::start(&config, &place).await;
    let good = config.read(CONFIG_FILE);
    for (file, content, says) in [
        (CONFIG_FILE, "{", "config.json: not JSON: EOF while parsing an object at line 1 column 1"),
        (
            TAG_KEYS_FILE,
            "{\"sealWith\":1,\"keys\":[]}",
            "tag-keys.json: sealWith names key 1, which is not among",
        ),
        (CERTIFICATE_FILE, "none", "tls.crt: there is no certificate in it"),
    ] {
        let before = config.read(file);
        config.write(file, content);
        eventually("the refusal is shown", async || {
            sidecar.shown_config().await["refused"].as_str().is_some_and(|refusal| refusal.contains(says))
        })
        .await;
        assert_eq!(sidecar.shown_config().await["revision"], "1");
        assert!(Polling::open(place.clients()).await.is_tagged(), "it goes on as before");
        config.write(file, &before);
        eventually("nothing is refused any more", async || sidecar.shown_config().await["refused"].is_null())
            .await;
    }
    assert_eq!(config.read(CONFIG_FILE), good);
    assert_eq!(sidecar.metric("config_reloads_total", &["result=\"refused\""]).await, 3);
    let said = sidecar.process.lines().iter().filter(|line| line.contains("is refused")).count();
    assert_eq!(said, 3, "once each");
}

/// The three steps: add the new one for opening, make all use it, take the old one away.
#[tokio::test]
async fn tag_keys_are_rotated_in_three_steps_without_a_lost_session() {
    let all = Two::new("enforce").await;
    let keys: Value = serde_json::from_str(&all.config.read(TAG_KEYS_FILE)).unwrap();
    let (old, new) = (keys["keys"][0].clone(), json!({"id": 2, "key": encode_key(&[42; 32])}));
    let early = Polling::join(all.one.place.clients()).await;
    let running = all.busy("polling", &all.edge, 4).await;

    for (seal_with, keys) in [(1, json!([old, new])), (2, json!([old, new]))] {
        all.config.write(TAG_KEYS_FILE, &json!({"sealWith": seal_with, "keys": keys}).to_string());
        all.apply(&all.config.change(|_| ())).await;
    }
    let late = Polling::join(all.one.place.clients()).await;
    for session in [&early, &late] {
        assert_eq!(session.echo(all.two.place.clients(), "x").await, r#"["x"]"#);
    }
    let result = result_of(running).await;
    assert_eq!(result["ok"], true, "{result}");

    // Once the sessions with tags of the old key have ended.
    all.config.write(TAG_KEYS_FILE, &json!({"sealWith": 2, "keys": [new]}).to_string());
    all.apply(&all.config.change(|_| ())).await;
    assert_eq!(late.echo(all.two.place.clients(), "y").await, r#"["y"]"#);
    assert!(early.post(all.two.place.clients(), "3").await.is_unknown_session());
}

#[tokio::test]
async fn certificates_are_rotated_in_three_steps_without_a_lost_session() {
    let (all, new) = (Two::new("enforce").await, Config::new("enforce").await);
    let session = Polling::join(all.one.place.clients()).await;
    let running = all.busy("polling", &all.edge, 5).await;
    let both = all.config.read(CA_FILE) + &new.read(CA_FILE);
    let steps = [
        vec![(CA_FILE, both)],
        vec![(CERTIFICATE_FILE, new.read(CERTIFICATE_FILE)), (KEY_FILE, new.read(KEY_FILE))],
        vec![(CA_FILE, new.read(CA_FILE))],
    ];
    for step in steps {
        for (file, content) in step {
            all.config.write(file, &content);
        }
        all.apply(&all.config.change(|_| ())).await;
        assert_eq!(session.echo(all.two.place.clients(), "x").await, r#"["x"]"#);
    }
    let result = result_of(running).await;
    assert_eq!(result["ok"], true, "{result}");
    assert_eq!(
        all.one.metric("owner_gone_total", &[]).await + all.two.metric("owner_gone_total", &[]).await,
        0
    );

    // The new certificates are in use: a sidecar that knows nothing else reaches the owner.
    new.write(TAG_KEYS_FILE, &all.config.read(TAG_KEYS_FILE));
    let third = Sidecar::start(&new, &Place::new()).await;
    assert_eq!(session.echo(third.place.clients(), "z").await, r#"["z"]"#);
}

#[tokio::test]
async fn observe_counts_what_enforce_would_have_served_and_changes_nothing() {
    let all = Two::new("observe").await;
    let counted = async || {
        let name = "would_have_failed_total";
        all.one.metric(name, &[]).await + all.two.metric(name, &[]).await
    };
    let session = Polling::join(all.one.place.clients()).await;
    assert!(!session.is_tagged());
    assert!(session.poll(all.two.place.clients()).await.is_unknown_session());
    assert_eq!(counted().await, 1, "a poll");
    let target = session.target().replace("polling", "websocket");
    let seen = websocket(all.two.place.clients(), &target, &[]).await;
    assert_eq!(seen["status"], 400, "{seen}");
    assert_eq!(counted().await, 2, "an upgrade");

    let result = client("v4", "polling", all.edge.clients(), &["--timeout", "10000"]).await;
    assert_eq!(
        (&result["ok"], &result["errors"][0]),
        (&false.into(), &"xhr post error: 400 Session ID unknown".into())
    );
    assert!(counted().await >= 3);
    // What is well is not counted.
    let before = counted().await;
    assert_eq!(client("v4", "default", all.one.place.clients(), &[]).await["ok"], true);
    assert_eq!(counted().await, before);

    // The same two servers in Enforce.
    all.apply(&all.config.set_mode("Enforce")).await;
    let result = client("v4", "polling", all.edge.clients(), &[]).await;
    assert_eq!(result["ok"], true, "{result}");
    assert_eq!(counted().await, before);
    assert!(all.servers[0].stats().await["opened"].as_u64() > Some(0));
}

#[tokio::test]
async fn a_fifo_in_place_of_a_file_stops_nothing_and_is_refused() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let _server = NodeServer::start("v4", place.app(), &[]).await;
    let mut sidecar = Sidecar::start(&config, &place).await;
    let path = config.path().join("config.json");
    std::fs::remove_file(&path).unwrap();
    let made = tokio::process::Command::new("mkfifo").arg(&path).status().await.unwrap();
    assert!(made.success());
    sidecar.process.line_with("not a regular file").await;
    assert!(sidecar.shown_config().await["refused"].as_str().unwrap().contains("config.json"));
    let session = Polling::join(place.clients()).await;
    assert_eq!(session.echo(place.clients(), "x").await, r#"["x"]"#);
    sidecar.signal(rustix::process::Signal::INT);
    assert!(sidecar.process.ended().await.success(), "stopping waits for nothing");

    let mut again = support::harness::sidecar::command(&config, &place);
    let mut again = Process::start("the sidecar", &mut again);
    again.line_with("not a regular file").await;
    assert!(!again.ended().await.success());
}
