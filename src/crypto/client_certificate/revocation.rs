//! Revocation lists of authorities, and what they say of the certificates of a chain (W-23).
//!
//! A list may have a million entries. Its signature is verified once, when it is read, by the authorities of the
//! bundle, and an entry is found by its number: a certificate costs the same however long a list is. What cannot be
//! known beforehand, that of lists for some certificates only and of authorities that clients send along, is left to
//! the library, which hashes the list each time.

use std::cmp::Reverse;

use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::SignatureVerificationAlgorithm;
use rustls::pki_types::UnixTime;
use rustls::pki_types::pem::PemObject;
use webpki::Cert;
use webpki::CertRevocationList;
use webpki::OwnedCertRevocationList;
use webpki::VerifiedPath;
use x509_parser::certificate::X509Certificate;
use x509_parser::der_parser::asn1_rs::Any;
use x509_parser::der_parser::asn1_rs::FromDer;
use x509_parser::time::ASN1Time;

use crate::crypto::certificates::moment;
use crate::crypto::client_certificate::ClientTrustError;
use crate::model::time::Timestamp;

/// An authority of the bundle, and the key that it signs lists with.
pub(super) struct Signer {
    /// Its name, in DER without tag and length.
    name: Vec<u8>,
    /// Its key, in DER without tag and length.
    key: Vec<u8>,
}

impl Signer {
    /// An authority that may sign lists; one that says what its key is for has to say that. Of those that chains
    /// end with that is not asked (RFC 5280 §6.1.1 d).
    pub(super) fn of(certificate: &X509Certificate<'_>, ends_chains: bool) -> Option<Self> {
        let usage = certificate.key_usage().ok()?;
        if !ends_chains && usage.is_some_and(|usage| !usage.value.crl_sign()) {
            return None;
        }
        Some(Self {
            name: content_of(certificate.subject().as_raw())?.to_vec(),
            key: content_of(certificate.public_key().raw)?.to_vec(),
        })
    }
}

/// The lists of a virtual host.
pub(super) struct RevocationLists {
    /// The newest first.
    lists: Vec<RevocationList>,
}

struct RevocationList {
    list: CertRevocationList<'static>,
    issued: Timestamp,
    /// It says nothing from then on.
    ends: Timestamp,
    /// The keys that it is signed with, of the authorities of the bundle.
    keys: Vec<Vec<u8>>,
}

/// What is known of the certificates of a chain without looking at a whole list.
pub(super) enum Standing {
    /// None is taken back.
    Good,
    /// One is, or nothing that counts is said about it.
    Refused(webpki::Error),
    /// It takes a whole list.
    Unknown,
}

impl RevocationLists {
    /// Where there are none; nothing is taken back then.
    pub(super) const NONE: Self = Self { lists: Vec::new() };

    /// Reads lists, in PEM, that these authorities may have signed.
    ///
    /// # Errors
    /// When one cannot be read, or there is none.
    pub(super) fn read(pem: &[u8], signers: &[Signer]) -> Result<Self, ClientTrustError> {
        let lists = CertificateRevocationListDer::pem_slice_iter(pem).map(|der| {
            let der = der.map_err(|error| ClientTrustError::Crl(error.to_string()))?;
            RevocationList::read(&der, signers)
        });
        let mut lists: Vec<_> = lists.collect::<Result<_, ClientTrustError>>()?;
        if lists.is_empty() {
            return Err(ClientTrustError::CrlAbsent);
        }
        // Of several of one authority, the library asks the first only.
        lists.sort_by_key(|own| Reverse(own.issued));
        Ok(Self { lists })
    }

    pub(super) const fn len(&self) -> usize {
        self.lists.len()
    }

    /// How many of them nobody of these names, in DER without tag and length, has issued.
    pub(super) fn of_others(&self, names: &[&[u8]]) -> usize {
        let lists = self.lists.iter();
        lists
            .filter(|own| !names.contains(&own.list.issuer()))
            .count()
    }

    /// The lists as the library takes them.
    pub(super) fn whole(&self) -> Vec<&CertRevocationList<'static>> {
        self.lists.iter().map(|own| &own.list).collect()
    }

    /// What is known of a chain, from the leaf up to its end.
    pub(super) fn standing(&self, path: &VerifiedPath<'_>, now: Timestamp) -> Standing {
        if self.lists.is_empty() {
            return Standing::Good;
        }
        let mut certificate: &Cert<'_> = path.end_entity();
        for issuer in path.intermediate_certificates() {
            let key = issuer.subject_public_key_info();
            let known = content_of(&key).map(|key| self.of(certificate, key, now));
            match known {
                Some(Standing::Good) => certificate = issuer,
                Some(other) => return other,
                None => return Standing::Unknown,
            }
        }
        self.of(certificate, &path.anchor().subject_public_key_info, now)
    }

    /// What is known of one certificate, by the key of its issuer.
    fn of(&self, certificate: &Cert<'_>, key: &[u8], now: Timestamp) -> Standing {
        let lists = || {
            let issuer = certificate.issuer();
            self.lists
                .iter()
                .filter(move |own| own.list.issuer() == issuer)
        };
        if lists().next().is_none() {
            return Standing::Refused(webpki::Error::UnknownRevocationStatus);
        }
        if !lists().all(|own| own.is_whole() && own.is_signed_with(key)) {
            return Standing::Unknown;
        }
        for own in lists() {
            match own.list.find_serial(certificate.serial()) {
                Ok(None) => {}
                Ok(Some(_)) => return Standing::Refused(webpki::Error::CertRevoked),
                Err(error) => return Standing::Refused(error),
            }
        }
        match lists().map(|own| own.ends).max() {
            Some(ends) if now < ends => Standing::Good,
            ends => Standing::Refused(webpki::Error::CrlExpired {
                time: unix(now),
                next_update: unix(ends.unwrap_or(now)),
            }),
        }
    }
}

impl RevocationList {
    fn read(der: &[u8], signers: &[Signer]) -> Result<Self, ClientTrustError> {
        let list = OwnedCertRevocationList::from_der(der);
        let list = list.map_err(|error| ClientTrustError::Crl(error.to_string()))?;
        let list = CertRevocationList::Owned(list);
        let unreadable = || ClientTrustError::Crl("it is no list".to_owned());
        let signed = Signed::read(der).ok_or_else(unreadable)?;
        let named = signers.iter().filter(|signer| signer.name == list.issuer());
        let keys = named
            .map(|signer| &signer.key)
            .filter(|key| signed.is_by(key));
        Ok(Self {
            keys: keys.cloned().collect(),
            issued: signed.issued,
            ends: signed.ends,
            list,
        })
    }

    /// Whether it is about all certificates of its authority (RFC 5280 §5.2.5).
    fn is_whole(&self) -> bool {
        self.list.issuing_distribution_point().is_none()
    }

    fn is_signed_with(&self, key: &[u8]) -> bool {
        self.keys.iter().any(|own| own == key)
    }
}

/// What a list is signed by, and until when it counts (RFC 5280 §5.1).
struct Signed<'d> {
    message: &'d [u8],
    /// In DER without tag and length.
    algorithm: &'d [u8],
    signature: &'d [u8],
    issued: Timestamp,
    ends: Timestamp,
}

impl<'d> Signed<'d> {
    fn read(der: &'d [u8]) -> Option<Self> {
        let whole = content_of(der)?;
        let (rest, about) = Any::from_der(whole).ok()?;
        let message = whole.get(..whole.len().checked_sub(rest.len())?)?;
        let (algorithm, signature) = algorithm_and_bits(rest)?;
        let mut fields = about.data;
        // The version, the algorithm and the issuer stand before the times.
        for _ in 0..FIELDS_BEFORE_TIMES {
            (fields, _) = Any::from_der(fields).ok()?;
        }
        let (fields, issued) = ASN1Time::from_der(fields).ok()?;
        let (_, ends) = ASN1Time::from_der(fields).ok()?;
        Some(Self {
            message,
            algorithm,
            signature,
            issued: moment(issued),
            ends: moment(ends),
        })
    }

    /// Whether this key, in DER without tag and length, has signed it.
    fn is_by(&self, key: &[u8]) -> bool {
        let Some((kind, bits)) = algorithm_and_bits(key) else {
            return false;
        };
        let is_by = |algorithm: &dyn SignatureVerificationAlgorithm| {
            algorithm.public_key_alg_id().as_ref() == kind
                && algorithm.signature_alg_id().as_ref() == self.algorithm
                && algorithm
                    .verify_signature(bits, self.message, self.signature)
                    .is_ok()
        };
        webpki::ALL_VERIFICATION_ALGS
            .iter()
            .any(|algorithm| is_by(*algorithm))
    }
}

/// An algorithm and a whole number of bytes, as keys and signatures are written.
fn algorithm_and_bits(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (rest, algorithm) = Any::from_der(der).ok()?;
    let (_, bits) = Any::from_der(rest).ok()?;
    match bits.data.split_first() {
        Some((0, bits)) => Some((algorithm.data, bits)),
        Some(_) | None => None,
    }
}

/// What a value in DER holds, without the tag and the length.
pub(super) fn content_of(der: &[u8]) -> Option<&[u8]> {
    let (_, value) = Any::from_der(der).ok()?;
    Some(value.data)
}

pub(super) const fn unix(time: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(std::time::Duration::from_secs(time.as_secs()))
}

const FIELDS_BEFORE_TIMES: usize = 3;
