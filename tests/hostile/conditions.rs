//! Headers that policies and templates read, by which a client says what cannot be told: bytes that are no text, and
//! lines that contradict each other (threats.md §1.1). They open nothing and break nothing, and no application is
//! told of them in the gateway's own words.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::Weak;

use crate::browser::Browser;
use crate::frames::H2;
use crate::frames::Outcome;
use crate::frames::get;
use crate::rig::Difference;
use crate::rig::Gateway;
use crate::wire::Answer;
use crate::wire::Wire;
use crate::wire::mark;

/// What cannot be told of `Tenant`.
const UNTOLD: &[&[u8]] = &[
    b"Tenant: \xff",
    b"Tenant: \xff\xfe\xfd",
    b"Tenant: blue\xff",
    b"Tenant: \xffblue",
    b"Tenant: bl\xc0\xafue",
    b"Tenant: \xed\xa0\x80",
    b"Tenant: blue\xc3",
    b"Tenant: blue\r\nTenant: red",
    b"Tenant: red\r\nTenant: blue",
    b"Tenant: blue\r\ntenant: \xff",
    b"Tenant: \xff\r\nTENANT: blue",
];

/// Policies by name, each with a value of `Tenant` that it lets in and one that it does not; none where that is to
/// be absent.
const POLICIES: &[(&str, &str, &str, &str)] = &[
    (
        "is",
        "{ allow: { header: { name: Tenant, is: blue } } }",
        "blue",
        "red",
    ),
    (
        "in",
        "{ allow: { header: { name: Tenant, in: [ blue, green ] } } }",
        "blue",
        "red",
    ),
    (
        "matches",
        "{ allow: { header: { name: Tenant, matches: \"b.*\" } } }",
        "blue",
        "red",
    ),
    (
        "not",
        "{ allow: { not: { header: { name: Tenant, is: red } } } }",
        "blue",
        "red",
    ),
    (
        "unless",
        "{ deny: { header: { name: Tenant, is: red } } }, { allow: signed_in }",
        "blue",
        "red",
    ),
    (
        "absent",
        "{ deny: { header: { name: Tenant, present: true } } }, { allow: signed_in }",
        "",
        "blue",
    ),
    (
        "when",
        "{ allow: { when: \"request.header.tenant == 'blue'\" } }",
        "blue",
        "red",
    ),
    (
        "when-not",
        "{ allow: { when: \"request.header.tenant != 'red'\" } }",
        "blue",
        "red",
    ),
    (
        "when-unless",
        "{ deny: { when: \"request.header.tenant == 'red'\" } }, { allow: signed_in }",
        "blue",
        "red",
    ),
];

/// Routes whose templates read it.
const TEMPLATES: &str = r#"      - path: /told
        access: protected
        policy: all
        pool: app
        responses:
          headers: { X-Told: "${request.header.tenant}", X-Who: "${user.id}" }
          cookies: { told: "${request.header.tenant}" }
        headers:
          request: { set: { X-Set: "${request.header.tenant}" }, add: { X-Add: "${request.header.tenant}" } }
          response: { set: { X-Back: "${request.header.tenant}" } }
      - { path: /moved, access: excluded, redirect: { to: "/there/${request.header.tenant}", query: drop } }
      - { path: /, access: protected, policy: all, pool: app }
"#;

/// A user with one connection, for as long as that is kept.
struct User {
    gateway: Arc<Gateway>,
    cookies: String,
    wire: Option<Wire>,
}

impl User {
    fn signed_in() -> Self {
        static SHARED: Mutex<Weak<Gateway>> = Mutex::new(Weak::new());
        let routes: String = POLICIES
            .iter()
            .map(|(name, rules, _, _)| {
                format!("      - {{ path: /{name}, access: protected, pool: app, policy: [ {rules} ] }}\n")
            })
            .collect();
        let host =
            format!("  - host: third.test\n    public_port: 443\n    routes:\n{routes}{TEMPLATES}");
        let gateway = Gateway::shared_by(
            &SHARED,
            &Difference {
                hosts: &host,
                ..Difference::default()
            },
        );
        let mut browser = Browser::default();
        let there = browser.sign_in(&gateway, "alice", "https://third.test/");
        assert_eq!(there.status, 200, "{there:?}");
        Self {
            gateway,
            cookies: browser.cookies("third.test"),
            wire: None,
        }
    }

    /// Asks for a page with more lines in the head; the answer, and the mark of the request.
    fn ask(&mut self, path: &str, lines: &[u8]) -> (Answer, String) {
        let mark = mark();
        let head = format!(
            "GET {path}?{mark} HTTP/1.1\r\nHost: third.test\r\n{}",
            self.cookies
        );
        let request = [head.as_bytes(), lines, b"\r\n\r\n"].concat();
        let open = self.wire.take();
        let mut wire = open.unwrap_or_else(|| self.gateway.tls("third.test"));
        let answer = wire.ask(request);
        let is_kept = answer.header("connection") != Some("close");
        self.wire = is_kept.then_some(wire);
        (answer, mark)
    }

    /// What is wrong with how a request was decided on.
    fn fault(&mut self, name: &str, lines: &[u8], status: u16) -> Option<String> {
        let (answer, mark) = self.ask(&format!("/{name}"), lines);
        let is_there = self.gateway.upstream.saw(&mark);
        let fits = answer.status == status && is_there == (status == 200);
        let lines = String::from_utf8_lossy(lines);
        (!fits).then(|| format!("{name}: {lines:?}: at the upstream: {is_there}, {answer:?}"))
    }
}

/// A line for a value; another one for none.
fn line(value: &str) -> Vec<u8> {
    match value {
        "" => b"X-Own: blue".to_vec(),
        value => format!("Tenant: {value}").into_bytes(),
    }
}

#[test]
fn a_header_that_cannot_be_told_lets_nobody_in_cve_2023_27488() {
    let mut user = User::signed_in();
    let mut faults = Vec::new();
    for (name, _, good, bad) in POLICIES {
        let (good, bad) = (line(good), line(bad));
        // Before and behind one that is let in, on one connection.
        for lines in UNTOLD.iter().copied().chain([bad.as_slice()]) {
            faults.extend(user.fault(name, &good, 200));
            faults.extend(user.fault(name, lines, 403));
            faults.extend(user.fault(name, &good, 200));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_header_that_cannot_be_told_lets_nobody_in_over_http_2_either() {
    const VALUES: [&[&[u8]]; 4] = [
        &[b"\xff"],
        &[b"blue\xff"],
        &[b"blue", b"red"],
        &[b"red", b"blue"],
    ];
    let user = User::signed_in();
    let cookie = user.cookies.trim_start_matches("Cookie: ").trim_end();
    let mut h2 = H2::connect(&user.gateway, "third.test");
    for (name, _, good, _) in POLICIES {
        for values in VALUES {
            let mark = mark();
            let path = format!("/{name}?{mark}");
            let mut fields = get("third.test", &path);
            fields.push((b"cookie", cookie.as_bytes()));
            fields.extend(values.iter().map(|value| (&b"tenant"[..], *value)));
            let outcome = h2.ask(&fields, None);
            assert!(outcome.is_refusal(), "{name} {values:?}: {outcome:?}");
            assert!(!user.gateway.upstream.saw(&mark), "{name} {values:?}");
            if !matches!(outcome, Outcome::Answer(..)) {
                h2 = H2::connect(&user.gateway, "third.test");
            }
        }
        let path = format!("/{name}");
        let mut fields = get("third.test", &path);
        fields.push((b"cookie", cookie.as_bytes()));
        if !good.is_empty() {
            fields.push((b"tenant", good.as_bytes()));
        }
        let outcome = h2.ask(&fields, None);
        assert!(
            matches!(outcome, Outcome::Answer(200, _)),
            "{name}: {outcome:?}"
        );
    }
}

#[test]
fn a_header_that_cannot_be_told_is_nothing_that_an_application_is_told() {
    const GIVEN: [&str; 3] = ["x-told", "x-set", "x-add"];
    let mut user = User::signed_in();
    let forged: &[u8] = b"X-Told: forged\r\nX-Set: forged\r\nX-Who: forged\r\n";
    for lines in UNTOLD {
        let (answer, mark) = user.ask("/told", &[forged, *lines].concat());
        assert_eq!(answer.status, 200, "{answer:?}");
        let seen = user.gateway.upstream.one(&mark);
        for name in GIVEN {
            assert!(seen.all(name).is_empty(), "{name}: {}", seen.head);
        }
        assert_eq!(seen.all("x-who"), ["alice"], "{}", seen.head);
        assert!(seen.all("cookie").is_empty(), "{}", seen.head);
        assert_eq!(answer.header("x-back"), None, "{answer:?}");
        assert!(!is_cookie_set(&answer), "{answer:?}");
        let (answer, _) = user.ask("/moved", lines);
        assert_eq!(answer.status, 404, "{answer:?}");
        assert_eq!(answer.header("location"), None, "{answer:?}");
    }
    // What can be told is.
    let (answer, mark) = user.ask("/told", b"Tenant: blue");
    assert_eq!(answer.status, 200, "{answer:?}");
    let seen = user.gateway.upstream.one(&mark);
    for name in GIVEN {
        assert_eq!(seen.all(name), ["blue"], "{name}: {}", seen.head);
    }
    assert_eq!(seen.all("cookie"), ["told=blue"], "{}", seen.head);
    assert_eq!(answer.header("x-back"), Some("blue"), "{answer:?}");
    assert!(is_cookie_set(&answer), "{answer:?}");
    let (answer, _) = user.ask("/moved", b"Tenant: blue");
    assert_eq!(answer.header("location"), Some("/there/blue"), "{answer:?}");
}

fn is_cookie_set(answer: &Answer) -> bool {
    let mut set = answer.all("set-cookie").into_iter();
    set.any(|cookie| cookie.starts_with("told="))
}
