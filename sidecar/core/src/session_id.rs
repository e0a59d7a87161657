//! Session ids outside the request that carries them appear only as a hash.
//!
//! A sid is a bearer credential: who knows it can speak in its session. Logs therefore hold a
//! [`SidHash`], which is the same on every pod, so that the lines of one session can be brought
//! together. Sids that are themselves guessable (some servers count 1, 2, 3…) are no better hidden by
//! a hash than they were before.

use std::borrow::Cow;
use std::fmt;

use aws_lc_rs::digest;

/// A sid without its owner tag. Nothing shows it but as its hash, which is made when it is asked for.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionId<'t>(Cow<'t, str>);

impl<'t> SessionId<'t> {
    /// Takes `sid`, decoded, which carries no owner tag.
    #[must_use]
    pub fn new(sid: impl Into<Cow<'t, str>>) -> Self {
        Self(sid.into())
    }

    /// Hash that stands for the session id.
    #[must_use]
    pub fn hash(&self) -> SidHash {
        SidHash::of(&self.0)
    }
}

impl fmt::Debug for SessionId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({})", self.hash())
    }
}

/// The first 8 bytes of the SHA-256 of a sid without its owner tag, shown as 16 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SidHash([u8; 8]);

impl SidHash {
    /// Hashes `sid`, which carries no owner tag.
    #[must_use]
    pub fn of(sid: &str) -> Self {
        Self(truncated_sha256(sid.as_bytes()))
    }

    /// The 8 bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 8] {
        self.0
    }
}

impl fmt::Display for SidHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for SidHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SidHash({self})")
    }
}

/// The first 8 bytes of the SHA-256 of `bytes`.
pub(crate) fn truncated_sha256(bytes: &[u8]) -> [u8; 8] {
    let digest = digest::digest(&digest::SHA256, bytes);
    let mut first = [0; 8];
    first.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sid_is_shown_as_the_start_of_its_sha_256() {
        assert_eq!(SidHash::of("abc").to_string(), "ba7816bf8f01cfea");
        assert_eq!(format!("{:?}", SidHash::of("abc")), "SidHash(ba7816bf8f01cfea)");
        assert_eq!(format!("{:?}", SessionId::new("abc")), "SessionId(ba7816bf8f01cfea)");
    }
}
