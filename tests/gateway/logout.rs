//! Signing out: from any application or the collector, for all of them, and nowhere but to served hosts.

use crate::support::Answer;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::Request;
use crate::support::applications;

/// A browser that is signed in at two applications.
async fn signed_in_twice(gateway: &Gateway) -> Browser {
    let mut browser = Browser::new(gateway);
    browser
        .sign_in("https://app.test/", "alice")
        .await
        .expect(200);
    let there = browser.get("https://other.test/").await;
    browser.follow_all(there).await.expect(200);
    browser
}

/// Whether the session behind a copy of the cookies is dead everywhere.
async fn assert_dead(mut copy: Browser) {
    for host in ["app.test", "other.test"] {
        let page = copy.get(&format!("https://{host}/")).await.expect(303);
        copy.follow(&page).await.expect(200).form();
    }
}

#[tokio::test]
async fn a_session_is_dead_before_a_sign_out_is_answered_and_every_cookie_goes_s_18() {
    let Some((_nginx, gateway)) = applications().await else {
        return;
    };
    for host in ["app.test", "other.test", "login.test"] {
        let mut browser = signed_in_twice(&gateway).await;
        let copy = browser.clone();
        let first = browser
            .get(&format!("https://{host}/.portway/logout"))
            .await
            .expect(303);
        // Before the browser follows anything.
        assert_dead(copy.clone()).await;
        let last = browser.follow_all(first).await.expect(200);
        assert_eq!(last.url.host(), "login.test");
        assert!(last.text().contains("signed out"), "{}", last.text());
        assert_eq!(browser.jar.len(), 0, "{host}: {:?}", browser.jar);
        assert_dead(copy).await;
    }
}

#[tokio::test]
async fn a_sign_out_returns_to_a_served_host() {
    let Some((_nginx, gateway)) = applications().await else {
        return;
    };
    let port = gateway.address("https").port();
    for host in ["app.test", "login.test"] {
        let mut browser = signed_in_twice(&gateway).await;
        let target = format!("https://other.test:{port}/public/bye?x=1");
        let encoded: String = form_urlencoded::byte_serialize(target.as_bytes()).collect();
        let first = browser
            .get(&format!("https://{host}/.portway/logout?return={encoded}"))
            .await;
        let (hosts, last) = journey(&mut browser, first).await;
        assert_eq!(last, target, "{hosts:?}");
    }
}

/// Follows a sign-out until a redirect leads to something that is not Portway's own, or it ends; answers
/// the hosts it went by and where it ends.
async fn journey(browser: &mut Browser, first: Answer) -> (Vec<String>, String) {
    let (mut hosts, mut answer) = (Vec::new(), first);
    loop {
        if !answer.redirects() {
            return (hosts, answer.url.to_string());
        }
        let next = answer.location();
        if !next.path().starts_with("/.portway/") {
            return (hosts, next.to_string());
        }
        hosts.push(next.host().to_owned());
        answer = browser.follow(&answer).await;
    }
}

#[tokio::test]
async fn a_sign_out_never_leads_to_a_host_that_is_not_served_d_18() {
    let Some((_nginx, gateway)) = applications().await else {
        return;
    };
    for payload in OPEN_REDIRECTS {
        let encoded: String = form_urlencoded::byte_serialize(payload.as_bytes()).collect();
        for host in ["app.test", "login.test"] {
            let mut browser = Browser::new(&gateway);
            let url = format!("https://{host}/.portway/logout?return={encoded}");
            let first = browser.get(&url).await;
            let last = stay_at_home(&mut browser, first).await.expect(200);
            assert_eq!(last.url.host(), "login.test", "{payload:?}");
            assert!(
                !last.text().contains("evil"),
                "{payload:?}: {}",
                last.text()
            );
        }
    }
}

/// Follows redirects for a while; fails when one leads to a host that is not served.
async fn stay_at_home(browser: &mut Browser, first: Answer) -> Answer {
    let mut answer = first;
    for _ in 0..6 {
        if !answer.redirects() {
            break;
        }
        let location = answer.header("location").to_owned();
        assert!(is_served(&location), "{} leads to {location}", answer.url);
        answer = browser.follow(&answer).await;
    }
    answer
}

#[tokio::test]
async fn a_deep_link_never_leads_to_a_host_that_is_not_served_d_18() {
    let Some((_nginx, gateway)) = applications().await else {
        return;
    };
    let signed_in = Browser::signed_in(&gateway, "alice").await;
    // Signed in at the collector, not yet at the other application: redirects and nothing else.
    for payload in OPEN_REDIRECTS {
        let target: String = payload
            .bytes()
            .filter(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}#".contains(byte))
            .map(char::from)
            .collect();
        for target in [
            format!("/{target}"),
            format!("//{target}"),
            format!("/?r={target}"),
        ] {
            let mut browser = signed_in.clone();
            let request = Request::get(&format!("https://other.test{target}"))
                .header("accept", "text/html")
                .header("sec-fetch-mode", "navigate");
            let first = browser.send(request).await;
            let last = stay_at_home(&mut browser, first).await;
            assert!(
                matches!(last.status, 200 | 400 | 404),
                "{target:?}: {}",
                last.status
            );
        }
    }
}

/// Whether a `Location`, read as a browser reads it, stays on a served host.
fn is_served(location: &str) -> bool {
    // Browsers drop tabs and line ends, and read a backslash as a slash.
    let read: String = location
        .chars()
        .filter(|c| !matches!(c, '\t' | '\r' | '\n'))
        .map(|c| if c == '\\' { '/' } else { c })
        .collect();
    let read = read.trim();
    if read.starts_with('/') {
        return !read.starts_with("//");
    }
    let Some(rest) = read.strip_prefix("https://") else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap();
    let host = authority
        .rsplit('@')
        .next()
        .unwrap()
        .split(':')
        .next()
        .unwrap();
    ["app.test", "other.test", "login.test"].contains(&host) && !authority.contains('@')
}

#[tokio::test]
async fn a_sign_out_that_another_site_asks_for_asks_first() {
    let Some((_nginx, gateway)) = applications().await else {
        return;
    };
    for host in ["app.test", "login.test"] {
        let mut browser = signed_in_twice(&gateway).await;
        let copy = browser.clone();
        let url = format!("https://{host}/.portway/logout");
        let page = browser.get_from_elsewhere(&url).await.expect(200);
        assert!(page.text().contains("Sign out?"), "{}", page.text());
        assert!(page.set_cookies().is_empty());
        // An image on somebody's page, in a browser that does not say so.
        browser.send(Request::get(&url)).await.expect(200);
        let post = Request::post(&url).header("origin", "https://evil.test");
        browser.send(post).await.expect(200);
        assert_eq!(
            browser
                .get("https://app.test/")
                .await
                .expect(200)
                .told("remote-user"),
            "alice"
        );
        // The button posts from the page itself.
        let first = browser.submit(&page, &page.form()).await.expect(303);
        browser.follow_all(first).await.expect(200);
        assert_eq!(browser.jar.len(), 0, "{:?}", browser.jar);
        assert_dead(copy).await;
    }
}

#[tokio::test]
async fn signing_out_without_a_session_or_twice_ends_on_the_same_page() {
    let Some((_nginx, gateway)) = applications().await else {
        return;
    };
    let mut browser = Browser::new(&gateway);
    for host in ["app.test", "login.test", "app.test"] {
        let first = browser
            .get(&format!("https://{host}/.portway/logout"))
            .await;
        let last = browser.follow_all(first).await.expect(200);
        assert!(last.text().contains("signed out"), "{}", last.text());
    }
    for path in ["/.portway/clear?c=junk", "/.portway/clear"] {
        let onward = browser
            .get(&format!("https://app.test{path}"))
            .await
            .expect(303);
        assert!(is_served(onward.header("location")));
        assert!(onward.set_cookies().is_empty());
    }
}

#[tokio::test]
async fn who_signed_in_again_meanwhile_stays_signed_in() {
    let Some((_nginx, gateway)) = applications().await else {
        return;
    };
    let mut browser = signed_in_twice(&gateway).await;
    let first = browser
        .get("https://login.test/.portway/logout")
        .await
        .expect(303);
    let mut second_tab = browser.clone();
    second_tab
        .sign_in("https://app.test/", "bob")
        .await
        .expect(200);
    browser.jar = second_tab.jar.clone();
    let last = browser.follow_all(first).await.expect(200);
    assert!(last.text().contains("signed out"), "{}", last.text());
    let there = browser.get("https://app.test/").await.expect(200);
    assert_eq!(there.told("remote-user"), "bob");
}

#[tokio::test]
async fn signing_out_one_browser_leaves_the_users_other_browsers_signed_in() {
    let Some((_nginx, gateway)) = applications().await else {
        return;
    };
    let (mut one, mut two) = (
        signed_in_twice(&gateway).await,
        signed_in_twice(&gateway).await,
    );
    let first = one.get("https://app.test/.portway/logout").await;
    one.follow_all(first).await.expect(200);
    two.get("https://app.test/").await.expect(200);
}

/// Addresses that some reader takes for one of another host (threats, 1.5).
const OPEN_REDIRECTS: &[&str] = &[
    "//evil.test",
    "//evil.test/",
    "///evil.test",
    "////evil.test/%2e%2e",
    "/\\evil.test",
    "\\\\evil.test",
    "\\/\\/evil.test",
    "/\t/evil.test",
    "/%09/evil.test",
    "/%5cevil.test",
    "/%2f%2fevil.test",
    "/%0d%0aevil.test",
    "/\r\n/evil.test",
    "/.evil.test",
    "/..//evil.test",
    "/a/..//evil.test",
    "./evil.test",
    "?//evil.test",
    "#//evil.test",
    "evil.test",
    ".evil.test",
    "@evil.test",
    ":evil.test",
    "http://evil.test",
    "http:evil.test",
    "https:evil.test",
    "https:/evil.test",
    "https:\\\\evil.test",
    "https://evil.test",
    "HTTPS://evil.test",
    "https:///evil.test",
    "https://evil.test/app.test",
    "https://evil.test?app.test",
    "https://evil.test#app.test",
    "https://evil.test\\.app.test",
    "https://evil.test%2f.app.test",
    "https://evil.test%00.app.test",
    "https://app.test.evil.test",
    "https://app.testevil.test",
    "https://evil-app.test",
    "https://app.test@evil.test",
    "https://app.test:443@evil.test",
    "https://app.test%40evil.test",
    "https://app.test\\@evil.test",
    "https://app.test#@evil.test",
    "https://app.test?@evil.test",
    "https://user:password@evil.test",
    "https://app.test:6666/evil",
    "https://app.test:99999/evil",
    "https://app.test:0443/evil",
    "https://[app.test]/evil",
    "https://app.test\u{3002}evil.test",
    "https://app\u{2024}test.evil.test",
    "https://\u{ff45}vil.test",
    "ftp://app.test/evil",
    "javascript:alert('evil')//app.test",
    "java\nscript:alert('evil')",
    "data:text/html,evil",
    "vbscript:evil",
    " https://evil.test",
    "\u{a0}https://evil.test",
    "\u{0}https://evil.test",
    "https://evil.test ",
];
