//! Forms that are posted by somebody who has to sign in first: sent again afterwards, once, by a page of the
//! same host; and never a form of another site's.

use std::time::Duration;

use tokio::io::AsyncWriteExt;

use crate::support::Answer;
use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::Protocol;
use crate::support::Request;
use crate::support::Url;
use crate::support::client;
use crate::support::client::Connection;
use crate::support::gateway::Setup;
use crate::support::gateway::password;
use crate::support::until;
use crate::support::wait::PATIENCE;
use crate::support::yaml;

async fn start(limits: &str) -> (Gateway, Application) {
    let application = Application::start().await;
    let config = yaml::applications(&[application.address()]);
    (
        Gateway::start(&format!("{config}{limits}")).await,
        application,
    )
}

/// Posts a form to an application as a page of `site` does.
async fn post(browser: &mut Browser, site: &str, form: (&str, &str)) -> Answer {
    post_to(browser, "https://app.test/order?n=1", site, form).await
}

async fn post_to(
    browser: &mut Browser,
    url: &str,
    site: &str,
    (content_type, body): (&str, &str),
) -> Answer {
    let request = Request::post(url)
        .header("content-type", content_type)
        .header("accept", "text/html")
        .header("sec-fetch-mode", "navigate")
        .header("sec-fetch-dest", "document")
        .header("sec-fetch-site", site)
        .body(body.to_owned());
    browser.send(request).await
}

/// Signs in where an answer leads, and answers the page at the end.
async fn sign_in(browser: &mut Browser, sent: &Answer) -> Answer {
    let page = browser.follow(sent).await.expect(200);
    let right = password("alice");
    let back = browser.log_in(&page, "alice", &right).await.expect(303);
    browser.follow_all(back).await.expect(200)
}

const URL_ENCODED: &str = "application/x-www-form-urlencoded";

#[tokio::test]
async fn a_form_of_the_same_host_is_sent_again_after_the_sign_in_and_only_once_d_22() {
    let (gateway, application) = start("").await;
    let mut browser = Browser::new(&gateway);
    let body = "item=a+b&item=%C3%A4&note=%3Cb%3E%22%26%0D%0Aline&empty=";
    let sent = post(&mut browser, "same-origin", (URL_ENCODED, body))
        .await
        .expect(303);
    let page = sign_in(&mut browser, &sent).await;
    assert_eq!(page.url.path(), "/.portway/replay");
    assert_eq!(application.requests(), 0, "nothing before the page says so");
    let form = page.form();
    assert_eq!(form.action, "/order?n=1");
    let expected = [
        ("item", "a b"),
        ("item", "ä"),
        ("note", "<b>\"&\r\nline"),
        ("empty", ""),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(form.fields, expected);
    let policy = page.header("content-security-policy");
    let nonce = policy.split("script-src 'nonce-").nth(1).unwrap();
    let nonce = nonce.split('\'').next().unwrap();
    assert!(
        page.text().contains(&format!("<script nonce=\"{nonce}\">")),
        "{}",
        page.text()
    );
    let there = browser.submit(&page, &form).await.expect(200);
    assert_eq!(
        (there.told("method"), there.told("uri")),
        ("POST".to_owned(), "/order?n=1".to_owned())
    );
    // A second visit of that page leads on without the form.
    let again = browser.get(&page.url.to_string()).await.expect(303);
    assert_eq!(
        again.location().to_string(),
        format!("{}/order?n=1", page.url.origin())
    );
}

#[tokio::test]
async fn multipart_and_text_forms_are_sent_again_too_d_22() {
    let (gateway, _application) = start("").await;
    let multipart = "--xx\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--xx\r\n\
        Content-Disposition: form-data; name=\"f\"; filename=\"x.txt\"\r\nContent-Type: text/plain\r\n\
        \r\nhello\r\n--xx--\r\n";
    for (content_type, body, enctype) in [
        (
            "multipart/form-data; boundary=xx",
            multipart,
            "multipart/form-data",
        ),
        ("text/plain", "a=1\r\nb=2\r\n", "text/plain"),
    ] {
        let mut browser = Browser::new(&gateway);
        let sent = post(&mut browser, "same-origin", (content_type, body))
            .await
            .expect(303);
        let page = sign_in(&mut browser, &sent).await;
        assert!(
            page.text().contains(&format!("enctype=\"{enctype}\"")),
            "{}",
            page.text()
        );
        assert!(
            page.text().contains("name=\"a\" value=\"1\""),
            "{}",
            page.text()
        );
        let has_file = page.text().contains("data-content=\"aGVsbG8=\"");
        assert_eq!(
            has_file,
            content_type.starts_with("multipart"),
            "{}",
            page.text()
        );
    }
}

#[tokio::test]
async fn anything_else_returns_to_a_get_d_22() {
    let (gateway, application) = start("limits: { kept_post_size: 1KiB }\n").await;
    let large = format!("a={}", "x".repeat(2000));
    for (site, content_type, body) in [
        ("cross-site", URL_ENCODED, "a=1"),
        ("same-site", URL_ENCODED, "a=1"),
        ("none", URL_ENCODED, "a=1"),
        ("same-origin", "application/json", "{}"),
        ("same-origin", URL_ENCODED, "a=%E4"),
        ("same-origin", URL_ENCODED, large.as_str()),
        ("same-origin", "multipart/form-data; boundary=xx", "--yy--"),
    ] {
        let before = application.requests();
        let mut browser = Browser::new(&gateway);
        let sent = post(&mut browser, site, (content_type, body))
            .await
            .expect(303);
        let there = sign_in(&mut browser, &sent).await;
        assert_eq!(there.told("method"), "GET", "{site} {content_type}");
        assert_eq!(there.told("uri"), "/order?n=1", "{site} {content_type}");
        assert_eq!(application.requests(), before + 1);
    }
}

#[tokio::test]
async fn a_form_is_sent_again_to_where_it_was_meant_for_or_nowhere_d_22() {
    let (gateway, application) = start("").await;
    let mut browser = Browser::new(&gateway);
    let url = "https://app.test/order?file=C:\\x&n=1";
    let sent = post_to(&mut browser, url, "same-origin", (URL_ENCODED, "a=1")).await;
    let page = sign_in(&mut browser, &sent.expect(303)).await;
    assert_eq!(page.form().action, "/order?file=C:%5Cx&n=1");
    let there = browser.submit(&page, &page.form()).await.expect(200);
    assert_eq!(there.told("method"), "POST");
    assert_eq!(there.told("uri"), "/order?file=C:%5Cx&n=1");
    let before = application.requests();
    let mut browser = Browser::new(&gateway);
    let url = format!("https://app.test/order?n={}", "1".repeat(7000));
    let sent = post_to(&mut browser, &url, "same-origin", (URL_ENCODED, "a=1")).await;
    let there = sign_in(&mut browser, &sent.expect(303)).await;
    assert_eq!(there.told("method"), "GET", "nothing is posted elsewhere");
    assert_eq!(there.told("uri"), "/order");
    assert_eq!(application.requests(), before + 1);
}

#[tokio::test]
async fn a_kept_form_is_the_browsers_that_posted_it_d_22() {
    let (gateway, _application) = start("").await;
    let mut browser = Browser::new(&gateway);
    let sent = post(&mut browser, "same-origin", (URL_ENCODED, "secret=1"))
        .await
        .expect(303);
    let page = browser.follow(&sent).await.expect(200);
    let right = password("alice");
    let back = browser.log_in(&page, "alice", &right).await.expect(303);
    let replay = browser.follow(&back).await.expect(303);
    let mut thief = Browser::signed_in(&gateway, "bob").await;
    let address = replay.location().to_string();
    let seen = thief.get(&address).await.expect(303);
    assert_eq!(seen.location().path(), "/order", "nothing of the form");
    let mut altered = address.clone();
    altered.pop();
    let seen = thief.get(&altered).await.expect(303);
    assert_eq!(seen.location().path(), "/");
    let page = browser.follow(&replay).await.expect(200);
    assert_eq!(page.form().value("secret"), "1");
}

/// A browser that keeps no authn cookie posts, signs in without a word and comes to a page that posts again.
#[tokio::test]
async fn a_form_that_comes_back_again_and_again_is_stopped_and_told_why_d_10_d_22() {
    let (gateway, application) = start("").await;
    let mut browser = Browser::signed_in(&gateway, "alice").await;
    let before = application.requests();
    browser.jar.forget("app.test", "-authn-");
    let mut sent = post(&mut browser, "same-origin", (URL_ENCODED, "a=1")).await;
    for round in 0..3 {
        let page = browser.follow_all(sent).await.expect(200);
        assert_eq!(page.url.path(), "/.portway/replay", "{round}");
        browser.jar.forget("app.test", "-authn-");
        sent = browser.submit(&page, &page.form()).await.expect(303);
    }
    let told = browser.follow_all(sent).await.expect(503);
    assert_eq!(told.url.host(), "login.test");
    let text = told.text();
    assert!(
        text.contains("Signing in does not come to an end"),
        "{text}"
    );
    assert!(
        text.contains("Your sign-in does not arrive there"),
        "{text}"
    );
    assert_eq!(application.requests(), before, "no round got there");
}

/// Rounds that are further apart than those that are counted within a minute.
#[tokio::test]
async fn a_form_that_comes_back_slowly_comes_to_a_get_in_the_end_d_10_d_22() {
    let Some(setup) = Setup::new().with_clock() else {
        return;
    };
    let application = Application::start().await;
    let config = yaml::applications(&[application.address()]);
    let gateway = setup.start(&config).await;
    let mut browser = Browser::signed_in(&gateway, "alice").await;
    browser.jar.forget("app.test", "-authn-");
    let mut sent = post(&mut browser, "same-origin", (URL_ENCODED, "a=1")).await;
    for round in 1..=8 {
        let page = browser.follow_all(sent).await.expect(200);
        assert_eq!(page.url.path(), "/.portway/replay", "{round}");
        browser.jar.forget("app.test", "-authn-");
        gateway.set_clock_ahead(Duration::from_secs(25 * round));
        sent = browser.submit(&page, &page.form()).await.expect(303);
    }
    let there = browser.follow_all(sent).await.expect(200);
    assert_eq!(there.told("method"), "GET");
    assert_eq!(there.told("uri"), "/order?n=1");
}

#[tokio::test]
async fn nothing_is_kept_where_nothing_may_be() {
    let (gateway, _application) = start("limits: { kept_posts: 0 }\n").await;
    let mut browser = Browser::new(&gateway);
    let sent = post(&mut browser, "same-origin", (URL_ENCODED, "a=1"))
        .await
        .expect(303);
    let there = sign_in(&mut browser, &sent).await;
    assert_eq!(there.told("method"), "GET");
}

#[tokio::test]
async fn an_office_behind_one_address_keeps_a_form_for_each_of_its_people() {
    let (gateway, _application) = start("").await;
    let mut office = Vec::new();
    for n in 0..12 {
        let mut browser = Browser::new(&gateway);
        let form = format!("a={n}");
        let sent = post(&mut browser, "same-origin", (URL_ENCODED, &form)).await;
        office.push((browser, sent.expect(303)));
    }
    for (mut browser, sent) in office {
        let there = sign_in(&mut browser, &sent).await;
        assert_eq!(there.url.path(), "/.portway/replay");
    }
}

/// Begins to post a form, and says no more; `from` is where a proxy says it comes from.
async fn post_slowly(gateway: &Gateway, from: &str) -> Connection {
    let url = Url::parse("https://app.test/");
    let mut slow = client::connect(&url, gateway.address("https"), Protocol::H1)
        .await
        .unwrap();
    let head = format!(
        "POST /slow HTTP/1.1\r\nHost: app.test\r\nAccept: text/html\r\nSec-Fetch-Mode: navigate\r\n\
         Sec-Fetch-Site: same-origin\r\nX-Forwarded-For: {from}\r\nContent-Type: {URL_ENCODED}\r\n\
         Content-Length: 9\r\n\r\na="
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    slow.flush().await.unwrap();
    slow
}

/// Where a sign-in ends for which a form was posted.
async fn lands_at(gateway: &Gateway, from: &str) -> String {
    let mut browser = Browser::new(gateway).sending("x-forwarded-for", from);
    let sent = post(&mut browser, "same-origin", (URL_ENCODED, "a=1")).await;
    let there = sign_in(&mut browser, &sent.expect(303)).await;
    there.url.path().to_owned()
}

#[tokio::test]
async fn no_more_bodies_are_read_at_a_time_than_may_be_kept() {
    let (gateway, _application) = start("limits: { kept_posts: 1 }\n").await;
    let slow = post_slowly(&gateway, "192.0.2.1").await;
    until("the slow body is being read", PATIENCE, || async {
        (lands_at(&gateway, "192.0.2.2").await == "/order").then_some(())
    })
    .await;
    drop(slow);
    until("its place is free again", PATIENCE, || async {
        (lands_at(&gateway, "192.0.2.2").await == "/.portway/replay").then_some(())
    })
    .await;
}

#[tokio::test]
async fn whoever_sends_slowly_takes_only_the_places_of_that_address_d_22() {
    let limits = "limits: { kept_posts: 8, kept_posts_per_address: 1 }\n";
    let (gateway, _application) = start(&format!("trusted_proxies: [127.0.0.1]\n{limits}")).await;
    let slow = post_slowly(&gateway, "2001:db8::1").await;
    until("the slow body is being read", PATIENCE, || async {
        (lands_at(&gateway, "2001:db8::2").await == "/order").then_some(())
    })
    .await;
    assert_eq!(lands_at(&gateway, "192.0.2.1").await, "/.portway/replay");
    drop(slow);
    until("its place is free again", PATIENCE, || async {
        (lands_at(&gateway, "2001:db8::2").await == "/.portway/replay").then_some(())
    })
    .await;
}
