//! Mutual TLS between the sidecars of one cluster.
//!
//! # Invariants
//! - Both sides show a certificate of the cluster's CA. One certificate serves all pods of a cluster:
//!   it proves membership, and is as secret as a group's key is.
//! - A sidecar completes a handshake only for the name of its own pod; see
//!   [`socketio_sidecar_core::config::peer_name`].
//! - TLS 1.3 only: all peers are of this project.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use socketio_sidecar_core::config::{CA_FILE, CERTIFICATE_FILE, KEY_FILE};

/// Both roles of a sidecar.
#[derive(Debug, Clone)]
pub(crate) struct PeerTls {
    pub(crate) client: Arc<ClientConfig>,
    pub(crate) server: Arc<ServerConfig>,
}

/// Why certificates are refused.
#[derive(Debug, thiserror::Error)]
pub enum TlsRefusal {
    /// A file that is not PEM of the right kind.
    #[error("{file}: {error}; it must be PEM")]
    Pem {
        /// The file's name.
        file: &'static str,
        /// Why.
        error: rustls::pki_types::pem::Error,
    },
    /// A file without a certificate.
    #[error("{0}: there is no certificate in it")]
    NoCertificate(&'static str),
    /// A key that does not fit the certificate, or a certificate that cannot be used.
    #[error(
        "{CERTIFICATE_FILE}, {KEY_FILE}: {0}; they must be a certificate of the CA in {CA_FILE} and its key"
    )]
    Unusable(#[from] rustls::Error),
    /// A CA that cannot be used to verify.
    #[error("{CA_FILE}: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

impl PeerTls {
    /// Reads PEM files. `own_name` is the name that this sidecar serves.
    pub(crate) fn new(ca: &[u8], certificate: &[u8], key: &[u8], own_name: &str) -> Result<Self, TlsRefusal> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        for root in certificates(ca, CA_FILE)? {
            roots.add(root)?;
        }
        let roots = Arc::new(roots);
        let chain = certificates(certificate, CERTIFICATE_FILE)?;
        let key =
            PrivateKeyDer::from_pem_slice(key).map_err(|error| TlsRefusal::Pem { file: KEY_FILE, error })?;

        let client = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(roots.clone())
            .with_client_auth_cert(chain.clone(), key.clone_key())?;
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider.clone()).build()?;
        let certified = CertifiedKey::from_der(chain, key, &provider)?;
        let resolver = OwnName { name: own_name.to_owned(), certified: Arc::new(certified) };
        let server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(resolver));
        Ok(Self { client: Arc::new(client), server: Arc::new(server) })
    }
}

fn certificates(pem: &[u8], file: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsRefusal> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let all = all.map_err(|error| TlsRefusal::Pem { file, error })?;
    if all.is_empty() { Err(TlsRefusal::NoCertificate(file)) } else { Ok(all) }
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
