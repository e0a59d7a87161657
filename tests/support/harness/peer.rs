//! Another sidecar's side of the peer port.

use std::fs;
use std::io;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use socketio_sidecar_core::config::{CA_FILE, CERTIFICATE_FILE, KEY_FILE, peer_name};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::config::CLUSTER;
use super::{Config, Place, WAIT, Wire};

/// Connects to the peer port of `place` as a sidecar would that trusts `trusts` and shows the
/// certificate of `shows`, if any.
///
/// # Errors
/// When the sidecar refuses it. A TLS 1.3 server refuses a client's certificate only after the client
/// believes that all is well, so this waits for the first answer, to `request`.
pub async fn dial(place: &Place, trusts: &Config, shows: Option<&Config>, request: &str) -> io::Result<Wire> {
    let mut roots = RootCertStore::empty();
    for root in certificates(trusts, CA_FILE) {
        roots.add(root).expect("a CA of init");
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3 is there")
        .with_root_certificates(roots);
    let client = match shows {
        Some(config) => {
            let key = fs::read(config.path().join(KEY_FILE)).expect("init makes it");
            let key = PrivateKeyDer::from_pem_slice(&key).expect("a key of init");
            let chain = certificates(config, CERTIFICATE_FILE);
            builder.with_client_auth_cert(chain, key).expect("they fit")
        }
        None => builder.with_no_client_auth(),
    };
    let name = ServerName::try_from(peer_name(place.owner().pod, CLUSTER)).expect("a DNS name");
    let stream = TcpStream::connect(place.peers()).await?;
    let connected = async {
        let mut stream = TlsConnector::from(Arc::new(client)).connect(name, stream).await?;
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
        let first = stream.read_u8().await?;
        Ok::<_, io::Error>(Wire::with_ahead(stream, vec![first]))
    };
    timeout(WAIT, connected).await.expect("the peer port answers or refuses")
}

fn certificates(config: &Config, file: &str) -> Vec<CertificateDer<'static>> {
    let pem = fs::read(config.path().join(file)).expect("init makes it");
    CertificateDer::pem_slice_iter(&pem).map(|each| each.expect("PEM of init")).collect()
}
