//! One client's connection.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use super::super::Failure;
use super::super::stream::{Received, Stream};
use crate::rig::PATIENCE;
use crate::wire::{Bytes, frame, response};

/// What came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// Nothing.
    None,
    /// Some of an answer.
    Some,
    /// The WebSocket is open.
    Opened,
    /// The whole answer.
    Answered,
}

/// A client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) stream: Stream,
    /// When the request was due that is under way.
    pub(super) due: Option<Instant>,
    /// Whether it has ever sent anything.
    pub(super) used: bool,
    reads: Reads,
}

#[derive(Debug)]
enum Reads {
    Upgrade(response::Reader),
    Http(response::Reader),
    WebSocket(frame::Reader),
    /// Little, and asks for the same again.
    Slowly(response::Reader, Bytes),
}

impl Client {
    pub(super) fn new(stream: Stream, upgrade: bool) -> Self {
        let reader = response::Reader::default();
        Self {
            stream,
            due: None,
            used: false,
            reads: if upgrade { Reads::Upgrade(reader) } else { Reads::Http(reader) },
        }
    }

    pub(super) fn slow(stream: Stream, message: Bytes) -> Self {
        Self { stream, due: None, used: false, reads: Reads::Slowly(response::Reader::default(), message) }
    }

    /// Reads what is there. At most one answer is, since the next request follows it.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<Progress, Failure> {
        self.stream.flush()?;
        let mut progress = Progress::None;
        loop {
            let (count, more) = match &self.reads {
                Reads::Slowly(..) => return Ok(Progress::None),
                _ => match self.stream.receive(buffer)? {
                    Received::All(count) => (count, false),
                    Received::Full(count) => (count, true),
                    Received::End => return Err(Failure::Closed),
                },
            };
            let bytes = buffer.get(..count).unwrap_or_default();
            if count > 0 {
                progress = self.understand(bytes)?;
            }
            if !more || matches!(progress, Progress::Answered | Progress::Opened) {
                return Ok(progress);
            }
        }
    }

    fn understand(&mut self, bytes: &[u8]) -> Result<Progress, Failure> {
        let answered = |complete: bool| if complete { Progress::Answered } else { Progress::Some };
        Ok(match &mut self.reads {
            Reads::Upgrade(reader) => {
                if reader.feed(bytes, true)? == 0 {
                    return Ok(Progress::Some);
                }
                self.reads = Reads::WebSocket(frame::Reader::default());
                Progress::Opened
            }
            Reads::Http(reader) | Reads::Slowly(reader, _) => answered(reader.feed(bytes, false)? > 0),
            Reads::WebSocket(reader) => {
                let mut ended = false;
                reader.feed(bytes, |piece| ended |= piece == frame::Piece::End)?;
                answered(ended)
            }
        })
    }

    /// Reads as much as the buffer takes, and asks again after the end.
    pub(super) fn read_slowly(&mut self, buffer: &mut [u8]) -> Result<(), Failure> {
        let count = match self.stream.receive(buffer)? {
            Received::All(count) | Received::Full(count) => count,
            Received::End => return Err(Failure::Closed),
        };
        let bytes = buffer.get(..count).unwrap_or_default();
        if count > 0
            && self.understand(bytes)? == Progress::Answered
            && let Reads::Slowly(_, message) = &self.reads
        {
            self.stream.send(message)?;
        }
        Ok(())
    }
}

/// A connection; on loopback it is there at once, whether it has been accepted or not.
pub(super) fn connect(target: SocketAddr) -> io::Result<TcpStream> {
    TcpStream::connect_timeout(&target, PATIENCE)
}

/// A connection whose kernel takes little in advance.
pub(super) fn connect_slow(target: SocketAddr, window: usize) -> io::Result<TcpStream> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with, sockopt};
    let family = if target.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // Before it connects, since the window is agreed on then.
    sockopt::set_socket_recv_buffer_size(&socket, window)?;
    rustix::net::connect(&socket, &target)?;
    Ok(TcpStream::from(socket))
}
