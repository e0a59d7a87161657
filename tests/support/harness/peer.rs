//! Another sidecar's side of the peer port, with any certificate: that of a peer, or of who pretends to be one.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use socketio_sidecar_core::certificates::Leaf;
use socketio_sidecar_core::config::{CA_FILE, CERTIFICATE_FILE, KEY_FILE, peer_name};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::config::CLUSTER;
use super::{Config, Place, WAIT, Wire};

/// Connects to the peer port of `place` as a sidecar would that trusts `trusts` and shows the
/// certificate of `shows`, if any.
///
/// # Errors
/// When the sidecar refuses it. A TLS 1.3 server refuses a client's certificate only after the client
/// believes that all is well, so this waits for the first answer, to `request`.
pub async fn dial(place: &Place, trusts: &Config, shows: Option<&Config>, request: &str) -> io::Result<Wire> {
    let shows = shows.map(own_leaf);
    dial_as(place, trusts, shows.as_ref(), request).await
}

/// Connects like [`dial`], and shows any certificate.
///
/// # Errors
/// When the sidecar refuses it.
pub async fn dial_as(
    place: &Place,
    trusts: &Config,
    shows: Option<&Leaf>,
    request: &str,
) -> io::Result<Wire> {
    let mut roots = RootCertStore::empty();
    for root in certificates(&trusts.read(CA_FILE)) {
        roots.add(root).expect("a CA");
    }
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3 is there")
        .with_root_certificates(roots);
    let client = match shows {
        Some(leaf) => {
            builder.with_client_auth_cert(certificates(&leaf.certificate), key(leaf)).expect("they fit")
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

/// The certificate and the key that the sidecars of `config` show.
#[must_use]
pub fn own_leaf(config: &Config) -> Leaf {
    Leaf { certificate: config.read(CERTIFICATE_FILE), key: config.read(KEY_FILE) }
}

/// Answers on a peer port in the place of a sidecar, and keeps what is sent to it inside of TLS.
#[derive(Debug)]
pub struct Impostor {
    told: Arc<Mutex<Vec<u8>>>,
    accepted: Arc<AtomicUsize>,
}

impl Impostor {
    /// Listens at the peer port of `place`, shows `leaf` under whichever name it is asked for, and accepts clients
    /// without a certificate. `None`: it speaks HTTP without TLS.
    ///
    /// # Panics
    /// The address is taken.
    pub async fn start(place: &Place, leaf: Option<&Leaf>) -> Self {
        let listener = TcpListener::bind(place.peers()).await.expect("the place is ours");
        let acceptor = leaf.map(|leaf| {
            let server = ServerConfig::builder_with_provider(provider())
                .with_protocol_versions(&[&rustls::version::TLS13])
                .expect("TLS 1.3 is there")
                .with_no_client_auth()
                .with_single_cert(certificates(&leaf.certificate), key(leaf))
                .expect("they fit");
            TlsAcceptor::from(Arc::new(server))
        });
        let (told, accepted) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let (keep, count) = (told.clone(), accepted.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                let (acceptor, keep) = (acceptor.clone(), keep.clone());
                // Beside each other: a watch is silent.
                tokio::spawn(async move {
                    match acceptor {
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                answer(stream, &keep).await;
                            }
                        }
                        None => answer(stream, &keep).await,
                    }
                });
            }
        });
        Self { told, accepted }
    }

    /// Text that clients have sent.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn told(&self) -> String {
        String::from_utf8_lossy(&self.told.lock().expect("nothing panics while it writes")).into_owned()
    }

    /// Number of connections that it has accepted.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }
}

/// Keeps what comes first, and answers it whatever it is.
async fn answer(mut stream: impl super::wire::Carrier, keep: &Mutex<Vec<u8>>) {
    let mut buffer = vec![0; 16 * 1024];
    if let Ok(Ok(length)) = timeout(WAIT, stream.read(&mut buffer)).await {
        keep.lock().expect("nothing panics while it writes").extend(&buffer[..length]);
    }
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nimpostor").await;
    let _ = stream.shutdown().await;
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn certificates(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).map(|each| each.expect("PEM")).collect()
}

fn key(leaf: &Leaf) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_slice(leaf.key.as_bytes()).expect("a key in PEM")
}
