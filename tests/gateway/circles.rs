//! Browsers that are signed in and come back to sign in again and again, in one data centre: each is told the
//! cause, and arrives once it is gone (D-10). Those without cookies are in `sign_in`, those with forms in `replay`.

use std::time::Duration;

use crate::support::Answer;
use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::gateway::Setup;
use crate::support::yaml;

const APP: &str = "https://app.test/";
const OTHER: &str = "https://other.test/";
const HOME: &str = "192.0.2.1";
const AWAY: &str = "192.0.2.2";

/// Goes by the collector again and again, until that says why. What is done to the browser before it asks for
/// the page is undone before it goes on.
async fn told(
    browser: &mut Browser,
    mut spoil: impl FnMut(&mut Browser),
    mut mend: impl FnMut(&mut Browser),
) -> Answer {
    for _ in 0..ROUNDS_MAX {
        spoil(browser);
        let sent = browser.get(APP).await.expect(303);
        assert_eq!(sent.location().host(), "login.test");
        mend(browser);
        let back = browser.follow(&sent).await;
        if !back.redirects() {
            return back;
        }
        browser.follow(&back).await.expect(303);
    }
    panic!("nobody told why in {ROUNDS_MAX} rounds");
}

fn assert_cause(told: &Answer, cause: &str) {
    assert_eq!(told.url.host(), "login.test");
    let text = told.text();
    for part in ["Signing in does not come to an end", cause, "Try again"] {
        assert!(text.contains(part), "no {part}: {text}");
    }
}

fn comes_from(browser: &mut Browser, address: &str) {
    *browser = browser.clone().sending("x-forwarded-for", address);
}

#[tokio::test]
async fn a_network_that_changes_with_each_request_is_told_of_d_10_d_19() {
    let application = Application::start().await;
    let yaml = yaml::applications(&[application.address()]);
    let bound = "trusted_proxies: [127.0.0.1]\nsession: { bind_to: [address] }\n";
    let gateway = Gateway::start(&format!("{bound}{yaml}")).await;
    let mut browser = Browser::new(&gateway).sending("x-forwarded-for", HOME);
    browser.sign_in(APP, "alice").await.expect(200);
    let served = application.requests();
    let away = |browser: &mut Browser| comes_from(browser, AWAY);
    let home = |browser: &mut Browser| comes_from(browser, HOME);
    let told = told(&mut browser, away, home).await.expect(403);
    assert_cause(&told, "bound to your network or browser");
    assert_eq!(application.requests(), served, "no round got there");
    browser.get(APP).await.expect(200);
}

#[tokio::test]
async fn a_cookie_that_is_another_hosts_is_told_of_d_10() {
    let application = Application::start().await;
    let yaml = yaml::applications(&[application.address()]);
    let gateway = Gateway::start(&yaml).await;
    let mut browser = Browser::signed_in(&gateway, "alice").await;
    browser.sign_in_silently(OTHER).await;
    let served = application.requests();
    let foreign = browser.jar.find("other.test", "-authn-").unwrap();
    let (name, value) = (foreign.name.clone(), foreign.value.clone());
    let spoil = |browser: &mut Browser| browser.jar.put("app.test", &name, &value);
    let told = told(&mut browser, spoil, |_| ()).await.expect(503);
    assert_cause(
        &told,
        "another service at that address uses a cookie of the same name",
    );
    assert_eq!(application.requests(), served, "no round got there");
    browser.jar.forget("app.test", "-authn-");
    let back = browser.get(OTHER).await.expect(200);
    assert_eq!(back.told("remote-user"), "alice", "nobody was signed out");
}

#[tokio::test]
async fn a_clock_that_goes_back_and_forth_is_told_of_d_10_mdc_cookie_6() {
    let Some(setup) = Setup::new().with_clock() else {
        return;
    };
    let application = Application::start().await;
    let yaml = yaml::applications(&[application.address()]);
    let gateway = setup.start(&yaml).await;
    let ahead = Duration::from_secs(600);
    gateway.set_clock_ahead(ahead);
    let mut browser = Browser::signed_in(&gateway, "alice").await;
    let served = application.requests();
    let behind = |_: &mut Browser| gateway.set_clock_ahead(Duration::ZERO);
    let before = |_: &mut Browser| gateway.set_clock_ahead(ahead);
    let told = told(&mut browser, behind, before).await.expect(503);
    assert_cause(&told, "The clocks of its servers differ too much");
    assert_eq!(application.requests(), served, "no round got there");
    browser.get(APP).await.expect(200);
}

/// Rounds of a browser that strays count within five seconds: on a busy machine some may be too slow to.
const ROUNDS_MAX: usize = 60;
