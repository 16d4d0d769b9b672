//! What a certificate says of its node: one name, and until when.
//!
//! Whether the certificate is to be believed is decided beside this file.

use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;

use crate::crypto::pki::node_name::NodeName;
use crate::model::time::Timestamp;

/// Who a certificate names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    /// The node.
    pub node: NodeName,
    /// The end of the certificate's time; nothing is believed on its word afterwards.
    pub until: Timestamp,
}

/// Why a certificate names no node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OddCertificate {
    /// The certificate, or its alternative names, cannot be read.
    #[error("the certificate cannot be read: {0}")]
    Unreadable(String),
    /// No alternative name is one of a node.
    #[error("the certificate has no portway:// name")]
    Nameless,
    /// Several alternative names are names of nodes.
    #[error("the certificate has several portway:// names")]
    SeveralNames,
    /// A name of a node that is none.
    #[error("the certificate has a malformed portway:// name")]
    Malformed,
    /// An alternative name with a control character, a NUL among them, in it.
    #[error("an alternative name of the certificate has a control character in it")]
    Control,
    /// An alternative name of a kind that other programs read in their own ways.
    #[error("the certificate has an alternative name of a kind that is not taken")]
    Kind,
}

/// Reads the one name of a node in a certificate (MDC-SEC-4). Other URIs, host names and addresses may
/// stand beside it; names that could be read in two ways may not.
///
/// # Errors
/// See [`OddCertificate`].
pub fn proven(certificate: &CertificateDer<'_>) -> Result<Proven, OddCertificate> {
    let (rest, certificate) = x509_parser::parse_x509_certificate(certificate)
        .map_err(|error| OddCertificate::Unreadable(error.to_string()))?;
    if !rest.is_empty() {
        return Err(OddCertificate::Unreadable("trailing bytes".to_owned()));
    }
    let names = certificate
        .subject_alternative_name()
        .map_err(|error| OddCertificate::Unreadable(error.to_string()))?
        .ok_or(OddCertificate::Nameless)?;
    let mut found = None;
    for name in &names.value.general_names {
        let Some(node) = node(name)? else { continue };
        if found.replace(node).is_some() {
            return Err(OddCertificate::SeveralNames);
        }
    }
    let seconds = certificate.validity().not_after.timestamp();
    let millis = u64::try_from(seconds)
        .unwrap_or_default()
        .saturating_mul(1000);
    Ok(Proven {
        node: found.ok_or(OddCertificate::Nameless)?,
        until: Timestamp::from_millis(millis),
    })
}

fn node(name: &GeneralName<'_>) -> Result<Option<NodeName>, OddCertificate> {
    match name {
        GeneralName::URI(uri) => {
            clean(uri)?;
            // A scheme is compared without case, so that no spelling of ours slips by as foreign.
            let scheme = uri
                .split(':')
                .next()
                .unwrap_or_default()
                .to_ascii_lowercase();
            if !scheme.starts_with(SCHEME) {
                return Ok(None);
            }
            let node = NodeName::parse(uri).ok_or(OddCertificate::Malformed)?;
            Ok(Some(node))
        }
        GeneralName::DNSName(text) | GeneralName::RFC822Name(text) => clean(text).map(|()| None),
        GeneralName::IPAddress(_) => Ok(None),
        GeneralName::DirectoryName(_)
        | GeneralName::EDIPartyName(_)
        | GeneralName::OtherName(..)
        | GeneralName::RegisteredID(_)
        | GeneralName::X400Address(_) => Err(OddCertificate::Kind),
    }
}

fn clean(text: &str) -> Result<(), OddCertificate> {
    if text.chars().any(|c| c.is_control() || !c.is_ascii()) {
        Err(OddCertificate::Control)
    } else {
        Ok(())
    }
}

const SCHEME: &str = "portway";
