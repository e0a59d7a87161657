//! A paced close ends every session so that its client comes back by itself, each at a moment of its own.

use std::time::{Duration, Instant, SystemTime};

use rustix::process::Signal;
use serde_json::{Value, json};
use socketio_sidecar_core::pace::Lot;
use socketio_sidecar_core::session_id::SidHash;
use support::harness::node::{result_of, returning_clients};
use support::harness::polling::HANDSHAKE;
use support::harness::{Config, NodeServer, Place, Polling, Process, Scripted, Sidecar, Wire, eventually};

/// Begins a paced close of so many seconds as the operator does: without new tags.
#[must_use = "wait until a sidecar has applied it"]
fn close_over(config: &Config, seconds: u32) -> String {
    config.change(|config| {
        config["mode"] = json!("Off");
        config["closeOver"] = json!(seconds);
    })
}

async fn seconds_left(sidecar: &Sidecar) -> Option<u64> {
    sidecar.shown_config().await["closing"]["secondsLeft"].as_u64()
}

/// Waits until everything is closed, as the operator does.
async fn is_over(sidecar: &Sidecar) {
    eventually("the close is over", async || {
        sidecar.shown_config().await["closing"] == json!({"secondsLeft": 0, "tunnelsLeft": 0})
    })
    .await;
}

/// Two sidecars of one cluster. The server of one is also the owner of all that has a tag here.
struct Two {
    config: Config,
    one: Sidecar,
    two: Sidecar,
    _servers: [NodeServer; 2],
}

impl Two {
    async fn new() -> Self {
        let (config, one, two) = (Config::new("enforce").await, Place::new(), Place::new());
        // Short pings, so that a poll does not hang for long.
        let servers = tokio::join!(
            NodeServer::start("v4", one.app(), &["--cors", "https://one.example", "--ping-interval", "2500"]),
            NodeServer::start("v4", two.app(), &["--cors", "https://two.example"])
        );
        let one = Sidecar::start(&config, &one).await;
        let two = Sidecar::start(&config, &two).await;
        Self { config, one, two, _servers: servers.into() }
    }

    async fn apply(&self, revision: &str) {
        self.one.applies(revision).await;
        self.two.applies(revision).await;
    }

    /// A session of the first whose turn comes in this part of a window.
    async fn session_with_turn(&self, part: std::ops::Range<f64>) -> Polling {
        loop {
            let session = Polling::join(self.one.place.clients()).await;
            assert!(session.is_tagged());
            let lot = Lot::of_session(SidHash::of(session.bare_sid()));
            if part.contains(&lot.moment(Duration::from_secs(1)).as_secs_f64()) {
                return session;
            }
        }
    }
}

/// Events of one client, as it printed them.
struct Seen(Value);

impl Seen {
    async fn of(clients: Process) -> Vec<Self> {
        let clients = result_of(clients).await["clients"].as_array().unwrap().clone();
        clients.into_iter().map(Self).collect()
    }

    fn is_well(&self) -> bool {
        let none = |name: &str| self.0[name] == json!([]);
        let acked = self.0["acked"].as_u64() > Some(0);
        acked
            && none("errors")
            && none("violations")
            && self.0["lost"] == 0
            && self.0["transport"].is_string()
    }

    fn disconnects(&self) -> &[Value] {
        self.0["disconnects"].as_array().unwrap()
    }

    /// Reports whether the client was cut once, for this reason, and came back.
    fn came_back_after(&self, reason: &str) -> bool {
        self.is_well()
            && self.0["connects"] == 2
            && self.disconnects().len() == 1
            && self.disconnects()[0]["reason"] == reason
    }
}

/// Moments at which these clients were cut, in parts of a window that began at `began`.
fn parts(clients: &[Seen], began: SystemTime, window: Duration) -> Vec<f64> {
    let began = began.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    let at = |seen: &Seen| seen.disconnects()[0]["at"].as_f64().unwrap() / 1000.0;
    clients.iter().map(|seen| (at(seen) - began) / window.as_secs_f64()).collect()
}

#[tokio::test]
async fn every_client_of_4_x_comes_back_by_itself() {
    let polling = close_under("v4").await;
    for seen in &polling {
        assert!(seen.came_back_after("transport error"), "{}", seen.0);
        assert_eq!(seen.disconnects()[0]["kind"], "400 Session ID unknown", "{}", seen.0);
    }
}

#[tokio::test]
async fn every_client_of_2_x_comes_back_by_itself() {
    let polling = close_under("v2").await;
    for seen in &polling {
        assert!(seen.is_well() && seen.0["connects"] == 1, "without a tag: {}", seen.0);
    }
}

/// Closes under live clients of `engine`, and returns those that poll.
async fn close_under(engine: &str) -> Vec<Seen> {
    const WINDOW: Duration = Duration::from_secs(8);
    let (config, place) = (Config::new("enforce").await, Place::new());
    let server = NodeServer::start(engine, place.app(), &["--ping-interval", "1000"]).await;
    let sidecar = Sidecar::start(&config, &place).await;
    let (websocket, upgraded, polling) = tokio::join!(
        returning_clients(engine, "websocket", place.clients(), 20),
        returning_clients(engine, "default", place.clients(), 10),
        returning_clients(engine, "polling", place.clients(), 5),
    );

    let revision = close_over(&config, 8);
    sidecar.applies(&revision).await;
    let began = SystemTime::now();
    is_over(&sidecar).await;
    // The first poll after the last turn shows it to the last client.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (websocket, upgraded, polling) =
        (Seen::of(websocket).await, Seen::of(upgraded).await, Seen::of(polling).await);

    for seen in websocket.iter().chain(&upgraded) {
        assert!(seen.came_back_after("transport close"), "{engine}: {}", seen.0);
    }
    assert_eq!(sidecar.metric("tunnels_closed_total", &[]).await, 30, "and not those that came back");
    assert_eq!(server.stats().await["closes"]["parse error"], Value::Null);

    // The turns that are dealt out here are even, also as the clients see them.
    let parts = parts(&websocket, began, WINDOW);
    for tenth in 0..10 {
        let tenth = f64::from(tenth) / 10.0;
        let count = parts.iter().filter(|part| (tenth..tenth + 0.1).contains(*part)).count();
        assert!(count <= 6, "{count} of 20 in one tenth of the window: {parts:?}");
    }
    let spread = |from: f64, to: f64| parts.iter().any(|part| (from..to).contains(part));
    assert!(spread(-0.2, 0.3) && spread(0.3, 0.7) && spread(0.7, 1.1), "{parts:?}");
    polling
}

/// A WebSocket of a session that the first one owns, opened byte by byte.
async fn websocket(at: &Place, app: &Scripted, sid: &str) -> (Wire, Wire) {
    let target = HANDSHAKE.replace("polling", "websocket");
    let mut client = Wire::connect(at.clients()).await;
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    client.send(format!("GET {target}{sid} HTTP/1.1\r\nHost: a\r\n{upgrade}\r\n")).await;
    let mut at_app = app.accept().await;
    at_app.head().await;
    at_app
        .send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        .await;
    assert!(client.head().await.starts_with("HTTP/1.1 101 "));
    (client, at_app)
}

/// Reports whether these are whole messages of this stream: 20,000 bytes each, but for their headers.
fn are_whole_messages(stream: &[u8]) -> bool {
    stream
        .chunks(20_004)
        .all(|message| message.len() == 20_004 && message.starts_with(&[0x82, 126, 0x4e, 0x20]))
}

#[tokio::test]
async fn no_message_is_cut_and_the_client_is_heard_to_its_end() {
    let (config, one, two) = (Config::new("enforce").await, Place::new(), Place::new());
    let app = Scripted::bind(one.app()).await;
    let one = Sidecar::start(&config, &one).await;
    let two = Sidecar::start(&config, &two).await;
    let mut open = Vec::new();
    for n in 0..8 {
        let sid = format!("&sid={}", config.tagged(&format!("session{n}"), &one.place.owner()));
        open.push(websocket(&one.place, &app, "").await);
        open.push(websocket(&two.place, &app, &sid).await);
    }
    let message = [&[0x82, 126, 0x4e, 0x20][..], &[b'x'; 20_000]].concat();
    let revision = close_over(&config, 2);
    let mut running = Vec::new();
    for (mut client, mut at_app) in open {
        let message = message.clone();
        running.push(tokio::spawn(async move {
            let saying = async {
                // In pieces that end anywhere, until the connection does.
                let mut stream = message.iter().cycle();
                for size in (1..9_000).step_by(977).cycle() {
                    let piece: Vec<u8> = stream.by_ref().take(size).copied().collect();
                    if at_app.try_send(piece).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            let hearing = async {
                let told = client.rest().await;
                assert!(!told.is_empty() && are_whole_messages(&told), "{} bytes", told.len());
                client
            };
            // What the client says after it was told of the end still arrives.
            let mut client = tokio::select! {
                () = saying => panic!("the application was cut before the client had closed"),
                client = hearing => client,
            };
            client.send("last words").await;
            at_app.expect("last words").await;
            drop(client);
            at_app.ended().await;
        }));
    }
    one.applies(&revision).await;
    two.applies(&revision).await;
    for each in running {
        each.await.unwrap();
    }
    is_over(&one).await;
    is_over(&two).await;
    for sidecar in [&one, &two] {
        assert_eq!(sidecar.metric("tunnels_closed_total", &[]).await, 8, "where the client is connected");
        eventually("no tunnel is left", async || sidecar.metric("tunnels_open", &[]).await == 0).await;
    }
}

#[tokio::test]
async fn a_poll_under_way_is_finished_and_the_next_is_answered_by_the_local_application() {
    let two = Two::new().await;
    let (through_one, through_two) =
        (two.session_with_turn(0.0..1.0).await, two.session_with_turn(0.0..1.0).await);
    let (one, other) = (two.one.place.clients(), two.two.place.clients());
    let mut hanging = [(&through_one, one, "one"), (&through_two, other, "two")]
        .map(|(session, at, name)| (session, at, name, None));
    for (session, at, _, poll) in &mut hanging {
        *poll = Some(session.hang(*at).await);
    }
    two.apply(&close_over(&two.config, 1)).await;
    is_over(&two.one).await;
    is_over(&two.two).await;
    let forwarded = two.two.forwarded().await;
    for (session, at, name, poll) in hanging {
        let finished = poll.unwrap().answer().await;
        assert_eq!((finished.status, finished.text().as_str()), (200, "2"), "{name}: the server's ping");
        for next in [session.poll(at).await, session.post(at, "3").await] {
            assert!(next.is_unknown_session(), "{next:?}");
            let local = format!("https://{name}.example");
            assert_eq!(next.header("access-control-allow-origin"), Some(local.as_str()), "{next:?}");
        }
    }
    assert_eq!(two.two.forwarded().await, forwarded);
    assert_eq!(two.two.metric("requests_total", &["decision=\"closed\""]).await, 2);
}

#[tokio::test]
async fn each_session_has_its_own_moment_and_is_served_until_then() {
    let two = Two::new().await;
    let (early, late) = (two.session_with_turn(0.0..0.1).await, two.session_with_turn(0.9..1.0).await);
    two.apply(&close_over(&two.config, 60)).await;
    for at in [two.one.place.clients(), two.two.place.clients()] {
        eventually("the early one is closed", async || early.post(at, "3").await.is_unknown_session()).await;
        assert_eq!(late.echo(at, "still there").await, r#"["still there"]"#);
    }
    // Each looked once in 20 ms for a moment that comes within 6 s.
    assert!(seconds_left(&two.one).await > Some(50));
}

#[tokio::test]
async fn what_begins_while_closing_gets_no_tag_and_stays() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let server = NodeServer::start("v4", place.app(), &[]).await;
    let sidecar = Sidecar::start(&config, &place).await;
    let before = returning_clients("v4", "websocket", place.clients(), 1).await;
    // Whatever the mode says.
    sidecar.applies(&config.change(|config| config["closeOver"] = json!(2))).await;
    assert_eq!(sidecar.shown_config().await["mode"], "Enforce");
    let began = returning_clients("v4", "websocket", place.clients(), 1).await;
    let polling = Polling::join(place.clients()).await;
    assert!(!polling.is_tagged());
    is_over(&sidecar).await;
    assert_eq!(polling.echo(place.clients(), "here").await, r#"["here"]"#);
    let open = async || sidecar.metric("tunnels_open", &[]).await;
    eventually("the one before is back", async || open().await == 2).await;
    let (before, began) = (Seen::of(before).await, Seen::of(began).await);
    assert!(before[0].came_back_after("transport close"), "{}", before[0].0);
    assert!(began[0].is_well() && began[0].0["connects"] == 1, "{}", began[0].0);
    assert_eq!(server.stats().await["closes"]["transport error"], Value::Null);
}

#[tokio::test]
async fn without_the_field_again_what_has_not_been_closed_goes_on() {
    let two = Two::new().await;
    let late = two.session_with_turn(0.8..1.0).await;
    let clients = returning_clients("v4", "websocket", two.one.place.clients(), 10).await;
    two.apply(&close_over(&two.config, 5)).await;
    eventually("it has begun", async || two.one.metric("tunnels_closed_total", &[]).await > 0).await;
    two.apply(&two.config.change(|config| drop(config.as_object_mut().unwrap().remove("closeOver")))).await;
    let stopped = Instant::now();
    let closed = two.one.metric("tunnels_closed_total", &[]).await;
    assert!((1..10).contains(&closed), "{closed}");
    assert_eq!(two.one.shown_config().await["closing"], Value::Null);
    assert_eq!(two.one.metric("tunnels_to_close", &[]).await, 0);
    tokio::time::sleep(Duration::from_secs(5).saturating_sub(stopped.elapsed())).await;
    assert_eq!(two.one.metric("tunnels_closed_total", &[]).await, closed);
    assert_eq!(late.echo(two.two.place.clients(), "still there").await, r#"["still there"]"#);
    let cut = Seen::of(clients).await.iter().filter(|seen| !seen.disconnects().is_empty()).count();
    assert_eq!(cut as u64, closed);
}

#[tokio::test]
async fn the_same_again_and_a_later_revision_do_not_begin_the_window_anew() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let sidecar = Sidecar::start(&config, &place).await;
    sidecar.applies(&close_over(&config, 3600)).await;
    eventually("time passes", async || seconds_left(&sidecar).await <= Some(3598)).await;
    for change in ["the same", "a later revision"] {
        let before = seconds_left(&sidecar).await;
        if change == "the same" {
            let same = config.read("config.json");
            config.write("config.json", &same);
            // Longer than it takes to look at it.
            tokio::time::sleep(Duration::from_millis(1500)).await;
        } else {
            sidecar.applies(&close_over(&config, 3600)).await;
        }
        assert!(seconds_left(&sidecar).await <= before, "{change}");
    }
    sidecar.applies(&close_over(&config, 1800)).await;
    let left = seconds_left(&sidecar).await;
    assert!(left > Some(1700) && left < Some(1799), "another length moves the end only: {left:?}");
}

#[tokio::test]
async fn what_are_no_websocket_messages_passes_unharmed_and_ends_too() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let app = Scripted::bind(place.app()).await;
    let sidecar = Sidecar::start_with(&config, &place, &["--stall-timeout", "1"]).await;
    let (mut client, mut at_app) = websocket(&place, &app, "").await;
    at_app.send("Unsupported protocol version").await;
    client.expect("Unsupported protocol version").await;
    sidecar.applies(&close_over(&config, 2)).await;
    at_app.send(", I said").await;
    assert_eq!(client.rest().await, b", I said");
    assert_eq!(seconds_left(&sidecar).await, Some(0), "no sooner than it must");
    at_app.ended().await;
}

#[tokio::test]
async fn a_client_that_does_not_close_is_let_go() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let app = Scripted::bind(place.app()).await;
    let sidecar = Sidecar::start_with(&config, &place, &["--stall-timeout", "2"]).await;
    let (mut client, mut at_app) = websocket(&place, &app, "").await;
    sidecar.applies(&close_over(&config, 1)).await;
    client.ended().await;
    let told = Instant::now();
    at_app.is_silent(Duration::from_millis(1000)).await;
    at_app.ended().await;
    assert!(told.elapsed() < Duration::from_secs(6), "{:?}", told.elapsed());
    is_over(&sidecar).await;
}

#[tokio::test]
async fn a_sidecar_that_starts_while_sessions_are_closed_closes_them_too() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let app = Scripted::bind(place.app()).await;
    // Its turn is late enough for its WebSocket to be opened before.
    let is_late = |name: &String| {
        let moment = Lot::of_session(SidHash::of(name)).moment(Duration::from_secs(1));
        (0.5..0.9).contains(&moment.as_secs_f64())
    };
    let name = (0..).map(|n| format!("session{n}")).find(is_late).unwrap();
    let revision = close_over(&config, 4);
    let sidecar = Sidecar::start(&config, &place).await;
    sidecar.applies(&revision).await;
    let sid = format!("&sid={}", config.tagged(&name, &place.owner()));
    let (mut client, mut at_app) = websocket(&place, &app, &sid).await;
    client.ended().await;
    drop(client);
    at_app.ended().await;
    is_over(&sidecar).await;
    assert_eq!(sidecar.metric("tunnels_closed_total", &[]).await, 1);
}

#[tokio::test]
async fn a_sidecar_that_is_stopped_while_closing_keeps_its_deadline() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let app = Scripted::bind(place.app()).await;
    let arguments = ["--drain", "0", "--shutdown-timeout", "2"];
    let mut sidecar = Sidecar::start_with(&config, &place, &arguments).await;
    let mut open = Vec::new();
    for _ in 0..4 {
        open.push(websocket(&place, &app, "").await);
    }
    sidecar.applies(&close_over(&config, 3600)).await;
    let left = async || sidecar.metric("tunnels_to_close", &[]).await;
    eventually("they know", async || left().await == 4).await;
    sidecar.signal(Signal::TERM);
    let stopped = Instant::now();
    for (client, at_app) in &mut open {
        client.ended().await;
        at_app.ended().await;
    }
    assert!(sidecar.process.ended().await.success());
    assert!(stopped.elapsed() < Duration::from_secs(8), "{:?}", stopped.elapsed());
}
