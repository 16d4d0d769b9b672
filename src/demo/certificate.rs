//! A certification authority for one use, and the one certificate it signs.
//!
//! The authority's key is never written anywhere: whoever trusts its certificate trusts nothing but
//! these names of this demonstration.

use anyhow::Context;
use jiff::Span;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::DnType;
use rcgen::ExtendedKeyUsagePurpose;
use rcgen::GeneralSubtree;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;
use rcgen::KeyUsagePurpose;
use rcgen::NameConstraints;

use crate::ports::clock::Clock;

/// A server certificate with its key and the authority behind it, as PEM.
#[derive(Debug)]
pub(super) struct Issued {
    pub(super) ca_pem: String,
    pub(super) certificate_pem: String,
    pub(super) key_pem: String,
}

/// Issues a certificate for `names`, all of which lie below `domain`.
pub(super) fn issue(names: &[&str], domain: &str, clock: &dyn Clock) -> anyhow::Result<Issued> {
    let today = Timestamp::from_millisecond(i64::try_from(clock.now().as_millis())?)
        .context("the system clock")?
        .to_zoned(TimeZone::UTC)
        .date();
    let authority_key = KeyPair::generate()?;
    let mut authority = parameters("Portway demonstration CA", &[], today)?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName(domain.to_owned())],
        excluded_subtrees: Vec::new(),
    });
    let ca_pem = authority.self_signed(&authority_key)?.pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate()?;
    let mut leaf = parameters(domain, names, today)?;
    leaf.use_authority_key_identifier_extension = true;
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate_pem = leaf.signed_by(&key, &issuer)?.pem();
    Ok(Issued {
        ca_pem,
        certificate_pem,
        key_pem: key.serialize_pem(),
    })
}

/// Browsers refuse server certificates that live much longer than a year, whoever signed them.
fn parameters(subject: &str, names: &[&str], today: Date) -> anyhow::Result<CertificateParams> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut parameters = CertificateParams::new(names)?;
    parameters.distinguished_name.remove(DnType::CommonName);
    parameters
        .distinguished_name
        .push(DnType::CommonName, subject);
    let (from, to) = (
        today.yesterday()?,
        today.checked_add(Span::new().days(396))?,
    );
    let at = |date: Date| -> anyhow::Result<_> {
        let (month, day) = (u8::try_from(date.month())?, u8::try_from(date.day())?);
        Ok(rcgen::date_time_ymd(date.year().into(), month, day))
    };
    parameters.not_before = at(from)?;
    parameters.not_after = at(to)?;
    Ok(parameters)
}
