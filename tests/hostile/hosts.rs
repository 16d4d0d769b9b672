//! Hosts that are spelled oddly, are not served, or are named twice (threats.md §1.2): the policy is
//! that of one served host, and what the client wrote comes back nowhere.

use crate::browser::Browser;
use crate::frames::Field;
use crate::frames::H2;
use crate::frames::Outcome;
use crate::rig::Difference;
use crate::rig::Gateway;
use crate::wire::Answer;
use crate::wire::mark;

fn ask(gateway: &Gateway, host_lines: &str, more: &str) -> (Answer, String) {
    let mark = mark();
    let request =
        format!("GET /adm/{mark} HTTP/1.1\r\n{host_lines}Accept: text/html\r\n{more}\r\n");
    (gateway.tls("app.test").ask(request), mark)
}

#[test]
fn another_spelling_of_a_host_has_the_same_policy() {
    let gateway = Gateway::shared();
    let bob = Browser::signed_in(&gateway, "bob").cookies("app.test");
    let carol = Browser::signed_in(&gateway, "carol").cookies("app.test");
    for host in [
        "app.test",
        "APP.TEST",
        "App.Test",
        "app.test.",
        "app.test:443",
        "APP.TEST.:443",
        "app.test:8443",
        "app.test:1",
    ] {
        let line = format!("Host: {host}\r\n");
        let (answer, mark) = ask(&gateway, &line, "");
        assert_eq!(answer.status, 303, "{host}: {answer:?}");
        let location = answer.header("location").unwrap();
        assert!(
            location.starts_with("https://login.test/"),
            "{host}: {location}"
        );
        assert!(!gateway.upstream.saw(&mark), "{host}");
        let (answer, mark) = ask(&gateway, &line, &bob);
        assert_eq!(answer.status, 403, "{host}: {answer:?}");
        assert!(!gateway.upstream.saw(&mark), "{host}");
        let (answer, mark) = ask(&gateway, &line, &carol);
        assert_eq!(answer.status, 200, "{host}: {answer:?}");
        let seen = gateway.upstream.one(&mark);
        let sent = seen.all("host").join("|");
        assert!(
            sent == "app.test" || sent.starts_with("app.test:"),
            "{host}: {sent}"
        );
        assert_eq!(seen.all("x-forwarded-host"), ["app.test"], "{host}");
    }
}

/// Hosts that are not served, whatever a lenient reader makes of them.
const ODD: &[&str] = &[
    "evil.test",
    "app.test.evil.test",
    "evilapp.test",
    "app.test@evil.test",
    "evil.test@app.test",
    "app.test evil.test",
    "app.test, evil.test",
    "app.test,evil.test",
    "app.test/evil",
    "app.test\\evil",
    "app.test#evil",
    "app.test?evil",
    "evil.test:443",
    "evil.test:app.test",
    "app.test:80:80",
    "app.test:",
    "app.test:-1",
    "app.test:+443",
    "app.test:99999",
    "app.test:0x1bb",
    "app.test:443evil",
    "app.test:443@evil.test",
    "app.test\tevil",
    "app.test;evil",
    "app.test%00.evil.test",
    "app%2etest",
    "app.test%2eevil",
    "*.test",
    "*",
    ".",
    "..",
    ".app.test",
    "app..test",
    "app.test..",
    "app.test...",
    "-app.test",
    "[::1]",
    "[app.test]",
    "[::1",
    "::1",
    "127.0.0.1",
    "localhost",
    "2130706433",
    "0",
    "http://app.test",
    "//app.test",
    "https://app.test/",
    "app.test\u{3002}evil",
    "\u{ff41}pp.test",
    "app\u{ad}.test",
    "xn--app.test",
    "app_.test",
    "'app.test'",
    "\"app.test\"",
    "<script>alert(1)</script>",
    "app.test\u{e9}",
    "$host",
    "${HOST}",
    "app.test}",
    "login.test.evil.test",
    "h0.test.evil.test",
];

#[test]
fn a_host_that_is_not_served_is_refused_and_never_repeated() {
    let gateway = Gateway::shared();
    let carol = Browser::signed_in(&gateway, "carol").cookies("app.test");
    let long = format!("{}.test", "a".repeat(300));
    let odd = ODD.iter().copied().chain([long.as_str()]);
    let mut faults = Vec::new();
    for host in odd {
        for cookies in ["", &carol] {
            let (answer, mark) = ask(&gateway, &format!("Host: {host}\r\n"), cookies);
            let refused = matches!(answer.status, 400 | 421 | 431);
            if !refused || gateway.upstream.saw(&mark) || !answer.all("set-cookie").is_empty() {
                faults.push(format!("{host:?}: {answer:?}"));
            }
            if answer.header("location").is_some() || answer.text().contains("evil") {
                faults.push(format!("{host:?} is repeated: {answer:?}"));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn a_request_names_one_host() {
    let gateway = Gateway::shared();
    for lines in [
        "",
        "Host:\r\n",
        "Host: \r\n",
        "Host: app.test\r\nHost: app.test\r\n",
        "Host: app.test\r\nHost: other.test\r\n",
        "Host: evil.test\r\nHost: app.test\r\n",
        "Host: app.test\r\nhost: evil.test\r\n",
        "Host: app.test\r\n Host: evil.test\r\n",
        "Host : app.test\r\n",
        "Host\t: app.test\r\n",
        "Host: app.test\r\nHost : evil.test\r\n",
        "X-Host: app.test\r\n",
        " Host: app.test\r\n",
        "Host: app.test\0\r\n",
        "Host: app.test\rHost: evil.test\r\n",
        ":authority: app.test\r\n",
    ] {
        let (answer, mark) = ask(&gateway, lines, "");
        assert_eq!(answer.status, 400, "{lines:?}: {answer:?}");
        assert!(!gateway.upstream.saw(&mark), "{lines:?}");
    }
    // Names that a server behind folds into `Host` are not the second one.
    for name in [
        "X-Forwarded-Host",
        "X_Forwarded_Host",
        "X-Host",
        "HTTP_HOST",
        "Host_",
    ] {
        let mark = mark();
        let answer = gateway.tls("app.test").ask(format!(
            "GET /pub/{mark} HTTP/1.1\r\nHost: app.test\r\n{name}: evil{mark}\r\n\r\n"
        ));
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
        assert!(!gateway.upstream.saw(&format!("evil{mark}")), "{name}");
    }
}

#[test]
fn over_http_2_authority_and_host_agree() {
    let gateway = Gateway::shared();
    let base: [Field<'_>; 3] = [
        (b":method", b"GET"),
        (b":scheme", b"https"),
        (b":path", b"/pub/h2hosts"),
    ];
    let ask = |more: &[Field<'_>]| {
        let mark = mark();
        let mut fields = base.to_vec();
        fields.extend_from_slice(more);
        fields.push((b"x-mark", mark.as_bytes()));
        let outcome = H2::connect(&gateway, "app.test").ask(&fields, None);
        (outcome, gateway.upstream.requests(&mark))
    };
    let refused: &[&[Field<'_>]] = &[
        &[(b":authority", b"app.test"), (b"host", b"evil.test")],
        &[(b":authority", b"evil.test"), (b"host", b"app.test")],
        &[(b":authority", b"app.test"), (b"host", b"other.test")],
        &[
            (b":authority", b"app.test"),
            (b"host", b"app.test"),
            (b"host", b"evil.test"),
        ],
        &[(b":authority", b"app.test"), (b":authority", b"evil.test")],
        &[(b":authority", b"evil.test")],
        &[(b":authority", b"")],
        &[(b":authority", b"app.test@evil.test")],
        &[(b":authority", b"evil.test@app.test")],
        &[(b":authority", b"app.test/evil")],
        &[(b":authority", b"app.test evil.test")],
        &[(b":authority", b"app.test:80:80")],
        &[(b":authority", b"app.test\\evil")],
        &[(b":authority", b"app.test,evil.test")],
        &[(b":authority", b"app.test\0")],
        &[(b":authority", b"app.test\r\nHost: evil.test")],
        &[(b"host", b"evil.test")],
        &[],
    ];
    for fields in refused {
        let (outcome, seen) = ask(fields);
        let fields: Vec<_> = fields
            .iter()
            .map(|(n, v)| (String::from_utf8_lossy(n), String::from_utf8_lossy(v)))
            .collect();
        assert!(outcome.is_refusal(), "{fields:?}: {outcome:?}");
        assert!(seen.is_empty(), "{fields:?}: {seen:?}");
    }
    let served: &[&[Field<'_>]] = &[
        &[(b":authority", b"app.test")],
        &[(b":authority", b"APP.TEST")],
        &[(b":authority", b"app.test:443")],
        &[(b":authority", b"app.test"), (b"host", b"app.test")],
    ];
    for fields in served {
        let (outcome, seen) = ask(fields);
        assert!(
            matches!(outcome, Outcome::Answer(200, _)),
            "{fields:?}: {outcome:?}"
        );
        assert_eq!(seen[0].all("host").len(), 1, "{}", seen[0].head);
        assert_eq!(seen[0].all("x-forwarded-host"), ["app.test"]);
    }
}

#[test]
fn a_server_name_opens_no_other_host() {
    let gateway = Gateway::shared();
    let alice = Browser::signed_in(&gateway, "alice").cookies("app.test");
    for name in ["other.test", "login.test", "third.test", "app.test"] {
        for host in ["app.test", "other.test", "h1.test"] {
            let mark = mark();
            let mut wire = crate::wire::Wire::tls(gateway.https, name, &[b"http/1.1"]);
            let answer = wire.ask(format!(
                "GET /adm/{mark} HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\n{alice}\r\n"
            ));
            // alice is no admin, and her cookie is for one host only.
            assert!(
                matches!(answer.status, 303 | 403 | 421),
                "{name} {host}: {answer:?}"
            );
            assert!(!gateway.upstream.saw(&mark), "{name} {host}");
        }
    }
}

#[test]
fn what_a_node_tells_of_itself_is_told_to_nobody_by_a_public_listener_cve_2022_24797() {
    let gateway = Gateway::start(&Difference {
        sections: "ops: { bind: \"127.0.0.1:0\" }\n",
        ..Difference::default()
    });
    for host in ["app.test", "other.test", "login.test"] {
        for path in [
            "/metrics",
            "/livez",
            "/readyz",
            "/healthz",
            "/ping",
            "/status",
            "/stats",
            "/config",
            "/sessions",
            "/pools",
            "/debug/pprof/",
            "/debug/vars",
            "/api/rawdata",
            "/server-status",
            "/userinfo",
            "/oauth2/userinfo",
            "/.pomerium/api/v1/routes",
            "/.portway/metrics",
            "/.portway/status",
            "/.portway/sessions",
            "/.portway/userinfo",
            "/portway/1/open",
            "/portway/1/gate",
        ] {
            let answer = gateway
                .tls(host)
                .ask(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
            assert!(
                (300..500).contains(&answer.status),
                "{host}{path}: {answer:?}"
            );
            assert!(
                !answer.text().contains("portway_"),
                "{host}{path}: {answer:?}"
            );
        }
    }
}

#[test]
fn a_redirect_to_https_goes_to_the_served_host_only() {
    let gateway = Gateway::shared();
    for (host, target) in [
        ("app.test", "/x"),
        ("app.test:1", "/x"),
        ("APP.test.", "/x"),
        ("app.test", "//evil.test/"),
        ("app.test", "/\\evil.test"),
        ("app.test", "/%0d%0aSet-Cookie:x=y"),
        ("app.test", "http://app.test//evil.test"),
        ("app.test", "/@evil.test"),
        ("login.test", "//evil.test"),
        ("evil.test", "/x"),
        ("app.test@evil.test", "/x"),
        ("app.test", "@evil.test"),
        ("app.test", ".evil.test/"),
        ("app.test", ":80@evil.test/"),
        ("app.test", "/adm?x=\\\\evil"),
        ("app.test", "/..//evil.test/"),
    ] {
        let answer = gateway.plain().ask(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.test\r\n\r\n"));
        assert!(
            matches!(answer.status, 301 | 400 | 421),
            "{host} {target}: {answer:?}"
        );
        if let Some(location) = answer.header("location") {
            let own = ["https://app.test/", "https://login.test/"];
            assert!(
                own.iter().any(|own| location.starts_with(own)),
                "{host} {target}: {location}"
            );
        }
        assert!(
            answer.all("set-cookie").is_empty(),
            "{host} {target}: {answer:?}"
        );
    }
}
