//! A private CA that is open: making one, and signing the certificates of nodes (MDC-SEC-2).
//!
//! Keys are ECDSA P-256. How the CA's key is kept is in `bundle`.

use std::fmt;
use std::time::Duration;

use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::DistinguishedName;
use rcgen::DnType;
use rcgen::ExtendedKeyUsagePurpose;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;
use rcgen::KeyUsagePurpose;
use rcgen::PKCS_ECDSA_P256_SHA256;
use rcgen::SanType;
use rcgen::date_time_ymd;
use sha2::Digest;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::crypto::pki::bundle::Bundle;
use crate::crypto::pki::bundle::Chance;
use crate::crypto::pki::bundle::SealKeyError;
use crate::crypto::pki::node_name::NodeName;
use crate::crypto::pki::passphrase::Passphrase;
use crate::crypto::pki::summary::CertificateSummary;
use crate::model::secret::Secret;
use crate::model::time::Timestamp;

/// A CA whose key is open. It lasts as long as one command.
pub struct Authority {
    certificate_pem: String,
    name: String,
    not_before: Timestamp,
    not_after: Timestamp,
    key: KeyPair,
}

/// How many days a certificate is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days(u32);

/// A node's certificate with its key, and the CA that signed it.
#[derive(Debug)]
pub struct IssuedNode {
    /// The certificate, as PEM.
    pub certificate_pem: String,
    /// Its private key, as PEM.
    pub key_pem: Secret,
    /// The CA's certificate, as PEM.
    pub ca_pem: String,
    /// When the certificate is over.
    pub not_after: Timestamp,
}

/// Why no CA was made.
#[derive(Debug, thiserror::Error)]
pub enum MakeAuthorityError {
    /// The certificate could not be made.
    #[error("the CA's certificate could not be made")]
    Certificate(#[from] rcgen::Error),
    /// The clock shows a time that certificates cannot express.
    #[error("the clock is far off")]
    Clock,
    /// The key could not be sealed.
    #[error("the CA's key could not be sealed")]
    Key(#[from] SealKeyError),
}

/// Why no certificate was signed.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// The certificate could not be made.
    #[error("the certificate could not be made")]
    Certificate(#[from] rcgen::Error),
    /// The clock shows a time that certificates cannot express.
    #[error("the clock is far off")]
    Clock,
    /// The CA is over, or not yet begun.
    #[error("the CA is not valid at this time; look at it with `portway pki show`")]
    NotValid,
}

/// Makes a CA that is good for ten years.
///
/// # Errors
/// See [`MakeAuthorityError`].
pub fn make(
    passphrase: &Passphrase,
    now: Timestamp,
    chance: Chance,
) -> Result<Bundle, MakeAuthorityError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    // Two CAs never have one name, or a chain could be tried against the wrong one.
    let mark = Sha256::digest(key.public_key_raw());
    let mark: String = mark.iter().take(4).map(|b| format!("{b:02x}")).collect();
    let mut params = authority_params(format!("Portway private CA {mark}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let until = now.after(Days::AUTHORITY.span());
    limit(&mut params, now, until).ok_or(MakeAuthorityError::Clock)?;
    let certificate = params.self_signed(&key)?.pem();
    Ok(Bundle::seal(certificate, &key, passphrase, chance)?)
}

impl Days {
    /// How long a node's certificate is good for unless something else is asked for.
    pub const NODE: Self = Self(825);
    /// The most that can be asked for.
    pub const MAX: Self = Self(3652);
    const AUTHORITY: Self = Self(3652);

    /// Takes a number of days from 1 to [`Self::MAX`].
    #[must_use]
    pub fn new(days: u32) -> Option<Self> {
        (1..=Self::MAX.0).contains(&days).then_some(Self(days))
    }

    /// The number of days.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.0
    }

    const fn span(self) -> Duration {
        Duration::from_hours(24).saturating_mul(self.0)
    }
}

impl Authority {
    pub(super) fn new(certificate_pem: String, summary: &CertificateSummary, key: KeyPair) -> Self {
        Self {
            certificate_pem,
            name: summary.common_name.clone(),
            not_before: summary.not_before,
            not_after: summary.not_after,
            key,
        }
    }

    /// Signs a certificate that proves `name` to both ends of a connection. It is never good for longer
    /// than the CA itself.
    ///
    /// # Errors
    /// See [`IssueError`].
    pub fn issue(
        &self,
        name: &NodeName,
        days: Days,
        now: Timestamp,
    ) -> Result<IssuedNode, IssueError> {
        if now < self.not_before || now >= self.not_after {
            return Err(IssueError::NotValid);
        }
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(name.to_string());
        params.subject_alt_names = vec![SanType::URI(name.to_string().try_into()?)];
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        // Either end of a back-channel connection may have opened it.
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let not_after = now.after(days.span()).min(self.not_after);
        limit(&mut params, now, not_after).ok_or(IssueError::Clock)?;
        let authority = authority_params(self.name.clone());
        let issuer = Issuer::from_params(&authority, &self.key);
        let certificate_pem = params.signed_by(&key, &issuer)?.pem();
        let key_pem = Zeroizing::new(key.serialize_pem());
        Ok(IssuedNode {
            certificate_pem,
            key_pem: Secret::new(key_pem.as_bytes().to_vec()),
            ca_pem: self.certificate_pem.clone(),
            not_after,
        })
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What a CA is made with and signs with: the two must agree, or chains do not fit together.
fn authority_params(name: String) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(name);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn common_name(name: String) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// Sets how long a certificate is good; `None` for a time that the calendar of certificates has not.
fn limit(params: &mut CertificateParams, from: Timestamp, until: Timestamp) -> Option<()> {
    if until.as_secs() > CALENDAR_END {
        return None;
    }
    let from = Duration::from_secs(from.before(CLOCKS_LAG).as_secs());
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + from;
    params.not_after = epoch + Duration::from_secs(until.as_secs());
    Some(())
}

/// How far the clock of a node may lag behind that of the node that signs.
const CLOCKS_LAG: Duration = Duration::from_hours(1);
/// The end of the year 9999, the last that a certificate can express, in seconds.
const CALENDAR_END: u64 = 253_402_300_799;

#[cfg(test)]
mod tests;
