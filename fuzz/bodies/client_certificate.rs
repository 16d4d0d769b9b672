//! The certificates and revocation lists of clients, in DER: whatever a client shows is read before anything is
//! known of it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use portway::crypto::client_certificate::ClientCertificate;
use portway::crypto::client_certificate::ClientTrust;
use portway::crypto::client_certificate::escaped_pem;
use portway::crypto::distinguished_name::DistinguishedName;
use portway::model::time::Timestamp;
use rustls::pki_types::CertificateDer;

/// What is told of a certificate fits into a header and says what the bytes say.
pub fn run(data: &[u8]) {
    let der = CertificateDer::from(data);
    if let Some(told) = ClientCertificate::read(&der) {
        let names = [
            &told.subject_dn,
            &told.subject_dn_legacy,
            &told.issuer_dn,
            &told.issuer_dn_legacy,
        ];
        for name in names {
            assert_printable(name);
        }
        let digits = told.serial.trim_start_matches('-');
        assert!(!digits.is_empty() && digits.len() % 2 == 0);
        assert!(
            digits
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'A'..=b'F').contains(&b))
        );
        assert!(
            digits == "00" || !digits.starts_with("00"),
            "one number, one text"
        );
        assert_eq!(told.fingerprint.len(), 64);
        assert_eq!(ClientCertificate::read(&der).as_ref(), Some(&told));
    }
    if let Ok(name) = DistinguishedName::parse(data) {
        assert_printable(&name.rfc2253());
        assert_printable(&name.legacy());
    }
    let escaped = escaped_pem(&der);
    assert_printable(&escaped);
    assert_eq!(
        unescaped(&escaped),
        data,
        "a certificate in a header is itself"
    );
    judged(data);
}

/// Nobody is let in by bytes that no authority has signed, and no list of strangers' bytes is believed.
fn judged(data: &[u8]) {
    let chain = [CertificateDer::from(data)];
    let now = Timestamp::from_millis(1_790_000_000_000);
    let nobody = ClientTrust::new(None, None, 1).expect("there is nothing to read");
    assert!(nobody.judge(&chain, now).is_err());
    let pem = |label: &str| {
        let dashes = "-----";
        let body = STANDARD.encode(data);
        format!("{dashes}BEGIN {label}{dashes}\n{body}\n{dashes}END {label}{dashes}\n")
    };
    let (bundle, list) = (pem("CERTIFICATE"), pem("X509 CRL"));
    if let Ok(trust) = ClientTrust::new(Some(bundle.as_bytes()), None, 1) {
        let _any = trust.judge(&chain, now);
    }
    if let Ok(trust) = ClientTrust::new(None, Some(list.as_bytes()), 1) {
        assert_eq!(trust.foreign_lists(), 1);
        assert!(trust.judge(&chain, now).is_err());
    }
}

fn assert_printable(text: &str) {
    assert!(
        text.bytes().all(|b| b == b' ' || b.is_ascii_graphic()),
        "{text:?}"
    );
}

/// The bytes of a certificate that is escaped.
fn unescaped(text: &str) -> Vec<u8> {
    let body = text.strip_prefix("-----BEGIN%20CERTIFICATE-----%0A");
    let body = body.and_then(|text| text.strip_suffix("%0A-----END%20CERTIFICATE-----%0A"));
    let body = body.expect("it has its frame").replace("%0A", "");
    let body = body
        .replace("%2B", "+")
        .replace("%2F", "/")
        .replace("%3D", "=");
    STANDARD.decode(body).expect("it is what was written")
}

/// Certificates with odd names and numbers, a name, and a list.
pub fn seeds() -> Vec<Vec<u8>> {
    let plain = name(&[
        (&[0x55, 4, 3], 12, b"alice"),
        (&[0x55, 4, 10], 19, b"Acme, Inc."),
    ]);
    let odd = name(&[
        (&[0x55, 4, 3], 12, "a\r\nX: 1\0\"\u{fc}\\+<>;#".as_bytes()),
        (&[0x2a, 3, 4], 30, &[0, 0x41, 0xd8, 0]),
        (&[0x55, 4, 11], 28, &[0, 0, 0, 0x41]),
        (&[0x55, 4, 11], 20, &[0xff, 0x80]),
    ]);
    let numbers: [&[u8]; 3] = [&[1], &[0, 0xff, 2], &[0x80, 1]];
    let mut all = vec![plain.clone(), odd.clone(), element(SEQUENCE, &[])];
    all.extend(numbers.map(|number| certificate(&plain, number)));
    all.push(certificate(&odd, &[0]));
    all.push(list(&plain));
    all
}

fn name(pairs: &[(&[u8], u8, &[u8])]) -> Vec<u8> {
    let sets = pairs.iter().map(|(oid, tag, value)| {
        let pair = [element(6, oid), element(*tag, value)].concat();
        element(0x31, &element(SEQUENCE, &pair))
    });
    element(SEQUENCE, &sets.collect::<Vec<_>>().concat())
}

fn certificate(name: &[u8], number: &[u8]) -> Vec<u8> {
    let kind = [
        element(6, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1]),
        element(6, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]),
    ];
    let point = [vec![0, 4], vec![7; 64]].concat();
    let about = [
        element(0xa0, &element(2, &[2])),
        element(2, number),
        algorithm(),
        name.to_vec(),
        element(
            SEQUENCE,
            &[time("260101000000Z"), time("360101000000Z")].concat(),
        ),
        name.to_vec(),
        element(
            SEQUENCE,
            &[element(SEQUENCE, &kind.concat()), element(3, &point)].concat(),
        ),
    ];
    signed(&about.concat())
}

fn list(name: &[u8]) -> Vec<u8> {
    let entry = |number: u8| {
        element(
            SEQUENCE,
            &[element(2, &[number]), time("260101000000Z")].concat(),
        )
    };
    let number = [element(6, &[0x55, 0x1d, 20]), element(4, &element(2, &[1]))];
    let about = [
        element(2, &[1]),
        algorithm(),
        name.to_vec(),
        time("260101000000Z"),
        time("360101000000Z"),
        element(SEQUENCE, &[entry(1), entry(5)].concat()),
        element(
            0xa0,
            &element(SEQUENCE, &element(SEQUENCE, &number.concat())),
        ),
    ];
    signed(&about.concat())
}

/// With a signature that is none.
fn signed(about: &[u8]) -> Vec<u8> {
    let parts = [
        element(SEQUENCE, about),
        algorithm(),
        element(3, &[0, 1, 2, 3]),
    ];
    element(SEQUENCE, &parts.concat())
}

fn algorithm() -> Vec<u8> {
    element(
        SEQUENCE,
        &element(6, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]),
    )
}

fn time(text: &str) -> Vec<u8> {
    element(23, text.as_bytes())
}

fn element(tag: u8, contents: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(contents.len())
        .expect("seeds are small")
        .to_be_bytes();
    let head = match (high, low) {
        (0, 0..128) => vec![tag, low],
        (0, _) => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    [head, contents.to_vec()].concat()
}

const SEQUENCE: u8 = 0x30;
