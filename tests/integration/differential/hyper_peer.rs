//! hyper's server and client, over a connection within this process.

use std::cell::RefCell;
use std::error::Error;
use std::io;
use std::rc::Rc;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderMap;
use hyper::service::service_fn;
use hyper::{Request, Response, Uri, Version};
use hyper_util::rt::TokioIo;
use support::harness::WAIT;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::time::timeout;

use super::node_peer::Peers;
use super::reading::{End, Fields, Message, Reading};

/// More than any input of these tests: what is written never waits for its reader.
const ROOM: usize = 1 << 20;

impl Peers {
    /// Reads a stream with a hyper server.
    pub(super) fn hyper_requests(&self, bytes: &[u8]) -> Reading {
        self.runtime.block_on(async { timeout(WAIT, requests(bytes)).await }).unwrap()
    }

    /// Reads a stream with a hyper client that asked with `method`. It does not report interim answers.
    pub(super) fn hyper_answer(&self, bytes: &[u8], method: &str) -> Reading {
        self.runtime.block_on(async { timeout(WAIT, answer(bytes, method)).await }).unwrap()
    }
}

/// Result of our parser as hyper would report it: hyper normalises targets and removes fragments.
pub(super) fn as_hyper_reports(ours: &Reading) -> Reading {
    let mut ours = ours.clone();
    for message in &mut ours.messages {
        let target = &mut message.start[1];
        *target = target.parse::<Uri>().map_or_else(|_| target.clone(), |uri| uri.to_string());
    }
    ours
}

async fn requests(bytes: &[u8]) -> Reading {
    let (mut client, server) = duplex(ROOM);
    client.write_all(bytes).await.unwrap();
    client.shutdown().await.unwrap();
    let messages = Rc::new(RefCell::new(Vec::new()));
    let service = service_fn(|request: Request<Incoming>| {
        let messages = messages.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await?.to_bytes().to_vec();
            messages.borrow_mut().push(Message {
                start: [head.method.to_string(), head.uri.to_string()],
                http_1_0: head.version == Version::HTTP_10,
                fields: fields(&head.headers),
                body,
            });
            Ok::<_, hyper::Error>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    let ended = http.half_close(true).serve_connection(TokioIo::new(server), service).await;
    let end = ended.map_or_else(|error| end_of(&error), |()| End::Waiting);
    let messages: Vec<Message> = messages.borrow().clone();
    // It closes where it was told that nothing follows.
    let told = |message: &Message| {
        let options = message.fields.connection_options();
        let named = |name: &str| options.iter().any(|option| option == name);
        named("close") || message.http_1_0 && !named("keep-alive")
    };
    let closed = end == End::Waiting && messages.last().is_some_and(told);
    Reading { messages, end: if closed { End::Closed } else { end } }
}

async fn answer(bytes: &[u8], method: &str) -> Reading {
    let (client, mut server) = duplex(ROOM);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake::<_, Empty<Bytes>>(TokioIo::new(client)).await.unwrap();
    let asking = async {
        let request =
            Request::builder().method(method).uri("/").header("host", "a").body(Empty::new()).unwrap();
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes().to_vec();
        Ok::<_, hyper::Error>(Message {
            start: [head.status.as_u16().to_string(), reason(&head)],
            http_1_0: head.version == Version::HTTP_10,
            fields: fields(&head.headers),
            body,
        })
    };
    let serving = async {
        let mut head = [0; 1024];
        assert_ne!(server.read(&mut head).await.unwrap(), 0, "hyper asks");
        server.write_all(bytes).await.unwrap();
        server.shutdown().await.unwrap();
    };
    // Why the connection broke is told by the request too.
    let (answered, (), _) = tokio::join!(asking, serving, connection);
    match answered {
        Ok(message) => Reading { messages: vec![message], end: End::Closed },
        Err(error) => Reading { messages: Vec::new(), end: end_of(&error) },
    }
}

fn reason(head: &hyper::http::response::Parts) -> String {
    let said = head.extensions.get::<hyper::ext::ReasonPhrase>();
    let said = said.map(|reason| String::from_utf8_lossy(reason.as_bytes()).into_owned());
    said.unwrap_or_else(|| head.status.canonical_reason().unwrap_or_default().to_owned())
}

fn fields(headers: &HeaderMap) -> Fields {
    Fields::new(headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())))
}

/// Reports whether hyper waited for more, or refused more.
fn end_of(error: &hyper::Error) -> End {
    let mut sources =
        std::iter::successors(error.source(), |error: &&(dyn Error + 'static)| (*error).source());
    let cut_short = sources.any(|source| {
        let error = source.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_incomplete_message);
        let io = source.downcast_ref::<io::Error>().map(io::Error::kind);
        error || io == Some(io::ErrorKind::UnexpectedEof)
    });
    if cut_short || error.is_incomplete_message() { End::Waiting } else { End::Refused(error.to_string()) }
}
