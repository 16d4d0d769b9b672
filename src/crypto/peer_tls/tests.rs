//! Which certificates are believed, in handshakes without sockets.

use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::CustomExtension;
use rcgen::DnType;
use rcgen::ExtendedKeyUsagePurpose;
use rcgen::IsCa;
use rcgen::Issuer;
use rcgen::KeyPair;
use rcgen::OtherNameValue;
use rcgen::SanType;
use rustls::ClientConnection;
use rustls::HandshakeKind;
use rustls::ServerConnection;

use super::*;
use crate::model::name::ClusterId;

const YEAR_2030: u64 = 1_900_000_000;
const YEAR_2060: u64 = 2_850_000_000;

struct Ca {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

struct Issued {
    chain: String,
    key: Secret,
}

impl Ca {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self { pem, issuer }
    }

    fn issue(&self, names: Vec<SanType>, change: impl FnOnce(&mut CertificateParams)) -> Issued {
        let mut params = CertificateParams::default();
        params.subject_alt_names = names;
        params.not_after = rcgen::date_time_ymd(2050, 1, 1);
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ClientAuth,
            ExtendedKeyUsagePurpose::ServerAuth,
        ];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Issued {
            chain: certificate.pem(),
            key: Secret::new(key.serialize_pem().into_bytes()),
        }
    }

    fn engine(&self, name: &str) -> Issued {
        self.issue(vec![uri(&format!("portway://{name}"))], |_| {})
    }

    fn material(&self, name: &str) -> PeerMaterial {
        self.engine(name).material(&self.pem, name).unwrap()
    }
}

impl Issued {
    fn material(&self, ca: &str, name: &str) -> Result<PeerMaterial, PeerTlsError> {
        let pem = PeerPem {
            chain: self.chain.as_bytes(),
            key: &self.key,
            authority: ca.as_bytes(),
        };
        PeerMaterial::new(&pem, &engine(name))
    }

    fn proven(&self) -> Result<Proven, OddCertificate> {
        proven(&certificates::chain(self.chain.as_bytes()).unwrap()[0])
    }
}

fn engine(name: &str) -> NodeName {
    NodeName::Engine(ClusterId::parse(name).unwrap())
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

fn dns(text: &str) -> SanType {
    SanType::DnsName(text.try_into().unwrap())
}

#[derive(Debug)]
struct At(u64);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(
            self.0,
        )))
    }
}

/// Runs a handshake: what each end says of it, and how it came about.
fn handshake(
    dialler: Arc<ClientConfig>,
    listener: Arc<ServerConfig>,
) -> Result<Option<HandshakeKind>, rustls::Error> {
    let name = ServerName::try_from("peer.test").unwrap();
    let mut dialler = ClientConnection::new(dialler, name).unwrap();
    let mut listener = ServerConnection::new(listener).unwrap();
    for _ in 0..10 {
        let mut said = Vec::new();
        while dialler.wants_write() {
            dialler.write_tls(&mut said).unwrap();
        }
        listener.read_tls(&mut said.as_slice()).unwrap();
        listener.process_new_packets()?;
        let mut answered = Vec::new();
        while listener.wants_write() {
            listener.write_tls(&mut answered).unwrap();
        }
        dialler.read_tls(&mut answered.as_slice()).unwrap();
        dialler.process_new_packets()?;
    }
    assert!(!dialler.is_handshaking() && !listener.is_handshaking());
    Ok(dialler.handshake_kind())
}

/// `ny` connects to whom it takes for `london`.
fn dial(
    ny: &PeerMaterial,
    london: &PeerMaterial,
    now: u64,
) -> Result<Option<HandshakeKind>, rustls::Error> {
    let dialler = ny.client(engine("london"), Arc::new(At(now))).unwrap();
    let callers = HashMap::from([(engine("ny"), 0)]);
    let listener = server(std::slice::from_ref(london), &callers, Arc::new(At(now))).unwrap();
    handshake(Arc::new(dialler), Arc::new(listener))
}

fn is_rejected(result: &Result<Option<HandshakeKind>, rustls::Error>, why: &str) -> bool {
    match result {
        Err(rustls::Error::InvalidCertificate(rejected)) => format!("{rejected:?}").contains(why),
        Ok(_) | Err(_) => false,
    }
}

/// MDC-SEC-2, MDC-SEC-3
#[test]
fn nodes_of_one_ca_that_mean_each_other_shake_hands() {
    let ca = Ca::new("Peers");
    let (ny, london) = (ca.material("ny"), ca.material("london"));
    assert_eq!(dial(&ny, &london, YEAR_2030), Ok(Some(HandshakeKind::Full)));
    assert_eq!(ny.own().node, engine("ny"));
    assert_eq!(ny.own().until.as_secs(), 2_524_608_000);
}

/// MDC-SEC-4
#[test]
fn a_peer_cannot_speak_for_another_data_centre() {
    let ca = Ca::new("Peers");
    let result = dial(&ca.material("ny"), &ca.material("paris"), YEAR_2030);
    assert!(
        is_rejected(
            &result,
            "is for portway://paris, expected was portway://london"
        ),
        "{result:?}"
    );
}

#[test]
fn a_certificate_of_a_foreign_ca_is_refused_by_both_ends() {
    let (ours, theirs) = (Ca::new("Peers"), Ca::new("Peers"));
    let stranger = theirs
        .engine("london")
        .material(&ours.pem, "london")
        .unwrap();
    let result = dial(&ours.material("ny"), &stranger, YEAR_2030);
    assert!(result.is_err(), "the listener is a stranger: {result:?}");
    let stranger = theirs.engine("ny").material(&ours.pem, "ny").unwrap();
    let result = dial(&stranger, &ours.material("london"), YEAR_2030);
    assert!(result.is_err(), "the caller is a stranger: {result:?}");
}

/// R11
#[test]
fn a_certificate_is_refused_when_its_time_is_over_or_has_not_come() {
    let ca = Ca::new("Peers");
    let (ny, london) = (ca.material("ny"), ca.material("london"));
    let result = dial(&ny, &london, YEAR_2060);
    assert!(is_rejected(&result, "Expired"), "{result:?}");
    let early = ca.issue(vec![uri("portway://london")], |params| {
        params.not_before = rcgen::date_time_ymd(2040, 1, 1);
    });
    let early = early.material(&ca.pem, "london").unwrap();
    let result = dial(&ny, &early, YEAR_2030);
    assert!(is_rejected(&result, "NotValidYet"), "{result:?}");
}

#[test]
fn a_certificate_for_another_use_is_refused() {
    let ca = Ca::new("Peers");
    let mail = ca.issue(vec![uri("portway://london")], |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::EmailProtection];
    });
    let mail = mail.material(&ca.pem, "london").unwrap();
    let result = dial(&ca.material("ny"), &mail, YEAR_2030);
    assert!(is_rejected(&result, "InvalidPurpose"), "{result:?}");
}

#[test]
fn no_handshake_is_resumed_so_every_certificate_is_verified_every_time() {
    let ca = Ca::new("Peers");
    let (ny, london) = (ca.material("ny"), ca.material("london"));
    let time: Arc<dyn TimeProvider> = Arc::new(At(YEAR_2030));
    let dialler = Arc::new(ny.client(engine("london"), Arc::clone(&time)).unwrap());
    let callers = HashMap::from([(engine("ny"), 0)]);
    let listener = Arc::new(server(&[london], &callers, time).unwrap());
    for _ in 0..3 {
        let kind = handshake(Arc::clone(&dialler), Arc::clone(&listener));
        assert_eq!(kind, Ok(Some(HandshakeKind::Full)));
    }
}

/// MDC-SEC-4: the mode, and with it the CA, is per peer.
#[test]
fn each_caller_is_judged_by_its_own_ca_and_shown_a_certificate_of_it() {
    let (first, second) = (Ca::new("First"), Ca::new("Second"));
    let london = [first.material("london"), second.material("london")];
    let callers = HashMap::from([(engine("ny"), 0), (engine("paris"), 1)]);
    let time: Arc<dyn TimeProvider> = Arc::new(At(YEAR_2030));
    let listener = Arc::new(server(&london, &callers, Arc::clone(&time)).unwrap());
    let dial = |caller: PeerMaterial| {
        let dialler = caller.client(engine("london"), Arc::clone(&time)).unwrap();
        handshake(Arc::new(dialler), Arc::clone(&listener))
    };
    assert!(dial(first.material("ny")).is_ok());
    assert!(dial(second.material("paris")).is_ok());
    let impostor = dial(second.material("ny"));
    assert!(impostor.is_err(), "the other CA signs no ny: {impostor:?}");
}

/// Threats §1.7
#[test]
fn a_missing_empty_garbage_or_leaf_ca_file_is_refused() {
    let ca = Ca::new("Peers");
    let ny = ca.engine("ny");
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let cut_off: String = garbage.chars().take(40).collect();
    for (pem, what) in [
        ("", "empty"),
        ("\n\n", "blank"),
        ("not a certificate", "text"),
        (garbage, "garbage"),
        (&cut_off, "cut off"),
    ] {
        let refused = ny.material(pem, "ny");
        assert!(
            matches!(refused, Err(PeerTlsError::Authority(_))),
            "{what}: {refused:?}"
        );
    }
    let mixed = format!("{}{garbage}", ca.pem);
    assert!(ny.material(&mixed, "ny").is_err(), "one good, one garbage");
    let leaf = ny.material(&ny.chain, "ny");
    assert!(matches!(leaf, Err(PeerTlsError::NoAuthority)), "{leaf:?}");
}

#[test]
fn the_own_certificate_must_be_for_this_node_and_fit_its_key() {
    let ca = Ca::new("Peers");
    let (ny, london) = (ca.engine("ny"), ca.engine("london"));
    let other = london.material(&ca.pem, "ny");
    assert!(
        matches!(other, Err(PeerTlsError::OtherNode { .. })),
        "{other:?}"
    );
    let mixed = Issued {
        chain: ny.chain,
        key: london.key,
    };
    let mixed = mixed.material(&ca.pem, "ny");
    assert!(
        matches!(
            mixed,
            Err(PeerTlsError::Certificate(CertificateError::Mismatch))
        ),
        "{mixed:?}"
    );
    let nameless = ca
        .issue(vec![dns("ny.test")], |_| {})
        .material(&ca.pem, "ny");
    assert!(
        matches!(nameless, Err(PeerTlsError::Odd(OddCertificate::Nameless))),
        "{nameless:?}"
    );
}

#[test]
fn one_name_of_a_node_may_stand_beside_hosts_and_addresses() {
    let ca = Ca::new("Peers");
    let names = vec![
        dns("ny.example.com"),
        SanType::IpAddress([192, 0, 2, 1].into()),
        uri("spiffe://example.com/ny"),
        uri("portway-gate://ny-gate-1"),
    ];
    let proven = ca.issue(names, |_| {}).proven().unwrap();
    assert_eq!(
        proven.node,
        NodeName::Gate(ClusterId::parse("ny-gate-1").unwrap())
    );
}

/// Threats §1.7: a name that somebody else may read in another way.
#[test]
fn odd_names_are_refused() {
    let ca = Ca::new("Peers");
    let ny = || uri("portway://ny");
    let other = SanType::OtherName((
        vec![1, 3, 6, 1, 4, 1],
        OtherNameValue::Utf8String("portway://ny".into()),
    ));
    let cases = [
        (
            vec![ny(), uri("portway://london")],
            OddCertificate::SeveralNames,
        ),
        (vec![ny(), ny()], OddCertificate::SeveralNames),
        (
            vec![ny(), uri("portway-gate://ny")],
            OddCertificate::SeveralNames,
        ),
        (vec![ny(), other], OddCertificate::Kind),
        (
            vec![ny(), dns("ny.test\0.evil.test")],
            OddCertificate::Control,
        ),
        (vec![uri("portway://ny\0")], OddCertificate::Control),
        (vec![uri("portway://")], OddCertificate::Malformed),
        (vec![uri("portway://ny/")], OddCertificate::Malformed),
        (
            vec![uri("portway://ny/../london")],
            OddCertificate::Malformed,
        ),
        (vec![uri("PORTWAY://ny")], OddCertificate::Malformed),
        (vec![ny(), uri("portwayx://ny")], OddCertificate::Malformed),
        (vec![uri("xportway://ny")], OddCertificate::Nameless),
        (vec![], OddCertificate::Nameless),
    ];
    for (names, why) in cases {
        let shown = format!("{names:?}");
        assert_eq!(ca.issue(names, |_| {}).proven(), Err(why), "{shown}");
    }
}

#[test]
fn a_second_list_of_names_is_refused() {
    let ca = Ca::new("Peers");
    // 2.5.29.17 again, with the URI portway://london in it.
    let mut list = vec![0x30, 18, 0x86, 16];
    list.extend_from_slice(b"portway://london");
    let twice = ca.issue(vec![uri("portway://ny")], |params| {
        let again = CustomExtension::from_oid_content(&[2, 5, 29, 17], list);
        params.custom_extensions = vec![again];
    });
    assert!(matches!(twice.proven(), Err(OddCertificate::Unreadable(_))));
}
