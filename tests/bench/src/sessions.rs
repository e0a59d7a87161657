//! The sessions that clients have: opened through the subject, so that their sids are as it gives them
//! out, with tags or without.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context, Result, bail};

use crate::rig::{PATIENCE, Rig};
use crate::subject::{Running, Subject};
use crate::wire::text;

/// How many there are: more than most measurements have clients.
const COUNT: usize = 64;

/// Sids of one subject.
#[derive(Debug)]
pub(crate) struct Sessions {
    /// All of them; at least one.
    pub sids: Vec<String>,
}

impl Sessions {
    /// Opens sessions with their owner.
    pub(crate) fn open(rig: &mut Rig, running: &Running) -> Result<Self> {
        let owner = running.owner;
        let sids = rig.serve(move || ask(owner, COUNT))?;
        let sids = sids.with_context(|| format!("{} opens no session", running.subject.title()))?;
        let tagged = sids.iter().all(|sid| sid.contains('.'));
        if tagged != matches!(running.subject, Subject::Local | Subject::Forwarded) {
            bail!(
                "{} gives out sids such as {:?}, which is not its role",
                running.subject.title(),
                sids.first()
            );
        }
        Ok(Self { sids })
    }

    /// Any one.
    pub(crate) fn first(&self) -> &str {
        self.sids.first().map_or("", String::as_str)
    }
}

/// Opens so many sessions with this owner, which must be served meanwhile.
pub(crate) fn ask(owner: SocketAddr, count: usize) -> Result<Vec<String>> {
    let mut socket = TcpStream::connect_timeout(&owner, PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let request = text::handshake(&owner.to_string());
    let mut sids = Vec::with_capacity(count);
    let mut buffer = [0; 16 * 1024];
    while sids.len() < count {
        socket.write_all(&request)?;
        let (mut length, mut sid) = (0, None);
        // The answer ends with the open packet's brace.
        while sid.is_none() || buffer.get(length - 1) != Some(&b'}') {
            let read = socket.read(buffer.get_mut(length..).unwrap_or_default())?;
            if read == 0 {
                bail!(
                    "the connection ended after {:?}",
                    String::from_utf8_lossy(buffer.get(..length).unwrap_or_default())
                );
            }
            length += read;
            sid = text::given_sid(buffer.get(..length).unwrap_or_default());
        }
        sids.extend(sid);
    }
    Ok(sids)
}
