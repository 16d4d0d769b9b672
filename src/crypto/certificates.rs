//! Certificates: PEM in, keys and the names they answer to out.
//!
//! Which certificate answers which handshake is decided here from the names inside it; sockets and
//! handshakes are the proxy's.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::SignatureScheme;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::ClientHello;
use rustls::server::ResolvesServerCert;
use rustls::sign::CertifiedKey;
use x509_parser::time::ASN1Time;

use crate::model::name::HostName;
use crate::model::secret::Secret;
use crate::model::time::Timestamp;

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The PEM holds no certificate.
    #[error("there is no certificate in it")]
    Absent,
    /// The certificate cannot be read.
    #[error("the certificate cannot be read: {0}")]
    Certificate(String),
    /// The key cannot be read, or is of a kind that cannot sign.
    #[error("the private key cannot be used: {0}")]
    Key(String),
    /// The key belongs to another certificate.
    #[error("the private key does not belong to the certificate")]
    Mismatch,
    /// The certificate names no host.
    #[error("the certificate names no host (it has no subject alternative name)")]
    Nameless,
}

/// Makes a certificate chain and its key ready to sign handshakes.
///
/// # Errors
/// See [`CertificateError`].
pub fn certified(
    chain_pem: &[u8],
    key_pem: &Secret,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, CertificateError> {
    let chain = chain(chain_pem)?;
    let key = provider
        .key_provider
        .load_private_key(private_key(key_pem)?)
        .map_err(|error| CertificateError::Key(error.to_string()))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => {
            Err(CertificateError::Mismatch)
        }
        _ => Ok(certified),
    }
}

/// Reads a private key of a PEM file.
///
/// # Errors
/// When there is none, or it cannot be read.
pub fn private_key(pem: &Secret) -> Result<PrivateKeyDer<'static>, CertificateError> {
    PrivateKeyDer::from_pem_slice(pem.expose())
        .map_err(|error| CertificateError::Key(error.to_string()))
}

/// Reads the certificates of a PEM file.
///
/// # Errors
/// When there is none, or one cannot be read.
pub fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let chain = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| CertificateError::Certificate(error.to_string()))?;
    if chain.is_empty() {
        Err(CertificateError::Absent)
    } else {
        Ok(chain)
    }
}

/// Who vouches for servers: the certificates of a PEM file, or those that the platform trusts. Without any of
/// those nothing verifies, which is the safe way round.
///
/// # Errors
/// When the file holds none, or one cannot be read.
pub fn roots(
    ca_pem: Option<&[u8]>,
    platform: impl FnOnce() -> Vec<CertificateDer<'static>>,
) -> Result<RootCertStore, CertificateError> {
    let mut roots = RootCertStore::empty();
    match ca_pem {
        None => {
            roots.add_parsable_certificates(platform());
        }
        Some(pem) => {
            for certificate in chain(pem)? {
                let added = roots.add(certificate);
                added.map_err(|error| CertificateError::Certificate(error.to_string()))?;
            }
        }
    }
    Ok(roots)
}

/// The certificates of a listener by the names they carry.
pub struct CertificateTable {
    exact: HashMap<String, Alike>,
    /// By the part after `*.`.
    wildcard: HashMap<String, Alike>,
    /// For clients that send no server name.
    nameless: Alike,
    terms: Vec<CertificateTerm>,
}

/// Certificates for the same name, in their order: a client gets the first whose kind of signature it takes.
type Alike = Vec<Arc<CertifiedKey>>;

/// Until when a certificate is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateTerm {
    /// The first name in it.
    pub name: String,
    /// When it expires.
    pub until: Timestamp,
}

/// How a certificate stands at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TermState {
    /// No browser takes it any more.
    Expired,
    /// It has to be renewed, within [`EXPIRES_SOON`].
    ExpiresSoon,
    /// It is good for longer.
    Good,
}

impl CertificateTerm {
    /// How the certificate stands.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> TermState {
        if self.until <= now {
            TermState::Expired
        } else if self.until <= now.after(EXPIRES_SOON) {
            TermState::ExpiresSoon
        } else {
            TermState::Good
        }
    }
}

/// Long enough before the end for somebody to renew a certificate by hand.
pub const EXPIRES_SOON: Duration = Duration::from_hours(30 * 24);

impl CertificateTable {
    /// Sorts certificates by the DNS names in them. Clients without a name get the first one, or one for the same
    /// names.
    ///
    /// # Errors
    /// [`CertificateError::Nameless`] for a certificate without names.
    pub fn new(certificates: Vec<CertifiedKey>) -> Result<Self, CertificateError> {
        let mut table = Self {
            exact: HashMap::new(),
            wildcard: HashMap::new(),
            nameless: Vec::new(),
            terms: Vec::new(),
        };
        for certificate in certificates {
            table.add(&Arc::new(certificate))?;
        }
        Ok(table)
    }

    fn add(&mut self, certificate: &Arc<CertifiedKey>) -> Result<(), CertificateError> {
        let own = names(certificate)?;
        self.terms.push(CertificateTerm {
            name: own.first().cloned().unwrap_or_default(),
            until: until(leaf(certificate)?)?,
        });
        let first = self.nameless.first().map(|first| names(first));
        if first.is_none_or(|first| first.is_ok_and(|first| first == own)) {
            self.nameless.push(Arc::clone(certificate));
        }
        for name in own {
            let (names, name) = match name.strip_prefix("*.") {
                Some(parent) => (&mut self.wildcard, parent),
                None => (&mut self.exact, name.as_str()),
            };
            let alike = names.entry(name.to_owned()).or_default();
            alike.push(Arc::clone(certificate));
        }
        Ok(())
    }

    /// The certificate for a server name and a client that takes these signatures; none for a name that no
    /// certificate carries (W-01).
    #[must_use]
    pub fn find(
        &self,
        server_name: Option<&str>,
        schemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        let alike = self.alike(server_name);
        let suits = |one: &&Arc<CertifiedKey>| one.key.choose_scheme(schemes).is_some();
        alike.iter().find(suits).or_else(|| alike.first()).cloned()
    }

    fn alike(&self, server_name: Option<&str>) -> &[Arc<CertifiedKey>] {
        let Some(name) = server_name else {
            return &self.nameless;
        };
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        let parent = name.split_once('.').map(|(_, parent)| parent);
        let found = self.exact.get(&name);
        let found = found.or_else(|| self.wildcard.get(parent?));
        found.map_or(&[], Vec::as_slice)
    }

    /// Until when the certificates are good, in their order.
    #[must_use]
    pub fn terms(&self) -> &[CertificateTerm] {
        &self.terms
    }

    /// Whether some certificate carries this name.
    #[must_use]
    pub fn covers(&self, host: &HostName) -> bool {
        !self.alike(Some(host.as_str())).is_empty()
    }
}

impl fmt::Debug for CertificateTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertificateTable")
            .field("names", &(self.exact.len() + self.wildcard.len()))
            .finish_non_exhaustive()
    }
}

impl ResolvesServerCert for CertificateTable {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.find(hello.server_name(), hello.signature_schemes())
    }
}

/// The DNS names and IP addresses that a certificate is for.
///
/// # Errors
/// [`CertificateError::Nameless`] when there are none.
pub fn names(certificate: &CertifiedKey) -> Result<Vec<String>, CertificateError> {
    alternative_names(leaf(certificate)?)
}

fn leaf(certificate: &CertifiedKey) -> Result<&CertificateDer<'_>, CertificateError> {
    let leaf = certificate.end_entity_cert();
    leaf.map_err(|error| CertificateError::Certificate(error.to_string()))
}

fn until(leaf: &CertificateDer<'_>) -> Result<Timestamp, CertificateError> {
    let (_, certificate) = x509_parser::parse_x509_certificate(leaf)
        .map_err(|error| CertificateError::Certificate(error.to_string()))?;
    Ok(moment(certificate.validity().not_after))
}

/// The time that a certificate gives; one before 1970 is taken for that.
pub(super) fn moment(time: ASN1Time) -> Timestamp {
    let seconds = u64::try_from(time.timestamp()).unwrap_or_default();
    Timestamp::from_millis(seconds.saturating_mul(1000))
}

fn alternative_names(leaf: &CertificateDer<'_>) -> Result<Vec<String>, CertificateError> {
    use x509_parser::extensions::GeneralName;

    let (_, certificate) = x509_parser::parse_x509_certificate(leaf)
        .map_err(|error| CertificateError::Certificate(error.to_string()))?;
    let names = certificate.subject_alternative_name();
    let names = names.map_err(|error| CertificateError::Certificate(error.to_string()))?;
    let names = names.ok_or(CertificateError::Nameless)?;
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "other kinds of names name no host"
    )]
    let names: Vec<String> = names
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            GeneralName::IPAddress(bytes) => address(bytes),
            _ => None,
        })
        .collect();
    if names.is_empty() {
        Err(CertificateError::Nameless)
    } else {
        Ok(names)
    }
}

fn address(bytes: &[u8]) -> Option<String> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|b| std::net::IpAddr::from(b).to_string());
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(|b| std::net::IpAddr::from(b).to_string()))
        .ok()
}

/// Reads the certificates of a PEM file and makes sure that each can be parsed.
///
/// # Errors
/// When there is none, or one is not a certificate.
pub fn readable_chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let chain = chain(pem)?;
    for certificate in &chain {
        x509_parser::parse_x509_certificate(certificate)
            .map_err(|error| CertificateError::Certificate(error.to_string()))?;
    }
    Ok(chain)
}
