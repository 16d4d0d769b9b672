//! Paths that one server takes for a public page and the next for the administrator's (threats.md
//! §1.2): whatever arrives at an upstream must not be the closed page under any reading.
//!
//! More than a hundred hosts and a hundred routes are configured, because tables that are searched
//! otherwise when they are long have been less careful then.

use std::collections::BTreeSet;

use crate::browser::Browser;
use crate::frames::H2;
use crate::frames::get;
use crate::rig::Difference;
use crate::rig::Gateway;
use crate::wire::mark;

/// Spellings of `/adm`, after a prefix that is open to whoever tries.
const CLIMBS: &[&str] = &[
    "PUB/../adm",
    "PUB/./../adm",
    "PUB/x/../../adm",
    "PUB/..//adm",
    "PUB//../adm",
    "PUB/../adm/",
    "PUB/%2e%2e/adm",
    "PUB/%2E%2E/adm",
    "PUB/.%2e/adm",
    "PUB/%2e./adm",
    "PUB/%2e%2e%2fadm",
    "PUB/..%2fadm",
    "PUB/..%2Fadm",
    "PUB%2f..%2fadm",
    "PUB%2f../adm",
    "PUB/..%5cadm",
    "PUB/..%5Cadm",
    "PUB/..\\adm",
    "PUB\\..\\adm",
    "PUB/%5c../adm",
    "PUB%5c..%5cadm",
    "PUB/..%255cadm",
    "PUB/%252e%252e/adm",
    "PUB/..%252fadm",
    "PUB/%252e%252e%252fadm",
    "PUB/%25252e%25252e%25252fadm",
    "PUB/%25%32%65%25%32%65/adm",
    "PUB/%%32%65%%32%65/adm",
    "PUB/..%c0%afadm",
    "PUB/%c0%ae%c0%ae/adm",
    "PUB/..%e0%80%afadm",
    "PUB/..%c1%9cadm",
    "PUB/%f0%80%80%af../adm",
    "PUB/..%ef%bc%8fadm",
    "PUB/%ef%bc%8e%ef%bc%8e/adm",
    "PUB/%u002e%u002e/adm",
    "PUB/..%u2215adm",
    "PUB/..%u002fadm",
    "PUB/..;/adm",
    "PUB/..;x=1/adm",
    "PUB/..%3b/adm",
    "PUB/..%3bx/adm",
    "PUB/.;/../adm",
    "PUB/;/../adm",
    "PUB;/../adm",
    "PUB;x/..;y/adm",
    "PUB/%2e%2e;/adm",
    "PUB/..%00/adm",
    "PUB/..%0d/adm",
    "PUB/..%0a/adm",
    "PUB/..%09/adm",
    "PUB/..%20/adm",
    "PUB/%20../adm",
    "PUB/.. /adm",
    "PUB/..%a0/adm",
    "PUB/...//adm",
    "PUB/....//adm",
    "PUB/..././adm",
    "PUB/..\\/adm",
    "PUB/../../adm",
    "PUB/../../../../adm",
    "PUB/#/../../adm",
    "PUB/%23/../../adm",
    "PUB/..%23/adm",
    "PUB/?/../../adm",
    "PUB/%3f/../../adm",
    "PUB/..?/adm",
    "PUB%23/../adm",
    "PUB%3f/../adm",
    "PUB%00/../adm",
    "PUB/~/../../adm",
    "PUB/%7e/../../adm",
    "PUB/*/../../adm",
    "PUB/%2a/../../adm",
    "PUB//../../adm",
    "PUB/a%2f..%2f..%2fadm",
    "PUB/a/..%2f../adm",
    "PUB/a/%2e%2e%2f%2e%2e%2fadm",
    "PUB../adm",
    "PUBx/../adm",
    "PUB/.%00./adm",
    "PUB/.%0d./adm",
    "PUB/.;x/..;y/adm",
];

/// Spellings of `/adm` from the root.
const SPELLINGS: &[&str] = &[
    "/adm",
    "/adm/",
    "/adm/s",
    "//adm",
    "///adm",
    "/./adm",
    "/x/../adm",
    "/ADM",
    "/Adm",
    "/aDm/s",
    "/%61dm",
    "/%61%64%6d",
    "/%41DM",
    "/a%64m/",
    "/%2561dm",
    "/%25%36%31dm",
    "/adm;x=1",
    "/adm;x=1/s",
    "/adm;",
    "/adm/;x/s",
    "/adm/s;.wadl",
    "/adm/s?WSDL",
    "/adm/s.wadl",
    "/adm%3bx",
    "/adm%3Bx=1/s",
    "/adm?x=/pub/",
    "/adm?/pub",
    "/adm/?pub",
    "/adm#x",
    "/adm#/pub",
    "/adm%23pub",
    "/adm%3fpub",
    "/adm%3F/../pub",
    "/adm%00",
    "/adm%00.html",
    "/adm%0a",
    "/adm%0d%0a",
    "/adm%09",
    "/adm%20",
    "/adm ",
    "/adm%",
    "/adm%2",
    "/adm%zz",
    "/adm%u0020",
    "/adm/*",
    "/adm/%2a",
    "/adm/.",
    "/adm/./s",
    "/adm/..;/adm",
    "/adm/../adm",
    "/adm.",
    "/adm...",
    "/adm./s",
    "/adm%2e",
    "/adm%20.",
    "/adm.%20/s",
    "/%20adm",
    "/pub/..%20%20/adm",
    "/adm%20;x",
    "/adm%2f",
    "/adm%2fs",
    "/adm%2Fs",
    "/adm%5c",
    "/adm%5cs",
    "/adm\\",
    "/adm\\s",
    "\\adm",
    "/\\adm",
    "/%5cadm",
    "/%2fadm",
    "%2fadm",
    "/%2f/adm",
    "/;/adm",
    "/;x/adm",
    "/.;/adm",
    "/..;/adm",
    "/%2e/adm",
    "/%252fadm",
    "/%c0%afadm",
    "/ad%c1%ad",
    "/%ef%bd%81dm",
    "/adm/\u{131}",
    "/%EF%BC%A1DM",
    "/a%cc%80dm/../adm",
    "/adm%c2%a0",
    "/adm%e2%80%8b",
    "/filler1/../adm",
    "/filler1%2f..%2fadm",
    "/FILLER1/..;/adm",
    "/.portway/../adm",
    "/.portway/..%2fadm",
    "/.portway/..;/adm",
    "http://app.test/adm",
    "http://app.test//adm",
    "https://app.test/pub/../adm",
    "HTTP://app.test/adm",
    "http://app.test/pub/..%2fadm",
];

/// Every path a server may take a target for, decoded up to four times.
fn readings(target: &str) -> BTreeSet<String> {
    let path = target.split('?').next().unwrap_or_default();
    let path = path
        .split_once("://")
        .map_or(path, |(_, rest)| &rest[rest.find('/').unwrap_or(0)..]);
    let mut all = BTreeSet::from([path.to_owned()]);
    for _ in 0..4 {
        let mut more = BTreeSet::new();
        for text in &all {
            more.insert(decoded(text));
            more.insert(text.replace('\\', "/"));
            more.insert(without_parameters(text));
            more.insert(resolved(text));
            more.insert(text.to_lowercase());
            for end in ['?', '#', '\0'] {
                more.insert(text.split(end).next().unwrap_or_default().to_owned());
            }
        }
        let before = all.len();
        all.append(&mut more);
        if all.len() == before || all.len() > 5000 {
            break;
        }
    }
    all
}

/// Decodes escapes, overlong and full-width forms into what sloppy servers make of them.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = |hex: &[u8]| {
            let digits = hex.iter().all(u8::is_ascii_hexdigit);
            let text = std::str::from_utf8(hex).ok().filter(|_| digits)?;
            u32::from_str_radix(text, 16).ok()
        };
        let plain = tail.get(..2).and_then(hex);
        let wide = tail
            .get(..5)
            .filter(|t| matches!(t[0], b'u' | b'U'))
            .and_then(|t| hex(&t[1..]));
        match (first, plain, wide) {
            (b'%', Some(byte), _) => {
                bytes.push(u8::try_from(byte).unwrap());
                rest = &tail[2..];
            }
            (b'%', None, Some(c)) => {
                let c = char::from_u32(c).unwrap_or('?');
                bytes.extend_from_slice(c.to_string().as_bytes());
                rest = &tail[5..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    narrowed(&overlong(&bytes))
}

/// Reads UTF-8 sequences without checking that they are the shortest.
fn overlong(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        let (length, start) = match first {
            0xc0..=0xdf => (1, u32::from(first & 0x1f)),
            0xe0..=0xef => (2, u32::from(first & 0x0f)),
            0xf0..=0xf7 => (3, u32::from(first & 0x07)),
            _ => (0, u32::from(*first)),
        };
        let more = tail
            .get(..length)
            .filter(|more| more.iter().all(|b| b & 0xc0 == 0x80));
        let (code, length) = match more {
            Some(more) => (
                more.iter()
                    .fold(start, |code, b| code << 6 | u32::from(b & 0x3f)),
                length,
            ),
            None => (u32::from(*first), 0),
        };
        text.push(char::from_u32(code).unwrap_or('\u{fffd}'));
        rest = &tail[length..];
    }
    text
}

fn narrowed(text: &str) -> String {
    let narrow = |c: char| match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        '\u{2215}' | '\u{2044}' => '/',
        _ => c,
    };
    text.chars().map(narrow).collect()
}

fn without_parameters(text: &str) -> String {
    let names = text
        .split('/')
        .map(|segment| segment.split(';').next().unwrap_or_default());
    names.collect::<Vec<_>>().join("/")
}

fn resolved(text: &str) -> String {
    let mut out: Vec<&str> = Vec::new();
    for segment in text.split('/') {
        match segment.trim_matches([' ', '\t', '\0', '\r', '\n']) {
            "" | "." => {}
            ".." => {
                out.pop();
            }
            _ => out.push(segment),
        }
    }
    format!("/{}", out.join("/"))
}

fn is_admins(target: &str) -> bool {
    readings(target).iter().any(|reading| {
        let first = resolved(reading);
        let first = first.split('/').nth(1).unwrap_or_default();
        first
            .trim_matches([' ', '\t', '.'])
            .eq_ignore_ascii_case("adm")
    })
}

#[test]
fn the_judge_of_these_tests_knows_the_readings() {
    for target in [
        "/adm",
        "/ADM/x",
        "/pub/..%2fadm",
        "/pub/%252e%252e/adm",
        "/pub/..;/adm",
        "/pub/..%c0%afadm",
        "/adm;x",
        "/pub/..\\adm",
        "/%61dm?x",
        "/pub/%u002e%u002e/adm",
        "/adm%00.html",
        "/%EF%BC%A1DM",
    ] {
        assert!(is_admins(target), "{target}");
    }
    for target in [
        "/pub",
        "/pub/adm",
        "/administrator",
        "/pub?/adm",
        "/x/adm/../y",
    ] {
        assert!(!is_admins(target), "{target}");
    }
}

fn attacks() -> Vec<String> {
    let prefixes = ["/pub", "/open", "/x"];
    let climbs = CLIMBS
        .iter()
        .flat_map(|climb| prefixes.map(|prefix| climb.replacen("PUB", prefix, 1)));
    climbs
        .chain(SPELLINGS.iter().map(|s| (*s).to_owned()))
        .collect()
}

/// Sends every attack, and fails with all that arrived as the closed page, or by an answer that a
/// refusal does not have.
fn assert_none_arrives(cookies: &str) {
    let gateway = Gateway::shared();
    let mut faults = Vec::new();
    let mut wire = None;
    for attack in attacks() {
        let mark = mark();
        let joint = if attack.contains('?') { '&' } else { '?' };
        let target = match attack.split_once('#') {
            Some((path, rest)) => format!("{path}?m={mark}#{rest}"),
            None => format!("{attack}{joint}m={mark}"),
        };
        let mut open = wire.take().unwrap_or_else(|| gateway.tls("app.test"));
        let mut request = format!("GET {target} HTTP/1.1\r\nHost: app.test\r\n").into_bytes();
        request.extend_from_slice(format!("{cookies}X-Mark: {mark}\r\n\r\n").as_bytes());
        let answer = open.ask(request);
        wire = (answer.header("connection") == Some("keep-alive")).then_some(open);
        for seen in gateway.upstream.requests(&mark) {
            if is_admins(seen.target()) {
                faults.push(format!("{target} arrived as {}", seen.target()));
            }
        }
        if answer.status >= 500 {
            faults.push(format!("{target}: {answer:?}"));
        }
    }
    assert!(
        faults.is_empty(),
        "{} of {}: {faults:#?}",
        faults.len(),
        attacks().len()
    );
}

#[test]
fn nobody_reaches_a_closed_page_by_spelling_it_oddly() {
    assert_none_arrives("");
}

#[test]
fn a_user_without_the_right_reaches_no_closed_page_by_spelling_it_oddly() {
    let gateway = Gateway::shared();
    let cookies = Browser::signed_in(&gateway, "bob").cookies("app.test");
    assert_none_arrives(&cookies);
}

#[test]
fn the_spellings_do_not_work_over_http_2_either() {
    let gateway = Gateway::shared();
    let cookies = Browser::signed_in(&gateway, "bob").cookies("app.test");
    let cookie = cookies.trim_start_matches("Cookie: ").trim_end();
    let mut h2 = H2::connect(&gateway, "app.test");
    let mut faults = Vec::new();
    for attack in attacks() {
        let mark = mark();
        let mut fields = get("app.test", &attack);
        fields.push((b"cookie", cookie.as_bytes()));
        fields.push((b"x-mark", mark.as_bytes()));
        let outcome = h2.ask(&fields, None);
        if !matches!(outcome, crate::frames::Outcome::Answer(..)) {
            h2 = H2::connect(&gateway, "app.test");
        }
        for seen in gateway.upstream.requests(&mark) {
            if is_admins(seen.target()) {
                faults.push(format!("{attack} arrived as {}", seen.target()));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn a_target_that_is_malformed_is_refused_with_400() {
    let gateway = Gateway::shared();
    for target in [
        "/%",
        "/%2",
        "/%zz",
        "/pub/%",
        "/pub%00",
        "/pub/%0d%0a",
        "/pub/%c0%ae",
        "/pub/..%2f",
        "/pub%5cx",
        "/pub/..;/x",
        "/pub/%ff",
        "/../..",
        "/pub/%252e%252e/x",
        "/adm#x",
        "/pub\\x",
    ] {
        let mark = mark();
        let answer = gateway.tls("app.test").ask(format!(
            "GET {target} HTTP/1.1\r\nHost: app.test\r\nX-Mark: {mark}\r\n\r\n"
        ));
        assert_eq!(answer.status, 400, "{target}: {answer:?}");
        assert!(!gateway.upstream.saw(&mark), "{target}");
    }
}

#[test]
fn a_pattern_of_an_open_route_is_held_against_the_path_alone_cve_2025_54576() {
    let gateway = Gateway::start(&Difference {
        hosts: "  - host: third.test
    public_port: 443
    routes:
      - { regex: \"^/pub/\", access: excluded, pool: app }
      - { regex: \"/assets/.*[.]css\", access: excluded, pool: app }
      - { glob: \"/files/*/open\", access: excluded, pool: app }
      - { path: /, access: protected, policy: admins, pool: app }
",
        ..Difference::default()
    });
    let ask = |target: &str| {
        let mark = mark();
        let answer = gateway.tls("third.test").ask(format!(
            "GET {target} HTTP/1.1\r\nHost: third.test\r\nX-Mark: {mark}\r\n\r\n"
        ));
        (answer, gateway.upstream.saw(&mark))
    };
    for target in [
        "/adm?x=/pub/",
        "/adm?/pub/",
        "/adm/?/assets/x.css",
        "/adm?/files/x/open",
        "/adm#/pub/",
        "/adm%23/pub/",
        "/adm%3f/pub/",
        "/adm%3Fx=/pub/x",
        "/adm/pub/",
        "/adm/pub/x.css",
        "/adm/assets/x.css",
        "/adm;/pub/",
        "/pub/../adm",
        "/assets/../adm/x.css",
        "/assets/x.css/../../adm",
        "/files/*",
        "/files/*/adm",
        "/files/../adm/open",
        "/files/..%2fadm/open",
        "/files/a/b/open",
        "/files/a%2fb/open",
        "/files/x/open/../../../adm",
        "/*",
        "/adm/*",
        "/adm/*/open",
        "/*/x/open",
        "/%2a/x/open",
    ] {
        let (answer, is_there) = ask(target);
        assert!((300..500).contains(&answer.status), "{target}: {answer:?}");
        assert!(!is_there, "{target} arrived");
    }
    for target in [
        "/pub/x?y=/adm",
        "/assets/a/x.css?/adm",
        "/files/x/open?*",
        "/files/*/open",
    ] {
        let (answer, is_there) = ask(target);
        assert_eq!((answer.status, is_there), (200, true), "{target}");
    }
}

#[test]
fn an_honest_target_arrives_byte_for_byte() {
    let gateway = Gateway::shared();
    let mut h2 = H2::connect(&gateway, "app.test");
    for target in [
        "/pub",
        "/pub/",
        "/pub/a/b/c",
        "/pub/a%20b",
        "/pub/%C3%A9t%C3%A9",
        "/pub/a+b",
        "/pub/a,b",
        "/pub/a:b@c",
        "/pub/!$&'()*+,=",
        "/pub/~user",
        "/pub/a.b/..c/...",
        "/pub/a;b=c",
        "/pub/%5B1%5D",
        "/pub/100%25",
        "/pub/adm",
        "/pub/%E2%82%AC",
        "/pub/file.tar.gz",
        "/pub/_-.~",
        "/pub?",
        "/pub?a=b&c=d",
        "/pub?x=/adm/../..",
        "/pub?x=%2e%2e%2fadm",
        "/pub?a=%00%0d%0a",
        "/pub?a;b;c",
        "/pub?a=b?c=d",
        "/pub?%zz",
        "/pub?\\\\x",
        "/pub/?q=a%20b+c",
        "/pub?url=https://third.test/?a=b",
        "/pub?[x]={y}|z^w`",
    ] {
        let mark = mark();
        let answer = gateway.tls("app.test").ask(format!(
            "GET {target} HTTP/1.1\r\nHost: app.test\r\nX-Mark: {mark}\r\n\r\n"
        ));
        assert_eq!(answer.status, 200, "{target}: {answer:?}");
        assert_eq!(gateway.upstream.one(&mark).target(), target);
        let mark = self::mark();
        let mut fields = get("app.test", target);
        fields.push((b"x-mark", mark.as_bytes()));
        h2.ask(&fields, None);
        assert_eq!(gateway.upstream.one(&mark).target(), target, "over h2");
    }
    // An address as a whole is a path to the upstream, whose own reading of the host is not asked for.
    let mark = mark();
    let request = format!("GET http://app.test/pub/{mark}?a=b HTTP/1.1\r\nHost: app.test\r\n\r\n");
    assert_eq!(gateway.tls("app.test").ask(request).status, 200);
    assert_eq!(
        gateway.upstream.one(&mark).target(),
        format!("/pub/{mark}?a=b")
    );
}

#[test]
fn a_space_in_a_target_is_refused_on_every_request_of_a_connection() {
    let gateway = Gateway::shared();
    for target in [
        "/pub/a b",
        "/pub?a b",
        "/adm /pub",
        "/pub/.. /adm",
        "/pub HTTP/1.1 /adm",
        " /pub",
        "/pub ",
    ] {
        let mark = mark();
        let mut wire = gateway.tls("app.test");
        let good = wire.ask(format!(
            "GET /pub/{mark}/first HTTP/1.1\r\nHost: app.test\r\n\r\n"
        ));
        assert_eq!(good.status, 200, "{good:?}");
        let answer = wire.ask(format!(
            "GET {target} HTTP/1.1\r\nHost: app.test\r\nX-Mark: {mark}second\r\n\r\n"
        ));
        assert_eq!(answer.status, 400, "{target}: {answer:?}");
        assert!(!gateway.upstream.saw(&format!("{mark}second")), "{target}");
    }
}
