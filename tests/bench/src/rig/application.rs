//! The application behind the proxy: as much of Engine.IO as the clients ask for, from bytes that were
//! made before. It keeps no sessions: any sid is good, and each handshake gets a new one.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use super::stream::{Received, Stream};
use super::{Epoll, Failure, Side};
use crate::wire::request::{Reader, Request};
use crate::wire::text::{self, SIZES, Size};
use crate::wire::{Bytes, Malformed, frame};

/// Connections that wait to be accepted: as many as a proxy may open at once.
const BACKLOG: i32 = 4096;

/// All of it.
#[derive(Debug)]
pub(super) struct Application {
    listener: TcpListener,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    answers: Answers,
}

#[derive(Debug)]
struct Answers {
    polls: Vec<(Size, Bytes)>,
    posted: Bytes,
    switching: Bytes,
    handshakes: u64,
    /// Polls wait, as they do where there is nothing to say.
    hold: bool,
    /// What a WebSocket says next, made anew from each read. Shared, so that idle ones hold nothing.
    echo: Vec<u8>,
}

#[derive(Debug)]
struct Connection {
    stream: Stream,
    speaks: Speaks,
    /// The poll that is held.
    held: Option<Size>,
}

#[derive(Debug)]
enum Speaks {
    Http(Reader),
    WebSocket(frame::Reader),
}

impl Application {
    pub(super) fn listen(at: SocketAddr) -> Result<Self, Failure> {
        use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};
        let family = if at.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(family, SocketType::STREAM, flags, None)?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        bind(&socket, &at)?;
        listen(&socket, BACKLOG)?;
        let polls = SIZES.map(|(size, _, length)| (size, Rc::from(text::answer(&text::message(length)))));
        let posted = Rc::from(text::answer(b"ok"));
        let answers = Answers {
            polls: polls.to_vec(),
            posted,
            switching: text::switching(),
            handshakes: 0,
            hold: false,
            echo: Vec::new(),
        };
        Ok(Self { listener: socket.into(), connections: Vec::new(), free: Vec::new(), answers })
    }

    pub(super) fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.len() - self.free.len()
    }

    /// From now on lets polls wait, or answers those that wait and all that come.
    pub(super) fn hold(&mut self, hold: bool) {
        self.answers.hold = hold;
        if hold {
            return;
        }
        for connection in self.connections.iter_mut().flatten() {
            if let Some(size) = connection.held.take() {
                // A connection that has ended is noticed when its event comes.
                let _ = connection.stream.send(self.answers.poll(size));
            }
        }
    }

    /// How many polls wait.
    pub(super) fn held(&self) -> usize {
        self.connections.iter().flatten().filter(|connection| connection.held.is_some()).count()
    }

    /// Takes one connection; the listener is level-triggered and comes again for the next.
    pub(super) fn accept(&mut self, epoll: &Epoll) -> Result<(), Failure> {
        let socket = match self.listener.accept() {
            Ok((socket, _)) => socket,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let index = self.free.pop().unwrap_or(self.connections.len());
        if index == self.connections.len() {
            self.connections.push(None);
        }
        let stream = Stream::new(socket)?;
        epoll.add(&stream, Side::Application, index)?;
        if let Some(slot) = self.connections.get_mut(index) {
            *slot = Some(Connection { stream, speaks: Speaks::Http(Reader::default()), held: None });
        }
        Ok(())
    }

    /// Serves a connection on which something has happened. How a connection ends is its proxy's affair.
    pub(super) fn ready(&mut self, index: usize, buffer: &mut [u8]) -> Result<(), Malformed> {
        let Some(slot) = self.connections.get_mut(index) else { return Ok(()) };
        let Some(connection) = slot else { return Ok(()) };
        if !connection.serve(&mut self.answers, buffer)? {
            *slot = None;
            self.free.push(index);
        }
        Ok(())
    }
}

impl Connection {
    /// Whether it goes on.
    fn serve(&mut self, answers: &mut Answers, buffer: &mut [u8]) -> Result<bool, Malformed> {
        if self.stream.flush().is_err() {
            return Ok(false);
        }
        loop {
            let (count, more) = match self.stream.receive(buffer) {
                Ok(Received::All(0)) => return Ok(true),
                Ok(Received::All(count)) => (count, false),
                Ok(Received::Full(count)) => (count, true),
                Ok(Received::End) | Err(_) => return Ok(false),
            };
            let read = buffer.get(..count).unwrap_or_default();
            if !self.answer(answers, read)? {
                return Ok(false);
            }
            if !more {
                return Ok(true);
            }
        }
    }

    fn answer(&mut self, answers: &mut Answers, read: &[u8]) -> Result<bool, Malformed> {
        let (stream, held) = (&mut self.stream, &mut self.held);
        match &mut self.speaks {
            Speaks::Http(reader) => {
                let (mut sent, mut switched) = (Ok(()), false);
                reader.feed(read, |request| {
                    let now = match request {
                        Request::Handshake => stream.send_copied(&answers.handshake()),
                        Request::Poll(size) if answers.hold => {
                            *held = Some(size);
                            Ok(())
                        }
                        Request::Poll(size) => stream.send(answers.poll(size)),
                        Request::Post => stream.send(&answers.posted),
                        Request::Upgrade => {
                            switched = true;
                            stream.send(&answers.switching)
                        }
                    };
                    if sent.is_ok() {
                        sent = now;
                    }
                })?;
                if switched {
                    self.speaks = Speaks::WebSocket(frame::Reader::default());
                }
                Ok(sent.is_ok())
            }
            Speaks::WebSocket(reader) => {
                // A proxy that ends a WebSocket may say so in a frame: then there is nothing to echo.
                let echo = &mut answers.echo;
                echo.clear();
                let fed = reader.feed(read, |piece| match piece {
                    frame::Piece::Begin(length) => echo.extend_from_slice(&frame::header(length, false)),
                    frame::Piece::Payload(bytes) => echo.extend_from_slice(bytes),
                    frame::Piece::End => {}
                });
                Ok(fed.is_ok() && stream.send_copied(echo).is_ok())
            }
        }
    }
}

impl Answers {
    fn poll(&self, size: Size) -> &Bytes {
        self.polls.iter().find(|(of, _)| *of == size).map_or(&self.posted, |(_, bytes)| bytes)
    }

    /// With a sid of the length of Engine.IO's.
    fn handshake(&mut self) -> Vec<u8> {
        self.handshakes += 1;
        text::open_packet(&format!("bench-{:014}", self.handshakes))
    }
}
