//! The TLS side of a listener: certificates chosen by server name, HTTP/2 by ALPN.
//!
//! Keys and names are `crypto::certificates`'; the handshake itself is run by the edge loop.

use std::sync::Arc;

use pingora::listeners::tls::Acceptor;
use rustls::DigitallySignedStruct;
use rustls::DistinguishedName;
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
use rustls::server::danger::ClientCertVerified;
use rustls::server::danger::ClientCertVerifier;
use tokio_rustls::TlsConnector;

use crate::config::Http2;
use crate::config::ListenerTls;
use crate::config::TlsVersion;
use crate::config::UpstreamTls;
use crate::config::Verify;
use crate::crypto::certificates;
use crate::crypto::certificates::CertificateError;
use crate::crypto::certificates::CertificateTable;
use crate::proxy::client_auth::ClientAuth;

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
}

/// The TLS side of a listener, ready for handshakes.
pub struct Terminator {
    /// As configured.
    pub config: ListenerTls,
    /// The certificates by the names they carry.
    pub table: Arc<CertificateTable>,
    /// Ends handshakes that ask for no certificate.
    pub acceptor: Arc<Acceptor>,
    /// Ends those that ask, by what is asked. None shares tickets with another: a session that is resumed brings
    /// its certificate along.
    asking: Vec<(Arc<ClientAuth>, Arc<Acceptor>)>,
}

impl Terminator {
    /// Makes it ready for virtual hosts that ask this of clients. What has not changed since the one `before` is
    /// taken over, with the tickets that clients hold.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn new(
        config: &ListenerTls,
        auths: &[Arc<ClientAuth>],
        before: Option<&Self>,
    ) -> Result<Self, TlsError> {
        let before = before.filter(|before| before.config == *config);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let (table, acceptor) = match before {
            Some(before) => (Arc::clone(&before.table), Arc::clone(&before.acceptor)),
            None => {
                let table = Arc::new(table(config, &provider)?);
                let acceptor = Arc::new(acceptor(config, &table, &provider, None)?);
                (table, acceptor)
            }
        };
        let asking = auths.iter().map(|auth| {
            let acceptor = match before.and_then(|before| before.shared(auth)) {
                Some(same) => Arc::clone(same),
                None => Arc::new(acceptor_asking(config, &table, &provider, auth)?),
            };
            Ok((Arc::clone(auth), acceptor))
        });
        Ok(Self {
            config: config.clone(),
            asking: asking.collect::<Result<_, TlsError>>()?,
            acceptor,
            table,
        })
    }

    /// Whether some virtual host asks for certificates.
    #[must_use]
    pub const fn asks(&self) -> bool {
        !self.asking.is_empty()
    }

    /// What ends handshakes that ask this.
    #[must_use]
    pub fn asking(&self, auth: &Arc<ClientAuth>) -> Option<&Acceptor> {
        self.shared(auth).map(Arc::as_ref)
    }

    fn shared(&self, auth: &Arc<ClientAuth>) -> Option<&Arc<Acceptor>> {
        let mut asking = self.asking.iter();
        let same = asking.find(|(own, _)| Arc::ptr_eq(own, auth));
        same.map(|(_, acceptor)| acceptor)
    }
}

impl std::fmt::Debug for Terminator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Terminator")
            .field("table", &self.table)
            .finish_non_exhaustive()
    }
}

fn acceptor_asking(
    tls: &ListenerTls,
    table: &Arc<CertificateTable>,
    provider: &Arc<CryptoProvider>,
    auth: &ClientAuth,
) -> Result<Acceptor, TlsError> {
    let subjects = auth.trust.subjects().iter().cloned();
    let asker: Arc<dyn ClientCertVerifier> = Arc::new(Asker {
        subjects: subjects.map(DistinguishedName::from).collect(),
        provider: Arc::clone(provider),
    });
    acceptor(tls, table, provider, Some(asker))
}

fn acceptor(
    tls: &ListenerTls,
    table: &Arc<CertificateTable>,
    provider: &Arc<CryptoProvider>,
    asker: Option<Arc<dyn ClientCertVerifier>>,
) -> Result<Acceptor, TlsError> {
    let versions: &[_] = match tls.min_version {
        TlsVersion::V12 => &[&rustls::version::TLS12, &rustls::version::TLS13],
        TlsVersion::V13 => &[&rustls::version::TLS13],
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(versions)?;
    let builder = match asker {
        Some(asker) => builder.with_client_cert_verifier(asker),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::clone(table) as _);
    config.alpn_protocols = match tls.http2 {
        Http2::Offered => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        Http2::Off => vec![b"http/1.1".to_vec()],
    };
    config.ticketer = rustls::crypto::ring::Ticketer::new()?;
    Ok(Acceptor::from_server_config(Arc::new(config)))
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

/// Makes the client side of TLS towards upstreams, for health checks; the protocol is the one that has to be
/// spoken, where it matters. With [`Verify::Off`] any certificate is taken, as the operator wrote.
///
/// # Errors
/// When the CA or the gateway's own certificate cannot be used.
pub fn client(tls: &UpstreamTls, protocol: Option<&[u8]>) -> Result<TlsConnector, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS12, &rustls::version::TLS13])?;
    let builder = match tls.verify {
        Verify::Full => builder.with_root_certificates(roots(tls.ca_pem.as_deref())?),
        Verify::Off => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(TakeAny(provider))),
    };
    let mut config = match &tls.client {
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
    config.alpn_protocols = protocol.map(<[u8]>::to_vec).into_iter().collect();
    Ok(TlsConnector::from(Arc::new(config)))
}

fn roots(ca_pem: Option<&[u8]>) -> Result<RootCertStore, TlsError> {
    let platform = || rustls_native_certs::load_native_certs().unwrap_or_default();
    certificates::roots(ca_pem, platform).map_err(|source| TlsError::Certificate {
        origin: "CA".to_owned(),
        source,
    })
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

/// Asks for a certificate and takes any whose owner holds its key: whether it is good is found out afterwards, so
/// that whoever shows a bad one is told so in an answer.
#[derive(Debug)]
struct Asker {
    /// The names of the authorities, for clients to choose by.
    subjects: Vec<DistinguishedName>,
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for Asker {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.subjects
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let known = &self.provider.signature_verification_algorithms;
        known.supported_schemes()
    }
}
