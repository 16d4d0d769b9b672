//! Requests, forms and tokens that are old, used, foreign or garbage: the user goes on, nobody gets in.

use std::time::Duration;

use crate::support::Answer;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::Request;
use crate::support::applications;
use crate::support::applications_with_clock;
use crate::support::gateway::password;

/// A browser with the login page for `https://app.test/deep` before it.
async fn at_the_login_page(gateway: &Gateway) -> (Browser, Answer) {
    let mut browser = Browser::new(gateway);
    let sent = browser.get("https://app.test/deep").await.expect(303);
    let page = browser.follow(&sent).await.expect(200);
    (browser, page)
}

/// The same one step further: signed in at the collector, with the way back to the application.
async fn at_the_callback(gateway: &Gateway) -> (Browser, Answer) {
    let (mut browser, page) = at_the_login_page(gateway).await;
    let back = browser
        .log_in(&page, "alice", &password("alice"))
        .await
        .expect(303);
    (browser, back)
}

#[tokio::test]
async fn a_login_page_that_stood_open_too_long_begins_again_at_its_application_d_9() {
    let Some((_nginx, gateway)) = applications_with_clock().await else {
        return;
    };
    let (mut browser, page) = at_the_login_page(&gateway).await;
    gateway.set_clock_ahead(Duration::from_secs(61 * 60));
    let again = browser
        .log_in(&page, "alice", &password("alice"))
        .await
        .expect(303);
    assert_eq!(again.location().host(), "app.test");
    assert!(browser.jar.find("login.test", "-id-").is_none());
    let page = browser.follow_all(again).await.expect(200);
    let back = browser
        .log_in(&page, "alice", &password("alice"))
        .await
        .expect(303);
    assert_eq!(
        browser.follow_all(back).await.expect(200).told("uri"),
        "/deep"
    );
}

#[tokio::test]
async fn a_token_older_than_a_minute_sets_no_cookie_and_the_user_gets_there_all_the_same_s_24() {
    let Some((_nginx, gateway)) = applications_with_clock().await else {
        return;
    };
    let (mut browser, back) = at_the_callback(&gateway).await;
    gateway.set_clock_ahead(Duration::from_secs(61));
    let onward = browser.follow(&back).await.expect(303);
    assert!(onward.set_cookies().is_empty(), "{onward:?}");
    let there = browser.follow_all(onward).await.expect(200);
    assert_eq!(there.told("uri"), "/deep");
}

#[tokio::test]
async fn a_token_works_once_s_24() {
    let Some((_nginx, gateway)) = applications().await else {
        return;
    };
    let (mut browser, back) = at_the_callback(&gateway).await;
    let mut copy = browser.clone();
    let first = browser.follow(&back).await.expect(303);
    assert_eq!(first.set_cookies().len(), 1);
    let second = copy.follow(&back).await.expect(303);
    assert!(second.set_cookies().is_empty(), "{second:?}");
    assert_eq!(second.location().target, "/deep");
}

#[tokio::test]
async fn a_token_is_nothing_in_another_browser_s_24() {
    let Some((_nginx, gateway)) = applications().await else {
        return;
    };
    let (mut browser, back) = at_the_callback(&gateway).await;
    let mut without = Browser::new(&gateway);
    let mut foreign = Browser::new(&gateway);
    foreign.get("https://app.test/deep").await.expect(303);
    for stranger in [&mut without, &mut foreign] {
        let onward = stranger.follow(&back).await.expect(303);
        assert!(onward.set_cookies().is_empty(), "{onward:?}");
        stranger.get("https://app.test/").await.expect(303);
    }
    // A stranger's attempt has not spent it.
    let onward = browser.follow(&back).await.expect(303);
    assert_eq!(onward.set_cookies().len(), 1);
}

#[tokio::test]
async fn a_token_of_a_session_that_has_ended_sets_no_cookie_s_17() {
    let Some((_nginx, gateway)) = applications().await else {
        return;
    };
    let (mut browser, back) = at_the_callback(&gateway).await;
    let mut other_tab = browser.clone();
    other_tab.get("https://login.test/.portway/logout").await;
    let onward = browser.follow(&back).await.expect(303);
    let cookies = format!("{:?}", onward.set_cookies());
    assert!(!cookies.contains("authn"), "{cookies}");
    browser.follow(&onward).await.expect(200).form();
}

#[tokio::test]
async fn garbage_for_a_request_a_form_or_a_token_is_no_error_and_no_way_in() {
    let Some((_nginx, gateway)) = applications().await else {
        return;
    };
    let (mut browser, page) = at_the_login_page(&gateway).await;
    let good = page.url.parameter("r").unwrap();
    let (head, tail) = good.split_at(good.len() / 2);
    let flipped = if tail.starts_with('A') { "B" } else { "A" };
    let bent = format!("{head}{flipped}{}", tail.get(1..).unwrap());
    let long = "A".repeat(5000);
    let odd = [
        bent.as_str(),
        head,
        "",
        "x",
        "%00",
        "%ff",
        "....",
        "-_-_",
        &long,
        "%3Cscript%3E",
    ];
    for value in odd {
        let shown = browser
            .get(&format!("https://login.test/.portway/sign-in?r={value}"))
            .await;
        assert_eq!(shown.clone().expect(200).form().value("r"), "", "{value}");
        assert!(!shown.text().contains("<script>"), "{}", shown.text());
        let mut form = page.form();
        form.fields
            .iter_mut()
            .filter(|(name, _)| name == "form")
            .for_each(|(_, old)| {
                value.clone_into(old);
            });
        let form = form
            .with("username", "alice")
            .with("password", &password("alice"));
        let refused = browser.submit(&page, &form).await.expect(403);
        assert!(refused.set_cookies().is_empty(), "{value}: {refused:?}");
        let onward = browser
            .get(&format!("https://app.test/.portway/callback?t={value}"))
            .await;
        assert_eq!(onward.clone().expect(303).location().target, "/", "{value}");
        assert!(onward.set_cookies().is_empty(), "{value}: {onward:?}");
    }
}

#[tokio::test]
async fn a_login_posted_from_another_site_signs_nobody_in() {
    let Some((_nginx, gateway)) = applications().await else {
        return;
    };
    let (browser, page) = at_the_login_page(&gateway).await;
    let form = page
        .form()
        .with("username", "carol")
        .with("password", &password("carol"));
    let post = |headers: &[(&str, &str)]| {
        let request = Request::post("https://login.test/.portway/sign-in").form(&form.fields);
        headers.iter().fold(request, |request, (name, value)| {
            request.header(name, value)
        })
    };
    // With the victim's cookie, as if SameSite were not there; and with an attacker's form alone.
    let from_elsewhere: [&[(&str, &str)]; 4] = [
        &[
            ("sec-fetch-site", "cross-site"),
            ("origin", "https://evil.test"),
        ],
        &[("sec-fetch-site", "same-site")],
        &[("origin", "https://app.test")],
        &[("origin", "null")],
    ];
    for headers in from_elsewhere {
        let refused = browser.clone().send(post(headers)).await.expect(403);
        assert!(refused.set_cookies().is_empty(), "{refused:?}");
    }
    let mut victim = Browser::new(&gateway);
    let refused = victim
        .send(post(&[("sec-fetch-site", "same-origin")]))
        .await
        .expect(403);
    assert!(
        victim.jar.find("login.test", "-id-").is_none(),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_cookie_that_was_tampered_with_is_no_cookie() {
    let Some((_nginx, gateway)) = applications().await else {
        return;
    };
    let mut browser = Browser::signed_in(&gateway, "alice").await;
    let good = browser.jar.find("app.test", "-authn-").unwrap().clone();
    let mut answers = std::collections::BTreeSet::new();
    for at in (0..good.value.len()).step_by(7) {
        let mut bent = good.value.clone().into_bytes();
        bent[at] = if bent[at] == b'x' { b'y' } else { b'x' };
        let mut thief = Browser::new(&gateway);
        let bent = String::from_utf8(bent).unwrap();
        thief.jar.put("app.test", &good.name, &bent);
        let answer = thief.get("https://app.test/").await;
        answers.insert((
            answer.status,
            answer.body.len(),
            answer.location().path().to_owned(),
        ));
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(answers.first().unwrap().0, 303);
    browser.get("https://app.test/").await.expect(200);
}
