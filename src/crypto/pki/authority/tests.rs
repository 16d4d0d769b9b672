//! Tests of the private CA: what it signs verifies, and its key opens by its pass phrase alone.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::UnixTime;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use super::*;
use crate::crypto::certificates;
use crate::crypto::pki::bundle::ReadBundleError;
use crate::crypto::pki::bundle::UnlockError;
use crate::crypto::pki::summary::Kind;
use crate::model::name::ClusterId;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const DAY: Duration = Duration::from_hours(24);

#[test]
fn a_node_certificate_verifies_at_both_ends_and_names_its_data_centre_mdc_sec_2() {
    let authority = authority();
    let ny = NodeName::Engine(ClusterId::parse("ny").unwrap());
    let issued = authority.issue(&ny, Days::NODE, NOW).unwrap();
    let leaf = der(&issued.certificate_pem);
    assert_eq!(NodeName::all_in(&leaf).unwrap(), [ny]);
    let verifier = client_verifier(&issued.ca_pem);
    verifier.verify_client_cert(&leaf, &[], at(NOW)).unwrap();
    // No host name stands in it, so a browser's kind of check never accepts it.
    let refused = server_verifier(&issued.ca_pem).verify_server_cert(
        &leaf,
        &[],
        &ServerName::try_from("ny").unwrap(),
        &[],
        at(NOW),
    );
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("not valid for name"), "{refused}");
    let provider = rustls::crypto::ring::default_provider();
    certificates::certified(
        issued.certificate_pem.as_bytes(),
        &issued.key_pem,
        &provider,
    )
    .unwrap();
}

#[test]
fn a_certificate_is_good_for_its_days_and_an_hour_before() {
    let authority = authority();
    let name = NodeName::Gate(ClusterId::parse("edge-1").unwrap());
    let issued = authority.issue(&name, Days::new(10).unwrap(), NOW).unwrap();
    let (leaf, verifier) = (
        der(&issued.certificate_pem),
        client_verifier(&issued.ca_pem),
    );
    let good = |when: Timestamp| verifier.verify_client_cert(&leaf, &[], at(when)).is_ok();
    assert!(good(NOW.before(Duration::from_mins(59))));
    assert!(!good(NOW.before(Duration::from_mins(61))));
    assert!(good(NOW.after(10 * DAY)));
    assert!(!good(NOW.after(10 * DAY + Duration::from_secs(1))));
    assert_eq!(issued.not_after, NOW.after(10 * DAY));
}

#[test]
fn a_certificate_of_another_ca_is_refused_and_so_is_one_that_a_node_signs() {
    let (ours, theirs) = (authority(), authority());
    let name = NodeName::Engine(ClusterId::parse("ny").unwrap());
    let foreign = theirs.issue(&name, Days::NODE, NOW).unwrap();
    let verifier = client_verifier(&ours.certificate_pem);
    let refused = verifier.verify_client_cert(&der(&foreign.certificate_pem), &[], at(NOW));
    assert!(refused.is_err());

    let node = ours.issue(&name, Days::NODE, NOW).unwrap();
    let node_key = std::str::from_utf8(node.key_pem.expose()).unwrap();
    let pretender = Authority {
        certificate_pem: node.certificate_pem.clone(),
        name: name.to_string(),
        not_before: NOW,
        not_after: NOW.after(DAY),
        key: KeyPair::from_pem(node_key).unwrap(),
    };
    let other = NodeName::Engine(ClusterId::parse("ldc").unwrap());
    let forged = pretender.issue(&other, Days::NODE, NOW).unwrap();
    let chain = [der(&node.certificate_pem)];
    let refused = verifier.verify_client_cert(&der(&forged.certificate_pem), &chain, at(NOW));
    assert!(refused.is_err(), "a node is no CA");
}

#[test]
fn no_certificate_outlives_its_ca_and_an_expired_ca_signs_nothing() {
    let authority = authority();
    let name = NodeName::Engine(ClusterId::parse("ny").unwrap());
    let end = NOW.after(Days::AUTHORITY.span());
    let issued = authority.issue(&name, Days::NODE, end.before(DAY)).unwrap();
    assert_eq!(issued.not_after, end);
    for when in [end, NOW.before(2 * DAY)] {
        let refused = authority.issue(&name, Days::NODE, when);
        assert!(matches!(refused, Err(IssueError::NotValid)), "{when}");
    }
    assert!(Days::new(0).is_none() && Days::new(3653).is_none());
}

#[test]
fn a_bundle_opens_by_its_pass_phrase_alone_and_says_nothing_of_why_not() {
    let bundle = bundle();
    let text = bundle.to_json().unwrap();
    let read = Bundle::parse(&text).unwrap();
    assert!(read.unlock(&passphrase()).is_ok());
    let other = Passphrase::given(Secret::new(b"another pass phrase".to_vec())).unwrap();
    let wrong = read.unlock(&other).unwrap_err();
    assert!(matches!(wrong, UnlockError::Refused));

    let plain = String::from_utf8(text).unwrap();
    assert!(!plain.contains("PRIVATE KEY"));
    let foreign = make(&passphrase(), NOW, chance(9)).unwrap();
    let swapped: serde_json::Value = serde_json::from_str(&plain).unwrap();
    for (field, value) in [
        ("certificate", foreign.certificate_pem().to_owned()),
        ("nonce", "AAAAAAAAAAAAAAAA".to_owned()),
        ("key", "AAAA".to_owned()),
    ] {
        let mut swapped = swapped.clone();
        swapped[field] = value.into();
        let tampered = Bundle::parse(swapped.to_string().as_bytes()).unwrap();
        let refused = tampered.unlock(&passphrase()).unwrap_err();
        assert_eq!(refused.to_string(), wrong.to_string(), "{field}");
    }
}

#[test]
fn what_is_no_bundle_is_refused_before_a_pass_phrase_is_asked_for() {
    let plain: serde_json::Value = serde_json::from_slice(&bundle().to_json().unwrap()).unwrap();
    let with = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut changed = plain.clone();
        change(&mut changed);
        Bundle::parse(changed.to_string().as_bytes()).unwrap_err()
    };
    let newer = with(&|it| it["version"] = 2.into());
    assert!(matches!(newer, ReadBundleError::Version(2)));
    let foreign = with(&|it| it["format"] = "other".into());
    assert!(matches!(foreign, ReadBundleError::Field("format")));
    let dear = with(&|it| it["derivation"]["memory_kib"] = 1_048_577.into());
    assert!(matches!(dear, ReadBundleError::Cost));
    let cheap = with(&|it| it["derivation"]["memory_kib"] = 1.into());
    assert!(matches!(cheap, ReadBundleError::Field("derivation")));
    let cipher = with(&|it| it["cipher"] = "rot13".into());
    assert!(matches!(cipher, ReadBundleError::Field("cipher")));
    let more = with(&|it| it["more"] = 1.into());
    assert!(matches!(more, ReadBundleError::Json(_)));
    let ny = NodeName::Engine(ClusterId::parse("ny").unwrap());
    let node = authority().issue(&ny, Days::NODE, NOW).unwrap();
    let leaf = with(&|it| it["certificate"] = node.certificate_pem.clone().into());
    assert!(matches!(leaf, ReadBundleError::Certificate(None)));
    assert!(matches!(Bundle::parse(b""), Err(ReadBundleError::Json(_))));
}

#[test]
fn a_summary_says_whose_a_certificate_is_and_how_long_it_is_good() {
    let bundle = bundle();
    let ca = bundle.summary();
    assert_eq!(ca.kind, Kind::Authority);
    assert!(ca.common_name.starts_with("Portway private CA "), "{ca:?}");
    assert_eq!(ca.not_after, NOW.after(Days::AUTHORITY.span()));
    let gate = NodeName::Gate(ClusterId::parse("edge-1").unwrap());
    let authority = bundle.unlock(&passphrase()).unwrap();
    let issued = authority.issue(&gate, Days::NODE, NOW).unwrap();
    let node = CertificateSummary::of(&der(&issued.certificate_pem)).unwrap();
    assert_eq!(node.kind, Kind::Node);
    assert_eq!(node.subject, "CN=portway-gate://edge-1");
    assert_eq!(node.issuer, ca.subject);
    assert_eq!(node.names, ["URI:portway-gate://edge-1"]);
    assert_eq!(node.fingerprint.len(), 32 * 3 - 1);
    assert!(!format!("{authority:?}").contains("key"));
}

fn bundle() -> Bundle {
    make(&passphrase(), NOW, chance(1)).unwrap()
}

fn authority() -> Authority {
    bundle().unlock(&passphrase()).unwrap()
}

fn passphrase() -> Passphrase {
    Passphrase::choose(Secret::new(b"correct horse battery staple".to_vec())).unwrap()
}

fn chance(mark: u8) -> Chance {
    Chance {
        salt: [mark; 16],
        nonce: [mark; 12],
    }
}

fn der(pem: &str) -> CertificateDer<'static> {
    certificates::chain(pem.as_bytes()).unwrap().remove(0)
}

fn at(when: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(when.as_secs()))
}

fn roots(ca_pem: &str) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    roots.add(der(ca_pem)).unwrap();
    Arc::new(roots)
}

fn client_verifier(ca_pem: &str) -> Arc<dyn ClientCertVerifier> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    WebPkiClientVerifier::builder_with_provider(roots(ca_pem), provider)
        .build()
        .unwrap()
}

fn server_verifier(ca_pem: &str) -> Arc<dyn ServerCertVerifier> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::client::WebPkiServerVerifier::builder_with_provider(roots(ca_pem), provider)
        .build()
        .unwrap()
}
