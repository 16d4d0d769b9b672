//! The path normaliser: what is canonical, what is refused, and that both are stable.

use portway::decision::path::Oddity;
use portway::decision::path::PathRefusal;
use portway::decision::path::Tolerance;
use portway::decision::path::normalise;
use proptest::prelude::*;

fn canonical(raw: &str) -> String {
    normalise(raw).unwrap().as_str().to_owned()
}

fn refusal(raw: &str) -> PathRefusal {
    match normalise(raw) {
        Ok(path) => panic!("{raw:?} gives {path:?}"),
        Err(refusal) => refusal,
    }
}

#[test]
fn an_honest_path_is_forwarded_byte_for_byte() {
    for path in [
        "/",
        "/app",
        "/app/",
        "/App/Main.HTML",
        "/.well-known/openid-configuration",
        "/a/...",
        "/a.b/..c/d..",
        "/wiki/Jos%C3%A9%20M",
        "/mail/bob%40example.com",
        "/mail/bob@example.com",
        "/matrix;v=1/x",
        "/a+b/c=d&e,f/$!*'()~:",
        "/100%25",
        "/100%25/x",
        "/list[0]|x",
        "/%E4%BD%A0%E5%A5%BD",
    ] {
        assert_eq!(canonical(path), path);
    }
}

#[test]
fn w_09_equal_spellings_become_one() {
    for (raw, expected) in [
        ("/%61dm", "/adm"),
        ("/%7euser/%2Dx%5f", "/~user/-x_"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("//adm///s//", "/adm/s/"),
        ("/pub/../adm", "/adm"),
        ("/pub/./../adm/.", "/adm/"),
        ("/pub/%2e%2e/adm", "/adm"),
        ("/pub/.%2E/adm", "/adm"),
        ("/pub//..//adm", "/adm"),
        ("/a/b/..", "/a/"),
        ("/a/..", "/"),
        ("/a/b/../../c", "/c"),
    ] {
        assert_eq!(canonical(raw), expected, "{raw}");
    }
}

#[test]
fn what_no_route_can_allow_is_refused() {
    use PathRefusal::*;
    for (raw, expected) in [
        ("", NotAbsolute),
        ("*", NotAbsolute),
        ("adm", NotAbsolute),
        ("http://app.test/", NotAbsolute),
        ("%2fadm", NotAbsolute),
        ("/%", MalformedEscape),
        ("/adm%", MalformedEscape),
        ("/%zz", MalformedEscape),
        ("/%4", MalformedEscape),
        ("/%+1", MalformedEscape),
        ("/%u002f", MalformedEscape),
        ("/%é", MalformedEscape),
        ("/%00", ControlCharacter),
        ("/adm%00.html", ControlCharacter),
        ("/%0d%0aX:%20y", ControlCharacter),
        ("/%7f", ControlCharacter),
        ("/%C2%85", ControlCharacter),
        ("/a b", Character(' ')),
        ("/a\0", Character('\0')),
        ("/a\tb", Character('\t')),
        ("/adm#x", Character('#')),
        ("/pub/#/../../adm", Character('#')),
        ("/adm?x", Character('?')),
        ("/pub/..\\adm", Character('\\')),
        ("/é", Character('é')),
        ("/pub/%c0%ae%c0%ae/adm", NotUtf8),
        ("/pub/..%c0%afadm", NotUtf8),
        ("/pub/..%e0%80%afadm", NotUtf8),
        ("/%f0%80%80%af", NotUtf8),
        ("/%c1%9c", NotUtf8),
        ("/%ff", NotUtf8),
        ("/%c3", NotUtf8),
        ("/%c3x%a9", NotUtf8),
        ("/%ed%a0%80", NotUtf8),
        ("/..", AboveRoot),
        ("/../adm", AboveRoot),
        ("/pub/../../adm", AboveRoot),
        ("/%2e%2e/adm", AboveRoot),
        ("/pub/..;/adm", HiddenDotSegment),
        ("/pub/..;x=1/adm", HiddenDotSegment),
        ("/pub/.;x/adm", HiddenDotSegment),
        ("/pub/%2e%2e;/adm", HiddenDotSegment),
        ("/pub/..%3b/adm", HiddenDotSegment),
        ("/pub/..%253b/adm", HiddenDotSegment),
        ("/pub/..%2fadm", HiddenDotSegment),
        ("/pub/..%5cadm", HiddenDotSegment),
        ("/pub%2f..%2fadm", HiddenDotSegment),
        ("/pub/%252e%252e/adm", HiddenDotSegment),
        ("/pub/%252e%252e%252fadm", HiddenDotSegment),
        ("/pub/%25%32%65%25%32%65/adm", HiddenDotSegment),
        ("/pub/%25252e%25252e/adm", HiddenDotSegment),
        ("/pub/%25u002e%25u002e/adm", HiddenDotSegment),
        ("/pub/%EF%BC%8E%EF%BC%8E/adm", HiddenDotSegment),
        ("/pub/..%EF%BC%8Fadm", HiddenDotSegment),
        ("/pub/..%3Fx", HiddenDotSegment),
        ("/pub/..%23x", HiddenDotSegment),
        ("/adm%2500", ControlCharacter),
        ("/pub/%25c0%25ae", NotUtf8),
    ] {
        assert_eq!(refusal(raw), expected, "{raw:?}");
    }
}

#[test]
fn endless_encoding_is_refused_and_not_unrolled() {
    let deep = format!("/adm%{}2f", "25".repeat(40));
    assert_eq!(refusal(&deep), PathRefusal::TooManyReadings);
}

#[test]
fn odd_spellings_are_told_by_name() {
    for (raw, odd) in [
        ("/a%2fb", Oddity::EncodedSlash),
        ("/a%5Cb", Oddity::EncodedBackslash),
        ("/a%23b", Oddity::EncodedHash),
        ("/a%252fb", Oddity::DoubleEncoding),
        ("/a%25%32%46b", Oddity::DoubleEncoding),
        ("/a%25u002fb", Oddity::DoubleEncoding),
    ] {
        assert_eq!(
            normalise(raw).unwrap().oddities(),
            Tolerance::none().with(odd),
            "{raw}"
        );
    }
    for (name, odd) in Oddity::NAMES.into_iter().zip(Oddity::ALL) {
        assert_eq!(Oddity::parse(name), Some(odd));
        assert_eq!(odd.name(), name);
    }
    assert_eq!(Oddity::parse("encoded_dot"), None);
}

#[test]
fn a_tolerance_allows_what_it_names_and_nothing_else() {
    let tolerance = Tolerance::none().with(Oddity::EncodedSlash);
    for odd in Oddity::ALL {
        assert!(!Tolerance::default().allows(odd));
        assert_eq!(tolerance.allows(odd), odd == Oddity::EncodedSlash);
    }
}

#[test]
fn a_plain_path_has_one_reading_and_an_odd_one_has_all_of_them() {
    let readings = |raw| {
        normalise(raw)
            .unwrap()
            .readings()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(readings("/Adm/x"), ["/Adm/x"]);
    assert_eq!(readings("/bob%40x"), ["/bob@x"]);
    assert_eq!(readings("/adm;x=1/s"), ["/adm;x=1/s", "/adm/s"]);
    assert_eq!(readings("/adm%3Fpub"), ["/adm%3Fpub", "/adm"]);
    let double = readings("/pub%253Bx%255Cadm");
    assert!(double.contains(&"/pub;x/adm".to_owned()), "{double:?}");
    assert!(double.contains(&"/pub/adm".to_owned()), "{double:?}");
}

/// Pieces that paths are probed with.
pub(crate) fn fragment() -> impl Strategy<Value = &'static str> {
    prop::sample::select(
        &[
            "/",
            "/",
            "/",
            "adm",
            "ADM",
            "Adm",
            "pub",
            "s",
            "x",
            ".",
            "..",
            "%2e",
            "%2E%2e",
            "%252e",
            "%25",
            "%",
            "%2f",
            "%2F",
            "%252f",
            "%25252f",
            "%5c",
            "\\",
            "%255C",
            ";",
            ";v=1",
            "%3b",
            "%253B",
            "#",
            "%23",
            "%2523",
            "?",
            "%3f",
            "%253F",
            "%00",
            "%61",
            "%41dm",
            "%2561dm",
            "25",
            "2f",
            "%c0%ae",
            "%c3%a9",
            "%C3%89",
            "%EF%BC%8F",
            "%EF%BD%81dm",
            "%25EF%25BC%258F",
            "%u002f",
            "%25u002f",
            "%20",
            "~",
            "*",
            "@",
            "%40",
            "é",
            " ",
        ][..],
    )
}

/// Paths of pieces, and disguises of `/adm/s`.
pub(crate) fn probe() -> impl Strategy<Value = String> {
    let pieces =
        prop::collection::vec(fragment(), 0..10).prop_map(|parts| format!("/{}", parts.concat()));
    prop_oneof![pieces, disguise()]
}

fn disguise() -> impl Strategy<Value = String> {
    let way = prop::sample::select(
        &[
            "/",
            "/",
            "/",
            "//",
            "/./",
            "/pub/../",
            "/pub/%2e%2e/",
            "/pub/..%2f",
            "/;v/",
            "/%2f",
            "/%5c",
            "/pub/..;/",
            "/%EF%BC%8F",
        ][..],
    );
    let letter = |plain: char| {
        let byte = u32::from(plain);
        prop::sample::select(vec![
            plain.to_string(),
            plain.to_string(),
            plain.to_string(),
            plain.to_string(),
            plain.to_string(),
            plain.to_ascii_uppercase().to_string(),
            format!("%{byte:02x}"),
            format!("%25{byte:02X}"),
            format!("%25u{byte:04x}"),
        ])
    };
    let end = prop::sample::select(
        &[
            "",
            "/s",
            "%2fs",
            "%2Fs",
            "%5cs",
            "%252fs",
            "%255Cs",
            "%EF%BC%8Fs",
            ";v",
            ";v/s",
            "%3bv/s",
            "%253Bv",
            "%3f",
            "%3fx/s",
            "%253F",
            "%23",
            "%2523x",
        ][..],
    );
    (way, letter('a'), letter('d'), letter('m'), end)
        .prop_map(|(way, a, d, m, end)| [way, &a, &d, &m, end].concat())
}

proptest! {
    #![proptest_config(super::cases(4096))]

    #[test]
    fn the_forwarded_bytes_normalise_to_themselves(raw in probe()) {
        if let Ok(path) = normalise(&raw) {
            let again = normalise(path.as_str()).unwrap();
            prop_assert_eq!(&again, &path);
        }
    }

    #[test]
    fn no_text_makes_the_normaliser_fail(raw in ".*") {
        if let Ok(path) = normalise(&raw) {
            prop_assert!(path.as_str().starts_with('/'));
            prop_assert!(path.as_str().bytes().all(|b| b.is_ascii_graphic()));
            prop_assert!(!path.as_str().contains("//"));
            prop_assert!(path.as_str().split('/').all(|segment| segment != "." && segment != ".."));
        }
    }

    #[test]
    fn every_utf8_name_can_be_forwarded_escaped(name in "[^\\p{Cc}./\\\\#?;%\u{FF01}-\u{FF5E}]{1,12}") {
        let escaped: String = name.bytes().map(|b| format!("%{b:02x}")).collect();
        let path = format!("/files/{escaped}");
        prop_assert!(normalise(&path).is_ok(), "{}", path);
    }
}
