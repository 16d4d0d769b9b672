//! Cookies that were altered, moved, planted, or are too many (threats.md §1.4).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::browser::AUTHN;
use crate::browser::Browser;
use crate::browser::ID;
use crate::browser::NONCE;
use crate::browser::form_of;
use crate::browser::host_and_target;
use crate::frames::H2;
use crate::frames::Outcome;
use crate::frames::get;
use crate::rig::Gateway;
use crate::support::gateway::password;
use crate::wire::Answer;
use crate::wire::Wire;
use crate::wire::mark;

/// What a refusal shows from outside: status, the host it leads to, lengths, the names of cookies set.
type Look = (u16, String, usize, usize, Vec<String>);

fn look(answer: &Answer) -> Look {
    let location = answer.header("location").unwrap_or_default();
    let host = location.split('/').nth(2).unwrap_or_default().to_owned();
    let names = answer
        .all("set-cookie")
        .into_iter()
        .map(|c| c.split('=').next().unwrap_or_default().to_owned());
    (
        answer.status,
        host,
        location.len(),
        answer.body.len(),
        names.collect(),
    )
}

/// A page that a browser asks for with a cookie line.
fn ask(wire: &mut Wire, host: &str, cookie: &str) -> (Answer, String) {
    let mark = mark();
    let target = format!(
        "/app/{}",
        &format!("{mark}------------------------------")[..32]
    );
    let answer = wire.ask(format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\nCookie: {cookie}\r\n\r\n"
    ));
    (answer, mark)
}

/// Sends each cookie line; every answer must be the same refusal, and nothing may reach an upstream.
fn assert_all_refused_alike(
    gateway: &Gateway,
    host: &str,
    lines: impl IntoIterator<Item = String>,
) {
    let mut wire = gateway.tls(host);
    let mut looks: BTreeSet<Look> = BTreeSet::new();
    for line in lines {
        let (answer, mark) = ask(&mut wire, host, &line);
        assert_eq!(answer.status, 303, "{line}: {answer:?}");
        assert!(!gateway.upstream.saw(&mark), "{line}: reached the upstream");
        looks.insert(look(&answer));
        if answer.header("connection") == Some("close") {
            wire = gateway.tls(host);
        }
    }
    assert_eq!(looks.len(), 1, "refusals differ: {looks:#?}");
}

#[test]
fn a_cookie_with_one_character_changed_is_no_cookie_w_07() {
    let gateway = Gateway::shared();
    let good = Browser::signed_in(&gateway, "alice").cookie("app.test", AUTHN);
    let (answer, _) = ask(
        &mut gateway.tls("app.test"),
        "app.test",
        &format!("{AUTHN}={good}"),
    );
    assert_eq!(answer.status, 200, "{answer:?}");
    let altered = |at: usize| {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        format!("{AUTHN}={}", String::from_utf8(bytes).unwrap())
    };
    assert_all_refused_alike(&gateway, "app.test", (0..good.len()).map(altered));
    // The last character carries bits that a lenient decoder drops.
    let (rest, last) = good.split_at(good.len() - 1);
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let others = alphabet.chars().filter(|c| !last.contains(*c));
    assert_all_refused_alike(
        &gateway,
        "app.test",
        others.map(|c| format!("{AUTHN}={rest}{c}")),
    );
}

#[test]
fn a_cookie_that_is_cut_or_longer_is_no_cookie() {
    let gateway = Gateway::shared();
    let good = Browser::signed_in(&gateway, "alice").cookie("app.test", AUTHN);
    let cut = (0..good.len()).map(|at| format!("{AUTHN}={}", &good[..at]));
    let tails = ["A", "=", "==", "AAAA", ".", "%00", "\"", "_", "-"]
        .map(|tail| format!("{AUTHN}={good}{tail}"));
    let heads = ["A", "AQAAAAA", "=", ".", "v1."].map(|head| format!("{AUTHN}={head}{good}"));
    let twice = [
        format!("{AUTHN}={good}{good}"),
        format!("{AUTHN}=\"{good}\""),
    ];
    let standard = [format!(
        "{AUTHN}={}",
        good.replace('-', "+").replace('_', "/")
    )];
    let standard = standard.into_iter().filter(|_| good.contains(['-', '_']));
    assert_all_refused_alike(
        &gateway,
        "app.test",
        cut.chain(tails).chain(heads).chain(twice).chain(standard),
    );
}

#[test]
fn a_cookie_for_another_host_or_purpose_is_no_cookie_m_015() {
    let gateway = Gateway::shared();
    let mut browser = Browser::signed_in(&gateway, "alice");
    browser.get(&gateway, "https://other.test/");
    let at_login = browser
        .get(&gateway, "https://other.test/")
        .header("location")
        .map(str::to_owned);
    let to_callback = browser.get(&gateway, &at_login.unwrap());
    let callback = to_callback.header("location").unwrap().to_owned();
    let token = callback.split_once("t=").unwrap().1.to_owned();
    let arrived = browser.get(&gateway, &callback);
    assert_eq!(arrived.status, 303, "{arrived:?}");
    let foreign = browser.cookie("other.test", AUTHN);
    let id = browser.cookie("login.test", ID);
    let mut stranger = Browser::default();
    let to_login = stranger.get(&gateway, "https://app.test/");
    let request = to_login
        .header("location")
        .unwrap()
        .split_once("r=")
        .unwrap()
        .1
        .to_owned();
    let page = stranger.get(&gateway, to_login.header("location").unwrap());
    let form = form_of(&page).form;
    let own = browser.cookie("app.test", AUTHN);
    let nonce = browser.cookie("app.test", NONCE);
    let lines =
        [&foreign, &id, &token, &request, &form, &nonce].map(|value| format!("{AUTHN}={value}"));
    assert_all_refused_alike(&gateway, "app.test", lines);
    // The right value under another name, or to another host.
    let names = [
        ID,
        NONCE,
        "__Host-portway-authn-other",
        "portway-authn-main",
        "__host-portway-authn-main",
        "__Secure-portway-authn-main",
    ];
    assert_all_refused_alike(
        &gateway,
        "app.test",
        names
            .map(|name| format!("{name}={own}"))
            .into_iter()
            .filter(|line| !line.starts_with(NONCE)),
    );
    assert_all_refused_alike(&gateway, "other.test", [format!("{AUTHN}={own}")]);
    // And none of them signs in at the collector.
    for value in [&foreign, &token, &request, &form, &own] {
        let line = format!("{ID}={value}");
        let answer = gateway.tls("login.test").ask(format!(
            "GET /.portway/sign-in HTTP/1.1\r\nHost: login.test\r\nCookie: {line}\r\n\r\n"
        ));
        assert!(!answer.text().contains("alice"), "{answer:?}");
    }
}

#[test]
fn junk_in_place_of_a_cookie_never_opens_and_never_breaks_anything() {
    let gateway = Gateway::shared();
    let junk = [
        "",
        "x",
        "null",
        "undefined",
        "0",
        "-1",
        "true",
        "[]",
        "{}",
        "admin",
        "alice",
        "../../etc/passwd",
        "%00",
        "%ff%fe",
        "AAAA",
        "AQAAAAE",
        "AQAAAAEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "////",
        "++++",
        "eyJhbGciOiJub25lIn0.e30.",
        "' OR 1=1--",
        "<script>",
        "${jndi:ldap://x}",
        "{{7*7}}",
        "_chunks=1000000000",
        "=",
        "===",
    ];
    assert_eq!(junk.len(), 27);
    assert_all_refused_alike(
        &gateway,
        "app.test",
        junk.map(|value| format!("{AUTHN}={value}")),
    );
    let chunks = [
        "_chunks=1000000000",
        ".0=x",
        "_0=x",
        "_1=y",
        "-chunks=99999999",
    ]
    .map(|end| format!("{AUTHN}{end}; {AUTHN}=x"));
    assert_all_refused_alike(&gateway, "app.test", chunks);
}

#[test]
fn cookie_lines_of_any_shape_are_read_fast_or_refused() {
    const TRIES: usize = 3;
    const SOON: Duration = Duration::from_secs(1);
    let gateway = Gateway::shared();
    let mut wire = gateway.tls("app.test");
    let lines = [
        ";".repeat(8000),
        "=".repeat(8000),
        "; ".repeat(8000),
        "a".repeat(8000),
        "a=;".repeat(4000),
        " ".repeat(8000),
        format!("{AUTHN}=x; ").repeat(400),
        format!("{NONCE}=x; ").repeat(400),
        "\t;".repeat(3000),
        ",".repeat(8000),
        "\"".repeat(8000),
        "=;".repeat(5000),
        format!("{AUTHN}={}", "A".repeat(20_000)),
    ];
    for line in lines {
        // A busy machine may be late once; what is read slowly is so each time.
        let mut least = Duration::MAX;
        for _ in 0..TRIES {
            let began = Instant::now();
            let (answer, mark) = ask(&mut wire, "app.test", &line);
            least = least.min(began.elapsed());
            assert!(
                (300..500).contains(&answer.status),
                "{}…: {answer:?}",
                &line[..20]
            );
            assert!(!gateway.upstream.saw(&mark));
            if answer.header("connection") == Some("close") {
                wire = gateway.tls("app.test");
            }
            if least < SOON {
                break;
            }
        }
        assert!(least < SOON, "{}… took {least:?}", &line[..20]);
    }
    for size in [40_000, 200_000, 1_000_000] {
        let mark = mark();
        let mut wire = gateway.tls("app.test");
        wire.send(format!(
            "GET /pub/{mark} HTTP/1.1\r\nHost: app.test\r\nCookie: a={}\r\n\r\n",
            "x".repeat(size)
        ));
        // A connection that ends under so much is a refusal, too.
        if let Some(answer) = wire.answer() {
            assert!((400..500).contains(&answer.status), "{size}: {answer:?}");
        }
        assert!(!gateway.upstream.saw(&mark), "{size}");
    }
    let answer = gateway.tls("app.test").ask(format!(
        "GET /pub HTTP/1.1\r\nHost: app.test\r\nCookie: a={}\r\n\r\n",
        "x".repeat(40_000)
    ));
    assert_eq!(answer.status, 431, "{answer:?}");
}

#[test]
fn our_cookies_stay_here_and_an_applications_arrive_byte_for_byte_m_014() {
    let gateway = Gateway::shared();
    let browser = Browser::signed_in(&gateway, "alice");
    let own = format!("{AUTHN}={}", browser.cookie("app.test", AUTHN));
    let nonce = format!("{NONCE}={}", browser.cookie("app.test", NONCE));
    let wild = "a=1; b=\"x y\"; c==2=; d; e=%00\u{e9}";
    for line in [
        format!("{wild}; {own}"),
        format!("{own}; {wild}"),
        format!("{nonce}; {wild}; {own}"),
        format!("{own};{wild}"),
    ] {
        let (answer, mark) = ask(&mut gateway.tls("app.test"), "app.test", &line);
        assert_eq!(answer.status, 200, "{line}: {answer:?}");
        let seen = gateway.upstream.one(&mark);
        assert_eq!(seen.all("cookie"), [wild], "{line}");
        assert!(
            !gateway.upstream.saw(&browser.cookie("app.test", AUTHN)),
            "{line}"
        );
    }
    // Over h2 a client may cut the line into crumbs.
    let mut h2 = H2::connect(&gateway, "app.test");
    let mark = mark();
    let target = format!("/app/{mark}");
    let mut fields = get("app.test", &target);
    for crumb in ["a=1", own.as_str(), "b=2", nonce.as_str(), "c=3"] {
        fields.push((b"cookie", crumb.as_bytes()));
    }
    let outcome = h2.ask(&fields, None);
    assert!(matches!(outcome, Outcome::Answer(200, _)), "{outcome:?}");
    let seen = gateway.upstream.one(&mark);
    assert_eq!(seen.all("cookie"), ["a=1; b=2; c=3"], "{}", seen.head);
    assert_eq!(seen.all("remote-user"), ["alice"]);
}

#[test]
fn two_users_taking_turns_on_one_connection_stay_themselves() {
    let gateway = Gateway::shared();
    let cookies: Vec<(&str, String)> = ["alice", "bob", "carol"]
        .map(|user| {
            (
                user,
                Browser::signed_in(&gateway, user).cookie("app.test", AUTHN),
            )
        })
        .into();
    let mut wire = gateway.tls("app.test");
    let mut h2 = H2::connect(&gateway, "app.test");
    for turn in 0..60 {
        let (user, cookie) = &cookies[turn % 3];
        let line = format!("{AUTHN}={cookie}");
        let (answer, mark) = ask(&mut wire, "app.test", &line);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(gateway.upstream.one(&mark).all("remote-user"), [*user]);
        let mark = self::mark();
        let target = format!("/app/{mark}");
        let mut fields = get("app.test", &target);
        fields.push((b"cookie", line.as_bytes()));
        h2.ask(&fields, None);
        assert_eq!(
            gateway.upstream.one(&mark).all("remote-user"),
            [*user],
            "over h2"
        );
        // The same connection without a cookie is nobody's.
        if turn % 10 == 0 {
            let (answer, mark) = ask(&mut wire, "app.test", "a=b");
            assert_eq!(answer.status, 303, "{answer:?}");
            assert!(!gateway.upstream.saw(&mark));
        }
    }
}

const USERS: [&str; 3] = ["alice", "bob", "carol"];

/// Asks as one of the users, or as nobody, and checks whose the answer is.
fn ask_as(user: usize, cookies: &[String], wire: &mut Wire) {
    let line = cookies
        .get(user)
        .map_or_else(|| "a=b".to_owned(), |c| format!("{AUTHN}={c}"));
    let (answer, mark) = ask(wire, "app.test", &line);
    match USERS.get(user) {
        Some(user) => {
            let text = answer.text();
            assert!(text.contains(&mark), "another's answer: {text}");
            assert!(text.contains(&format!("remote-user: {user}\r\n")), "{text}");
        }
        None => assert_eq!(answer.status, 303, "{answer:?}"),
    }
}

#[test]
fn forty_clients_at_once_each_get_their_own_answers() {
    let gateway = Gateway::shared();
    let cookies: Vec<String> = USERS
        .map(|user| Browser::signed_in(&gateway, user).cookie("app.test", AUTHN))
        .into();
    let cookies = Arc::new(cookies);
    let clients: Vec<_> = (0..40)
        .map(|client| {
            let (gateway, cookies) = (Arc::clone(&gateway), Arc::clone(&cookies));
            thread::spawn(move || {
                let mut wire = gateway.tls("app.test");
                for turn in 0..50 {
                    ask_as((client + turn) % 4, &cookies, &mut wire);
                }
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
}

#[test]
fn a_cookie_planted_before_the_sign_in_is_never_the_session() {
    let gateway = Gateway::shared();
    // The attacker plants their own cookies; the victim signs in over them.
    let attacker = Browser::signed_in(&gateway, "bob");
    let mut victim = Browser::default();
    let planted = attacker.cookie("app.test", AUTHN);
    victim.set("login.test", ID, &attacker.cookie("login.test", ID));
    let mut fresh = Browser::default();
    fresh.set("app.test", AUTHN, "planted");
    fresh.set("login.test", ID, "planted");
    let answer = fresh.sign_in(&gateway, "alice", "https://app.test/");
    assert_eq!(answer.status, 200);
    assert_ne!(fresh.cookie("app.test", AUTHN), "planted");
    assert_ne!(fresh.cookie("login.test", ID), "planted");
    // A planted session is replaced by a sign-in, and not taken over: its cookie stays bob's or dies.
    let page = victim.get(&gateway, "https://app.test/");
    let at_login = victim.get(&gateway, page.header("location").unwrap());
    assert!(matches!(at_login.status, 200 | 303), "{at_login:?}");
    let (answer, mark) = ask(
        &mut gateway.tls("app.test"),
        "app.test",
        &format!("{AUTHN}={planted}"),
    );
    if answer.status == 200 {
        assert_eq!(gateway.upstream.one(&mark).all("remote-user"), ["bob"]);
    }
    // Signing in again gives a new cookie and ends the old one (S-11).
    let mut browser = Browser::signed_in(&gateway, "alice");
    let old = browser.cookie("app.test", AUTHN);
    browser.jar.remove("app.test");
    let id = browser.cookie("login.test", ID);
    let mut second = Browser::default();
    second.sign_in(&gateway, "bob", "https://app.test/");
    assert_ne!(second.cookie("login.test", ID), id);
    assert_ne!(second.cookie("app.test", AUTHN), old);
}

#[test]
fn a_callback_works_once_and_only_in_the_browser_that_began_it_s_24() {
    let gateway = Gateway::shared();
    let mut attacker = Browser::default();
    let to_login = attacker.get(&gateway, "https://app.test/");
    let page = attacker.get(&gateway, to_login.header("location").unwrap());
    let form = form_of(&page);
    let back = attacker.submit(&gateway, "bob", &password("bob"), &form);
    let callback = back.header("location").unwrap().to_owned();
    assert_eq!(host_and_target(&callback).0, "app.test");
    // The victim is sent there, without a nonce or with one of their own.
    let mut victim = Browser::default();
    let answer = victim.get(&gateway, &callback);
    assert!(answer.all("set-cookie").is_empty(), "{answer:?}");
    victim.get(&gateway, "https://app.test/");
    let answer = victim.get(&gateway, &callback);
    assert!(!victim.jar["app.test"].contains_key(AUTHN), "{answer:?}");
    // At another host it is nothing either.
    let elsewhere = callback.replace("app.test", "other.test");
    let mut own = attacker.clone();
    let nonce = attacker.cookie("app.test", NONCE);
    own.set("other.test", NONCE, &nonce);
    let answer = own.get(&gateway, &elsewhere);
    assert!(answer.all("set-cookie").is_empty(), "{answer:?}");
    // The attacker's own browser may use it, once.
    let first = attacker.get(&gateway, &callback);
    assert_eq!(first.all("set-cookie").len(), 1, "{first:?}");
    let again = attacker.get(&gateway, &callback);
    assert!(again.all("set-cookie").is_empty(), "{again:?}");
}

#[test]
fn cookies_of_twelve_sign_ins_have_nothing_in_common_beyond_the_header() {
    let gateway = Gateway::shared();
    let mut sealed: [Vec<Vec<u8>>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..12 {
        let browser = Browser::signed_in(&gateway, "alice");
        for (kept, (host, name)) in sealed
            .iter_mut()
            .zip([("app.test", AUTHN), ("login.test", ID)])
        {
            kept.push(URL_SAFE_NO_PAD.decode(browser.cookie(host, name)).unwrap());
        }
    }
    for kept in &sealed {
        let shortest = kept.iter().map(Vec::len).min().unwrap();
        // Version and key id; the nonce comes next.
        let constant: Vec<usize> = (5..shortest)
            .filter(|at| kept.iter().all(|c| c[*at] == kept[0][*at]))
            .collect();
        assert!(constant.is_empty(), "constant bytes at {constant:?}");
        let nonces: BTreeSet<&[u8]> = kept.iter().map(|cookie| &cookie[5..17]).collect();
        assert_eq!(nonces.len(), 12);
    }
}

#[test]
fn an_upstream_sets_none_of_our_cookies() {
    use crate::upstream::Script;
    use crate::upstream::Then;
    use crate::upstream::When;
    let gateway = Gateway::shared();
    let path = format!("/pub/{}", mark());
    let lines = [
        AUTHN,
        ID,
        NONCE,
        "__HOST-PORTWAY-AUTHN-MAIN",
        " __Host-portway-authn-main ",
    ]
    .map(|name| format!("Set-Cookie: {name}=evil; Path=/\r\n"));
    let answer = format!(
        "HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\n{}Set-Cookie: c=d; Path=/x\r\nContent-Length: 0\r\n\r\n",
        lines.concat()
    );
    gateway.upstream.script(
        &path,
        Script {
            answer: answer.into_bytes(),
            when: When::AfterBody,
            then: Then::Keep,
        },
    );
    let answer = gateway
        .tls("app.test")
        .ask(format!("GET {path} HTTP/1.1\r\nHost: app.test\r\n\r\n"));
    assert_eq!(
        answer.all("set-cookie"),
        ["a=b", "c=d; Path=/x"],
        "{answer:?}"
    );
}
