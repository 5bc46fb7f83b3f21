//! Terminates TLS connections and forwards them to a server without TLS.

use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::authority::{Authority, Identity};

/// The protocol's requirement before or during the TLS handshake.
#[derive(Clone, Copy)]
pub(crate) enum Opening {
    /// ALPN must negotiate HTTP/2.
    Http2,
    /// The client sends PostgreSQL's `SSLRequest` first.
    PostgreSql,
}

/// PostgreSQL's `SSLRequest` message: its length and a reserved protocol version.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

/// The terminator, which listens until dropped.
pub(crate) struct Terminator {
    port: u16,
    task: JoinHandle<()>,
}

impl Drop for Terminator {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Terminator {
    /// Starts a terminator in front of the server at `address`. With `clients`, it accepts only
    /// clients with a certificate of that authority.
    pub(crate) async fn start(
        address: &str,
        opening: Opening,
        identity: &Identity,
        clients: Option<&Authority>,
    ) -> Self {
        let acceptor = TlsAcceptor::from(Arc::new(configuration(opening, identity, clients)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let address = address.to_owned();
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, address) = (acceptor.clone(), address.clone());
                // Errors are ignored here, since the client sees them as well.
                tokio::spawn(
                    async move { forward(stream, acceptor, opening, &address).await.ok() },
                );
            }
        });
        Self { port, task }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

async fn forward(
    mut stream: TcpStream,
    acceptor: TlsAcceptor,
    opening: Opening,
    address: &str,
) -> std::io::Result<()> {
    if let Opening::PostgreSql = opening {
        let mut request = [0; SSL_REQUEST.len()];
        stream.read_exact(&mut request).await?;
        assert_eq!(request, SSL_REQUEST, "the client does not request TLS");
        stream.write_all(b"S").await?;
    }
    let mut encrypted = acceptor.accept(stream).await?;
    let mut server = TcpStream::connect(address).await?;
    copy_bidirectional(&mut encrypted, &mut server).await?;
    Ok(())
}

pub(crate) fn configuration(
    opening: Opening,
    identity: &Identity,
    clients: Option<&Authority>,
) -> ServerConfig {
    let provider = Arc::new(default_provider());
    let certificate = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots.add(certificate(&clients.certificate())).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.unwrap())
        }
    };
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    let mut configuration = builder
        .with_single_cert(vec![certificate(&identity.certificate)], key)
        .unwrap();
    if let Opening::Http2 = opening {
        configuration.alpn_protocols = vec![b"h2".to_vec()];
    }
    configuration
}
