//! The owner of a session is gone: the local application answers, at once, in its own dialect.

use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use support::harness::{Config, NodeServer, Place, Polling, Sidecar, Wire, eventually, get};

/// One sidecar with a server, and a session that belongs elsewhere.
struct Here {
    config: Config,
    place: Place,
    sidecar: Sidecar,
    _server: NodeServer,
    owner: Place,
    session: Polling,
}

impl Here {
    async fn new() -> Self {
        let (config, place, owner) = (Config::new("enforce").await, Place::new(), Place::new());
        let _server = NodeServer::start("v4", place.app(), &[]).await;
        let sidecar = Sidecar::start(&config, &place).await;
        let session = Polling { sid: config.tagged("AAAAAAAAAAAAAAAAAAAA", &owner.owner()) };
        Self { config, place, sidecar, _server, owner, session }
    }

    async fn gone(&self, reason: &str) -> u64 {
        self.sidecar.metric("owner_gone_total", &[&format!("reason=\"{reason}\"")]).await
    }

    async fn dials(&self) -> u64 {
        let metrics = self.sidecar.metrics().await;
        let count = metrics
            .lines()
            .find_map(|line| line.strip_prefix("socketio_sidecar_owner_connect_seconds_count "));
        count.unwrap().parse().unwrap()
    }
}

#[tokio::test]
async fn nobody_listens_at_the_owners_address() {
    let here = Here::new().await;
    for answer in [
        here.session.poll(here.place.clients()).await,
        here.session.post(here.place.clients(), "42[\"x\"]").await,
    ] {
        assert!(answer.is_unknown_session(), "{answer:?}");
    }
    assert_eq!(here.gone("refused").await, 2);
}

#[tokio::test]
async fn another_pod_has_the_owners_address_now() {
    let here = Here::new().await;
    let (reused, started) = (here.owner.reused(), Instant::now());
    let _other_server = NodeServer::start("v4", reused.app(), &[]).await;
    let other = Sidecar::start(&here.config, &reused).await;
    for _ in 0..2 {
        assert!(here.session.poll(here.place.clients()).await.is_unknown_session());
    }
    assert_eq!(here.gone("identity").await, 2);
    assert!(started.elapsed() < Duration::from_secs(15), "it is known from the handshake, not by waiting");
    assert_eq!(other.metric("requests_total", &[]).await, 0, "the other pod is not asked");
    assert_eq!(other.metric("failures_total", &["cause=\"peer_tls\""]).await, 1, "and greeted only once");
}

#[tokio::test]
async fn a_sidecar_of_another_cluster_has_the_owners_address_now() {
    let here = Here::new().await;
    let other_cluster = Config::new("enforce").await;
    let other = Sidecar::start(&other_cluster, &here.owner).await;
    assert!(here.session.poll(here.place.clients()).await.is_unknown_session());
    assert_eq!(here.gone("identity").await, 1);
    assert_eq!(other.metric("requests_total", &[]).await, 0);
}

#[tokio::test]
async fn nothing_answers_at_the_owners_address() {
    let here = Here::new().await;
    // A listener that never accepts and whose queue is full: the kernel drops further SYNs.
    let full = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    full.bind(&here.owner.peers().into()).unwrap();
    full.listen(0).unwrap();
    let mut fillers = Vec::new();
    for _ in 0..4 {
        let filler = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        filler.set_nonblocking(true).unwrap();
        let _ = filler.connect(&here.owner.peers().into());
        fillers.push(filler);
    }

    let started = Instant::now();
    let polls = (0..20).map(|_| tokio::spawn(poll(here.session.clone(), here.place.clone())));
    for poll in polls.collect::<Vec<_>>() {
        assert!(poll.await.unwrap());
    }
    let burst = started.elapsed();
    assert!(burst < Duration::from_secs(8), "one wait for all, within a pingTimeout: {burst:?}");
    assert_eq!(here.gone("unreachable").await, 20);

    // Remembered: the next one does not wait at all.
    let started = Instant::now();
    assert!(here.session.poll(here.place.clients()).await.is_unknown_session());
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[tokio::test]
async fn clients_that_go_while_they_wait_for_an_owner_keep_nobody_waiting() {
    let here = Here::new().await;
    let frozen = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    frozen.bind(&here.owner.peers().into()).unwrap();
    frozen.listen(128).unwrap();

    let started = Instant::now();
    let target = here.session.target();
    for cut in ["", "Content-Length: 4\r\n\r\n4", "Transfer-Encoding: chunked\r\n\r\n4\r\n42"] {
        for _ in 0..20 {
            let request = match cut {
                "" => get(&target),
                cut => format!("POST {target} HTTP/1.1\r\nHost: a\r\n{cut}"),
            };
            Wire::connect(here.place.clients()).await.send(request).await;
        }
    }
    eventually("all are gone", async || {
        here.sidecar.metric("failures_total", &["cause=\"client_gone\""]).await == 60
    })
    .await;
    assert!(
        started.elapsed() < Duration::from_secs(4),
        "before a handshake is given up: {:?}",
        started.elapsed()
    );

    // The end of a malformed body is the end of its request as well.
    let mut client = Wire::connect(here.place.clients()).await;
    client
        .send(format!("POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n"))
        .await;
    client.finish().await;
    assert_eq!(client.answer().await.status, 400);
}

#[tokio::test]
async fn requests_for_an_owner_that_accepts_and_says_nothing_wait_together() {
    let here = Here::new().await;
    // The kernel accepts for a process that is frozen.
    let frozen = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    frozen.bind(&here.owner.peers().into()).unwrap();
    frozen.listen(128).unwrap();

    let started = Instant::now();
    let polls = (0..40).map(|_| {
        let (session, clients) = (here.session.clone(), here.place.clients());
        tokio::spawn(async move { session.poll(clients).await.status })
    });
    for poll in polls.collect::<Vec<_>>() {
        assert_eq!(poll.await.unwrap(), 503, "the owner is alive, and its sessions are not over");
    }
    let burst = started.elapsed();
    assert!(burst < Duration::from_secs(16), "one wait for all, within a pingTimeout: {burst:?}");
    assert_eq!(here.sidecar.metric("failures_total", &["cause=\"busy\""]).await, 40);
    for reason in ["refused", "unreachable", "identity"] {
        assert_eq!(here.gone(reason).await, 0, "{reason}");
    }

    // Remembered: the next one does not wait at all.
    let started = Instant::now();
    assert_eq!(here.session.poll(here.place.clients()).await.status, 503);
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());

    // The owner comes back, and is reached once the memory has ended.
    drop(frozen);
    let _server = NodeServer::start("v4", here.owner.app(), &[]).await;
    let _owner = Sidecar::start(&here.config, &here.owner).await;
    let session = Polling::open(here.owner.clients()).await;
    eventually("the owner is reached again", async || {
        session.post(here.place.clients(), "40").await.status == 200
    })
    .await;
}

async fn poll(session: Polling, place: Place) -> bool {
    session.poll(place.clients()).await.is_unknown_session()
}

#[tokio::test]
async fn an_owner_that_comes_back_is_found_again() {
    let here = Here::new().await;
    assert!(here.session.poll(here.place.clients()).await.is_unknown_session());
    let server = NodeServer::start("v4", here.owner.app(), &[]).await;
    let _owner = Sidecar::start(&here.config, &here.owner).await;
    // A session there; requests for it go through here.
    let session = Polling::open(here.owner.clients()).await;
    eventually("it is forgotten that the owner was gone", async || {
        session.post(here.place.clients(), "40").await.status == 200
    })
    .await;
    assert_eq!(server.stats().await["alive"], 1);
    assert!(here.dials().await >= 2);
}
