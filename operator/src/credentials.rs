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

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use k8s_openapi::ByteString;
use serde::{Deserialize, Serialize};
use socketio_sidecar_core::certificates::{CertificateAuthority, CertificateFailure};
use socketio_sidecar_core::config::{
    CA_FILE, CERTIFICATE_FILE, KEY_FILE, TAG_KEYS_FILE, TagKey, TagKeys, encode_key,
};
use socketio_sidecar_core::owner_tag::KEY_LENGTH;

const DAY: Duration = Duration::from_secs(86_400);
/// For how long a CA is valid: long, since replacing one takes three rounds through all pods.
const CA_VALID: Duration = Duration::from_secs(10 * 365 * 86_400);
/// A CA with less left than this is replaced; more than a leaf ever lives.
const CA_RENEW: Duration = Duration::from_secs(3 * 365 * 86_400);
/// What Secrets hold beside the files of the sidecars.
const AUTHORITY_FILE: &str = "authority.json";

/// The secrets of one cluster.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    /// [`TAG_KEYS_FILE`].
    tag_keys: String,
    /// The certificates of the CAs that are trusted, the oldest first.
    trusted: Vec<String>,
    certificate: String,
    key: String,
    authority: Authority,
}

/// What is known of the CAs beside their certificates. Absent where the Secret was lost.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Authority {
    /// The name of the newest trusted CA.
    name: String,
    /// Its private key.
    key: String,
    /// Its end.
    not_after: Timestamp,
    /// The leaf was signed by it.
    signed_leaf: bool,
    /// The leaf's end.
    leaf_not_after: Timestamp,
}

/// Why there are no credentials.
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

/// What certificates are made with.
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
            authority,
        };
        credentials.issue(terms)?;
        Ok(credentials)
    }

    /// What is left where the operator's own Secret was lost and the pods' is still there: the tag keys,
    /// so that sessions go on, and the certificates, until a new CA has taken over.
    pub(crate) fn recover(
        data: &BTreeMap<String, ByteString>,
        terms: Terms<'_>,
    ) -> Result<Option<Self>, CredentialsFailure> {
        let Some([tag_keys, trusted, certificate, key]) = files(data) else { return Ok(None) };
        let (authority, new) = Authority::generate(terms)?;
        let trusted = certificates(&trusted).chain([new]).collect();
        Ok(Some(Self { tag_keys, trusted, certificate, key, authority }))
    }

    /// Reads what [`Self::to_data`] gave. `None`: something is missing or not readable.
    pub(crate) fn from_data(data: &BTreeMap<String, ByteString>) -> Option<Self> {
        let [tag_keys, trusted, certificate, key] = files(data)?;
        let authority: Authority = serde_json::from_slice(&data.get(AUTHORITY_FILE)?.0).ok()?;
        // A key that was damaged would be found only when it is needed.
        CertificateAuthority::load(authority.name.as_str(), &authority.key).ok()?;
        serde_json::from_str::<TagKeys>(&tag_keys).ok()?;
        Some(Self { tag_keys, trusted: certificates(&trusted).collect(), certificate, key, authority })
    }

    /// For the Secret in the operator's namespace.
    pub(crate) fn to_data(&self) -> Result<BTreeMap<String, ByteString>, CredentialsFailure> {
        let mut data = self.files();
        data.insert(AUTHORITY_FILE.to_owned(), ByteString(serde_json::to_vec(&self.authority)?));
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
        let trusted_longer = self.authority.signed_leaf && self.trusted.len() == 1;
        if !followed && !trusted_longer {
            return Ok(None);
        }
        if !self.authority.signed_leaf {
            next.issue(terms)?;
        } else if self.trusted.len() > 1 {
            next.trusted.drain(..self.trusted.len() - 1);
        } else if followed && terms.has_less_left(self.authority.not_after, CA_RENEW) {
            let (authority, certificate) = Authority::generate(terms)?;
            let leaf_not_after = self.authority.leaf_not_after;
            next.authority = Authority { leaf_not_after, ..authority };
            next.trusted.push(certificate);
        } else if terms.has_less_left(self.authority.leaf_not_after, terms.leaf_valid() / 3) {
            next.issue(terms)?;
        } else {
            return Ok(None);
        }
        Ok(Some(next))
    }

    fn issue(&mut self, terms: Terms<'_>) -> Result<(), CredentialsFailure> {
        let authority = CertificateAuthority::load(self.authority.name.as_str(), &self.authority.key)?;
        let leaf = authority.issue(terms.cluster, SystemTime::from(terms.now), terms.leaf_valid())?;
        (self.certificate, self.key) = (leaf.certificate, leaf.key);
        self.authority.signed_leaf = true;
        self.authority.leaf_not_after = terms.after(terms.leaf_valid());
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

fn files(data: &BTreeMap<String, ByteString>) -> Option<[String; 4]> {
    let file = |name: &str| String::from_utf8(data.get(name)?.0.clone()).ok().filter(|text| !text.is_empty());
    Some([file(TAG_KEYS_FILE)?, file(CA_FILE)?, file(CERTIFICATE_FILE)?, file(KEY_FILE)?])
}

/// The certificates of a file, one by one.
fn certificates(pem: &str) -> impl Iterator<Item = String> {
    pem.split_inclusive("-----END CERTIFICATE-----\n").filter(|one| !one.trim().is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: &str = "0e8f9f0a";

    fn at(days: u32) -> Terms<'static> {
        let now = Timestamp::from_second(1_800_000_000).unwrap().saturating_add(DAY * days).unwrap();
        Terms { cluster: CLUSTER, certificate_days: 90, now }
    }

    /// What changed between the files of two credentials.
    fn changed(one: &Credentials, other: &Credentials) -> Vec<String> {
        let other = other.files();
        one.files().into_iter().filter(|(name, file)| other[name] != *file).map(|(name, _)| name).collect()
    }

    #[test]
    fn what_was_written_is_read_again() {
        let made = Credentials::generate(at(0)).unwrap();
        assert!(Credentials::from_data(&made.to_data().unwrap()).unwrap() == made);
    }

    #[test]
    fn the_cas_key_is_in_no_file_of_the_sidecars() {
        let made = Credentials::generate(at(0)).unwrap();
        let key = made.authority.key.lines().nth(1).unwrap();
        let files = made.files();
        assert_eq!(files.len(), 4);
        assert!(files.values().all(|file| !String::from_utf8_lossy(&file.0).contains(key)));
    }

    #[test]
    fn a_leaf_is_renewed_when_a_third_of_its_time_is_left_and_nothing_else_changes() {
        let made = Credentials::generate(at(0)).unwrap();
        assert!(made.next(at(59), true).unwrap().is_none());
        let renewed = made.next(at(61), true).unwrap().unwrap();
        assert_eq!(changed(&made, &renewed), [CERTIFICATE_FILE, KEY_FILE]);
        assert!(renewed.next(at(61), true).unwrap().is_none());
        // A pod that lags must not let the others' certificate end.
        assert!(made.next(at(61), false).unwrap().is_some());
        assert!(renewed.next(at(122), true).unwrap().is_some());
    }

    #[test]
    fn a_ca_is_replaced_in_three_changes_of_one_thing_each() {
        let mut now = Credentials::generate(at(0)).unwrap();
        let year_8 = 8 * 365;
        let mut seen = Vec::new();
        // The leaf of year 0 has ended long before; it is renewed last, since order is what matters.
        now.authority.leaf_not_after = at(year_8 + 90).now;
        assert!(now.next(at(year_8), false).unwrap().is_none());
        while let Some(next) = now.next(at(year_8), true).unwrap() {
            assert!(seen.len() > 1 || next.next(at(year_8), false).unwrap().is_none());
            seen.push((changed(&now, &next), next.trusted.len()));
            now = next;
        }
        let [ca, certificate, key] = [CA_FILE, CERTIFICATE_FILE, KEY_FILE].map(str::to_owned);
        assert_eq!(seen, [(vec![ca.clone()], 2), (vec![certificate, key], 2), (vec![ca], 1)]);
    }

    #[test]
    fn with_the_operators_secret_lost_the_tag_keys_stay_and_a_new_ca_takes_over() {
        let made = Credentials::generate(at(0)).unwrap();
        let mut now = Credentials::recover(&made.files(), at(1)).unwrap().unwrap();
        assert_eq!(changed(&made, &now), [CA_FILE]);
        assert_eq!(now.trusted[0], made.trusted[0]);
        let mut rounds = 0;
        while let Some(next) = now.next(at(1), true).unwrap() {
            assert!(!changed(&now, &next).contains(&TAG_KEYS_FILE.to_owned()));
            (now, rounds) = (next, rounds + 1);
        }
        assert_eq!((rounds, now.trusted.len()), (2, 1));
        assert_ne!(now.trusted[0], made.trusted[0]);
    }

    #[test]
    fn damaged_data_is_not_taken_for_credentials() {
        let good = Credentials::generate(at(0)).unwrap().to_data().unwrap();
        for file in good.keys() {
            for content in [&b""[..], b"{}", b"\xff"] {
                let mut bad = good.clone();
                bad.insert(file.clone(), ByteString(content.to_vec()));
                // What is no JSON is not looked into here: the sidecars refuse it, and say so.
                let pem = file.ends_with(".crt") || file.ends_with(".key");
                assert!(
                    Credentials::from_data(&bad).is_none() || (pem && content == b"{}"),
                    "{file} {content:?}"
                );
            }
        }
        assert!(Credentials::from_data(&BTreeMap::new()).is_none());
        assert!(Credentials::recover(&BTreeMap::new(), at(0)).unwrap().is_none());
    }
}
