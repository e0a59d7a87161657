use super::*;
use crate::io::Stream;
use crate::io::tests::budget;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;

const STALL: Duration = Duration::from_secs(60);

async fn pair() -> (Conn, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (Conn::new(Stream::Tcp(ours)), listener.accept().await.unwrap().0)
}

/// A tunnel, its client and its application.
async fn tunnel() -> (Tunnel, TcpStream, TcpStream) {
    let ((client, their_client), (onward, app)) = (pair().await, pair().await);
    (Tunnel::new(client, onward, Messages::default(), STALL, budget(1 << 30)), their_client, app)
}

#[tokio::test]
async fn what_the_client_sent_behind_its_request_is_passed_first_and_the_request_is_not() {
    let ((mut client, mut their_client), (onward, mut app)) = (pair().await, pair().await);
    their_client.write_all(b"request, frame").await.unwrap();
    while client.inbox().len() < 14 {
        poll_fn(|cx| client.poll_fill(cx, 100)).await.unwrap();
    }
    client.take(b"request, ".len());
    let mut tunnel = Tunnel::new(client, onward, Messages::default(), STALL, budget(1 << 30));
    their_client.write_all(b", another").await.unwrap();
    drop(their_client);
    assert_eq!(tunnel.run().await, End::Client);
    tunnel.close(End::Client).await;
    let mut heard = Vec::new();
    app.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"frame, another");
}

#[tokio::test]
async fn what_the_application_said_last_is_delivered_though_it_takes_no_more() {
    let (mut tunnel, mut client, mut app) = tunnel().await;
    app.write_all(b"last words").await.unwrap();
    SockRef::from(&app).set_linger(Some(Duration::ZERO)).unwrap();
    drop(app);
    client.write_all(b"too late").await.unwrap();
    let end = tunnel.run().await;
    assert_eq!(end, End::Onward, "it was not the client that ended it");
    let closing = tokio::spawn(tunnel.close(end));
    let mut said = Vec::new();
    client.read_to_end(&mut said).await.unwrap();
    assert_eq!(said, b"last words");
    drop(client);
    closing.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_side_that_does_not_read_ends_the_tunnel() {
    let (mut tunnel, mut silent, mut app) = tunnel().await;
    let flood = tokio::spawn(async move {
        // More than all buffers on the way hold.
        let _ = app.write_all(&vec![b'x'; 64 << 20]).await;
        app
    });
    let end = tunnel.run().await;
    assert_eq!(end, End::Stalled);
    flood.abort();
    // A connection closed without a reset would keep its bytes in the kernel until they are read.
    tunnel.close(end).await;
    let ended = silent.read_to_end(&mut Vec::new()).await;
    assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_client_that_ends_the_tunnel_and_has_not_read_is_reset() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let ours = Stream::connect(listener.local_addr().unwrap()).await.unwrap();
    let mut silent = listener.accept().await.unwrap().0;
    let (onward, mut app) = pair().await;
    let client = Conn::new(Stream::Tcp(ours));
    let mut tunnel = Tunnel::new(client, onward, Messages::default(), STALL, budget(1 << 30));
    let message = [&[0x82, 127, 0, 0, 0, 0, 0, 0, 0xEA, 0x60][..], &[b'x'; 60_000]].concat();
    app.write_all(&message).await.unwrap();
    // The tunnel passes all of it to the kernel.
    assert!(timeout(Duration::from_millis(200), tunnel.run()).await.is_err());
    silent.shutdown().await.unwrap();
    let end = tunnel.run().await;
    assert_eq!(end, End::Client);
    timeout(Duration::from_secs(5), tunnel.close(end)).await.expect("nothing is waited for");
    let ended = silent.read_to_end(&mut Vec::new()).await;
    assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}

/// Runs the tunnel until `said` has come to the client.
async fn run_until_told(tunnel: &mut Tunnel, client: &mut TcpStream, said: &[u8]) {
    let mut seen = vec![0; said.len()];
    tokio::select! {
        end = tunnel.run() => panic!("{end:?}"),
        read = client.read_exact(&mut seen) => read.unwrap(),
    };
    assert_eq!(seen, said);
}

/// Finishes the tunnel and closes it.
fn finish(mut tunnel: Tunnel) -> JoinHandle<End> {
    tokio::spawn(async move {
        let end = tunnel.finish(Instant::now()).await;
        tunnel.close(end).await;
        end
    })
}

#[tokio::test]
async fn a_finished_tunnel_ends_between_two_messages_and_goes_on_listening() {
    let (mut tunnel, mut client, mut app) = tunnel().await;
    // A message, and half of the next.
    app.write_all(b"\x81\x01a\x81\x04bb").await.unwrap();
    run_until_told(&mut tunnel, &mut client, b"\x81\x01a\x81\x04bb").await;
    let finishing = finish(tunnel);
    let early = timeout(Duration::from_millis(100), client.read_u8()).await;
    assert!(early.is_err(), "the message is still on its way: {early:?}");
    app.write_all(b"cc\x81\x01d").await.unwrap();
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"cc", "its end, and then the end");

    // The other way is still open, and stays so until the client closes.
    client.write_all(b"last words").await.unwrap();
    app.write_all(b"\x81\x01e").await.unwrap();
    let mut heard = vec![0; 10];
    app.read_exact(&mut heard).await.unwrap();
    assert_eq!(heard, b"last words");
    let early = timeout(Duration::from_millis(100), app.read_u8()).await;
    assert!(early.is_err(), "half-closed towards the application: {early:?}");
    client.write_all(b"!").await.unwrap();
    drop(client);
    assert_eq!(app.read_u8().await.unwrap(), b'!');
    assert!(app.read_u8().await.is_err());
    assert_eq!(finishing.await.unwrap(), End::Closed);
}

#[tokio::test]
async fn a_finished_tunnel_delivers_what_the_client_has_not_taken_yet() {
    let (mut tunnel, mut client, mut app) = tunnel().await;
    // More than the buffers on the way hold, so that the tunnel keeps some of it.
    let length = 16_u32 << 20;
    let message =
        [&[0x82, 127, 0, 0, 0, 0][..], &length.to_be_bytes(), &vec![b'x'; length as usize]].concat();
    let sent = message.clone();
    let sending = tokio::spawn(async move {
        app.write_all(&sent).await.unwrap();
        app
    });
    assert!(timeout(Duration::from_millis(300), tunnel.run()).await.is_err());
    let finishing = tokio::spawn(async move { tunnel.finish(Instant::now()).await });
    let mut all = Vec::new();
    client.read_to_end(&mut all).await.unwrap();
    assert!(all == message, "{} of {} bytes", all.len(), message.len());
    let _app = sending.await.unwrap();
    drop(client);
    assert_eq!(finishing.await.unwrap(), End::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_close_is_closed() {
    let (mut tunnel, mut client, mut app) = tunnel().await;
    let started = Instant::now();
    assert_eq!(tunnel.finish(started).await, End::Closed);
    assert_eq!(started.elapsed().as_secs(), STALL.as_secs());
    let closing = tokio::spawn(tunnel.close(End::Closed));
    assert_eq!(app.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    closing.await.unwrap();
    assert!(started.elapsed() < STALL * 2);
}

#[tokio::test(start_paused = true)]
async fn what_are_no_messages_passes_unharmed_and_ends_when_patience_does() {
    for patience in [STALL / 2, STALL * 3] {
        let (mut tunnel, mut client, mut app) = tunnel().await;
        let text = b"Unsupported protocol version";
        app.write_all(text).await.unwrap();
        run_until_told(&mut tunnel, &mut client, text).await;
        let started = Instant::now();
        let end = tunnel.finish(started + patience).await;
        let took = started.elapsed();
        let closing = tokio::spawn(tunnel.close(end));
        assert_eq!((end, took.as_secs()), (End::Closed, patience.max(STALL).as_secs()));
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        drop(client);
        closing.await.unwrap();
        assert_eq!(app.read(&mut [0]).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_finished_tunnel_ends_with_the_application() {
    let (tunnel, mut client, app) = tunnel().await;
    let finishing = finish(tunnel);
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    // The client stays; its connection lingers for a moment.
    drop(app);
    assert_eq!(finishing.await.unwrap(), End::Onward);
}
