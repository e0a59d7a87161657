//! Bodies pass in both directions, over one hop or two: whole, streamed, and never held whole.

use std::time::Duration;

use support::harness::{
    Config, NodeServer, Place, Polling, Scripted, Sidecar, Wire, client, eventually, get,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MIB: usize = 1 << 20;

#[tokio::test]
async fn a_megabyte_passes_intact_in_both_directions_to_the_owner_here_and_elsewhere() {
    let (config, owner, other) = (Config::new("enforce").await, Place::new(), Place::new());
    let _server = NodeServer::start("v4", owner.app(), &["--max-body", "4000000"]).await;
    let _sidecars = (Sidecar::start(&config, &owner).await, Sidecar::start(&config, &other).await);
    let big = ["--messages", "2", "--binary", "1000000", "--big", "1000000"];
    for transport in ["polling", "websocket"] {
        let result = client("v4", transport, owner.clients(), &big).await;
        assert_eq!(result["ok"], true, "{result}");
    }

    let session = Polling::join(owner.clients()).await;
    let text: String = (0..MIB).map(|at| char::from(b'a' + u8::try_from(at * 7 / 5 % 26).unwrap())).collect();
    for at in [owner.clients(), other.clients()] {
        assert!(session.echo(at, &text).await == format!("[\"{text}\"]"), "the echo through {at} differs");
    }
}

/// A request of so many bytes that the application does not read: how much memory does that take?
#[tokio::test]
async fn a_body_that_nobody_reads_is_not_held_by_the_sidecars() {
    let (config, owner, other) = (Config::new("enforce").await, Place::new(), Place::new());
    let app = Scripted::bind(owner.app()).await;
    let (owner, other) = (Sidecar::start(&config, &owner).await, Sidecar::start(&config, &other).await);
    let before = (owner.resident(), other.resident());
    let sid = config.tagged("abc", &owner.place.owner());
    let total = 64 * MIB;
    for through in [&owner, &other] {
        // Up: the application reads the head and no more.
        let mut client = Wire::connect(through.place.clients()).await;
        client
            .send(format!(
                "POST /socket.io/?EIO=4&sid={sid} HTTP/1.1\r\nHost: a\r\nContent-Length: {total}\r\n\r\n"
            ))
            .await;
        let mut at_app = app.accept().await;
        assert!(at_app.head().await.contains("sid=abc "));
        let sending = tokio::spawn(async move {
            for _ in 0..64 {
                client.send_patiently(&[b'u'; MIB]).await;
            }
            client
        });
        stands_still(&owner, &other, before).await;
        assert!(!sending.is_finished(), "64 MiB are not in any buffer");

        // Then it reads on, and all of it is there; down, the client does not read.
        let body = at_app.exactly(total).await;
        assert!(body.iter().all(|byte| *byte == b'u'));
        let mut client = sending.await.unwrap();
        at_app.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {total}\r\n\r\n")).await;
        let sending = tokio::spawn(async move {
            for _ in 0..64 {
                at_app.send_patiently(&[b'd'; MIB]).await;
            }
            at_app
        });
        stands_still(&owner, &other, before).await;
        assert!(!sending.is_finished(), "64 MiB are not in any buffer");
        let answer = client.answer().await;
        assert!(answer.body.len() == total && answer.body.iter().all(|byte| *byte == b'd'));
        drop(sending.await.unwrap());
    }
}

/// Waits until nothing moves any more and checks the memory meanwhile.
async fn stands_still(owner: &Sidecar, other: &Sidecar, before: (u64, u64)) {
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let grown = (owner.resident().saturating_sub(before.0), other.resident().saturating_sub(before.1));
        assert!(grown.0.max(grown.1) < 8 * MIB as u64, "the sidecars grew by {grown:?} bytes");
    }
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_request_reaches_a_client_that_is_still_sending() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let _server = NodeServer::start("v4", place.app(), &["--max-body", "1000"]).await;
    let _sidecar = Sidecar::start(&config, &place).await;
    let session = Polling::join(place.clients()).await;
    let mut client = Wire::connect(place.clients()).await;
    let target = session.target();
    client.send(format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n")).await;
    for _ in 0..10 {
        if client.try_send([b'a'; 10_000]).await.is_err() {
            break;
        }
    }
    let answer = client.answer().await;
    assert_eq!(answer.status, 413);
    assert_eq!(answer.header("connection"), Some("close"), "where the next request begins is not known");
    client.ended().await;
}

#[tokio::test]
async fn chunked_bodies_pass_normalised_both_ways_here_and_forwarded() {
    let (config, owner, other) = (Config::new("enforce").await, Place::new(), Place::new());
    let app = Scripted::bind(owner.app()).await;
    let _sidecars = (Sidecar::start(&config, &owner).await, Sidecar::start(&config, &other).await);
    let target = format!("/socket.io/?EIO=4&transport=polling&sid={}", config.tagged("abc", &owner.owner()));
    for at in [owner.clients(), other.clients()] {
        let mut client = Wire::connect(at).await;
        let fields = "Host: a\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\nTrailer: X-Sum\r\n";
        client.send(format!("POST {target} HTTP/1.1\r\n{fields}\r\n3;x=(y)\r\nabc\r\n")).await;
        let mut at_app = app.accept().await;
        let head = at_app.head().await;
        assert!(head.contains("Transfer-Encoding: chunked\r\n"), "{head}");
        assert!(!head.contains("TE: ") && !head.contains("Trailer"), "{head}");
        // A chunk is passed on at once.
        at_app.expect("3\r\nabc\r\n").await;
        for piece in ["2;", "a=\"", "\r", "\nde\r\n", "1\r\nf\r\n"] {
            client.send(piece).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        at_app.expect("2\r\nde\r\n1\r\nf\r\n").await;
        client.send("0;\r\nContent-Length: 5\r\nX-Sum: 1\r\n\r\n").await;
        at_app.expect("0\r\n\r\n").await;

        at_app.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a\r\nhi\r\n").await;
        assert!(client.head().await.contains("Transfer-Encoding: chunked\r\n"));
        client.expect("2\r\nhi\r\n").await;
        at_app.send("0\r\nX-Sum: 2\r\nHost: b\r\nX-Forward").await;
        client.expect("0\r\nX-Sum: 2\r\n").await;
        at_app.send("ed-For: 1.1.1.1\r\nServer-Timing: x\r\n\r\n").await;
        client.expect("Server-Timing: x\r\n\r\n").await;
        if at == owner.clients() {
            // Node may refuse what came with the body after it has answered.
            at_app.ended().await;
        } else {
            at_app.is_silent(Duration::from_millis(50)).await;
        }
    }
}

/// Node refuses each of these bodies, and may do so after its answer has been read: by then, the connection
/// may carry another client's request.
#[tokio::test]
async fn no_chunked_body_of_one_client_harms_a_request_of_another() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let _server = NodeServer::start("v4", place.app(), &[]).await;
    let sidecar = Sidecar::start(&config, &place).await;
    let extensions =
        [";", ";;", "; a", ";a b", ";a==b", ";a=(b)", ";a={b}", ";a=/x", ";a:b", ";a=b,c", ";\t", ";a=\"b"];
    let mut bodies: Vec<String> =
        extensions.iter().map(|extension| format!("1{extension}\r\nx\r\n0\r\n\r\n")).collect();
    bodies.push("1\r\nx\r\n0\r\nContent-Length: 5\r\n\r\n".to_owned());
    bodies.push("1\r\nx\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned());
    bodies.push("1;\u{e9}\r\nx\r\n0\r\nX: \u{e9}\r\n\r\n".to_owned());
    let mut honest = Wire::connect(place.clients()).await;
    for body in bodies {
        let head = "POST /nothing HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut attacker = Wire::connect(place.clients()).await;
        attacker.send(format!("{head}{body}")).await;
        assert_eq!(attacker.answer().await.status, 200, "{body:?}");
        honest.send(get("/healthz")).await;
        assert_eq!(honest.answer().await.status, 200, "after {body:?}");
    }
    assert_eq!(sidecar.metric("failures_total", &[]).await, 0);
}

#[tokio::test]
async fn a_body_that_stops_coming_ends_after_the_stall_timeout() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let app = Scripted::bind(place.app()).await;
    let sidecar = Sidecar::start_with(&config, &place, &["--stall-timeout", "1"]).await;
    let mut client = Wire::connect(place.clients()).await;
    client.send("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc").await;
    let mut at_app = app.accept().await;
    at_app.head().await;
    assert_eq!(client.answer().await.status, 408);
    client.ended().await;
    assert_eq!(at_app.rest().await, b"abc");
    eventually("it is counted", async || sidecar.metric("failures_total", &["cause=\"stalled\""]).await == 1)
        .await;
}

#[tokio::test]
async fn a_body_that_the_application_does_not_take_is_no_fault_of_the_client() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let app = Scripted::bind(place.app()).await;
    let sidecar = Sidecar::start_with(&config, &place, &["--stall-timeout", "1"]).await;
    let stream = TcpStream::connect(place.clients()).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let sending = tokio::spawn(async move {
        let head = format!("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", 64 * MIB);
        write.write_all(head.as_bytes()).await.unwrap();
        // Ends when the sidecar closes.
        let _ = write.write_all(&vec![b'x'; 64 * MIB]).await;
    });
    let mut at_app = app.accept().await;
    at_app.head().await;
    let mut status = [0; 12];
    read.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 504");
    assert_eq!(sidecar.metric("failures_total", &["cause=\"answer_stalled\""]).await, 1);
    sending.abort();
}

#[tokio::test]
async fn an_answer_that_ends_after_its_beginning_is_counted() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let app = Scripted::bind(place.app()).await;
    let sidecar = Sidecar::start_with(&config, &place, &["--stall-timeout", "1"]).await;
    // Its reader stops, or the application.
    for (part, cause) in [(vec![b'd'; 64 * MIB], "answer_stalled"), (vec![b'd'; 10], "bad_gateway")] {
        let mut client = Wire::connect(place.clients()).await;
        client.send(get("/down")).await;
        let mut at_app = app.accept().await;
        at_app.head().await;
        at_app.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 128 * MIB)).await;
        let sending = tokio::spawn(async move { at_app.try_send(&part).await });
        assert!(client.head().await.starts_with("HTTP/1.1 200 "));
        let label = format!("cause=\"{cause}\"");
        eventually(cause, async || sidecar.metric("failures_total", &[&label]).await == 1).await;
        sending.abort();
    }
    assert_eq!(sidecar.metric("failures_total", &[]).await, 2);
}

/// Linux's own timeout for unacknowledged data also ends connections whose other side lives and does not
/// read; it must not come before ours.
#[tokio::test]
async fn a_reader_that_pauses_for_less_than_the_stall_timeout_gets_everything() {
    let (config, place) = (Config::new("enforce").await, Place::new());
    let app = Scripted::bind(place.app()).await;
    let _sidecar = Sidecar::start_with(&config, &place, &["--stall-timeout", "25"]).await;
    let mut client = Wire::connect(place.clients()).await;
    client.send(get("/down")).await;
    let mut at_app = app.accept().await;
    at_app.head().await;
    let total = 64 * MIB;
    at_app.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {total}\r\n\r\n")).await;
    let sending = tokio::spawn(async move {
        for _ in 0..64 {
            at_app.send_patiently(&[b'd'; MIB]).await;
        }
        at_app
    });
    tokio::time::sleep(Duration::from_secs(22)).await;
    assert!(!sending.is_finished(), "64 MiB are not in any buffer");
    assert_eq!(client.answer().await.body.len(), total);
    drop(sending.await.unwrap());
}
