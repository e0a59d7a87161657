//! The certificates of a cluster's sidecars: a CA of the cluster's own, and one leaf that all of them
//! share, valid for every [`peer_name`](crate::config::peer_name) of the cluster.
//!
//! One leaf for all makes its key a group's key: who has it is a sidecar of this cluster, whichever pod.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::config::peer_domain;

/// Clocks differ between nodes; what is made now is valid since this long before.
const CLOCK_SKEW: Duration = Duration::from_secs(3600);

/// The reason why no certificate can be made, without any part of a key.
#[derive(Debug, thiserror::Error)]
#[error("cannot make a certificate: {0}")]
pub struct CertificateFailure(&'static str);

impl From<rcgen::Error> for CertificateFailure {
    /// Drops the library's own text, which may quote the PEM that was read.
    fn from(error: rcgen::Error) -> Self {
        Self(match error {
            rcgen::Error::PemError(_) => "the CA's key is not PEM",
            rcgen::Error::CouldNotParseKeyPair
            | rcgen::Error::RingKeyRejected(_)
            | rcgen::Error::UnsupportedSignatureAlgorithm => "the CA's key cannot be used",
            rcgen::Error::KeyGenerationUnavailable | rcgen::Error::RingUnspecified => {
                "the system makes no key"
            }
            rcgen::Error::Time => "its end is out of range",
            _ => "its parameters cannot be used",
        })
    }
}

/// A CA that can sign.
pub struct CertificateAuthority {
    name: String,
    key: KeyPair,
}

impl std::fmt::Debug for CertificateAuthority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CertificateAuthority").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A certificate and its key, as PEM.
pub struct Leaf {
    /// For [`CERTIFICATE_FILE`](crate::config::CERTIFICATE_FILE).
    pub certificate: String,
    /// For [`KEY_FILE`](crate::config::KEY_FILE).
    pub key: String,
}

impl CertificateAuthority {
    /// Makes a key for a CA of that name. Of two that are trusted at once, each needs a name of its own.
    ///
    /// # Errors
    /// The system gives no key.
    pub fn generate(name: impl Into<String>) -> Result<Self, CertificateFailure> {
        Ok(Self { name: name.into(), key: KeyPair::generate()? })
    }

    /// The CA whose name and key were kept.
    ///
    /// # Errors
    /// `key` is no private key in PEM.
    pub fn load(name: impl Into<String>, key: &str) -> Result<Self, CertificateFailure> {
        Ok(Self { name: name.into(), key: KeyPair::from_pem(key)? })
    }

    /// Private key as PEM.
    #[must_use]
    pub fn key(&self) -> String {
        self.key.serialize_pem()
    }

    /// Certificate of the CA as PEM, for [`CA_FILE`](crate::config::CA_FILE).
    ///
    /// # Errors
    /// It cannot be signed.
    pub fn certificate(&self, now: SystemTime, valid_for: Duration) -> Result<String, CertificateFailure> {
        Ok(self.params(now, valid_for)?.self_signed(&self.key)?.pem())
    }

    /// A certificate for the sidecars of `cluster`, and its key.
    ///
    /// # Errors
    /// It cannot be signed.
    pub fn issue(
        &self,
        cluster: &str,
        now: SystemTime,
        valid_for: Duration,
    ) -> Result<Leaf, CertificateFailure> {
        let names = vec![format!("*.{}", peer_domain(cluster))];
        let mut leaf = params("socketio-affinity peer", names, now, valid_for)?;
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate()?;
        // Of the issuer only its name and key count, not how long it is valid.
        let issuer = self.params(now, valid_for)?;
        let certificate = leaf.signed_by(&key, &Issuer::from_params(&issuer, &self.key))?;
        Ok(Leaf { certificate: certificate.pem(), key: key.serialize_pem() })
    }

    fn params(&self, now: SystemTime, valid_for: Duration) -> Result<CertificateParams, CertificateFailure> {
        let mut ca = params(&self.name, Vec::new(), now, valid_for)?;
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Ok(ca)
    }
}

fn params(
    name: &str,
    names: Vec<String>,
    now: SystemTime,
    valid_for: Duration,
) -> Result<CertificateParams, CertificateFailure> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = (now - CLOCK_SKEW).into();
    params.not_after = (now + valid_for).into();
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_was_kept_is_the_same_ca() {
        let (now, day) = (SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 30), Duration::from_secs(86_400));
        let ca = CertificateAuthority::generate("a").unwrap();
        let again = CertificateAuthority::load("a", &ca.key()).unwrap();
        assert_eq!(ca.key(), again.key());
        assert!(again.issue("c", now, day).unwrap().certificate.starts_with("-----BEGIN CERTIFICATE-----"));
        for damaged in ["no key", "-----BEGIN secret-----\nsecret\n-----END hidden-----\n"] {
            let failure = CertificateAuthority::load("a", damaged).unwrap_err();
            assert_eq!(failure.to_string(), "cannot make a certificate: the CA's key is not PEM");
        }
        assert!(!format!("{ca:?}").contains("PRIVATE"));
    }
}
