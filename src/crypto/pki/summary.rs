//! What a certificate says, for people and for checks.
//!
//! Reading is no verifying: whether anybody should believe it is decided elsewhere.

use sha2::Digest;
use sha2::Sha256;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

use crate::crypto::certificates::CertificateError;
use crate::crypto::certificates::moment;
use crate::model::time::Timestamp;

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateSummary {
    /// Whether it may sign others.
    pub kind: Kind,
    /// Whose it is.
    pub subject: String,
    /// The common name of the subject alone; empty where there is none.
    pub common_name: String,
    /// Who signed it.
    pub issuer: String,
    /// The alternative names, each with its kind: `URI:portway://ny`.
    pub names: Vec<String>,
    /// From when on it is good.
    pub not_before: Timestamp,
    /// Until when it is good.
    pub not_after: Timestamp,
    /// The serial number in hexadecimal, with colons.
    pub serial: String,
    /// SHA-256 over the certificate in hexadecimal, with colons.
    pub fingerprint: String,
    /// The public key with its algorithm (DER).
    pub public_key: Vec<u8>,
}

/// Whether a certificate may sign others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It may.
    Authority,
    /// It may not.
    Node,
}

impl CertificateSummary {
    /// Reads a certificate (DER).
    ///
    /// # Errors
    /// When the bytes are not a certificate.
    pub fn of(der: &[u8]) -> Result<Self, CertificateError> {
        let unreadable = |error: String| CertificateError::Certificate(error);
        let (_, certificate) = x509_parser::parse_x509_certificate(der)
            .map_err(|error| unreadable(error.to_string()))?;
        let names = certificate
            .subject_alternative_name()
            .map_err(|error| unreadable(error.to_string()))?
            .map(|names| names.value.general_names.iter().map(shown).collect());
        let subject = certificate.subject();
        let common_name = subject.iter_common_name().next();
        Ok(Self {
            kind: kind(&certificate),
            common_name: common_name
                .and_then(|name| name.as_str().ok())
                .unwrap_or_default()
                .to_owned(),
            subject: plain(&subject.to_string()),
            issuer: plain(&certificate.issuer().to_string()),
            names: names.unwrap_or_default(),
            not_before: moment(certificate.validity().not_before),
            not_after: moment(certificate.validity().not_after),
            serial: hex(&certificate.tbs_certificate.serial.to_bytes_be()),
            fingerprint: hex(&Sha256::digest(der)),
            public_key: certificate.public_key().raw.to_vec(),
        })
    }
}

fn kind(certificate: &X509Certificate<'_>) -> Kind {
    if certificate.is_ca() {
        Kind::Authority
    } else {
        Kind::Node
    }
}

fn shown(name: &GeneralName<'_>) -> String {
    let shown = match name {
        GeneralName::DNSName(name) => format!("DNS:{name}"),
        GeneralName::IPAddress(bytes) => format!("IP:{}", hex(bytes)),
        GeneralName::RFC822Name(name) => format!("e-mail:{name}"),
        GeneralName::URI(uri) => format!("URI:{uri}"),
        GeneralName::DirectoryName(_)
        | GeneralName::EDIPartyName(_)
        | GeneralName::OtherName(..)
        | GeneralName::RegisteredID(_)
        | GeneralName::X400Address(_) => "a name of another kind".to_owned(),
    };
    plain(&shown)
}

/// A foreign certificate may hold anything; a terminal must not obey it.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    let pairs: Vec<_> = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    pairs.join(":")
}
