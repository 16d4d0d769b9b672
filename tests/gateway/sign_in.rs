//! Signing in: from a deep link through the collector and back, in any number of tabs, once for all
//! applications.
//!
//! What programs get instead is in `programs`; tokens and forms that are not good are in `stale`.

use crate::support::Answer;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::Nginx;
use crate::support::Protocol;
use crate::support::applications;
use crate::support::gateway::password;
use crate::support::yaml;

#[tokio::test]
async fn a_deep_link_comes_back_after_signing_in_with_its_query_kept_d_9() {
    let Some((_nginx, gateway)) = applications().await else {
        return;
    };
    for protocol in [Protocol::H1, Protocol::H2] {
        let mut browser = Browser::new(&gateway).over(protocol);
        let sent = browser
            .get("https://app.test/deep/link?a=1&b=%20x&c=%C3%A4&a=2")
            .await
            .expect(303);
        assert_eq!(sent.location().host(), "login.test");
        assert!(!sent.text().contains("upstream"), "{}", sent.text());
        let page = browser.follow(&sent).await.expect(200);
        assert!(page.text().contains("app.test"), "{}", page.text());
        let back = browser
            .log_in(&page, "alice", &password("alice"))
            .await
            .expect(303);
        assert_eq!(back.location().host(), "app.test");
        let there = browser.follow_all(back).await.expect(200);
        assert_eq!(there.told("uri"), "/deep/link?a=1&b=%20x&c=%C3%A4&a=2");
        assert_eq!(there.told("remote-user"), "alice");
        assert!(there.url.parameter("t").is_none(), "{}", there.url);
    }
}

#[tokio::test]
async fn a_deep_link_that_is_odd_comes_back_as_the_same_and_one_too_long_to_its_path_d_18_d_22() {
    let Some((_nginx, gateway)) = applications().await else {
        return;
    };
    let long = format!("/deep/link?a={}", "1".repeat(7000));
    for (asked, there) in [
        ("/deep/link?a=C:\\x&b=1", "/deep/link?a=C:%5Cx&b=1"),
        (long.as_str(), "/deep/link"),
    ] {
        let mut browser = Browser::new(&gateway);
        let url = format!("https://app.test{asked}");
        let back = browser.sign_in(&url, "alice").await.expect(200);
        assert_eq!(back.told("uri"), there);
    }
}

#[tokio::test]
async fn cookies_are_host_only_secure_http_only_and_lax_and_fit_one_kibibyte_m_014() {
    let Some((_nginx, gateway)) = applications().await else {
        return;
    };
    let browser = Browser::signed_in(&gateway, "carol").await;
    for (host, count) in [("app.test", 2), ("login.test", 3)] {
        let kept = browser.jar.of(host);
        assert_eq!(kept.len(), count, "{kept:?}");
        for cookie in &kept {
            assert!(cookie.name.starts_with("__Host-portway-"), "{cookie:?}");
            assert!(cookie.secure && cookie.http_only, "{cookie:?}");
            assert_eq!(cookie.same_site.as_deref(), Some("Lax"), "{cookie:?}");
            assert_eq!(
                (cookie.domain.as_deref(), cookie.path.as_str()),
                (None, "/")
            );
        }
        let sent = browser.cookies_for(&format!("https://{host}/")).len();
        assert!(sent < 1024, "{host}: {sent} bytes of cookies");
    }
}

#[tokio::test]
async fn a_wrong_password_an_unknown_user_and_a_disabled_one_get_the_same_answer() {
    let Some((_nginx, gateway)) = applications().await else {
        return;
    };
    let tries = [
        ("alice", "wrong".to_owned()),
        ("nobody", password("alice")),
        ("ed", password("ed")),
        ("alice", " ".to_owned()),
        ("Alice\n", "wrong".to_owned()),
    ];
    let mut answers = Vec::new();
    for (user, password) in tries {
        let mut browser = Browser::new(&gateway);
        let page = browser.get("https://app.test/x").await;
        let page = browser.follow(&page).await.expect(200);
        let refused = browser.log_in(&page, user, &password).await;
        assert!(browser.jar.find("login.test", "-id-").is_none(), "{user:?}");
        answers.push((refused.status, shown(&refused)));
        // The page it comes on can be used again.
        let form = refused.form().with("username", "alice");
        let form = form.with("password", &crate::support::gateway::password("alice"));
        let back = browser.submit(&refused, &form).await.expect(303);
        let there = browser.follow_all(back).await.expect(200);
        assert_eq!(there.told("uri"), "/x");
    }
    assert_eq!(answers[0].0, 403);
    for answer in &answers {
        assert_eq!(answer, &answers[0]);
    }
}

/// A page without what is sealed anew each time.
fn shown(page: &Answer) -> String {
    let form = page.form();
    let text = page.text();
    let nonce = text.split("nonce=\"").nth(1).unwrap();
    let nonce = nonce.split('"').next().unwrap();
    text.replace(form.value("r"), "")
        .replace(form.value("form"), "")
        .replace(nonce, "")
}

#[tokio::test]
async fn a_second_application_needs_no_second_login_page() {
    let Some((_nginx, gateway)) = applications().await else {
        return;
    };
    let mut browser = Browser::signed_in(&gateway, "alice").await;
    let mut answer = browser.get("https://other.test/here?x=1").await;
    let mut steps = Vec::new();
    while answer.redirects() {
        steps.push(answer.location().host().to_owned());
        answer = browser.follow(&answer).await;
    }
    assert_eq!(steps, ["login.test", "other.test", "other.test"]);
    assert_eq!(answer.told("uri"), "/here?x=1");
    assert_eq!(answer.told("remote-user"), "alice");
    let tokens = ["app.test", "other.test"].map(|host| {
        let kept = browser.jar.find(host, "-authn-");
        kept.unwrap().value.clone()
    });
    assert_ne!(tokens[0], tokens[1]);
}

#[tokio::test]
async fn a_cookie_of_one_host_is_nothing_on_another_m_015() {
    let Some((_nginx, gateway)) = applications().await else {
        return;
    };
    let browser = Browser::signed_in(&gateway, "alice").await;
    let authn = browser.jar.find("app.test", "-authn-").unwrap().clone();
    let id = browser.jar.find("login.test", "-id-").unwrap().clone();
    let mut thief = Browser::new(&gateway);
    thief.jar.put("other.test", &authn.name, &authn.value);
    thief.get("https://other.test/").await.expect(303);
    thief.jar.put("other.test", &authn.name, &id.value);
    thief.get("https://other.test/").await.expect(303);
    thief.jar.put("login.test", &id.name, &authn.value);
    let page = thief.get("https://other.test/").await;
    let page = thief.follow(&page).await.expect(200);
    assert_eq!(page.url.host(), "login.test");
}

#[tokio::test]
async fn any_number_of_tabs_sign_in_beside_each_other_with_one_nonce_cookie_d_9() {
    let Some((_nginx, gateway)) = applications().await else {
        return;
    };
    let mut browser = Browser::new(&gateway);
    let mut pages = Vec::new();
    for tab in 0..5 {
        let sent = browser
            .get(&format!("https://app.test/tab/{tab}"))
            .await
            .expect(303);
        assert_eq!(sent.set_cookies().len(), usize::from(tab == 0), "{sent:?}");
        pages.push(browser.follow(&sent).await.expect(200));
    }
    assert_eq!(browser.jar.of("app.test").len(), 1);
    assert_eq!(browser.jar.of("login.test").len(), 1);
    // The last tab first; then the first, though somebody is signed in by now; the others go through
    // when they are loaded again.
    for tab in [4, 0] {
        let back = browser
            .log_in(&pages[tab], "alice", &password("alice"))
            .await
            .expect(303);
        let there = browser.follow_all(back).await.expect(200);
        assert_eq!(there.told("uri"), format!("/tab/{tab}"));
    }
    for tab in [1, 2, 3] {
        let again = browser.get(&pages[tab].url.to_string()).await.expect(303);
        let there = browser.follow_all(again).await.expect(200);
        assert_eq!(there.told("uri"), format!("/tab/{tab}"));
    }
}

#[tokio::test]
async fn signing_in_as_another_user_ends_the_former_session_s_11() {
    let Some((_nginx, gateway)) = applications().await else {
        return;
    };
    let mut browser = Browser::new(&gateway);
    let page = browser.get("https://app.test/").await;
    let page = browser.follow(&page).await.expect(200);
    browser
        .sign_in("https://app.test/", "alice")
        .await
        .expect(200);
    let mut copy = browser.clone();
    assert_eq!(
        copy.get("https://app.test/").await.told("remote-user"),
        "alice"
    );
    let back = browser
        .log_in(&page, "carol", &password("carol"))
        .await
        .expect(303);
    let there = browser.follow_all(back).await.expect(200);
    assert_eq!(there.told("remote-user"), "carol");
    copy.get("https://app.test/").await.expect(303);
    // And at the collector, alice's copy is nobody.
    let page = copy.get("https://other.test/").await;
    copy.follow(&page).await.expect(200).form();
}

#[tokio::test]
async fn a_user_has_so_many_sessions_and_the_oldest_goes_s_21() {
    let Some(nginx) = Nginx::start("one").await else {
        return;
    };
    let yaml = yaml::applications(&[nginx.address()]);
    let gateway = Gateway::start(&format!("{yaml}session: {{ per_user_max: 2 }}\n")).await;
    let mut browsers: Vec<_> = (0..4).map(|_| Browser::new(&gateway)).collect();
    let mut bob = Browser::signed_in(&gateway, "bob").await;
    for browser in &mut browsers {
        browser
            .sign_in("https://app.test/", "alice")
            .await
            .expect(200);
    }
    let mut statuses = Vec::new();
    for browser in &mut browsers {
        statuses.push(browser.get("https://app.test/").await.status);
    }
    assert_eq!(statuses, [303, 303, 200, 200]);
    bob.get("https://app.test/").await.expect(200);
}

#[tokio::test]
async fn a_page_that_is_asked_for_again_and_again_is_told_why_d_10() {
    let Some((_nginx, gateway)) = applications().await else {
        return;
    };
    let mut browser = Browser::signed_in(&gateway, "alice").await;
    for (forgotten, status, cause) in [
        ("-authn-", 503, "Your sign-in does not arrive there"),
        ("-", 403, "Your browser does not return its cookies"),
    ] {
        let url = format!("https://app.test/round{forgotten}");
        for round in 0..3 {
            browser.jar.forget("app.test", forgotten);
            let sent = browser.get(&url).await.expect(303);
            let back = browser.follow(&sent).await.expect(303);
            assert_eq!(back.location().host(), "app.test", "{round}");
            browser.follow(&back).await.expect(303);
        }
        browser.jar.forget("app.test", forgotten);
        let sent = browser.get(&url).await.expect(303);
        let text = browser.follow(&sent).await.expect(status).text();
        assert!(
            text.contains("Signing in does not come to an end"),
            "{text}"
        );
        assert!(text.contains(cause), "{text}");
    }
}

#[tokio::test]
async fn a_login_page_without_an_application_leads_to_a_welcome() {
    let Some((_nginx, gateway)) = applications().await else {
        return;
    };
    let mut browser = Browser::new(&gateway);
    let page = browser.get("https://login.test/").await.expect(200);
    let back = browser
        .log_in(&page, "alice", &password("alice"))
        .await
        .expect(303);
    let welcome = browser.follow_all(back).await.expect(200);
    assert!(
        welcome.text().contains("signed in as alice"),
        "{}",
        welcome.text()
    );
    browser.get("https://app.test/").await.expect(303);
}

#[tokio::test]
async fn the_login_page_is_not_cached_not_framed_and_posts_only_where_it_must() {
    let Some((_nginx, gateway)) = applications().await else {
        return;
    };
    let mut browser = Browser::new(&gateway);
    let page = browser.get("https://app.test/").await;
    let page = browser.follow(&page).await.expect(200);
    assert_eq!(page.header("cache-control"), "no-store");
    assert_eq!(page.header("x-frame-options"), "DENY");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    let policy = page.header("content-security-policy");
    for part in [
        "default-src 'none'",
        "frame-ancestors 'none'",
        "form-action 'self' https:;",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
}
