//! What can be read of the certificate that a client has shown (W-25, W-26).
//!
//! Its names are told only of one that is verified: whatever reads them can go by them.

use std::sync::Arc;

use crate::crypto::client_certificate::ClientCertificate;
use crate::crypto::client_certificate::ClientFault;
use crate::decision::facts::Reading;
use crate::decision::facts::Value;

/// The certificate of a client, as policies read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientFacts {
    /// What came of looking at it.
    pub verified: Verified,
    /// The certificate itself, in PEM and escaped; absent where none was shown.
    pub certificate: Option<Arc<str>>,
}

/// What came of looking at the certificate of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verified {
    /// It is not good.
    Failed(ClientFault),
    /// There is none.
    None,
    /// It is good, and says this.
    Success(Arc<ClientCertificate>),
}

/// A fact about the certificate of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientFact {
    /// The certificate, in PEM and escaped.
    Certificate,
    /// The SHA-256 of the certificate.
    Fingerprint,
    /// Who has signed it.
    IssuerDn,
    /// Who has signed it, in the older form.
    IssuerDnLegacy,
    /// Until when it is good.
    NotAfter,
    /// From when it is good.
    NotBefore,
    /// Its number.
    Serial,
    /// Whom it names.
    SubjectDn,
    /// Whom it names, in the older form.
    SubjectDnLegacy,
    /// What came of looking at it.
    Verified,
}

impl ClientFact {
    pub(super) fn read(self, client: &ClientFacts) -> Reading<'_> {
        let known = match &client.verified {
            Verified::Success(certificate) => Some(certificate.as_ref()),
            Verified::Failed(_) | Verified::None => None,
        };
        match (self, known) {
            (Self::Verified, _) => client.verified.read(),
            (Self::Certificate, _) => Reading::of_text(client.certificate.as_deref()),
            (_, None) => Reading::Absent,
            (Self::Fingerprint, Some(known)) => Reading::text(known.fingerprint.as_str()),
            (Self::IssuerDn, Some(known)) => Reading::of_text(Some(&known.issuer_dn)),
            (Self::IssuerDnLegacy, Some(known)) => Reading::of_text(Some(&known.issuer_dn_legacy)),
            (Self::NotAfter, Some(known)) => Reading::Known(Value::Moment(known.not_after)),
            (Self::NotBefore, Some(known)) => Reading::Known(Value::Moment(known.not_before)),
            (Self::Serial, Some(known)) => Reading::text(known.serial.as_str()),
            (Self::SubjectDn, Some(known)) => Reading::of_text(Some(&known.subject_dn)),
            (Self::SubjectDnLegacy, Some(known)) => {
                Reading::of_text(Some(&known.subject_dn_legacy))
            }
        }
    }
}

impl Verified {
    /// In nginx's words.
    fn read(&self) -> Reading<'_> {
        match self {
            Self::Failed(fault) => Reading::text(format!("FAILED:{fault}")),
            Self::None => Reading::text("NONE"),
            Self::Success(_) => Reading::text("SUCCESS"),
        }
    }
}
