//! Mutual TLS between the sidecars of one cluster.
//!
//! # Invariants
//! - Both sides show a certificate of the cluster's CA for the cluster's names. One certificate serves all pods of
//!   a cluster: it proves membership, and is as secret as a group's key is.
//! - A sidecar completes a handshake only for the name of its own pod; see
//!   [`socketio_sidecar_core::config::peer_name`].
//! - What is applied can work: a sidecar's own certificate is verified as a peer would verify it.
//! - TLS 1.3 only: all peers are of this project.
//! - Each connection proves both certificates anew. No session is resumed, and no ticket is sent, which would be
//!   bytes on an idle connection (RFC 8446 section 4.6.1).

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::CertificateError::{Expired, ExpiredContext};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig, SignatureScheme,
};
use socketio_sidecar_core::config::{CA_FILE, CERTIFICATE_FILE, KEY_FILE};

/// ALPN name of a connection that carries no requests and shows only that the other pod is there.
pub(crate) const WATCH_PROTOCOL: &[u8] = b"socketio-affinity-watch";

const DAY: Duration = Duration::from_secs(86_400);

/// Both roles of a sidecar.
#[derive(Debug, Clone)]
pub(crate) struct PeerTls {
    pub(crate) client: Arc<ClientConfig>,
    /// As `client`, for a connection that carries no requests.
    pub(crate) watch: Arc<ClientConfig>,
    pub(crate) server: Arc<ServerConfig>,
    own: OwnCertificate,
}

/// Reason why certificates are refused.
#[derive(Debug, thiserror::Error)]
pub enum TlsRefusal {
    /// A file that is not PEM of the right kind.
    #[error("{file}: {reason}; it must be PEM")]
    Pem {
        /// The file's name.
        file: &'static str,
        /// Cause.
        reason: &'static str,
    },
    /// A file without a certificate.
    #[error("{0}: there is no certificate in it")]
    NoCertificate(&'static str),
    /// A certificate that peers would refuse, or a key that does not fit it.
    #[error(
        "{CERTIFICATE_FILE}, {KEY_FILE}: {reason}; they must be a certificate of the CA in {CA_FILE} for \
         {name}, and its key: did `cluster` in config.json change?"
    )]
    Unusable {
        /// The name that peers ask for.
        name: String,
        /// Cause.
        reason: &'static str,
    },
    /// The TLS library does not offer TLS 1.3.
    #[error("TLS 1.3 is not available: {0}")]
    Version(rustls::Error),
    /// A CA certificate that cannot be used.
    #[error("{CA_FILE}: it has a certificate that no CA can have")]
    Ca,
    /// A CA that cannot be used to verify.
    #[error("{CA_FILE}: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

impl PeerTls {
    /// Reads PEM files. `own_name` is the name that this sidecar serves.
    pub(crate) fn new(ca: &[u8], certificate: &[u8], key: &[u8], own_name: &str) -> Result<Self, TlsRefusal> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let unusable =
            |error| TlsRefusal::Unusable { name: own_name.to_owned(), reason: why_unusable(&error) };
        let mut roots = RootCertStore::empty();
        for root in certificates(ca, CA_FILE)? {
            roots.add(root).map_err(|_| TlsRefusal::Ca)?;
        }
        let roots = Arc::new(roots);
        let chain = certificates(certificate, CERTIFICATE_FILE)?;
        let key = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| TlsRefusal::Pem { file: KEY_FILE, reason: why_no_pem(&error) })?;

        let own = OwnCertificate {
            verifier: WebPkiServerVerifier::builder_with_provider(roots.clone(), provider.clone()).build()?,
            name: ServerName::try_from(own_name.to_owned()).map_err(|_| TlsRefusal::Unusable {
                name: own_name.to_owned(),
                reason: "this is no DNS name",
            })?,
            chain: chain.clone(),
        };
        match own.verify(SystemTime::now()) {
            // Being late is no reason to stop serving what needs no peer; it is warned of elsewhere.
            Ok(()) | Err(rustls::Error::InvalidCertificate(Expired | ExpiredContext { .. })) => {}
            Err(error) => return Err(unusable(error)),
        }

        let mut client = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13])
            .map_err(TlsRefusal::Version)?
            .with_root_certificates(roots.clone())
            .with_client_auth_cert(chain.clone(), key.clone_key())
            .map_err(unusable)?;
        client.resumption = Resumption::disabled();
        let verifier = Arc::new(SameCluster {
            chain: WebPkiClientVerifier::builder_with_provider(roots, provider.clone()).build()?,
            name: own.name.clone(),
        });
        let certified = CertifiedKey::from_der(chain, key, &provider).map_err(unusable)?;
        let resolver = OwnName { name: own_name.to_owned(), certified: Arc::new(certified) };
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])
            .map_err(TlsRefusal::Version)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(resolver));
        server.send_tls13_tickets = 0;
        server.alpn_protocols = vec![WATCH_PROTOCOL.to_vec()];
        let mut watch = client.clone();
        watch.alpn_protocols = vec![WATCH_PROTOCOL.to_vec()];
        Ok(Self { client: Arc::new(client), watch: Arc::new(watch), server: Arc::new(server), own })
    }

    /// For how many whole days from `now` peers will accept the certificate; at most ten years.
    pub(crate) fn days_left(&self, now: SystemTime) -> u32 {
        const MOST: u32 = 3650;
        let valid_after = |days: u32| self.own.verify(now + DAY * days).is_ok();
        // The first day on which it is not valid any more, found by halving.
        let (mut valid, mut invalid) = (0, MOST + 1);
        while invalid - valid > 1 {
            let middle = valid + (invalid - valid) / 2;
            if valid_after(middle) {
                valid = middle;
            } else {
                invalid = middle;
            }
        }
        valid
    }
}

/// A sidecar's own certificate, and what a peer verifies it with.
#[derive(Debug, Clone)]
struct OwnCertificate {
    verifier: Arc<WebPkiServerVerifier>,
    name: ServerName<'static>,
    chain: Vec<CertificateDer<'static>>,
}

impl OwnCertificate {
    fn verify(&self, at: SystemTime) -> Result<(), rustls::Error> {
        let (leaf, intermediates) = self.chain.split_first().ok_or(rustls::Error::NoCertificatesPresented)?;
        let at = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let at = UnixTime::since_unix_epoch(at);
        self.verifier.verify_server_cert(leaf, intermediates, &self.name, &[], at).map(drop)
    }
}

fn certificates(pem: &[u8], file: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsRefusal> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all = all.map_err(|error| TlsRefusal::Pem { file, reason: why_no_pem(&error) })?;
    if all.is_empty() { Err(TlsRefusal::NoCertificate(file)) } else { Ok(all) }
}

/// The reason why a file is not PEM, without any of its content, which the library's own text may quote.
fn why_no_pem(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no END line",
        pem::Error::IllegalSectionStart { .. } => "a BEGIN line is malformed",
        pem::Error::Base64Decode(_) => "a section is not base64",
        pem::Error::NoItemsFound => "nothing of the expected kind is in it",
        pem::Error::SectionTooLarge => "a section is too long",
        _ => "it cannot be read",
    }
}

/// The reason why a certificate and a key are of no use, likewise.
fn why_unusable(error: &rustls::Error) -> &'static str {
    use rustls::CertificateError::{
        BadEncoding, InvalidPurpose, InvalidPurposeContext, NotValidForName, NotValidForNameContext,
        NotValidYet, NotValidYetContext, UnknownIssuer,
    };
    match error {
        rustls::Error::InvalidCertificate(reason) => match reason {
            BadEncoding => "the certificate is damaged",
            UnknownIssuer => "another CA has signed the certificate",
            NotValidForName | NotValidForNameContext { .. } => "the certificate is for another name",
            NotValidYet | NotValidYetContext { .. } => "the certificate is not valid yet",
            InvalidPurpose | InvalidPurposeContext { .. } => "the certificate is for another purpose",
            _ => "the certificate cannot be verified",
        },
        rustls::Error::InconsistentKeys(_) => "the key is not that of the certificate",
        _ => "the key cannot be used",
    }
}

/// Accepts clients whose certificate is of the cluster's CA and for the cluster's names: a CA may sign for more
/// than one cluster.
#[derive(Debug)]
struct SameCluster {
    chain: Arc<dyn ClientCertVerifier>,
    /// A name that the certificate of every sidecar of this cluster is valid for, this pod's own.
    name: ServerName<'static>,
}

impl ClientCertVerifier for SameCluster {
    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.chain.verify_client_cert(certificate, intermediates, now)?;
        verify_server_name(&ParsedCertificate::try_from(certificate)?, &self.name)?;
        Ok(verified)
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

/// Serves one name: that of this pod. Whoever asks for another one is looking for another pod.
#[derive(Debug)]
struct OwnName {
    name: String,
    certified: Arc<CertifiedKey>,
}

impl ResolvesServerCert for OwnName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        (hello.server_name() == Some(self.name.as_str())).then(|| self.certified.clone())
    }
}
