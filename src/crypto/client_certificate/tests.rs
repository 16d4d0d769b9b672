//! Lists of every length and kind, and what is known of them without looking at them whole.

use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::CertificateRevocationListParams;
use rcgen::CrlDistributionPoint;
use rcgen::CrlIssuingDistributionPoint;
use rcgen::DnType;
use rcgen::ExtendedKeyUsagePurpose;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyIdMethod;
use rcgen::KeyPair;
use rcgen::KeyUsagePurpose;
use rcgen::RevokedCertParams;
use rcgen::SerialNumber;

use super::*;

struct Authority {
    pem: String,
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Self {
        Self::by(name, None)
    }

    fn by(name: &str, above: Option<&Self>) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = match above {
            None => params.self_signed(&key).unwrap(),
            Some(above) => params.signed_by(&key, &above.issuer).unwrap(),
        };
        Self {
            pem: certificate.pem(),
            der: certificate.der().clone(),
            issuer: Issuer::new(params, key),
        }
    }

    fn issue(&self, serial: u64) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.serial_number = Some(SerialNumber::from(serial));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        params.signed_by(&key, &self.issuer).unwrap().der().clone()
    }

    fn list(&self, serials: impl Iterator<Item = u64>, end: i32, part: Option<&str>) -> String {
        self.list_of(2001, serials, end, part)
    }

    fn list_of(
        &self,
        begin: i32,
        serials: impl Iterator<Item = u64>,
        end: i32,
        part: Option<&str>,
    ) -> String {
        let params = CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(begin, 1, 1),
            next_update: rcgen::date_time_ymd(end, 12, 31),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: part.map(|part| CrlIssuingDistributionPoint {
                distribution_point: CrlDistributionPoint {
                    uris: vec![part.to_owned()],
                },
                scope: None,
            }),
            revoked_certs: serials
                .map(|serial| RevokedCertParams {
                    serial_number: SerialNumber::from(serial),
                    revocation_time: rcgen::date_time_ymd(2002, 1, 1),
                    reason_code: None,
                    invalidity_date: None,
                })
                .collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

fn trust(bundle: &[&Authority], lists: &[String]) -> ClientTrust {
    let pem: String = bundle
        .iter()
        .map(|authority| authority.pem.as_str())
        .collect();
    let lists = lists.concat();
    ClientTrust::new(Some(pem.as_bytes()), Some(lists.as_bytes()), 3).unwrap()
}

/// What is known of a chain, and whether a whole list had to be looked at for it.
fn judged(
    trust: &ClientTrust,
    chain: &[CertificateDer<'static>],
) -> (Result<(), ClientFault>, bool) {
    let (leaf, sent) = chain.split_first().unwrap();
    let certificate = EndEntityCert::try_from(leaf).unwrap();
    let mut between = sent.to_vec();
    between.extend(trust.between.iter().cloned());
    let takes_more = Cell::new(false);
    let note = |path: &VerifiedPath<'_>| {
        let standing = trust.revoked.standing(path, NOW);
        takes_more.set(takes_more.get() || matches!(standing, Standing::Unknown));
        Ok(())
    };
    trust
        .verified(&certificate, &between, None, (&note, NOW))
        .unwrap();
    (trust.judge(chain, NOW), takes_more.get())
}

#[test]
fn an_entry_of_a_list_with_a_hundred_thousand_is_found_without_looking_at_the_others() {
    let root = Authority::new("Root");
    let below = Authority::by("Below", Some(&root));
    // Even numbers are taken back.
    let many = || (1..=100_000_u64).map(|number| number * 2);
    let lists = [
        root.list(many(), 4000, None),
        below.list(many(), 4000, None),
    ];
    let trust = trust(&[&root, &below], &lists);
    for (authority, serial, expected) in [
        (&root, 99_999, Ok(())),
        (&root, 100_000, Err(ClientFault::Revoked)),
        (&root, 200_000, Err(ClientFault::Revoked)),
        (&below, 200_001, Ok(())),
        (&below, 2, Err(ClientFault::Revoked)),
    ] {
        let chain = [authority.issue(serial)];
        assert_eq!(judged(&trust, &chain), (expected, false), "{serial}");
    }
}

#[test]
fn what_is_not_known_of_a_list_beforehand_is_judged_all_the_same() {
    let root = Authority::new("Root");
    let below = Authority::by("Below", Some(&root));
    let impostor = Authority::new("Root");
    let none = || std::iter::empty();
    let leaf = root.issue(7);
    let lists = |lists: &[String]| trust(&[&root], lists);
    // Signed by another of the same name.
    let forged = lists(&[impostor.list(none(), 4000, None)]);
    assert_eq!(
        judged(&forged, std::slice::from_ref(&leaf)),
        (Err(ClientFault::Signature), true)
    );
    // For some certificates only.
    let part = lists(&[root.list([7].into_iter(), 4000, Some("http://crl.test/"))]);
    assert_eq!(
        judged(&part, std::slice::from_ref(&leaf)),
        (Err(ClientFault::Revoked), true)
    );
    let part = lists(&[root.list([8].into_iter(), 4000, Some("http://crl.test/"))]);
    assert_eq!(judged(&part, std::slice::from_ref(&leaf)), (Ok(()), true));
    // Of an authority that the client sends along.
    let sent = [below.issue(1), below.der.clone()];
    let both = lists(&[
        root.list(none(), 4000, None),
        below.list([1].into_iter(), 4000, None),
    ]);
    assert_eq!(judged(&both, &sent), (Err(ClientFault::Revoked), true));
    let both = lists(&[
        root.list(none(), 4000, None),
        below.list([2].into_iter(), 4000, None),
    ]);
    assert_eq!(judged(&both, &sent), (Ok(()), true));
    // Of two lists of such an authority the newer counts, wherever it stands.
    let old = below.list(none(), 4000, None);
    let new = below.list_of(2002, [1].into_iter(), 4000, None);
    for two in [[&old, &new], [&new, &old]] {
        let of_root = root.list(none(), 4000, None);
        let all = lists(&[of_root, two.map(String::as_str).concat()]);
        assert_eq!(judged(&all, &sent), (Err(ClientFault::Revoked), true));
    }
    // That authority itself is taken back.
    let serial = x509_parser::parse_x509_certificate(&below.der).unwrap().1;
    let serial = SerialNumber::from(serial.raw_serial().to_vec());
    let mut params = CertificateRevocationListParams {
        this_update: rcgen::date_time_ymd(2001, 1, 1),
        next_update: rcgen::date_time_ymd(4000, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.revoked_certs.push(RevokedCertParams {
        serial_number: serial,
        revocation_time: rcgen::date_time_ymd(2002, 1, 1),
        reason_code: None,
        invalidity_date: None,
    });
    let of_root = params.signed_by(&root.issuer).unwrap().pem().unwrap();
    let all = trust(&[&root, &below], &[of_root, below.list(none(), 4000, None)]);
    assert_eq!(
        judged(&all, &[below.issue(1)]),
        (Err(ClientFault::Revoked), false)
    );
}

#[test]
fn lists_that_are_missing_or_out_of_date_refuse_and_any_of_several_takes_back() {
    let root = Authority::new("Root");
    let other = Authority::new("Other");
    let leaf = [root.issue(7)];
    let none = || std::iter::empty();
    let of = |lists: &[String]| judged(&trust(&[&root, &other], lists), &leaf);
    let old = root.list(none(), 2002, None);
    let new = root.list([7].into_iter(), 4000, None);
    let clear = root.list(none(), 4000, None);
    assert_eq!(
        of(&[other.list(none(), 4000, None)]),
        (Err(ClientFault::CrlUnknown), false)
    );
    assert_eq!(
        of(std::slice::from_ref(&old)),
        (Err(ClientFault::CrlExpired), false)
    );
    assert_eq!(of(&[old, clear.clone()]), (Ok(()), false));
    assert_eq!(of(&[clear, new]), (Err(ClientFault::Revoked), false));
}

/// In 2026.
const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
