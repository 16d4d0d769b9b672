//! What certificates say, held against what the real `openssl` says of the same bytes: names in both forms, numbers,
//! fingerprints (W-26).
//!
//! The certificates are put together byte by byte, so that there are names in them that no tool would write.

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use portway::crypto::client_certificate::ClientCertificate;
use portway::crypto::client_certificate::escaped_pem;
use portway::crypto::distinguished_name::DistinguishedName;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::strategy::ValueTree;
use proptest::test_runner::RngAlgorithm;
use proptest::test_runner::TestRng;
use proptest::test_runner::TestRunner;
use rustls::pki_types::CertificateDer;

use crate::parts;

/// A name as lists of attributes that belong together: identifier, tag, contents.
type Name = Vec<Vec<(Vec<u8>, u8, Vec<u8>)>>;

const CN: &[u8] = &[0x55, 4, 3];
const OU: &[u8] = &[0x55, 4, 11];
const O: &[u8] = &[0x55, 4, 10];
const EMAIL: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1];
const UID: &[u8] = &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1];
const DC: &[u8] = &[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25];
const UNKNOWN: &[u8] = &[0x2a, 3, 4];
const FAR: &[u8] = &[
    0x69, 0x83, 0xba, 0xbd, 0xae, 0xbb, 0xa3, 0x8f, 0xf7, 0xb8, 0x12,
];

const BIT: u8 = 3;
const UTF8: u8 = 12;
const NUMERIC: u8 = 18;
const PRINTABLE: u8 = 19;
const T61: u8 = 20;
const IA5: u8 = 22;
const UNIVERSAL: u8 = 28;
const BMP: u8 = 30;
const SEQUENCE: u8 = 0x30;

fn element(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = u16::try_from(contents.len()).unwrap();
    let [high, low] = length.to_be_bytes();
    let head = match length {
        0..128 => vec![tag, low],
        128..256 => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    [head, contents.to_vec()].concat()
}

fn name_der(name: &Name) -> Vec<u8> {
    let sets = name.iter().map(|set| {
        let pairs = set.iter().map(|(oid, tag, value)| {
            element(SEQUENCE, &[element(6, oid), element(*tag, value)].concat())
        });
        element(0x31, &pairs.collect::<Vec<_>>().concat())
    });
    element(SEQUENCE, &sets.collect::<Vec<_>>().concat())
}

/// A certificate that nobody has signed.
fn certificate(subject: &Name, issuer: &Name, serial: &[u8]) -> CertificateDer<'static> {
    let algorithm = element(
        SEQUENCE,
        &element(6, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]),
    );
    let key_kind = [
        element(6, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1]),
        element(6, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7]),
    ];
    // The base point of the curve, which is a key as good as any.
    let point = [
        "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
        "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
    ]
    .concat();
    let digits = (0..point.len()).step_by(2).map(|at| &point[at..at + 2]);
    let point: Vec<u8> = digits
        .map(|two| u8::from_str_radix(two, 16).unwrap())
        .collect();
    let key = [
        element(SEQUENCE, &key_kind.concat()),
        element(BIT, &[&[0], point.as_slice()].concat()),
    ];
    let validity = [element(23, b"200101000000Z"), element(23, b"490101000000Z")];
    let signed = [
        element(0xa0, &element(2, &[2])),
        element(2, serial),
        algorithm.clone(),
        name_der(issuer),
        element(SEQUENCE, &validity.concat()),
        name_der(subject),
        element(SEQUENCE, &key.concat()),
    ];
    let whole = [
        element(SEQUENCE, &signed.concat()),
        algorithm,
        element(BIT, &[0, 1, 2, 3]),
    ];
    element(SEQUENCE, &whole.concat()).into()
}

/// What openssl prints of a certificate; nothing where it cannot read it.
fn openssl(program: &Path, der: &[u8], options: &[&str]) -> String {
    let mut child = Command::new(program)
        .args(["x509", "-inform", "DER"])
        .args(options)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(der).unwrap();
    let output = child.wait_with_output().unwrap();
    if !output.status.success() {
        return String::new();
    }
    String::from_utf8(output.stdout).unwrap()
}

/// Every line of openssl's, without what it begins with.
fn lines<'t>(text: &'t str) -> Vec<&'t str> {
    let value = |line: &'t str| line.split_once('=').unwrap().1;
    text.lines().map(value).collect()
}

/// Whether openssl could read it and says the same.
fn agrees(program: &Path, subject: &Name, issuer: &Name, serial: &[u8]) -> bool {
    let der = certificate(subject, issuer, serial);
    let ask = |form: &str| {
        let asked = [
            "-noout",
            "-subject",
            "-issuer",
            "-serial",
            "-fingerprint",
            "-sha256",
        ];
        openssl(program, &der, &[&asked[..], &["-nameopt", form]].concat())
    };
    let (newer, older) = (ask("RFC2253"), ask("compat"));
    if newer.is_empty() {
        return false;
    }
    let own = ClientCertificate::read(&der).unwrap();
    let fingerprint = lines(&newer)[3].replace(':', "").to_ascii_lowercase();
    assert_eq!(
        [
            &own.subject_dn,
            &own.issuer_dn,
            &own.serial,
            &own.fingerprint
        ],
        [
            lines(&newer)[0],
            lines(&newer)[1],
            lines(&newer)[2],
            &fingerprint
        ],
        "{subject:?} {issuer:?}"
    );
    // An empty name is a line without anything behind the sign.
    assert_eq!(
        [&own.subject_dn_legacy, &own.issuer_dn_legacy],
        [lines(&older)[0], lines(&older)[1]],
        "{subject:?} {issuer:?}"
    );
    true
}

fn one(oid: &[u8], tag: u8, value: &[u8]) -> Name {
    vec![vec![(oid.to_vec(), tag, value.to_vec())]]
}

/// Texts that some escape or other is for, in every type that can hold them.
fn odd_texts() -> Vec<Name> {
    let wide = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_be_bytes).collect() };
    let wider = |text: &str| -> Vec<u8> {
        text.chars()
            .flat_map(|c| u32::from(c).to_be_bytes())
            .collect()
    };
    let texts = [
        "",
        " ",
        "  ",
        "#",
        "##",
        " #",
        "# ",
        "a",
        " a",
        "a ",
        " a ",
        "a b",
        "a#b",
        "a,b",
        "a+b",
        "a\"b",
        "a\\b",
        "a<b>c",
        "a;b",
        "a=b",
        "=",
        "/",
        "a/b+c",
        "\\",
        ",",
        "\t",
        "a\nb",
        "a\rb\0c",
        "\x7f",
        "ü",
        "Zürich",
        "日本",
        "𝄞",
        "é ",
        " é",
        "'()*?@[]{}|~^`!$%&",
        "CN=x,OU=y",
    ];
    let mut names: Vec<Name> = Vec::new();
    for text in texts {
        names.push(one(CN, UTF8, text.as_bytes()));
        names.push(one(CN, BMP, &wide(text)));
        names.push(one(CN, UNIVERSAL, &wider(text)));
        if text.is_ascii() {
            for tag in [PRINTABLE, IA5, T61, NUMERIC] {
                names.push(one(CN, tag, text.as_bytes()));
            }
        }
        names.push(one(UNKNOWN, UTF8, text.as_bytes()));
    }
    names
}

/// What no text can be, and names that are more than one text.
fn odd_names() -> Vec<Name> {
    let mut names: Vec<Name> = vec![
        one(CN, T61, &[0xe9, b' ', 0xff, 0x80]),
        one(CN, UTF8, &[0xff, 0xfe, b'a', 0xc3]),
        one(CN, IA5, &[0xff, b'x']),
        // Halves of pairs, and what is no character at all.
        one(CN, BMP, &[0xd8, 0x34, 0, b'a']),
        one(CN, UNIVERSAL, &[0, 0x11, 0, 0, 0, 0, 0, b'a']),
        one(CN, BIT, &[0, 0xa5, b'/']),
        one(CN, BIT, &[4, 0xa0]),
        one(CN, SEQUENCE, &element(UTF8, b"a")),
    ];
    for oid in [
        EMAIL,
        UID,
        DC,
        FAR,
        &[0x88, 0x37, 3],
        &[0x55, 4, 97],
        &[0x55, 0x1d, 0x11],
        &[0],
        &[0x27],
    ] {
        names.push(one(oid, UTF8, b"a,b"));
    }
    names.push(one(&[[0xff; 40].as_slice(), &[1]].concat(), UTF8, b"long"));
    let pair = |oid: &[u8], text: &str| (oid.to_vec(), UTF8, text.as_bytes().to_vec());
    names.push(vec![]);
    names.push(vec![vec![pair(CN, "a"), pair(UID, "b")]]);
    names.push(vec![
        vec![pair(DC, "org")],
        vec![pair(O, "Acme, Inc."), pair(OU, "x+y"), pair(UNKNOWN, "z")],
        vec![pair(CN, "b"), pair(EMAIL, "a@b.test")],
        vec![pair(CN, "c")],
    ]);
    names
}

#[test]
fn odd_names_are_written_as_openssl_writes_them_w_26() {
    let Some(program) = parts::find("openssl") else {
        return;
    };
    let names = [odd_texts(), odd_names()].concat();
    let mut read = 0;
    for pair in names.chunks(2) {
        let (subject, issuer) = (&pair[0], pair.last().unwrap());
        if agrees(&program, subject, issuer, &[1]) {
            read += 2;
        } else {
            // One of them may be what openssl does not read.
            read += usize::from(agrees(&program, subject, subject, &[1]));
            read += usize::from(agrees(&program, issuer, issuer, &[1]));
        }
    }
    assert!(read * 10 > names.len() * 9, "{read} of {}", names.len());
}

#[test]
fn any_name_is_written_as_openssl_writes_it_w_26() {
    let Some(program) = parts::find("openssl") else {
        return;
    };
    let oids = [CN, OU, O, EMAIL, UID, DC, UNKNOWN, FAR];
    let tags = [UTF8, PRINTABLE, T61, IA5, NUMERIC, BMP, UNIVERSAL];
    let attribute = (
        0..oids.len(),
        0..tags.len(),
        proptest::collection::vec(any::<u8>(), 0..12),
    )
        .prop_map(move |(oid, tag, mut value)| {
            // Whole characters only.
            value.truncate(value.len() / 4 * 4);
            (oids[oid].to_vec(), tags[tag], value)
        });
    let set = proptest::collection::vec(attribute, 1..3);
    let name = proptest::collection::vec(set, 0..4);
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[26; 32]);
    let mut runner = TestRunner::new_with_rng(crate::cases(1), rng);
    let mut read = 0;
    for _ in 0..50 {
        let subject = name.new_tree(&mut runner).unwrap().current();
        let issuer = name.new_tree(&mut runner).unwrap().current();
        read += usize::from(agrees(&program, &subject, &issuer, &[1]));
    }
    assert!(read > 15, "{read}");
}

#[test]
fn numbers_and_the_certificate_itself_are_written_as_openssl_writes_them() {
    let Some(program) = parts::find("openssl") else {
        return;
    };
    let name = one(CN, UTF8, b"a");
    for serial in [
        &[0][..],
        &[1],
        &[0x7f],
        &[0, 0x80],
        &[0, 0xff, 0],
        &[0x80],
        &[0xff],
        &[0xff, 0x7f],
        &[0x80, 0, 0],
        &[
            0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
        ],
    ] {
        assert!(agrees(&program, &name, &name, serial), "{serial:?}");
    }
    for length in (1..64).step_by(9) {
        let name = one(CN, UTF8, &vec![b'a'; length]);
        let der = certificate(&name, &name, &[1]);
        let pem = openssl(&program, &der, &[]);
        let escaped = escaped_pem(&der);
        assert!(
            escaped
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-%".contains(&b))
        );
        let back = escaped.replace("%0A", "\n").replace("%20", " ");
        let back = back
            .replace("%2B", "+")
            .replace("%2F", "/")
            .replace("%3D", "=");
        assert_eq!(back, pem);
    }
}

#[test]
fn no_bytes_stop_the_reader_and_what_it_writes_fits_into_a_header() {
    let bytes = proptest::collection::vec(any::<u8>(), 0..64);
    proptest::proptest!(crate::cases(4096), |(bytes in bytes, cut in 0usize..64, noise in any::<u8>())| {
        let mut der = name_der(&one(CN, UTF8, &bytes));
        let at = cut % der.len();
        der[at] = noise;
        for der in [der, bytes] {
            if let Ok(name) = DistinguishedName::parse(&der) {
                let texts = [name.rfc2253(), name.legacy()];
                let mut bytes = texts.iter().flat_map(|text| text.bytes());
                assert!(bytes.all(|b| matches!(b, b' '..=b'~')));
            }
        }
    });
}
