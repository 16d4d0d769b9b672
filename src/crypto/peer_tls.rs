//! Mutual TLS between nodes of the back-channel: PEM bytes in, settings of both ends out (MDC-SEC-2…4).
//!
//! A certificate is believed if its chain leads to the configured CA, it is in date, and the one name of
//! a node in it is the expected one. There is no second way in: TLS 1.3 only, no resumption, no names of
//! hosts. Files, sockets and handshakes are the back-channel's; making certificates is `pki`'s.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use rustls::CertificateError as Rejected;
use rustls::ClientConfig;
use rustls::DigitallySignedStruct;
use rustls::DistinguishedName;
use rustls::OtherError;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::SignatureScheme;
use rustls::client::Resumption;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::danger::ServerCertVerified;
use rustls::client::danger::ServerCertVerifier;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::CryptoProvider;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::UnixTime;
use rustls::server::ClientHello;
use rustls::server::NoServerSessionStorage;
use rustls::server::ParsedCertificate;
use rustls::server::ResolvesServerCert;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerified;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use rustls::sign::SingleCertAndKey;
use rustls::time_provider::TimeProvider;

pub use self::proven::OddCertificate;
pub use self::proven::Proven;
pub use self::proven::proven;
use crate::crypto::certificates;
use crate::crypto::certificates::CertificateError;
use crate::crypto::pki::node_name::NodeName;
use crate::model::secret::Secret;

mod proven;
#[cfg(test)]
#[expect(
    clippy::unwrap_in_result,
    reason = "a handshake that cannot be set up should fail the test"
)]
mod tests;

/// Why files cannot be used for the back-channel.
#[derive(Debug, thiserror::Error)]
pub enum PeerTlsError {
    /// The own certificate or its key cannot be used.
    #[error("the certificate or its key cannot be used")]
    Certificate(#[source] CertificateError),
    /// The CA file holds no usable CA certificate.
    #[error("the CA file cannot be used")]
    Authority(#[source] CertificateError),
    /// The CA file holds a certificate that is no CA's: whoever has its key could sign peers.
    #[error("the CA file holds a certificate that is no CA's")]
    NoAuthority,
    /// The own certificate does not name a node as it should.
    #[error("the certificate names no node")]
    Odd(#[source] OddCertificate),
    /// The own certificate names another node.
    #[error("the certificate is for {found}, but this node is {expected}")]
    OtherNode {
        /// This node.
        expected: NodeName,
        /// Whom the certificate names.
        found: NodeName,
    },
    /// The TLS library refuses the settings.
    #[error("the TLS library refuses the settings")]
    Library(#[from] rustls::Error),
}

/// The three files of mutual TLS, as read.
#[derive(Debug)]
pub struct PeerPem<'a> {
    /// The certificate chain, leaf first.
    pub chain: &'a [u8],
    /// The private key of the leaf.
    pub key: &'a Secret,
    /// The CA that peers' certificates come from.
    pub authority: &'a [u8],
}

/// What this node shows to peers, and whom it believes.
#[derive(Clone)]
pub struct PeerMaterial {
    own: Arc<CertifiedKey>,
    /// The names of the CAs that its own chain was signed by, as a peer asks for them.
    issuers: Vec<Vec<u8>>,
    roots: Arc<RootCertStore>,
    expires: Proven,
}

impl PeerMaterial {
    /// Checks the files against each other and against the node's own name.
    ///
    /// # Errors
    /// See [`PeerTlsError`]; a CA file that is missing, empty or garbage is never read as 'anyone'.
    pub fn new(pem: &PeerPem<'_>, own: &NodeName) -> Result<Self, PeerTlsError> {
        let certified = certificates::certified(pem.chain, pem.key, &provider());
        let certified = certified.map_err(PeerTlsError::Certificate)?;
        let leaf = certified.end_entity_cert()?;
        let proven = proven(leaf).map_err(PeerTlsError::Odd)?;
        if proven.node != *own {
            return Err(PeerTlsError::OtherNode {
                expected: own.clone(),
                found: proven.node,
            });
        }
        Ok(Self {
            issuers: certified.cert.iter().filter_map(issuer).collect(),
            own: Arc::new(certified),
            roots: Arc::new(roots(pem.authority)?),
            expires: proven,
        })
    }

    /// Whom the own certificate names, and until when.
    #[must_use]
    pub const fn own(&self) -> &Proven {
        &self.expires
    }

    /// The settings for connecting to `expected`, and to nobody else.
    ///
    /// # Errors
    /// When the TLS library refuses them.
    pub fn client(
        &self,
        expected: NodeName,
        time: Arc<dyn TimeProvider>,
    ) -> Result<ClientConfig, PeerTlsError> {
        let verifier = ListenerVerifier {
            roots: Arc::clone(&self.roots),
            subjects: self.roots.subjects(),
            expected,
            algorithms: algorithms(),
        };
        let mut config = ClientConfig::builder_with_details(provider(), time)
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&self.own))));
        config.alpn_protocols = vec![ALPN.to_vec()];
        // A resumed session would not be verified again: a certificate that has expired, or whose CA
        // is no longer trusted, would live on.
        config.resumption = Resumption::disabled();
        Ok(config)
    }
}

impl fmt::Debug for PeerMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerMaterial")
            .field("own", &self.expires)
            .finish_non_exhaustive()
    }
}

/// The settings for accepting connections: each caller is verified against the CA configured for it, an
/// unknown one against the first. Whether a caller may ask anything is for the back-channel to say.
///
/// # Errors
/// When there is no material, or the TLS library refuses it.
pub fn server(
    materials: &[PeerMaterial],
    callers: &HashMap<NodeName, usize>,
    time: Arc<dyn TimeProvider>,
) -> Result<ServerConfig, PeerTlsError> {
    let verifiers = materials.iter().map(|material| {
        WebPkiClientVerifier::builder_with_provider(Arc::clone(&material.roots), provider())
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))
    });
    let verifier = DiallerVerifier {
        verifiers: verifiers.collect::<Result<Vec<_>, _>>()?,
        callers: callers.clone(),
        subjects: materials
            .iter()
            .flat_map(|material| material.roots.subjects())
            .collect(),
        algorithms: algorithms(),
    };
    let mut config = ServerConfig::builder_with_details(provider(), time)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(verifier))
        .with_cert_resolver(Arc::new(ShownTo(materials.to_vec())));
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// Verifies whoever listens at a peer's address.
#[derive(Debug)]
struct ListenerVerifier {
    roots: Arc<RootCertStore>,
    subjects: Vec<DistinguishedName>,
    expected: NodeName,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for ListenerVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let parsed = ParsedCertificate::try_from(leaf)?;
        let known = self.algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, intermediates, now, known)?;
        let found = proven(leaf).map_err(rejected)?.node;
        if found == self.expected {
            Ok(ServerCertVerified::assertion())
        } else {
            let expected = &self.expected;
            let why = format!("the certificate is for {found}, expected was {expected}");
            Err(rejected(why))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        Some(&self.subjects)
    }
}

/// Verifies whoever connects.
#[derive(Debug)]
struct DiallerVerifier {
    verifiers: Vec<Arc<dyn ClientCertVerifier>>,
    callers: HashMap<NodeName, usize>,
    subjects: Vec<DistinguishedName>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for DiallerVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.subjects
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        // The name is only claimed here; it says which CA has to vouch for it.
        let claimed = proven(leaf).map_err(rejected)?.node;
        let place = self.callers.get(&claimed).copied().unwrap_or_default();
        self.verifiers
            .get(place)
            .ok_or(rustls::Error::InvalidCertificate(Rejected::UnknownIssuer))?
            .verify_client_cert(leaf, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Shows a caller the certificate that its CA signed: a data centre may have peers under several.
#[derive(Debug)]
struct ShownTo(Vec<PeerMaterial>);

impl ResolvesServerCert for ShownTo {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let wanted = hello.certificate_authorities().unwrap_or_default();
        let is_wanted = |material: &&PeerMaterial| {
            let mut issuers = material.issuers.iter();
            issuers.any(|issuer| wanted.iter().any(|name| name.as_ref() == issuer.as_slice()))
        };
        let fitting = self.0.iter().find(is_wanted);
        fitting
            .or_else(|| self.0.first())
            .map(|material| Arc::clone(&material.own))
    }
}

/// Why a certificate is rejected, in words. The TLS library shows a reason by `Debug`, so that says the
/// same.
#[derive(thiserror::Error)]
#[error("{0}")]
struct Reason(String);

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn rejected(why: impl fmt::Display) -> rustls::Error {
    let reason = Arc::new(Reason(why.to_string()));
    rustls::Error::InvalidCertificate(Rejected::Other(OtherError(reason)))
}

fn roots(pem: &[u8]) -> Result<RootCertStore, PeerTlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates::chain(pem).map_err(PeerTlsError::Authority)? {
        let (_, parsed) = x509_parser::parse_x509_certificate(&certificate)
            .map_err(|error| CertificateError::Certificate(error.to_string()))
            .map_err(PeerTlsError::Authority)?;
        if !parsed.is_ca() {
            return Err(PeerTlsError::NoAuthority);
        }
        roots.add(certificate)?;
    }
    Ok(roots)
}

fn issuer(certificate: &CertificateDer<'_>) -> Option<Vec<u8>> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(certificate.issuer().as_raw().to_vec())
}

/// The process's one crypto provider.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn algorithms() -> WebPkiSupportedAlgorithms {
    rustls::crypto::ring::default_provider().signature_verification_algorithms
}

const ALPN: &[u8] = b"h2";
