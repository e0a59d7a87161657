//! The request fields in which a proxy names the client: address, protocol, host.
//!
//! Applications believe these fields when they come from loopback, and the sidecar is loopback. So the
//! sidecar has to know who wrote them. [`decide`] answers that for one connection; [`Fields`] carries the
//! answer out, field by field, while [`crate::hop`] writes the head.
//!
//! # Invariants
//! - [`Forwarded::Pass`] changes nothing: behind an HTTP proxy the application sees what that proxy sent.
//! - After [`Forwarded::Replace`] no field of [`names_client`] is left that the sidecar did not write.
//! - The address that the sidecar writes is the end of the TCP connection, or the source that a trusted
//!   load balancer gave in a PROXY protocol header. A client cannot write behind it.
//! - A sidecar decides once, for connections of clients. Between sidecars the fields pass unchanged.

mod client;

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::http1::Header;

pub use client::client_of;

/// The setting `forwardedFor`: the treatment of connections that come from no trusted proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ForwardedFor {
    /// The TCP peer's address is appended to `X-Forwarded-For`; all other fields pass unchanged.
    Append,
    /// All fields pass unchanged, from trusted proxies and from all others.
    Preserve,
    /// All fields that name the client are removed; `X-Forwarded-For` and `X-Real-IP` are set to the TCP
    /// peer's address.
    Replace,
}

/// The treatment of the fields that name the client, of one request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Forwarded<'a> {
    /// All fields that name the client pass unchanged.
    #[default]
    Pass,
    /// The address is appended to `X-Forwarded-For`.
    Append(&'a str),
    /// All fields that name the client are removed; `X-Forwarded-For` and `X-Real-IP` are set to the address.
    Replace(&'a str),
}

/// The settings that [`decide`] depends on.
#[derive(Debug, Clone, Copy)]
pub struct Trust<'s> {
    /// The setting `forwardedFor`, where it is set.
    pub forwarded_for: Option<ForwardedFor>,
    /// The networks of the HTTP proxies in front.
    pub trusted_proxies: &'s [IpNet],
}

impl Trust<'_> {
    /// Tells whether nothing says who stands in front, so that all fields pass from everybody.
    #[must_use]
    pub fn is_unset(&self) -> bool {
        self.forwarded_for.is_none() && self.trusted_proxies.is_empty()
    }

    /// Tells whether `peer` is in one of the trusted networks.
    #[must_use]
    pub fn includes(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.trusted_proxies.iter().any(|network| network.contains(&peer))
    }
}

/// Decides the treatment of requests from a connection whose other end is `peer`, written as `address`.
/// `may_be_trusted` is false where the peer's address says nothing of who sent the request.
///
/// Without `forwardedFor`, trusted networks mean that nobody else is a proxy. Where neither is set, it is
/// unknown who stands in front, and everything passes: an application behind an HTTP proxy needs it.
#[must_use]
pub fn decide<'a>(trust: Trust<'_>, peer: IpAddr, may_be_trusted: bool, address: &'a str) -> Forwarded<'a> {
    let is_trusted = || may_be_trusted && trust.includes(peer);
    match trust.forwarded_for {
        Some(ForwardedFor::Preserve) => Forwarded::Pass,
        None if trust.is_unset() => Forwarded::Pass,
        _ if is_trusted() => Forwarded::Pass,
        Some(ForwardedFor::Append) => Forwarded::Append(address),
        Some(ForwardedFor::Replace) | None => Forwarded::Replace(address),
    }
}

/// The fate of one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate<'a> {
    Pass,
    Remove,
    /// The field passes with this address at its end.
    Append(&'a str),
}

/// Carries out a [`Forwarded`] on the fields of one head.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    treatment: Forwarded<'a>,
    /// The last `X-Forwarded-For`, where something is to be appended to it.
    last: Option<usize>,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(treatment: Forwarded<'a>, headers: &[Header<'_>]) -> Self {
        let last = match treatment {
            Forwarded::Append(_) => headers.iter().rposition(is_forwarded_for),
            _ => None,
        };
        Self { treatment, last }
    }

    /// The fate of the field at position `at` of the head.
    pub(crate) fn fate(&self, at: usize, name: &str) -> Fate<'a> {
        match self.treatment {
            Forwarded::Append(address) if self.last == Some(at) => Fate::Append(address),
            Forwarded::Append(_) if is_look_alike(name) => Fate::Remove,
            Forwarded::Replace(_) if names_client(name) => Fate::Remove,
            _ => Fate::Pass,
        }
    }

    /// Writes the fields that are new in the head.
    pub(crate) fn finish(&self, out: &mut Vec<u8>) {
        match self.treatment {
            Forwarded::Append(address) if self.last.is_none() => write_forwarded_for(out, b"", address),
            Forwarded::Replace(address) => {
                write_forwarded_for(out, b"", address);
                for part in [b"X-Real-IP: ", address.as_bytes(), b"\r\n"] {
                    out.extend_from_slice(part);
                }
            }
            _ => {}
        }
    }
}

/// Writes `X-Forwarded-For` with `address` behind the value `before`.
pub(crate) fn write_forwarded_for(out: &mut Vec<u8>, before: &[u8], address: &str) {
    let separator = if before.is_empty() { "" } else { ", " };
    for part in [b"X-Forwarded-For: ", before, separator.as_bytes(), address.as_bytes(), b"\r\n"] {
        out.extend_from_slice(part);
    }
}

/// The fields, besides all that begin with [`PREFIX`], by which servers, frameworks and their usual
/// middleware let a proxy name the client. `script-name` and `path-info` are here because gunicorn takes
/// them from trusted peers, and trusts loopback.
const FIELDS: [&str; 14] = [
    "forwarded",
    "forwarded-for",
    "front-end-https",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-forwarded-for",
    "x-scheme",
    "x-url-scheme",
    "true-client-ip",
    "cf-connecting-ip",
    "fastly-client-ip",
    "script-name",
    "path-info",
];
/// `X-Forwarded-For`, `-Proto`, `-Protocol`, `-Host`, `-Port`, `-Server`, `-Prefix`, `-Ssl` and so on.
const PREFIX: &str = "x-forwarded";

/// Tells whether a field names the client: its address, its protocol, or the host and path it asked for. `_`
/// counts as `-`, since CGI and WSGI servers cannot tell them apart.
#[must_use]
pub fn names_client(name: &str) -> bool {
    let Some(first) = name.bytes().next() else { return false };
    matches!(first.to_ascii_lowercase(), b'x' | b'f' | b't' | b'c' | b's' | b'p')
        && (name.get(..PREFIX.len()).is_some_and(|start| is_alike(start, PREFIX))
            || FIELDS.iter().any(|known| is_alike(name, known)))
}

/// Compares a name with one in lower case, where `_` counts as `-`.
fn is_alike(name: &str, known: &str) -> bool {
    name.len() == known.len()
        && name
            .bytes()
            .zip(known.bytes())
            .all(|(byte, known)| byte.eq_ignore_ascii_case(&known) || byte == b'_' && known == b'-')
}

pub(crate) fn is_forwarded_for(field: &Header<'_>) -> bool {
    field.name.eq_ignore_ascii_case("x-forwarded-for")
}

/// `X_Forwarded_For` and the like, which CGI-style servers cannot tell from `X-Forwarded-For`.
fn is_look_alike(name: &str) -> bool {
    name.contains('_') && is_alike(name, "x-forwarded-for")
}

#[cfg(test)]
mod tests;
