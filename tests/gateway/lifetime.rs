//! How long a session lasts: without requests, and whatever happens.

use std::time::Duration;

use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::Nginx;
use crate::support::Request;
use crate::support::applications_with_clock;
use crate::support::until;
use crate::support::wait::PATIENCE;
use crate::support::wait::within;
use crate::support::yaml;

const MINUTE: u64 = 60;

#[tokio::test]
async fn a_session_without_requests_for_half_an_hour_is_over_and_with_them_it_is_not_s_20() {
    let Some((_nginx, gateway)) = applications_with_clock().await else {
        return;
    };
    let mut browser = Browser::signed_in(&gateway, "alice").await;
    let mut now = 0;
    for _ in 0..4 {
        now += 29 * MINUTE;
        gateway.set_clock_ahead(Duration::from_secs(now));
        browser.get("https://app.test/").await.expect(200);
    }
    now += 31 * MINUTE;
    gateway.set_clock_ahead(Duration::from_secs(now));
    let page = browser.get("https://app.test/").await.expect(303);
    browser.follow(&page).await.expect(200).form();
}

#[tokio::test]
async fn a_session_is_over_after_a_day_whatever_happens() {
    let Some((_nginx, gateway)) = applications_with_clock().await else {
        return;
    };
    let mut browser = Browser::signed_in(&gateway, "alice").await;
    let mut now = 0;
    while now + 25 * MINUTE < 24 * 60 * MINUTE {
        now += 25 * MINUTE;
        gateway.set_clock_ahead(Duration::from_secs(now));
        browser.get("https://app.test/").await.expect(200);
    }
    gateway.set_clock_ahead(Duration::from_secs(24 * 60 * MINUTE + 5));
    let page = browser.get("https://app.test/").await.expect(303);
    browser.follow(&page).await.expect(200).form();
}

#[tokio::test]
async fn the_lifetime_is_configured_and_a_new_sign_in_begins_another() {
    let Some(nginx) = Nginx::start("one").await else {
        return;
    };
    let yaml = yaml::applications(&[nginx.address()]);
    let session = "session: { lifetime: 8s, idle_timeout: 8s, store: memory }\n";
    let gateway = Gateway::start(&format!("{yaml}{session}")).await;
    let mut browser = Browser::signed_in(&gateway, "alice").await;
    until("the session is over", PATIENCE, || async {
        let mut copy = browser.clone();
        (copy.get("https://app.test/").await.status == 303).then_some(())
    })
    .await;
    browser
        .sign_in("https://app.test/", "alice")
        .await
        .expect(200);
}

#[tokio::test]
async fn a_stream_does_not_outlive_its_session_s_17() {
    let application = Application::start().await;
    let yaml = yaml::applications(&[application.address()]);
    let session = "session: { lifetime: 8s, idle_timeout: 8s }\n";
    let gateway = Gateway::start(&format!("{yaml}{session}")).await;
    let browser = Browser::signed_in(&gateway, "alice").await;
    let mut live = browser.open(Request::get("https://app.test/still")).await;
    assert_eq!(live.status, 200);
    within("the stream ends with the session", PATIENCE, live.rest())
        .await
        .unwrap_err();
}

#[tokio::test]
async fn a_session_outlives_a_restart_and_what_it_was_idle_counts() {
    let Some((_nginx, mut gateway)) = applications_with_clock().await else {
        return;
    };
    let mut browser = Browser::signed_in(&gateway, "alice").await;
    for minutes in [20, 40] {
        gateway.terminate();
        assert!(gateway.wait_for_exit(PATIENCE).await.success());
        gateway.set_clock_ahead(Duration::from_secs(minutes * MINUTE));
        gateway.restart().await;
        browser.get("https://app.test/").await.expect(200);
    }
    gateway.terminate();
    assert!(gateway.wait_for_exit(PATIENCE).await.success());
    gateway.set_clock_ahead(Duration::from_secs(72 * MINUTE));
    gateway.restart().await;
    browser.get("https://app.test/").await.expect(303);
}

#[tokio::test]
async fn whoever_is_removed_or_disabled_while_the_gateway_is_stopped_is_not_let_in_after_s_10() {
    let Some((_nginx, mut gateway)) = applications_with_clock().await else {
        return;
    };
    let mut removed = Browser::signed_in(&gateway, "alice").await;
    let mut stays = Browser::signed_in(&gateway, "carol").await;
    gateway.terminate();
    assert!(gateway.wait_for_exit(PATIENCE).await.success());
    let users = gateway.folder().join("users.yaml");
    let text = std::fs::read_to_string(&users).unwrap();
    std::fs::write(&users, text.replace("name: alice,", "name: alicia,")).unwrap();
    gateway.restart().await;
    let challenge = removed.get("https://app.test/").await.expect(303);
    removed.follow(&challenge).await.expect(200).form();
    stays.get("https://app.test/").await.expect(200);
}
