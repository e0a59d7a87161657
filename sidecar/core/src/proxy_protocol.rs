//! The PROXY protocol, versions 1 and 2: a header with which a load balancer begins a connection, to name the
//! client behind it (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>).
//!
//! # Invariants
//! - The header is only looked for where the configuration says that it must stand. [`parse`] never guesses:
//!   bytes that cannot begin a header are refused.
//! - Every length is bounded: [`MAX_V1_BYTES`] and [`MAX_V2_BYTES`].
//! - The answer depends on the bytes of the header alone, not on how they arrive: any shorter start of an
//!   accepted header asks for more.
//! - A header that names no TCP client (`UNKNOWN`, `LOCAL`, UNIX and UDP sources) is accepted, as section 2
//!   demands, and yields no address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Longest header of version 1, with its CRLF (section 2.1).
pub const MAX_V1_BYTES: usize = 107;
/// Longest header of version 2: the fixed part, and 2 KiB for addresses and TLVs.
pub const MAX_V2_BYTES: usize = V2_FIXED_BYTES + 2048;

/// The bytes of version 2 that no line of text begins with (section 2.2).
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const V2_FIXED_BYTES: usize = 16;
const V1_START: &[u8; 6] = b"PROXY ";

/// A header that was read whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProxyHeader {
    /// The length of the header. The client's bytes begin behind it.
    pub length: usize,
    /// The client's address and port, where the header names a TCP client. An IPv4 address in an IPv6 field is
    /// given as IPv4.
    pub source: Option<SocketAddr>,
}

/// The reason for refusing a connection whose first bytes are no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotProxied {
    /// The first bytes begin neither version.
    #[error("the connection does not begin with a PROXY protocol header")]
    Missing,
    /// A line that breaks the grammar of version 1, or is too long.
    #[error("the PROXY protocol header of version 1 is malformed")]
    V1,
    /// A version, command, family or length that version 2 does not have.
    #[error("the PROXY protocol header of version 2 is malformed")]
    V2,
    /// More than [`MAX_V2_BYTES`].
    #[error("the PROXY protocol header of version 2 is longer than 2 KiB")]
    TooLong,
}

/// Reads the header at the start of `bytes`; `None` asks for more bytes.
///
/// # Errors
/// See [`NotProxied`].
pub fn parse(bytes: &[u8]) -> Result<Option<ProxyHeader>, NotProxied> {
    if starts_alike(bytes, V1_START) {
        return parse_v1(bytes);
    }
    if starts_alike(bytes, V2_SIGNATURE) {
        return parse_v2(bytes);
    }
    Err(NotProxied::Missing)
}

/// Compares as far as both go.
fn starts_alike(bytes: &[u8], start: &[u8]) -> bool {
    bytes.iter().zip(start).all(|(byte, expected)| byte == expected)
}

fn parse_v1(bytes: &[u8]) -> Result<Option<ProxyHeader>, NotProxied> {
    let window = bytes.get(..MAX_V1_BYTES).unwrap_or(bytes);
    let Some(end) = window.windows(2).position(|pair| pair == b"\r\n") else {
        // A line feed alone ends no line, and what is longer than the limit is no header.
        let is_hopeless = window.len() == MAX_V1_BYTES || window.contains(&b'\n');
        return if is_hopeless { Err(NotProxied::V1) } else { Ok(None) };
    };
    let line = window.get(V1_START.len()..end).and_then(|line| std::str::from_utf8(line).ok());
    let line = line.filter(|line| !line.contains('\n')).ok_or(NotProxied::V1)?;
    let source = line_source(line)?;
    Ok(Some(ProxyHeader { length: end + 2, source }))
}

/// Reads a line of version 1 behind `PROXY `.
fn line_source(line: &str) -> Result<Option<SocketAddr>, NotProxied> {
    let mut words = line.split(' ');
    let protocol = words.next().unwrap_or_default();
    if protocol == "UNKNOWN" {
        // The rest of the line is to be ignored (section 2.1).
        return Ok(None);
    }
    let mut word = || words.next().ok_or(NotProxied::V1);
    let [source, target, source_port, target_port] = [word()?, word()?, word()?, word()?];
    let (source, target) = (address(protocol, source), address(protocol, target));
    let (source_port, target_port) = (port(source_port), port(target_port));
    match (source, target, source_port, target_port, words.next()) {
        (Some(source), Some(_), Some(port), Some(_), None) => Ok(Some(SocketAddr::new(source, port))),
        _ => Err(NotProxied::V1),
    }
}

fn address(protocol: &str, text: &str) -> Option<IpAddr> {
    match protocol {
        "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        "TCP6" => text.parse::<Ipv6Addr>().ok().map(|ip| IpAddr::V6(ip).to_canonical()),
        _ => None,
    }
}

/// A port in decimal, without leading zeros or signs.
fn port(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain)
}

fn parse_v2(bytes: &[u8]) -> Result<Option<ProxyHeader>, NotProxied> {
    let rest = bytes.get(V2_SIGNATURE.len()..).unwrap_or_default();
    let Some(&version_command) = rest.first() else { return Ok(None) };
    let is_local = match version_command {
        0x20 => true,
        0x21 => false,
        _ => return Err(NotProxied::V2),
    };
    let Some(&family) = rest.get(1) else { return Ok(None) };
    // The address family, and the transport; `UNSPEC` stands for none (section 2.2).
    let (addresses, is_tcp) = match family {
        0x11 => (V2Addresses::V4, true),
        0x21 => (V2Addresses::V6, true),
        0x12 => (V2Addresses::V4, false),
        0x22 => (V2Addresses::V6, false),
        0x31 | 0x32 => (V2Addresses::Unix, false),
        0x00..=0x02 | 0x10 | 0x20 | 0x30 => (V2Addresses::None, false),
        _ => return Err(NotProxied::V2),
    };
    let Some(&[high, low]) = rest.get(2..4).and_then(|length| length.first_chunk()) else { return Ok(None) };
    let length = V2_FIXED_BYTES + usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_V2_BYTES {
        return Err(NotProxied::TooLong);
    }
    if !is_local && length - V2_FIXED_BYTES < addresses.bytes() {
        return Err(NotProxied::V2);
    }
    let Some(payload) = bytes.get(V2_FIXED_BYTES..length) else { return Ok(None) };
    // TLVs behind the addresses say nothing that the sidecar uses.
    let source = if is_tcp && !is_local { addresses.source(payload) } else { None };
    Ok(Some(ProxyHeader { length, source }))
}

/// The layout of a version 2 header's addresses.
#[derive(Debug, Clone, Copy)]
enum V2Addresses {
    None,
    V4,
    V6,
    Unix,
}

impl V2Addresses {
    /// The length of both addresses and ports.
    const fn bytes(self) -> usize {
        match self {
            Self::None => 0,
            Self::V4 => 12,
            Self::V6 => 36,
            Self::Unix => 216,
        }
    }

    fn source(self, payload: &[u8]) -> Option<SocketAddr> {
        let (ip, port): (IpAddr, _) = match self {
            Self::V4 => (payload.first_chunk::<4>().copied()?.into(), payload.get(8..10)?),
            Self::V6 => (payload.first_chunk::<16>().copied()?.into(), payload.get(32..34)?),
            Self::None | Self::Unix => return None,
        };
        Some(SocketAddr::new(ip.to_canonical(), u16::from_be_bytes(*port.first_chunk()?)))
    }
}

#[cfg(test)]
mod tests;
