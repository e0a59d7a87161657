//! A non-blocking connection, and what is still to be sent on it.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use crate::wire::Bytes;

/// What reading brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Received {
    /// So many bytes, and perhaps more are there.
    Full(usize),
    /// So many bytes, and no more are there now.
    All(usize),
    /// The other side has ended it.
    End,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Stream {
    socket: TcpStream,
    /// What did not fit, with how much of the first has been sent.
    queue: VecDeque<Bytes>,
    sent: usize,
}

impl Stream {
    /// Takes over a connected socket.
    pub(super) fn new(socket: TcpStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, queue: VecDeque::new(), sent: 0 })
    }

    /// Sends bytes that are kept elsewhere.
    pub(super) fn send(&mut self, bytes: &Bytes) -> io::Result<()> {
        let sent = self.try_send(bytes)?;
        if sent < bytes.len() {
            if self.queue.is_empty() {
                self.sent = sent;
            }
            self.queue.push_back(bytes.clone());
        }
        Ok(())
    }

    /// Sends bytes that are not; what does not fit is copied.
    pub(super) fn send_copied(&mut self, bytes: &[u8]) -> io::Result<()> {
        let sent = self.try_send(bytes)?;
        match bytes.get(sent..) {
            Some(rest) if !rest.is_empty() => {
                if self.queue.is_empty() {
                    self.sent = 0;
                }
                self.queue.push_back(Rc::from(rest));
            }
            _ => {}
        }
        Ok(())
    }

    /// Sends what did not fit before.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while let Some(first) = self.queue.front() {
            match write(&mut self.socket, first.get(self.sent..).unwrap_or_default())? {
                Some(sent) => self.sent += sent,
                None => return Ok(()),
            }
            if self.sent == first.len() {
                self.queue.pop_front();
                self.sent = 0;
            }
        }
        Ok(())
    }

    /// Reads once. After less than the buffer holds nothing is there, so no second call is needed to
    /// learn it.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        loop {
            return match self.socket.read(buffer) {
                Ok(0) => Ok(Received::End),
                Ok(count) if count < buffer.len() => Ok(Received::All(count)),
                Ok(count) => Ok(Received::Full(count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Received::All(0)),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(Received::End),
                Err(error) => Err(error),
            };
        }
    }

    fn try_send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.queue.is_empty() { Ok(write(&mut self.socket, bytes)?.unwrap_or(0)) } else { Ok(0) }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// How much was written, or `None` where nothing fits now.
fn write(socket: &mut TcpStream, bytes: &[u8]) -> io::Result<Option<usize>> {
    loop {
        return match socket.write(bytes) {
            Ok(sent) => Ok(Some(sent)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
    }
}
