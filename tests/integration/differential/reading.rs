//! Result of a parser for a stream of bytes, and the agreement of two parsers.

use std::fmt::{Display, Formatter, Result as Formatted};

use socketio_sidecar_core::forwarded::names_client;

/// Fields as a parser reports them, ordered by name: not all keep the order of different names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fields(Vec<(String, Vec<u8>)>);

impl Fields {
    pub(super) fn new<N: AsRef<str>, V: AsRef<[u8]>>(fields: impl IntoIterator<Item = (N, V)>) -> Self {
        let lower = |(name, value): (N, V)| (name.as_ref().to_ascii_lowercase(), value.as_ref().to_vec());
        let mut fields: Vec<_> = fields.into_iter().map(lower).collect();
        fields.sort_by(|(one, _), (other, _)| one.cmp(other));
        Self(fields)
    }

    /// Fields other than those in `names`.
    pub(super) fn without(&self, names: &[&str]) -> Self {
        Self(self.0.iter().filter(|(name, _)| !names.contains(&name.as_str())).cloned().collect())
    }

    /// All that do not name the client.
    pub(super) fn without_client(&self) -> Self {
        Self(self.0.iter().filter(|(name, _)| !names_client(name)).cloned().collect())
    }

    /// The names that `Connection` fields hold.
    pub(super) fn connection_options(&self) -> Vec<String> {
        let values = self.0.iter().filter(|(name, _)| name == "connection").map(|(_, value)| value);
        let text = values.map(|value| String::from_utf8_lossy(value).to_ascii_lowercase());
        text.flat_map(|text| text.split(',').map(|name| name.trim().to_owned()).collect::<Vec<_>>()).collect()
    }
}

/// A request or an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// Of the start line, without the version: method and target, or status and reason.
    pub(super) start: [String; 2],
    pub(super) http_1_0: bool,
    pub(super) fields: Fields,
    pub(super) body: Vec<u8>,
}

impl Message {
    fn upgrades(&self) -> bool {
        self.fields.0.iter().any(|(name, _)| name == "upgrade")
    }
}

/// End of a stream of messages, as its reader saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// All was read. More could come: another message, or the rest of one.
    Waiting,
    /// The next message is not accepted.
    Refused(String),
    /// The next message is not read, because the one before was announced as the last.
    Closed,
    /// The connection is no longer HTTP's.
    Upgraded,
}

/// Result of a parser for a stream: the complete messages, and the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) messages: Vec<Message>,
    pub(super) end: End,
}

impl Reading {
    /// Checks that another parser may have read `theirs` where we read this in `bytes`: the same messages, up
    /// to where we stop, or where it refuses what it [`may_refuse`].
    pub(super) fn agrees(&self, bytes: &[u8], theirs: &Self) -> Result<(), &'static str> {
        if self.messages.iter().zip(&theirs.messages).any(|(ours, theirs)| ours != theirs) {
            return Err("they read another message");
        }
        let (here, there) = (self.messages.len(), theirs.messages.len());
        // Where we refuse, close or hand over, there is nothing of ours to be misread.
        if there > here && self.end == End::Waiting {
            return Err("they read a message that we do not see");
        }
        match self.messages.get(there) {
            // Node reports no error in the body of a request with an Upgrade field.
            Some(message) if theirs.end == End::Waiting && message.upgrades() && has_extension(bytes) => {
                Ok(())
            }
            Some(_) if theirs.end == End::Waiting => Err("they do not see a message that we read"),
            Some(message) if theirs.end != End::Upgraded && !may_refuse(bytes, message) => {
                Err("they refuse what we accept")
            }
            _ => Ok(()),
        }
    }
}

/// Reports whether we may accept what others refuse: methods that they do not know, what a target
/// holds, and what stands in a chunk's extension.
fn may_refuse(bytes: &[u8], message: &Message) -> bool {
    let [method, target] = &message.start;
    let is_status = method.bytes().all(|byte| byte.is_ascii_digit());
    let known = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"].contains(&method.as_str());
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._~%=&?+-".contains(&byte);
    let plain_start = known && target.starts_with('/') && target.bytes().all(plain);
    !(is_status || plain_start) || has_extension(bytes)
}

/// Reports whether a chunk has an extension. The sidecar removes extensions, so that no application reads them.
fn has_extension(bytes: &[u8]) -> bool {
    bytes.split(|byte| *byte == b'\n').any(|line| {
        let size = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        line.ends_with(b"\r") && line.get(size) == Some(&b';')
    })
}

/// `bytes`, readable, and exact.
pub(super) fn escaped(bytes: &[u8]) -> String {
    format!("b\"{}\"", bytes.escape_ascii())
}

impl Display for Message {
    fn fmt(&self, to: &mut Formatter<'_>) -> Formatted {
        let version = if self.http_1_0 { "1.0" } else { "1.1" };
        write!(to, "{:?} {version}", self.start)?;
        for (name, value) in &self.fields.0 {
            write!(to, " | {name}: {}", value.escape_ascii())?;
        }
        write!(to, " | body {}", escaped(&self.body))
    }
}

impl Display for Reading {
    fn fmt(&self, to: &mut Formatter<'_>) -> Formatted {
        for message in &self.messages {
            write!(to, "\n      {message}")?;
        }
        write!(to, "\n      then {:?}", self.end)
    }
}
