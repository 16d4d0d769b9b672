//! Addresses that lead elsewhere although they look like ours (threats.md §1.5, D-18): as deep link,
//! after a sign-in, and after a sign-out. Every `Location` is read as a browser reads it.

use crate::browser::Browser;
use crate::browser::form_of;
use crate::rig::Gateway;
use crate::support::gateway::password;
use crate::wire::Answer;

/// Where somebody wants a browser to be sent.
const PAYLOADS: &[&str] = &[
    "https://evil.test",
    "http://evil.test/",
    "//evil.test",
    "///evil.test",
    "////evil.test/",
    "/\\evil.test",
    "\\\\evil.test",
    "\\/evil.test",
    "/\\/evil.test",
    "/%09/evil.test",
    "/%5cevil.test",
    "/%2fevil.test",
    "/%2f%2fevil.test",
    "%2f%2fevil.test",
    "/%0d%0aLocation:%20https://evil.test",
    "/%0a/evil.test",
    "/\tevil.test",
    "/ /evil.test",
    "https:evil.test",
    "https:/evil.test",
    "https:\\\\evil.test",
    "https:///evil.test",
    "HTTPS://evil.test",
    "hTTps://evil.test",
    "javascript:alert(1)",
    "JavaScript://app.test/%0aalert(1)",
    "data:text/html,x",
    "vbscript:x",
    "ftp://app.test/",
    "file:///etc/passwd",
    "https://app.test@evil.test",
    "https://app.test:443@evil.test",
    "https://evil.test@app.test",
    "https://app.test.evil.test",
    "https://evilapp.test",
    "https://app.test:6666",
    "https://app.test:443:6666/",
    "https://app.test\\@evil.test",
    "https://evil.test\\app.test",
    "https://evil.test#app.test",
    "https://evil.test?app.test",
    "https://evil.test/app.test",
    "https://app.test%2eevil.test",
    "https://app.test%00.evil.test",
    "https://app.test%0d%0a.evil.test",
    "https://app.test\u{3002}evil.test",
    "https://app.test\u{ff0f}@evil.test",
    "https://[app.test]",
    "https://app.test;evil.test",
    "https://app.test,evil.test",
    "http://app.test/",
    "/.//evil.test",
    "/..//evil.test",
    "/x/..//evil.test",
    "/./\\evil.test",
    "//evil.test/%2e%2e",
    "/;//evil.test",
    "/@evil.test",
    ".evil.test",
    "@evil.test",
    ":80@evil.test",
    "//app.test@evil.test/",
    "//evil%E3%80%82test",
    "https://login.test.evil.test/",
    "?//evil.test",
    "#//evil.test",
];

/// The host a browser goes to from `https://app.test/page` (WHATWG URL, the parts that matter).
fn lands_at(location: &str) -> String {
    let text: String = location
        .trim_matches(|c: char| c <= ' ')
        .chars()
        .filter(|c| !matches!(c, '\t' | '\n' | '\r'))
        .collect();
    let text = text.replace('\\', "/");
    let scheme_end = text.find(':').filter(|end| {
        text[..*end]
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
            && *end > 0
    });
    let rest = match scheme_end {
        Some(end) => {
            let scheme = text[..end].to_ascii_lowercase();
            if scheme != "https" {
                return format!("{scheme}:");
            }
            text[end + 1..].trim_start_matches('/').to_owned()
        }
        None if text.starts_with("//") => text.trim_start_matches('/').to_owned(),
        None => return "app.test".to_owned(),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    host.trim_end_matches(":443").to_owned()
}

#[test]
fn the_reader_of_these_tests_is_no_better_than_a_browser() {
    for (location, host) in [
        ("/x", "app.test"),
        ("x", "app.test"),
        ("//evil.test/x", "evil.test"),
        ("/\\evil.test", "evil.test"),
        ("\\\\evil.test", "evil.test"),
        ("/\t/evil.test", "evil.test"),
        ("https:evil.test", "evil.test"),
        ("https:/evil.test", "evil.test"),
        ("https://app.test@evil.test/", "evil.test"),
        ("https://app.test\\@evil.test", "app.test"),
        ("javascript:alert(1)", "javascript:"),
        (" //evil.test", "evil.test"),
        ("https://app.test:6666/", "app.test:6666"),
    ] {
        assert_eq!(lands_at(location), host, "{location:?}");
    }
}

fn assert_stays(answer: &Answer, what: &str, own: &[&str]) {
    for location in answer.all("location") {
        let host = lands_at(location);
        assert!(
            own.contains(&host.as_str()),
            "{what} leads to {host}: {location:?}"
        );
    }
    assert!(answer.status < 500, "{what}: {answer:?}");
    assert!(
        answer
            .all("set-cookie")
            .iter()
            .all(|c| c.starts_with("__Host-portway-")),
        "{what}: {answer:?}"
    );
    assert!(answer.all("location").len() <= 1, "{what}: {answer:?}");
}

fn escaped(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// A target made of a payload: as the path itself, and in a query.
fn targets(payload: &str) -> Vec<String> {
    let printable = payload.replace([' ', '\t'], "%20");
    let mut targets = vec![
        format!("/{printable}"),
        format!("/app?next={}", escaped(payload)),
    ];
    if payload.starts_with(['/', '?', '\\']) {
        targets.push(printable);
    }
    targets.retain(|target| target.is_ascii());
    targets
}

#[test]
fn a_deep_link_comes_back_to_the_host_it_came_from() {
    let gateway = Gateway::shared();
    let signed_in = Browser::signed_in(&gateway, "alice");
    let mut came_back = 0;
    for payload in PAYLOADS {
        for target in targets(payload) {
            // Before the sign-in: to the collector.
            let mut browser = Browser::default();
            let to_login = raw_get(&gateway, &mut browser, &target);
            assert_stays(&to_login, &target, &["login.test"]);
            if to_login.status != 303 {
                continue;
            }
            // After it, with the session there is at the collector: to the callback, and on.
            browser
                .jar
                .insert("login.test".to_owned(), signed_in.jar["login.test"].clone());
            let back = browser.get(&gateway, to_login.header("location").unwrap());
            assert_stays(&back, &target, &["app.test"]);
            assert_eq!(back.status, 303, "{target}: {back:?}");
            let home = browser.get(&gateway, back.header("location").unwrap());
            assert_stays(&home, &target, &["app.test"]);
            assert_eq!(home.status, 303, "{target}: {home:?}");
            let location = home.header("location").unwrap();
            assert!(
                location.starts_with('/') && !location.starts_with("//"),
                "{target}: {location}"
            );
            came_back += 1;
        }
    }
    assert!(
        came_back > 60,
        "only {came_back} deep links were followed to their end"
    );
}

/// Sends a target as it is; a browser would tidy it up.
fn raw_get(gateway: &Gateway, browser: &mut Browser, target: &str) -> Answer {
    let answer = gateway.tls("app.test").ask(format!(
        "GET {target} HTTP/1.1\r\nHost: app.test\r\nAccept: text/html\r\n\r\n"
    ));
    for cookie in answer.all("set-cookie") {
        let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
        browser.set("app.test", name, value);
    }
    answer
}

#[test]
fn a_return_address_leads_to_served_hosts_only_d_18() {
    let gateway = Gateway::shared();
    let own = ["app.test", "other.test", "login.test"];
    for payload in PAYLOADS {
        for (host, path) in [
            ("app.test", "/.portway/logout"),
            ("login.test", "/.portway/logout"),
        ] {
            let mut browser = Browser::default();
            let url = format!("https://{host}{path}?return={}", escaped(payload));
            let mut answer = browser.send(&gateway, ("GET", &url), "Sec-Fetch-Site: none\r\n", "");
            assert_stays(&answer, payload, &own);
            let mut hops = 0..6;
            while let (Some(_), Some(location)) = (hops.next(), next_hop(&answer)) {
                answer = browser.get(&gateway, &location);
                assert_stays(&answer, payload, &own);
            }
        }
    }
}

/// Where an answer leads, unless the journey ends there.
fn next_hop(answer: &Answer) -> Option<String> {
    let location = answer.header("location")?;
    let goes_on = location.starts_with("https://") && location != "https://app.test/";
    goes_on.then(|| location.to_owned())
}

#[test]
fn no_parameter_but_a_sealed_one_leads_anywhere() {
    let gateway = Gateway::shared();
    let signed_in = Browser::signed_in(&gateway, "alice");
    for payload in PAYLOADS {
        let value = escaped(payload);
        for url in [
            format!("https://login.test/.portway/sign-in?r={value}"),
            format!("https://login.test/?r={value}"),
            format!(
                "https://login.test/.portway/sign-in?return={value}&next={value}&rd={value}&target_link_uri={value}&url={value}"
            ),
            format!("https://login.test/.portway/logout?c={value}"),
            format!("https://login.test/.portway/signed-out?c={value}&return={value}"),
            format!("https://app.test/.portway/callback?t={value}"),
            format!("https://app.test/.portway/clear?c={value}"),
            format!("https://app.test/.portway/callback?t=&return={value}&r={value}"),
        ] {
            let mut stranger = Browser::default();
            let mut other = signed_in.clone();
            let browsers = [&mut stranger, &mut other];
            let count = if url.contains("logout") { 1 } else { 2 };
            for browser in browsers.into_iter().take(count) {
                let answer = browser.get(&gateway, &url);
                assert_stays(&answer, &url, &["app.test", "login.test"]);
                assert!(
                    !answer.text().contains("evil.test"),
                    "{url} is repeated: {}",
                    answer.text()
                );
            }
        }
    }
}

#[test]
fn nothing_a_client_sends_becomes_markup() {
    let gateway = Gateway::shared();
    let evil = "\"><script>alert(1)</script><x y='";
    let value = escaped(evil);
    let mut browser = Browser::default();
    for url in [
        format!("https://login.test/.portway/sign-in?r={value}&error={value}&title={value}"),
        format!("https://app.test/.portway/{value}"),
        format!("https://login.test/{value}"),
        format!("https://app.test/.portway/logout?return={value}"),
        format!("https://login.test/.portway/signed-out?c={value}"),
    ] {
        let more = format!(
            "User-Agent: {evil}\r\nReferer: {evil}\r\nX-Request-Id: {evil}\r\nAccept-Language: {evil}\r\n"
        );
        let answer = browser.send(&gateway, ("GET", &url), &more, "");
        assert!(
            !answer.text().contains("<script>alert"),
            "{url}: {}",
            answer.text()
        );
        assert!(!answer.head.contains("<script>"), "{url}: {}", answer.head);
    }
    let to_login = browser.get(&gateway, "https://app.test/");
    let page = browser.get(&gateway, to_login.header("location").unwrap());
    let form = form_of(&page);
    let again = browser.submit(&gateway, evil, "wrong", &form);
    assert!(!again.text().contains("<script>alert"), "{}", again.text());
}

#[test]
fn odd_posts_to_the_login_form_are_refused_and_break_nothing() {
    let gateway = Gateway::shared();
    let url = "https://login.test/.portway/sign-in";
    let mut browser = Browser::default();
    let to_login = browser.get(&gateway, "https://app.test/");
    let page = browser.get(&gateway, to_login.header("location").unwrap());
    let form = form_of(&page);
    let good = format!("r={}&form={}", form.request, form.form);
    let bodies = [
        String::new(),
        "&".repeat(30_000),
        "=".repeat(30_000),
        "%".to_owned(),
        "%zz=%zz".to_owned(),
        "username".to_owned(),
        "\0".repeat(100),
        "username=alice&password=correct+horse+alice".to_owned(),
        format!("{good}&username=alice"),
        format!("{good}&password=correct+horse+alice"),
        format!("{good}&username=&password="),
        format!("{good}&username=alice&password="),
        format!("{good}&username=alice&password=%20"),
        format!("{good}&username=alice&password=%00"),
        format!("{good}&username=alice%00&password=correct+horse+alice"),
        format!("{good}&username=%ff%fe&password=%ff"),
        format!("{good}&username=alice&username=bob&password=x&password=y"),
        format!("{good}&username={}&password=x", "a".repeat(5000)),
        format!("{good}&username=alice&password={}", "p".repeat(20_000)),
        format!("{good}&username=alice%0d%0aX:y&password=x"),
        format!("{good}&username=*)(uid=*&password=x"),
        format!("{good}&username=a@b@c&password=x"),
        format!(
            "r={}&form={}&username=alice&password=correct+horse+alice",
            form.form, form.request
        ),
        format!("{good}x&username=alice&password=correct+horse+alice"),
        "r=&form=&username=alice&password=correct+horse+alice".to_owned(),
        "{\"username\":\"alice\",\"password\":\"correct horse alice\"}".to_owned(),
    ];
    for body in bodies {
        let answer = browser.post(&gateway, url, &body);
        let head: String = body.chars().take(80).collect();
        assert!((200..500).contains(&answer.status), "{head}: {answer:?}");
        assert!(
            answer
                .header("location")
                .is_none_or(|l| !l.contains("callback")),
            "{head} signed in: {answer:?}"
        );
        assert!(
            !browser
                .jar
                .get("login.test")
                .is_some_and(|jar| jar.contains_key(crate::browser::ID)),
            "{head}"
        );
    }
    for size in [40_000, 200_000, 2_000_000] {
        let mut wire = gateway.tls("login.test");
        let body = "x".repeat(size);
        wire.send(format!("POST /.portway/sign-in HTTP/1.1\r\nHost: login.test\r\nContent-Length: {size}\r\n\r\n{body}"));
        // The connection may end under so much before the answer can be read.
        if let Some(answer) = wire.answer() {
            assert_eq!(answer.status, 413, "{size}: {answer:?}");
        }
    }
    for content_type in [
        "application/json",
        "multipart/form-data; boundary=x",
        "text/plain",
        "",
        "application/x-www-form-urlencoded; charset=utf-16",
    ] {
        let more = format!("Content-Type: {content_type}\r\nContent-Length: 3\r\n");
        let answer = browser.send(&gateway, ("POST", url), &more, "a=b");
        assert!(answer.status < 500, "{content_type}: {answer:?}");
    }
    for method in ["PUT", "DELETE", "PATCH", "OPTIONS"] {
        let answer = browser.send(&gateway, (method, url), "Content-Length: 0\r\n", "");
        assert!((400..500).contains(&answer.status), "{method}: {answer:?}");
    }
    for path in ["callback", "clear", "logout"] {
        for method in ["POST", "PUT", "DELETE"] {
            let answer = browser.send(
                &gateway,
                (method, &format!("https://app.test/.portway/{path}")),
                "Content-Length: 7\r\n",
                "a=b&c=d",
            );
            assert!(answer.status < 500, "{method} {path}: {answer:?}");
        }
    }
    // From another site nobody is signed in, whatever the form says.
    let body = format!(
        "{good}&username=alice&password={}",
        escaped(&password("alice"))
    );
    let length = body.len();
    for line in [
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
        "Origin: https://evil.test",
        "Origin: null",
        "Origin: https://app.test",
    ] {
        let more = format!(
            "{line}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n"
        );
        let answer = browser.send(&gateway, ("POST", url), &more, &body);
        assert_eq!(answer.status, 403, "{line}: {answer:?}");
    }
    // The same form is good from its own page, in the browser that got it, and in no other.
    let stranger = Browser::default().post(&gateway, url, &body);
    assert_eq!(stranger.status, 403, "{stranger:?}");
    let signed_in = browser.post(&gateway, url, &body);
    assert_eq!(signed_in.status, 303, "{signed_in:?}");
}

#[test]
fn what_is_too_large_is_refused_and_never_forwarded() {
    let gateway = Gateway::shared();
    for size in [40_000, 100_000, 1_000_000] {
        let filler = "x".repeat(size);
        let mark = crate::wire::mark();
        for request in [
            format!("GET /pub/{mark}/{filler} HTTP/1.1\r\nHost: app.test\r\n\r\n"),
            format!("GET /pub/{mark}?{filler} HTTP/1.1\r\nHost: app.test\r\n\r\n"),
            format!("GET /pub/{mark} HTTP/1.1\r\nHost: app.test\r\nX: {filler}\r\n\r\n"),
            format!("GET /pub/{mark} HTTP/1.1\r\nHost: app.test\r\n{filler}: x\r\n\r\n"),
            format!(
                "GET /pub/{mark} HTTP/1.1\r\nHost: app.test\r\n{}\r\n",
                "X: y\r\n".repeat(size / 6)
            ),
            format!("{filler} /pub/{mark} HTTP/1.1\r\nHost: app.test\r\n\r\n"),
        ] {
            let mut wire = gateway.tls("app.test");
            wire.send(&request);
            // A connection that ends under so much is a refusal, too.
            if let Some(answer) = wire.answer() {
                assert!(
                    (400..500).contains(&answer.status),
                    "{}…: {answer:?}",
                    &request[..40]
                );
            }
            assert!(!gateway.upstream.saw(&mark), "{size}: {}…", &request[..40]);
        }
    }
}
