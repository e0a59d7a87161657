//! Owner tags: `<sid>.<tag>`, where the tag says which pod holds the session, to sidecars only.
//!
//! A tag is base64url, without padding, of one header byte and a sealed [`Owner`]:
//!
//! ```text
//! header: version (4 bits), key id (4 bits) | AES-256-GCM-SIV( pod IP (4 or 16) | pod digest (8) | port (2) ) | 16
//! associated data: header | length of the cluster's UID (2) | the cluster's UID | sid
//! ```
//!
//! # Invariants
//! - A tag opens only with a key of this cluster, for this cluster, and for the sid it was made for.
//!   Clients can neither read an address in it nor name one. What does not open is no tag: the sid is
//!   then the application's own, whole.
//! - Sealing is deterministic. The nonce is fixed, which GCM-SIV (RFC 8452) withstands: equal tags say
//!   that the same session has the same owner, and no more. Plain GCM would leak its key.
//! - The decoding is strict: one tag has one spelling.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::session_id::truncated_sha256;

const VERSION: u8 = 1;
const SEAL_OVERHEAD: usize = 16;
const FIXED_NONCE: [u8; 12] = [0; 12];

/// Number of key ids: 0 to 15.
pub const KEY_IDS: u8 = 16;
/// A key's length in bytes.
pub const KEY_LENGTH: usize = 32;

/// A digest of a pod's UID. It survives a restart of the pod's containers, and tells a pod from a
/// later one that was given the same IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PodDigest(pub [u8; 8]);

impl PodDigest {
    /// Digests a Pod's `metadata.uid`, or whatever else names a process's place uniquely.
    #[must_use]
    pub fn of_uid(uid: &str) -> Self {
        Self(truncated_sha256(uid.as_bytes()))
    }
}

/// Pod that holds a session, and the port of its application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owner {
    /// IP of the pod.
    pub ip: IpAddr,
    /// Digest of the UID of the pod that must have this IP.
    pub pod: PodDigest,
    /// The application's port inside the pod.
    pub app_port: u16,
}

/// The cluster's tag keys: at most one that seals, up to [`KEY_IDS`] that open.
#[derive(Debug)]
pub struct KeyRing {
    cluster: String,
    seal_with: u8,
    keys: [Option<LessSafeKey>; KEY_IDS as usize],
}

/// Reason why a key ring cannot be made.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRingRefusal {
    /// An id above 15.
    #[error("key id {0} is above 15; use ids from 0 to 15")]
    KeyId(u8),
    /// Two keys have this id.
    #[error("key id {0} is given twice; give each key an id of its own")]
    Repeated(u8),
    /// A key that is not 32 bytes.
    #[error("key {0} is not 32 bytes long; make one with `openssl rand -base64 32`")]
    Length(u8),
    /// The key that should seal is not among the keys.
    #[error("sealWith names key {0}, which is not among the keys; add it or name another")]
    NoSealingKey(u8),
    /// An empty UID would make every cluster the same.
    #[error("cluster is empty; give the SocketIoCluster's UID, or any name that no other cluster has")]
    NoCluster,
}

impl KeyRing {
    /// A key ring for the cluster with this UID, which seals with the key `seal_with`.
    ///
    /// # Errors
    /// See [`KeyRingRefusal`].
    pub fn new<'k>(
        cluster: &str,
        seal_with: u8,
        keys: impl IntoIterator<Item = (u8, &'k [u8])>,
    ) -> Result<Self, KeyRingRefusal> {
        if cluster.is_empty() || u16::try_from(cluster.len()).is_err() {
            return Err(KeyRingRefusal::NoCluster);
        }
        let mut ring = [const { None }; KEY_IDS as usize];
        for (id, bytes) in keys {
            let slot = ring.get_mut(usize::from(id)).ok_or(KeyRingRefusal::KeyId(id))?;
            if slot.is_some() {
                return Err(KeyRingRefusal::Repeated(id));
            }
            let key = UnboundKey::new(&AES_256_GCM_SIV, bytes).map_err(|_| KeyRingRefusal::Length(id))?;
            *slot = Some(LessSafeKey::new(key));
        }
        if ring.get(usize::from(seal_with)).is_none_or(Option::is_none) {
            return Err(KeyRingRefusal::NoSealingKey(seal_with));
        }
        Ok(Self { cluster: cluster.to_owned(), seal_with, keys: ring })
    }

    /// The tag that names `owner` as the holder of `sid`, without the dot. Unreserved characters only,
    /// since some clients do not percent-encode a sid: 42 of them for IPv4, 58 for IPv6.
    #[must_use]
    pub fn seal(&self, sid: &str, owner: &Owner) -> Option<String> {
        let key = self.keys.get(usize::from(self.seal_with))?.as_ref()?;
        let header = VERSION << 4 | self.seal_with;
        let mut sealed = Vec::with_capacity(1 + 16 + 8 + 2 + SEAL_OVERHEAD);
        match owner.ip.to_canonical() {
            IpAddr::V4(ip) => sealed.extend_from_slice(&ip.octets()),
            IpAddr::V6(ip) => sealed.extend_from_slice(&ip.octets()),
        }
        sealed.extend_from_slice(&owner.pod.0);
        sealed.extend_from_slice(&owner.app_port.to_be_bytes());
        let nonce = Nonce::assume_unique_for_key(FIXED_NONCE);
        self.with_associated_data(header, sid, |data| {
            key.seal_in_place_append_tag(nonce, Aad::from(data), &mut sealed).ok()
        })?;
        sealed.insert(0, header);
        Some(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// The owner that `tag` names for `sid`, or `None` where it is not a tag of this cluster for this
    /// sid: forged, truncated, spelled otherwise, of a retired key, of another cluster or sid.
    #[must_use]
    pub fn open(&self, sid: &str, tag: &str) -> Option<Owner> {
        let mut bytes = [0; 1 + 16 + 8 + 2 + SEAL_OVERHEAD];
        let length = URL_SAFE_NO_PAD.decode_slice(tag, &mut bytes).ok()?;
        let (header, sealed) = bytes.get_mut(..length)?.split_first_mut()?;
        if *header >> 4 != VERSION {
            return None;
        }
        let key = self.keys.get(usize::from(*header & 0xf))?.as_ref()?;
        let nonce = Nonce::assume_unique_for_key(FIXED_NONCE);
        let plain: &[u8] = self.with_associated_data(*header, sid, |data| {
            key.open_in_place(nonce, Aad::from(data), sealed).ok()
        })?;
        let (rest, port) = plain.split_last_chunk::<2>()?;
        let (ip, pod) = rest.split_last_chunk::<8>()?;
        let ip = if let Ok(four) = <[u8; 4]>::try_from(ip) {
            IpAddr::V4(Ipv4Addr::from(four))
        } else {
            IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(ip).ok()?))
        };
        Some(Owner { ip, pod: PodDigest(*pod), app_port: u16::from_be_bytes(*port) })
    }

    fn with_associated_data<T>(&self, header: u8, sid: &str, with: impl FnOnce(&[u8]) -> T) -> T {
        // `new` has checked that the length fits.
        let [high, low] = u16::try_from(self.cluster.len()).unwrap_or_default().to_be_bytes();
        let parts = [&[header, high, low], self.cluster.as_bytes(), sid.as_bytes()];
        let length = parts.iter().map(|part| part.len()).sum();
        let mut room = [0; 256];
        let Some(mut rest) = room.get_mut(..length) else { return with(&parts.concat()) };
        for part in parts {
            let (here, behind) = rest.split_at_mut(part.len());
            here.copy_from_slice(part);
            rest = behind;
        }
        with(&room[..length])
    }
}

#[cfg(test)]
mod tests;
