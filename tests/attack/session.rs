//! An Engine.IO session over long-polling, without a library.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::honest::get;

/// Target of a handshake.
pub(crate) const HANDSHAKE: &str = "/socket.io/?EIO=4&transport=polling";

const PATIENCE: Duration = Duration::from_secs(5);

/// Opens a session and returns the target of its requests.
pub(crate) fn open(at: SocketAddr) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&at, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(get(HANDSHAKE).as_bytes())?;
    let (mut answer, mut buffer) = (String::new(), [0; 4096]);
    while !answer.ends_with('}') {
        let read = stream.read(&mut buffer)?;
        let text = buffer.get(..read).filter(|text| !text.is_empty()).context("no session was opened")?;
        answer.push_str(&String::from_utf8_lossy(text));
    }
    let sid = answer.split("\"sid\":\"").nth(1).and_then(|rest| rest.split('"').next());
    Ok(format!("{HANDSHAKE}&sid={}", sid.with_context(|| format!("no open packet: {answer}"))?))
}

/// A request that a session takes at any time, and that is answered at once: an Engine.IO pong.
pub(crate) fn pong(target: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: test\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n\r\n3")
}
