//! How long idle and how old a session may be at one virtual host, where it goes on at the others; and requests
//! that are no activity.

use std::net::SocketAddr;
use std::time::Duration;

use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::Nginx;
use crate::support::Request;
use crate::support::gateway::Setup;
use crate::support::wait::PATIENCE;
use crate::support::wait::within;
use crate::support::websocket;
use crate::support::yaml;

const MINUTE: u64 = 60;
const APP: &str = "https://app.test/";
const OTHER: &str = "https://other.test/";

/// Both applications; `app.test` asks this of sessions.
fn strict(upstream: SocketAddr, session: &str) -> String {
    let host = "  - host: app.test\n";
    let strict = format!("{host}    session: {{ {session} }}\n");
    yaml::applications(&[upstream]).replace(host, &strict)
}

/// The gateway with a clock that can be set, before an nginx.
async fn with_clock(session: &str) -> Option<(Nginx, Gateway)> {
    let nginx = Nginx::start("one").await?;
    let setup = Setup::new().with_clock()?;
    let gateway = setup.start(&strict(nginx.address(), session)).await;
    Some((nginx, gateway))
}

/// Whether a copy of the browser is shown the login page on its way to an address.
async fn is_asked(browser: &Browser, url: &str) -> bool {
    let mut copy = browser.clone();
    let answer = copy.get(url).await;
    let last = copy.follow_all(answer).await.expect(200);
    last.url.path() == "/.portway/sign-in"
}

#[tokio::test]
async fn a_host_with_a_stricter_idle_time_out_asks_again_while_the_session_goes_on_elsewhere_d_19()
{
    let Some((_nginx, gateway)) = with_clock("idle_timeout: 10m").await else {
        return;
    };
    let mut browser = Browser::signed_in(&gateway, "alice").await;
    browser.sign_in_silently(OTHER).await;
    gateway.set_clock_ahead(Duration::from_secs(9 * MINUTE));
    browser.get(APP).await.expect(200);
    gateway.set_clock_ahead(Duration::from_secs(20 * MINUTE));
    // To be asked is no access: neither the second nor the third time it gets in.
    for _ in 0..3 {
        assert!(is_asked(&browser, APP).await);
    }
    // Nor does it without the cookie of the host, which the collector would renew.
    let mut forgetful = browser.clone();
    forgetful.jar.forget("app.test", "authn");
    assert!(is_asked(&forgetful, APP).await);
    browser.get(OTHER).await.expect(200);
    // That was an access, wherever it was.
    browser.get(APP).await.expect(200);
    gateway.set_clock_ahead(Duration::from_secs(31 * MINUTE));
    browser.sign_in(APP, "alice").await.expect(200);
    browser.get(APP).await.expect(200);
    assert!(!is_asked(&browser, OTHER).await);
}

#[tokio::test]
async fn a_host_with_a_shorter_lifetime_asks_again_however_busy_the_session_is_d_19() {
    let Some((_nginx, gateway)) = with_clock("lifetime: 1h").await else {
        return;
    };
    let mut browser = Browser::signed_in(&gateway, "alice").await;
    browser.sign_in_silently(OTHER).await;
    for minutes in [20, 40, 59] {
        gateway.set_clock_ahead(Duration::from_secs(minutes * MINUTE));
        browser.get(APP).await.expect(200);
    }
    gateway.set_clock_ahead(Duration::from_secs(61 * MINUTE));
    browser.get(OTHER).await.expect(200);
    assert!(is_asked(&browser, APP).await);
    let program = browser.try_send(Request::get(APP)).await.unwrap();
    program.expect(401);
    browser.get(OTHER).await.expect(200);
    browser.sign_in(APP, "alice").await.expect(200);
    browser.get(APP).await.expect(200);
}

#[tokio::test]
async fn a_stream_of_the_host_is_cut_and_those_of_other_hosts_go_on_s_20_d_19() {
    let application = Application::start().await;
    let gateway = Gateway::start(&strict(application.address(), "lifetime: 8s")).await;
    let mut browser = Browser::signed_in(&gateway, "alice").await;
    browser.sign_in_silently(OTHER).await;
    let mut live = browser.open(Request::get("https://app.test/still")).await;
    assert_eq!(live.status, 200);
    let mut socket = websocket::open(&browser, "https://other.test/ws", &[])
        .await
        .unwrap();
    within("the stream ends", PATIENCE, live.rest())
        .await
        .unwrap_err();
    websocket::echo(&mut socket, "still here").await;
    browser.get(OTHER).await.expect(200);
}

/// A page that asks by itself keeps nobody signed in; it is served until the session is over.
#[tokio::test]
async fn a_route_without_activity_is_served_and_renews_no_idle_time_d_19() {
    let Some(nginx) = Nginx::start("one").await else {
        return;
    };
    let Some(setup) = Setup::new().with_clock() else {
        return;
    };
    let poll = "{ path: /poll, access: protected, policy: anybody, pool: app, activity: false }";
    let first = "      - { path: /public,";
    let yaml = yaml::applications(&[nginx.address()]);
    let yaml = yaml.replace(first, &format!("      - {poll}\n{first}"));
    let gateway = setup.start(&yaml).await;
    let mut browser = Browser::signed_in(&gateway, "alice").await;
    let poll = || Request::get("https://app.test/poll");
    let mut polling = browser.clone();
    // Without the cookie of the host, the way to the collector and back is no access either.
    let mut renewed = browser.clone();
    for minutes in [10, 20, 29] {
        gateway.set_clock_ahead(Duration::from_secs(minutes * MINUTE));
        polling.send(poll()).await.expect(200);
        renewed.jar.forget("app.test", "authn");
        let page = renewed.get("https://app.test/poll").await.expect(303);
        renewed.follow_all(page).await.expect(200);
    }
    let mut active = browser.clone();
    active.sign_in_silently(APP).await;
    gateway.set_clock_ahead(Duration::from_secs(58 * MINUTE));
    polling.send(poll()).await.expect(200);
    gateway.set_clock_ahead(Duration::from_secs(60 * MINUTE));
    for browser in [&mut polling, &mut renewed] {
        browser.send(poll()).await.expect(401);
    }
    browser.sign_in(APP, "alice").await.expect(200);
}
