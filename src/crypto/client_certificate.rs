//! Certificates of clients: whether their chain leads to an authority that a virtual host trusts, and what
//! they say, as applications read it.
//!
//! That the client holds the key is proven by the handshake, which is the proxy's. Nothing here knows modes,
//! requests or what follows from a verdict.

use std::cell::Cell;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::TrustAnchor;
use sha2::Digest;
use sha2::Sha256;
use webpki::EndEntityCert;
use webpki::ExpirationPolicy;
use webpki::KeyUsage;
use webpki::RevocationCheckDepth;
use webpki::RevocationOptions;
use webpki::RevocationOptionsBuilder;
use webpki::UnknownStatusPolicy;
use webpki::VerifiedPath;
use x509_parser::certificate::X509Certificate;

use crate::crypto::certificates;
use crate::crypto::certificates::CertificateError;
use crate::crypto::certificates::moment;
use crate::crypto::client_certificate::revocation::RevocationLists;
use crate::crypto::client_certificate::revocation::Signer;
use crate::crypto::client_certificate::revocation::Standing;
use crate::crypto::client_certificate::revocation::content_of;
use crate::crypto::client_certificate::revocation::unix;
use crate::crypto::distinguished_name::DistinguishedName;
use crate::model::time::Timestamp;

mod revocation;
#[cfg(test)]
mod tests;

/// Why certificates of clients cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum ClientTrustError {
    /// The bundle cannot be used.
    #[error("the CA bundle cannot be used")]
    Bundle(#[from] CertificateError),
    /// A certificate of the bundle is no authority's.
    #[error("a certificate of the CA bundle cannot be used: {0}")]
    Authority(webpki::Error),
    /// A revocation list cannot be read.
    #[error("a certificate revocation list cannot be used: {0}")]
    Crl(String),
    /// There is no list where one was to be.
    #[error("there is no certificate revocation list in it")]
    CrlAbsent,
}

/// Whose certificates are taken, and how far.
pub struct ClientTrust {
    anchors: Vec<TrustAnchor<'static>>,
    /// Authorities of the bundle that another one has signed.
    between: Vec<CertificateDer<'static>>,
    /// The names of all authorities of the bundle, in DER.
    subjects: Vec<Vec<u8>>,
    revoked: RevocationLists,
    depth: usize,
}

impl ClientTrust {
    /// Reads a bundle of authorities and revocation lists, in PEM. Authorities that have signed themselves are
    /// the ends of chains, the others may stand between; where there are none that have, each is an end.
    /// Without a bundle nothing is verified.
    ///
    /// # Errors
    /// See [`ClientTrustError`].
    pub fn new(
        ca_pem: Option<&[u8]>,
        crl_pem: Option<&[u8]>,
        depth: usize,
    ) -> Result<Self, ClientTrustError> {
        let bundle = ca_pem.map_or(Ok(Vec::new()), certificates::readable_chain)?;
        let mut own = Vec::new();
        let mut others = Vec::new();
        let mut subjects = Vec::new();
        for certificate in bundle {
            let (is_own, subject) = issuer_and_subject(&certificate)?;
            subjects.push(subject);
            if is_own { &mut own } else { &mut others }.push(certificate);
        }
        if own.is_empty() {
            std::mem::swap(&mut own, &mut others);
        }
        let ends = own.iter().filter_map(|der| Signer::of(&parsed(der)?, true));
        let between = others
            .iter()
            .filter_map(|der| Signer::of(&parsed(der)?, false));
        let signers: Vec<Signer> = ends.chain(between).collect();
        let revoked = crl_pem.map(|pem| RevocationLists::read(pem, &signers));
        let anchors = own.iter().map(|certificate| {
            let anchor = webpki::anchor_from_trusted_cert(certificate);
            Ok(anchor.map_err(ClientTrustError::Authority)?.to_owned())
        });
        Ok(Self {
            anchors: anchors.collect::<Result<_, ClientTrustError>>()?,
            between: others,
            subjects,
            revoked: revoked.transpose()?.unwrap_or(RevocationLists::NONE),
            depth,
        })
    }

    /// The names of the authorities, in DER, for clients to choose a certificate by.
    #[must_use]
    pub fn subjects(&self) -> &[Vec<u8>] {
        &self.subjects
    }

    /// How many revocation lists no authority of the bundle has issued. Such a list counts only where clients send
    /// its authority along.
    #[must_use]
    pub fn foreign_lists(&self) -> usize {
        let names = self.subjects.iter().filter_map(|name| content_of(name));
        self.revoked.of_others(&names.collect::<Vec<_>>())
    }

    /// Judges a chain, leaf first.
    ///
    /// # Errors
    /// See [`ClientFault`].
    pub fn judge(&self, chain: &[CertificateDer<'_>], now: Timestamp) -> Result<(), ClientFault> {
        let (leaf, sent) = chain.split_first().ok_or(ClientFault::Malformed)?;
        let certificate = EndEntityCert::try_from(leaf).map_err(|error| fault_of(&error))?;
        let mut between = sent.to_vec();
        between.extend(self.between.iter().cloned());
        let takes_more = Cell::new(false);
        let is_good = |path: &VerifiedPath<'_>| {
            self.is_short(path)?;
            match self.revoked.standing(path, now) {
                Standing::Good => Ok(()),
                Standing::Refused(error) => Err(error),
                Standing::Unknown => {
                    takes_more.set(true);
                    Err(webpki::Error::UnknownRevocationStatus)
                }
            }
        };
        let mut verified = self.verified(&certificate, &between, None, (&is_good, now));
        if verified.is_err() && takes_more.get() {
            let lists = self.revoked.whole();
            let options = RevocationOptionsBuilder::new(&lists).ok().map(|options| {
                options
                    .with_depth(RevocationCheckDepth::Chain)
                    .with_status_policy(UnknownStatusPolicy::Deny)
                    .with_expiration_policy(ExpirationPolicy::Enforce)
                    .build()
            });
            let is_short = |path: &VerifiedPath<'_>| self.is_short(path);
            verified = self.verified(&certificate, &between, options, (&is_short, now));
        }
        match verified {
            Ok(()) => Ok(()),
            Err(webpki::Error::UnknownIssuer) if issues_itself(leaf) => {
                Err(ClientFault::SelfSigned)
            }
            Err(webpki::Error::UnknownIssuer) if sent.is_empty() => Err(ClientFault::Alone),
            Err(error) => Err(fault_of(&error)),
        }
    }

    /// Looks for a way from a certificate to an authority that is good by all of this.
    fn verified(
        &self,
        certificate: &EndEntityCert<'_>,
        between: &[CertificateDer<'_>],
        revocation: Option<RevocationOptions<'_>>,
        (is_good, now): (&CheckPath<'_>, Timestamp),
    ) -> Result<(), webpki::Error> {
        let verified = certificate.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &self.anchors,
            between,
            unix(now),
            KeyUsage::client_auth(),
            revocation,
            Some(is_good),
        );
        verified.map(drop)
    }

    fn is_short(&self, path: &VerifiedPath<'_>) -> Result<(), webpki::Error> {
        if path.intermediate_certificates().count() > self.depth {
            return Err(webpki::Error::MaximumPathDepthExceeded);
        }
        Ok(())
    }
}

/// Says whether a way is good, beside being signed.
type CheckPath<'c> = dyn Fn(&VerifiedPath<'_>) -> Result<(), webpki::Error> + 'c;

impl fmt::Debug for ClientTrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTrust")
            .field("anchors", &self.anchors.len())
            .field("revoked", &self.revoked.len())
            .field("depth", &self.depth)
            .finish_non_exhaustive()
    }
}

/// Why a certificate of a client is not verified, in OpenSSL's words, which nginx passes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientFault {
    /// No authority that is trusted has signed it, and none was sent along.
    #[error("unable to verify the first certificate")]
    Alone,
    /// There are more authorities in the chain than may be.
    #[error("certificate chain too long")]
    ChainTooLong,
    /// The revocation list of an authority is out of date.
    #[error("CRL has expired")]
    CrlExpired,
    /// No revocation list says anything about a certificate of the chain.
    #[error("unable to get certificate CRL")]
    CrlUnknown,
    /// A certificate of the chain has expired.
    #[error("certificate has expired")]
    Expired,
    /// It cannot be read, or names somebody in a way that has no text.
    #[error("unspecified certificate verification error")]
    Malformed,
    /// A certificate of the chain is not good yet.
    #[error("certificate is not yet valid")]
    NotYetValid,
    /// An authority vouches for names that it may not vouch for, or for authorities that it may not have.
    #[error("path length constraint exceeded")]
    OutOfBounds,
    /// It is not for clients.
    #[error("unsuitable certificate purpose")]
    Purpose,
    /// An authority has taken a certificate of the chain back.
    #[error("certificate revoked")]
    Revoked,
    /// It has signed itself.
    #[error("self-signed certificate")]
    SelfSigned,
    /// A signature in the chain is wrong.
    #[error("certificate signature failure")]
    Signature,
    /// No authority that is trusted has signed the chain.
    #[error("unable to get local issuer certificate")]
    UnknownIssuer,
}

impl ClientFault {
    /// Whether nothing is wrong but that nobody who is trusted has signed it.
    #[must_use]
    pub const fn is_only_unknown(self) -> bool {
        matches!(self, Self::Alone | Self::SelfSigned | Self::UnknownIssuer)
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "whatever else the library finds is a refusal without words of its own"
)]
const fn fault_of(error: &webpki::Error) -> ClientFault {
    use webpki::Error;

    match error {
        Error::CaUsedAsEndEntity
        | Error::EmptyEkuExtension
        | Error::RequiredEkuNotFoundContext(_) => ClientFault::Purpose,
        Error::CertExpired { .. } => ClientFault::Expired,
        Error::CertNotValidYet { .. } => ClientFault::NotYetValid,
        Error::CertRevoked => ClientFault::Revoked,
        Error::CrlExpired { .. } => ClientFault::CrlExpired,
        Error::InvalidSignatureForPublicKey | Error::InvalidCrlSignatureForPublicKey => {
            ClientFault::Signature
        }
        Error::MaximumPathDepthExceeded => ClientFault::ChainTooLong,
        Error::NameConstraintViolation | Error::PathLenConstraintViolated => {
            ClientFault::OutOfBounds
        }
        Error::UnknownIssuer => ClientFault::UnknownIssuer,
        Error::UnknownRevocationStatus => ClientFault::CrlUnknown,
        _ => ClientFault::Malformed,
    }
}

/// What a certificate says, as applications read it. Every text is printable ASCII.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// Whom it names, as RFC 2253 writes it; empty where it names nobody.
    pub subject_dn: String,
    /// The same in the older form.
    pub subject_dn_legacy: String,
    /// Who has signed it, as RFC 2253 writes it.
    pub issuer_dn: String,
    /// The same in the older form.
    pub issuer_dn_legacy: String,
    /// Its number at its authority, in upper-case hex.
    pub serial: String,
    /// The SHA-256 of it, in lower-case hex.
    pub fingerprint: String,
    /// From when it is good.
    pub not_before: Timestamp,
    /// Until when it is good.
    pub not_after: Timestamp,
}

impl ClientCertificate {
    /// Reads a certificate; none of what cannot be read, or has a name without a text.
    #[must_use]
    pub fn read(der: &CertificateDer<'_>) -> Option<Self> {
        let certificate = parsed(der)?;
        let subject = DistinguishedName::parse(certificate.subject().as_raw()).ok()?;
        let issuer = DistinguishedName::parse(certificate.issuer().as_raw()).ok()?;
        let validity = certificate.validity();
        Some(Self {
            subject_dn: subject.rfc2253(),
            subject_dn_legacy: subject.legacy(),
            issuer_dn: issuer.rfc2253(),
            issuer_dn_legacy: issuer.legacy(),
            serial: serial(certificate.raw_serial()),
            fingerprint: hex_lower(&Sha256::digest(der)),
            not_before: moment(validity.not_before),
            not_after: moment(validity.not_after),
        })
    }
}

/// A certificate in PEM, escaped so that it fits into a header as nginx writes it there.
#[must_use]
pub fn escaped_pem(der: &CertificateDer<'_>) -> String {
    let body = STANDARD.encode(der);
    let mut out = String::from("-----BEGIN%20CERTIFICATE-----%0A");
    for (at, character) in body.chars().enumerate() {
        if at > 0 && at % PEM_COLUMNS == 0 {
            out.push_str("%0A");
        }
        match character {
            '+' => out.push_str("%2B"),
            '/' => out.push_str("%2F"),
            '=' => out.push_str("%3D"),
            plain => out.push(plain),
        }
    }
    out.push_str("%0A-----END%20CERTIFICATE-----%0A");
    out
}

/// A number in DER as OpenSSL prints it: without the zero that only keeps it positive.
fn serial(contents: &[u8]) -> String {
    let is_negative = contents.first().is_some_and(|first| first & 0x80 != 0);
    let mut bytes = contents.to_vec();
    if is_negative {
        let mut carry = true;
        for byte in bytes.iter_mut().rev() {
            let (sum, over) = (!*byte).overflowing_add(u8::from(carry));
            (*byte, carry) = (sum, over);
        }
    }
    let significant = bytes.iter().position(|byte| *byte != 0);
    let significant = significant.and_then(|at| bytes.get(at..)).unwrap_or(&[0]);
    let digits = significant.iter().map(|byte| format!("{byte:02X}"));
    let sign = if is_negative { "-" } else { "" };
    digits.fold(sign.to_owned(), |out, digits| out + &digits)
}

fn hex_lower(bytes: &[u8]) -> String {
    let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
    digits.collect()
}

/// Whether a certificate names itself as its issuer, and whom it names.
fn issuer_and_subject(der: &CertificateDer<'_>) -> Result<(bool, Vec<u8>), CertificateError> {
    let unreadable = || CertificateError::Certificate("it is no certificate".to_owned());
    let certificate = parsed(der).ok_or_else(unreadable)?;
    let (issuer, subject) = (certificate.issuer(), certificate.subject());
    Ok((
        issuer.as_raw() == subject.as_raw(),
        subject.as_raw().to_vec(),
    ))
}

fn issues_itself(der: &CertificateDer<'_>) -> bool {
    issuer_and_subject(der).is_ok_and(|(is_own, _)| is_own)
}

fn parsed<'d>(der: &'d CertificateDer<'_>) -> Option<X509Certificate<'d>> {
    let (rest, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    rest.is_empty().then_some(certificate)
}

const PEM_COLUMNS: usize = 64;
