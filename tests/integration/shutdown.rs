//! Stopping and restarting a sidecar, and its effect on sessions.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use support::harness::node::result_of;
use support::harness::{
    Config, NodeServer, Place, Polling, Process, Scripted, Sidecar, Wire, ask, eventually, get, start_client,
};
use tokio::net::TcpStream;

async fn start(arguments: &[&str]) -> (Sidecar, Scripted) {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let app = Scripted::bind(place.app()).await;
    (Sidecar::start_with(&config, &place, arguments).await, app)
}

/// Answers one request at the application.
async fn serve(at_app: &mut Wire) {
    at_app.head().await;
    at_app.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
}

async fn refuses(place: &Place) {
    eventually("no new connections are accepted", async || {
        TcpStream::connect(place.clients()).await.is_err()
    })
    .await;
}

#[tokio::test]
async fn while_draining_everything_goes_on_and_every_answer_says_close() {
    let (mut sidecar, app) = start(&["--drain", "3", "--shutdown-timeout", "20"]).await;
    let mut idle = Wire::connect(sidecar.place.clients()).await;
    idle.send(get("/before")).await;
    serve(&mut app.accept().await).await;
    assert_eq!(idle.answer().await.header("connection"), None);
    let mut hanging = Wire::connect(sidecar.place.clients()).await;
    hanging.send(get("/poll")).await;
    let mut at_app = app.accept().await;
    at_app.head().await;

    let stopped = Instant::now();
    sidecar.signal(Signal::TERM);
    sidecar.process.line_with("stopping").await;
    // A connection that is open, and one that is new.
    let mut new = Wire::connect(sidecar.place.clients()).await;
    for client in [&mut idle, &mut new] {
        client.send(get("/while-draining")).await;
        serve(&mut app.accept().await).await;
        let answer = client.answer().await;
        assert_eq!((answer.text().as_str(), answer.header("connection")), ("ok", Some("close")));
        client.ended().await;
    }
    assert_eq!(ask(sidecar.place.admin(), &get("/readyz")).await.status, 200, "it still serves");
    // A poll that began before ends within this stage, and says so too.
    at_app.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    assert_eq!(hanging.answer().await.header("connection"), Some("close"));
    hanging.ended().await;
    assert!(stopped.elapsed() < Duration::from_secs(3), "all this while draining");

    assert!(sidecar.process.ended().await.success());
    assert!(stopped.elapsed() >= Duration::from_secs(3), "the whole drain is waited for");
    assert!(stopped.elapsed() < Duration::from_secs(12), "and nothing after it, for nothing is open");
}

#[tokio::test]
async fn what_hangs_completes_while_closing_and_the_deadline_ends_the_rest() {
    let (mut sidecar, app) = start(&["--drain", "0", "--shutdown-timeout", "3"]).await;
    let mut idle = Wire::connect(sidecar.place.clients()).await;
    idle.send(get("/before")).await;
    serve(&mut app.accept().await).await;
    idle.answer().await;
    let (mut completes, mut hangs) =
        (Wire::connect(sidecar.place.clients()).await, Wire::connect(sidecar.place.clients()).await);
    completes.send(get("/completes")).await;
    let mut at_app = app.accept().await;
    at_app.head().await;
    hangs.send(get("/hangs")).await;
    let mut never = app.accept().await;
    never.head().await;

    let stopped = Instant::now();
    sidecar.signal(Signal::TERM);
    refuses(&sidecar.place).await;
    idle.ended().await;
    at_app.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    assert_eq!(completes.answer().await.header("connection"), Some("close"));
    drop(completes);
    hangs.ended().await;
    never.ended().await;
    assert!(sidecar.process.ended().await.success());
    let took = stopped.elapsed();
    assert!(took >= Duration::from_secs(3) && took < Duration::from_secs(10), "{took:?}");
    assert!(sidecar.process.output().await.iter().any(|line| line.contains("stopped forced=1")));
}

#[tokio::test]
async fn a_websocket_lives_until_the_deadline_and_ends_with_it() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let server = NodeServer::start("v4", place.app(), &[]).await;
    let mut sidecar =
        Sidecar::start_with(&config, &place, &["--drain", "1", "--shutdown-timeout", "3"]).await;
    let arguments = ["--messages", "1000", "--interval", "20", "--timeout", "60000"];
    let mut client = start_client("v4", "websocket", place.clients(), &arguments);
    client.line_with("connected").await;
    let stopped = Instant::now();
    sidecar.signal(Signal::TERM);
    let result = result_of(client).await;
    assert_eq!(result["disconnects"][0], "transport close", "{result}");
    let acked = result["messages"]["acked"].as_u64().unwrap();
    assert!(acked >= 50, "messages passed until the deadline: {acked}");
    assert!(stopped.elapsed() >= Duration::from_millis(2900), "{:?}", stopped.elapsed());
    assert!(sidecar.process.ended().await.success());
    eventually("the server sees the end", async || server.transport_ends().await == 1).await;
}

#[tokio::test]
async fn a_client_that_does_not_close_its_websocket_does_not_put_the_deadline_off() {
    let (mut sidecar, app) = start(&["--drain", "0", "--shutdown-timeout", "3"]).await;
    let mut client = Wire::connect(sidecar.place.clients()).await;
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    client
        .send(format!("GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: a\r\n{upgrade}\r\n"))
        .await;
    let mut at_app = app.accept().await;
    at_app.head().await;
    at_app.send(format!("HTTP/1.1 101 Switching Protocols\r\n{upgrade}\r\n")).await;
    assert_eq!(client.answer().await.status, 101);

    let stopped = Instant::now();
    sidecar.signal(Signal::TERM);
    tokio::time::sleep(Duration::from_secs(2)).await;
    // The sidecar says so to the client, and waits for it to close as well, for up to 5 s.
    drop(at_app);
    assert!(sidecar.process.ended().await.success());
    let took = stopped.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    drop(client);
}

#[tokio::test]
async fn sigint_does_not_wait_for_draining() {
    let (mut sidecar, _app) = start(&["--drain", "60", "--shutdown-timeout", "90"]).await;
    let _idle = Wire::connect(sidecar.place.clients()).await;
    let stopped = Instant::now();
    sidecar.signal(Signal::INT);
    assert!(sidecar.process.ended().await.success());
    assert!(stopped.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let (mut sidecar, _app) = start(&["--drain", "60", "--shutdown-timeout", "90"]).await;
    sidecar.signal(Signal::TERM);
    sidecar.process.line_with("stopping").await;
    sidecar.signal(Signal::TERM);
    assert_eq!(sidecar.process.ended().await.code(), Some(1));
    assert_eq!(last(&mut sidecar.process).await, "socketio-sidecar: stopped at once by a second signal");
}

async fn last(process: &mut Process) -> String {
    process.output().await.pop().unwrap()
}

#[tokio::test]
async fn a_session_survives_the_restart_of_its_sidecar() {
    let (config, owner, other) = (Config::new("enforce").await, Place::new(), Place::new());
    let _server = NodeServer::start("v4", owner.app(), &[]).await;
    let mut first = Sidecar::start(&config, &owner).await;
    let other = Sidecar::start(&config, &other).await;
    let session = Polling::join(owner.clients()).await;
    assert_eq!(session.echo(other.place.clients(), "before").await, r#"["before"]"#);
    first.process.kill().await;

    let _second = Sidecar::start(&config, &owner).await;
    eventually("the owner is found again", async || {
        session.post(other.place.clients(), "3").await.status == 200
    })
    .await;
    for at in [other.place.clients(), owner.clients()] {
        assert_eq!(session.echo(at, "after").await, r#"["after"]"#);
    }
}
