//! The secrets of one cluster: the keys that seal owner tags, and the certificates by which its sidecars
//! know each other. Pure, apart from the random bytes.
//!
//! They are kept in a Secret in the operator's own namespace ([`Credentials::to_data`]), which alone
//! holds the CA's key. What the pods get is made from it, so that a pod-side Secret that was edited or
//! deleted is put back as it was, and no session is lost.
//!
//! # Invariant
//! At every moment, each sidecar trusts the certificate that any other one shows, although they learn of
//! changes minutes apart. So a CA is replaced in three changes, each of which waits until all sidecars
//! have applied the one before: trust the new CA too; show certificates of the new one; trust it alone.
//! [`Credentials::next`] makes one of them at a time.
//!
//! What is read is what the sidecars would accept too, whoever wrote it: what they would refuse is neither
//! kept nor spread. That they have expired is no damage, and depends on a clock.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use k8s_openapi::ByteString;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};
use serde_json::json;
use socketio_sidecar_core::certificates::{CertificateAuthority, CertificateFailure};
use socketio_sidecar_core::config::{
    CA_FILE, CERTIFICATE_FILE, KEY_FILE, Settings, TAG_KEYS_FILE, TagKey, TagKeys, encode_key,
};
use socketio_sidecar_core::owner_tag::KEY_LENGTH;

const DAY: Duration = Duration::from_secs(86_400);
/// For how long a CA is valid: long, since replacing one takes three rounds through all pods.
const CA_VALID: Duration = Duration::from_secs(10 * 365 * 86_400);
/// A CA with less left than this is replaced; more than a leaf ever lives.
const CA_RENEW: Duration = Duration::from_secs(3 * 365 * 86_400);
/// File of the operator's own Secret, beside the files of the sidecars.
const AUTHORITY_FILE: &str = "authority.json";
/// The most CAs that are trusted at once. Two are of a renewal; each loss of the operator's Secret during one
/// adds another.
const TRUSTED_MOST: usize = 4;
/// The longest file that is read: many times what is ever written.
const FILE_MOST: usize = 16 * 1024;

/// The secrets of one cluster.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    /// [`TAG_KEYS_FILE`].
    tag_keys: String,
    /// The certificates of the CAs that are trusted, the oldest first.
    trusted: Vec<String>,
    certificate: String,
    key: String,
    /// Absent where the operator's own Secret was lost: then nothing can be signed.
    authority: Option<Authority>,
}

/// Facts about the newest trusted CA that its certificate does not hold.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Authority {
    /// Name of the CA.
    name: String,
    /// Private key of the CA.
    key: String,
    /// End of the CA's validity.
    not_after: Timestamp,
    /// The leaf was signed by it.
    signed_leaf: bool,
    /// The leaf's end.
    leaf_not_after: Timestamp,
}

/// Reasons for which credentials cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CredentialsFailure {
    /// No certificate could be made.
    #[error(transparent)]
    Certificate(#[from] CertificateFailure),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random,
    /// JSON could not be written.
    #[error("cannot write JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// Terms for new certificates.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms<'t> {
    /// The UID of the SocketIoCluster.
    pub(crate) cluster: &'t str,
    /// For how long a leaf is valid.
    pub(crate) certificate_days: u32,
    /// The time.
    pub(crate) now: Timestamp,
}

impl Terms<'_> {
    fn leaf_valid(&self) -> Duration {
        DAY * self.certificate_days
    }

    fn after(&self, span: Duration) -> Timestamp {
        self.now.saturating_add(span).unwrap_or(Timestamp::MAX)
    }

    fn has_less_left(&self, end: Timestamp, span: Duration) -> bool {
        end < self.after(span)
    }
}

impl Credentials {
    /// Makes all anew.
    pub(crate) fn generate(terms: Terms<'_>) -> Result<Self, CredentialsFailure> {
        let mut key = [0; KEY_LENGTH];
        aws_lc_rs::rand::fill(&mut key).map_err(|_| CredentialsFailure::Random)?;
        let tag_keys = TagKeys { seal_with: 1, keys: vec![TagKey { id: 1, key: encode_key(&key) }] };
        let (authority, certificate) = Authority::generate(terms)?;
        let mut credentials = Self {
            tag_keys: serde_json::to_string(&tag_keys)?,
            trusted: vec![certificate],
            certificate: String::new(),
            key: String::new(),
            authority: Some(authority),
        };
        credentials.issue(terms)?;
        Ok(credentials)
    }

    /// Reads what [`Self::to_data`] gave. `None`: something is missing or not usable.
    pub(crate) fn from_data(data: &BTreeMap<String, ByteString>) -> Option<Self> {
        let files = Self::from_files(data)?;
        let authority: Authority = serde_json::from_slice(&data.get(AUTHORITY_FILE)?.0).ok()?;
        // A key that was damaged would be found only when it is needed.
        CertificateAuthority::load(authority.name.as_str(), &authority.key).ok()?;
        if !fits(files.trusted.last()?, &authority.key) {
            return None;
        }
        Some(Self { authority: Some(authority), ..files })
    }

    /// Reads credentials from the pods' Secret, after the loss of the operator's own. `None`: a file is missing or
    /// not usable.
    pub(crate) fn from_files(data: &BTreeMap<String, ByteString>) -> Option<Self> {
        let file = |name: &str| {
            let content = &data.get(name)?.0;
            String::from_utf8(content.clone()).ok().filter(|text| text.len() <= FILE_MOST)
        };
        let [tag_keys, trusted] = [file(TAG_KEYS_FILE)?, file(CA_FILE)?];
        let [certificate, key] = [file(CERTIFICATE_FILE)?, file(KEY_FILE)?];
        // As the sidecars read it; the rest of the configuration plays no part.
        let config = json!({"revision": "any", "cluster": "any"}).to_string();
        Settings::parse(config.as_bytes(), tag_keys.as_bytes()).ok()?;
        let trusted: Vec<_> = certificates(&trusted).collect();
        let usable = (1..=TRUSTED_MOST).contains(&trusted.len())
            && trusted.iter().all(|one| is_authority(one))
            && fits(&certificate, &key);
        usable.then_some(Self { tag_keys, trusted, certificate, key, authority: None })
    }

    /// With a new CA in place of one whose key was lost: the tag keys stay, so that sessions go on, and the
    /// certificates, until the new CA has taken over. `None`: too many are trusted already.
    pub(crate) fn recover(mut self, terms: Terms<'_>) -> Result<Option<Self>, CredentialsFailure> {
        if self.trusted.len() == TRUSTED_MOST {
            return Ok(None);
        }
        let (authority, certificate) = Authority::generate(terms)?;
        self.trusted.push(certificate);
        self.authority = Some(authority);
        Ok(Some(self))
    }

    /// For the Secret in the operator's namespace.
    pub(crate) fn to_data(&self) -> Result<BTreeMap<String, ByteString>, CredentialsFailure> {
        let mut data = self.files();
        if let Some(authority) = &self.authority {
            data.insert(AUTHORITY_FILE.to_owned(), ByteString(serde_json::to_vec(authority)?));
        }
        Ok(data)
    }

    /// The files of the sidecars, all but their configuration.
    pub(crate) fn files(&self) -> BTreeMap<String, ByteString> {
        let files = [
            (TAG_KEYS_FILE, self.tag_keys.clone()),
            (CA_FILE, self.trusted.concat()),
            (CERTIFICATE_FILE, self.certificate.clone()),
            (KEY_FILE, self.key.clone()),
        ];
        files.into_iter().map(|(name, content)| (name.to_owned(), ByteString(content.into_bytes()))).collect()
    }

    /// The next change that is due, if any. `followed`: all sidecars have applied what is in force, which
    /// every change of a CA waits for; a new leaf under a CA that they trust already does not.
    pub(crate) fn next(&self, terms: Terms<'_>, followed: bool) -> Result<Option<Self>, CredentialsFailure> {
        let mut next = self.clone();
        let Some(newest) = &self.authority else { return Ok(None) };
        if !newest.signed_leaf {
            if !followed {
                return Ok(None);
            }
            next.issue(terms)?;
        } else if followed && self.trusted.len() > 1 {
            next.trusted.drain(..self.trusted.len() - 1);
        } else if followed && terms.has_less_left(newest.not_after, CA_RENEW) {
            let (authority, certificate) = Authority::generate(terms)?;
            next.authority = Some(Authority { leaf_not_after: newest.leaf_not_after, ..authority });
            next.trusted.push(certificate);
        } else if terms.has_less_left(newest.leaf_not_after, terms.leaf_valid() / 3) {
            next.issue(terms)?;
        } else {
            return Ok(None);
        }
        Ok(Some(next))
    }

    fn issue(&mut self, terms: Terms<'_>) -> Result<(), CredentialsFailure> {
        let Some(newest) = &mut self.authority else { return Ok(()) };
        let authority = CertificateAuthority::load(newest.name.as_str(), &newest.key)?;
        let leaf = authority.issue(terms.cluster, SystemTime::from(terms.now), terms.leaf_valid())?;
        (self.certificate, self.key) = (leaf.certificate, leaf.key);
        newest.signed_leaf = true;
        newest.leaf_not_after = terms.after(terms.leaf_valid());
        Ok(())
    }
}

impl Authority {
    /// A new CA, which has signed nothing, and its certificate.
    fn generate(terms: Terms<'_>) -> Result<(Self, String), CredentialsFailure> {
        // Two CAs that are trusted at once need different names.
        let name = format!("socketio-affinity peers CA {}", terms.now.as_second());
        let authority = CertificateAuthority::generate(name.as_str())?;
        let certificate = authority.certificate(SystemTime::from(terms.now), CA_VALID)?;
        let key = authority.key();
        let not_after = terms.after(CA_VALID);
        Ok((Self { name, key, not_after, signed_leaf: false, leaf_not_after: terms.now }, certificate))
    }
}

/// The certificates of a file, one by one.
fn certificates(pem: &str) -> impl Iterator<Item = String> {
    pem.split_inclusive("-----END CERTIFICATE-----\n").filter(|one| !one.trim().is_empty()).map(str::to_owned)
}

/// Reports whether `pem` is exactly one certificate that a CA can have.
fn is_authority(pem: &str) -> bool {
    chain(pem).is_some_and(|chain| chain.len() == 1 && RootCertStore::empty().add(chain[0].clone()).is_ok())
}

/// Reports whether the private key belongs to the certificate.
fn fits(certificate: &str, key: &str) -> bool {
    let (Some(chain), Ok(key)) = (chain(certificate), PrivateKeyDer::from_pem_slice(key.as_bytes())) else {
        return false;
    };
    CertifiedKey::from_der(chain, key, &rustls::crypto::aws_lc_rs::default_provider()).is_ok()
}

fn chain(pem: &str) -> Option<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().ok()
}

#[cfg(test)]
mod tests;
