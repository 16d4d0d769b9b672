//! The name that a back-channel certificate proves: a data centre's engine, or a gate without one
//! (MDC-SEC-4).
//!
//! It stands in the certificate as a URI, so that no DNS name of a public CA can ever be taken for it.

use std::fmt;

use x509_parser::extensions::GeneralName;

use crate::crypto::certificates::CertificateError;
use crate::model::name::ClusterId;

/// Who a node of the back-channel is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeName {
    /// A node of this data centre that holds sessions: `portway://<cluster id>`.
    Engine(ClusterId),
    /// A gate without an engine: `portway-gate://<name>`.
    Gate(ClusterId),
}

impl NodeName {
    /// Reads a name from its URI; `None` for every other URI.
    #[must_use]
    pub fn parse(uri: &str) -> Option<Self> {
        let (scheme, name) = uri.split_once("://")?;
        let name = ClusterId::parse(name).ok()?;
        match scheme {
            ENGINE => Some(Self::Engine(name)),
            GATE => Some(Self::Gate(name)),
            _ => None,
        }
    }

    /// The names in a certificate, in its order. Whether the certificate is to be believed is for the
    /// caller to verify first.
    ///
    /// # Errors
    /// When the bytes are not a certificate.
    pub fn all_in(certificate: &[u8]) -> Result<Vec<Self>, CertificateError> {
        let uris = uris(certificate)?;
        Ok(uris.iter().filter_map(|uri| Self::parse(uri)).collect())
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine(cluster) => write!(f, "{ENGINE}://{cluster}"),
            Self::Gate(name) => write!(f, "{GATE}://{name}"),
        }
    }
}

fn uris(certificate: &[u8]) -> Result<Vec<String>, CertificateError> {
    let unreadable = |error: String| CertificateError::Certificate(error);
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate)
        .map_err(|error| unreadable(error.to_string()))?;
    let names = certificate
        .subject_alternative_name()
        .map_err(|error| unreadable(error.to_string()))?;
    let names = names.map(|names| names.value.general_names.iter());
    Ok(names
        .into_iter()
        .flatten()
        .filter_map(|name| match name {
            GeneralName::URI(uri) => Some((*uri).to_owned()),
            GeneralName::DNSName(_)
            | GeneralName::DirectoryName(_)
            | GeneralName::EDIPartyName(_)
            | GeneralName::IPAddress(_)
            | GeneralName::OtherName(..)
            | GeneralName::RegisteredID(_)
            | GeneralName::RFC822Name(_)
            | GeneralName::X400Address(_) => None,
        })
        .collect())
}

const ENGINE: &str = "portway";
const GATE: &str = "portway-gate";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_names_an_engine_or_a_gate_and_nothing_else() {
        let ny = ClusterId::parse("ny").unwrap();
        for (uri, name) in [
            ("portway://ny", Some(NodeName::Engine(ny.clone()))),
            ("portway-gate://ny", Some(NodeName::Gate(ny))),
            ("portway://", None),
            ("portway://ny/", None),
            ("portway://ny:443", None),
            ("portway://a@ny", None),
            ("Portway://ny", None),
            ("https://ny", None),
            ("ny", None),
            ("portway://more-than-sixteen-bytes", None),
        ] {
            assert_eq!(NodeName::parse(uri), name, "{uri}");
            if let Some(name) = name {
                assert_eq!(name.to_string(), uri);
            }
        }
    }
}
