//! The TLS side of a listener: certificates chosen by server name, HTTP/2 by ALPN.
//!
//! Keys and names are `crypto::certificates`'; the handshake itself is run by the edge loop.

use std::sync::Arc;

use async_trait::async_trait;
use pingora::listeners::TlsAccept;
use pingora::listeners::tls::Acceptor;
use pingora::listeners::tls::TlsSettings;
use rustls::DigitallySignedStruct;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::SignatureScheme;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::danger::ServerCertVerified;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::UnixTime;
use tokio_rustls::TlsConnector;

use crate::config::Http2;
use crate::config::ListenerTls;
use crate::config::UpstreamTls;
use crate::config::Verify;
use crate::crypto::certificates;
use crate::crypto::certificates::CertificateError;
use crate::crypto::certificates::CertificateTable;

/// Why a listener cannot have TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A certificate cannot be used.
    #[error("the certificate {origin} cannot be used")]
    Certificate {
        /// Where it was read.
        origin: String,
        /// What is wrong with it.
        #[source]
        source: CertificateError,
    },
    /// The TLS library refuses the settings.
    #[error("the TLS library refuses the settings")]
    Library(#[from] rustls::Error),
    /// pingora refuses the settings.
    #[error("the listener refuses the settings: {0}")]
    Listener(String),
}

/// The TLS side of a listener, ready for handshakes.
pub struct Terminator {
    /// As configured.
    pub config: ListenerTls,
    /// The certificates by the names they carry.
    pub table: Arc<CertificateTable>,
    /// Ends handshakes.
    pub acceptor: Arc<Acceptor>,
}

impl Terminator {
    /// Makes it ready.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn new(config: &ListenerTls) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let table = Arc::new(table(config, &provider)?);
        Ok(Self {
            config: config.clone(),
            acceptor: Arc::new(acceptor(config, &table, &provider)?),
            table,
        })
    }
}

impl std::fmt::Debug for Terminator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Terminator")
            .field("table", &self.table)
            .finish_non_exhaustive()
    }
}

fn acceptor(
    tls: &ListenerTls,
    table: &Arc<CertificateTable>,
    provider: &Arc<CryptoProvider>,
) -> Result<Acceptor, TlsError> {
    let resolver: Arc<dyn rustls::server::ResolvesServerCert> = Arc::clone(table) as _;
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&rustls::version::TLS12, &rustls::version::TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::clone(&resolver));
    config.alpn_protocols = match tls.http2 {
        Http2::Offered => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        Http2::Off => vec![b"http/1.1".to_vec()],
    };
    config.ticketer = rustls::crypto::ring::Ticketer::new()?;
    // pingora builds an acceptor only from its own settings, which cannot say all of the above; its
    // TLS configuration is replaced afterwards.
    let settings = TlsSettings::with_callbacks(Box::new(NoCallbacks));
    let mut settings = settings.map_err(|error| TlsError::Listener(error.to_string()))?;
    settings.set_cert_resolver(resolver);
    let mut acceptor = settings.build();
    acceptor.acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    Ok(acceptor)
}

/// The certificates of a listener by the names they carry.
///
/// # Errors
/// When one cannot be used.
pub fn table(tls: &ListenerTls, provider: &CryptoProvider) -> Result<CertificateTable, TlsError> {
    let mut ready = Vec::with_capacity(tls.certificates.len());
    for source in &tls.certificates {
        let refused = |error| TlsError::Certificate {
            origin: source.origin.clone(),
            source: error,
        };
        let key = certificates::certified(&source.chain_pem, &source.key_pem, provider);
        let key = key.map_err(refused)?;
        certificates::names(&key).map_err(refused)?;
        ready.push(key);
    }
    CertificateTable::new(ready).map_err(|source| TlsError::Certificate {
        origin: String::new(),
        source,
    })
}

struct NoCallbacks;

#[async_trait]
impl TlsAccept for NoCallbacks {}

/// Makes the client side of TLS towards upstreams, for health checks. With [`Verify::Off`] any
/// certificate is taken, as the operator wrote.
///
/// # Errors
/// When the CA or the gateway's own certificate cannot be used.
pub fn client(tls: &UpstreamTls) -> Result<TlsConnector, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS12, &rustls::version::TLS13])?;
    let builder = match tls.verify {
        Verify::Full => builder.with_root_certificates(roots(tls.ca_pem.as_deref())?),
        Verify::Off => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(TakeAny(provider))),
    };
    let config = match &tls.client {
        None => builder.with_no_client_auth(),
        Some(source) => {
            let refused = |error| TlsError::Certificate {
                origin: source.origin.clone(),
                source: error,
            };
            let chain = certificates::chain(&source.chain_pem).map_err(refused)?;
            let key = certificates::private_key(&source.key_pem).map_err(refused)?;
            builder.with_client_auth_cert(chain, key)?
        }
    };
    Ok(TlsConnector::from(Arc::new(config)))
}

fn roots(ca_pem: Option<&[u8]>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    match ca_pem {
        Some(pem) => {
            let refused = |source| TlsError::Certificate {
                origin: "CA".to_owned(),
                source,
            };
            for certificate in certificates::chain(pem).map_err(refused)? {
                roots.add(certificate)?;
            }
        }
        None => {
            // Without a platform store nothing verifies, which is the safe way round.
            let platform = rustls_native_certs::load_native_certs().unwrap_or_default();
            roots.add_parsable_certificates(platform);
        }
    }
    Ok(roots)
}

/// Takes any certificate whose owner holds its key.
#[derive(Debug)]
struct TakeAny(Arc<CryptoProvider>);

impl ServerCertVerifier for TakeAny {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
