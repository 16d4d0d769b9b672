//! Upstreams that have just come, or come back, and get less than their share at first.

use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::yaml;

const PAGE: &str = "https://app.test/";

fn config(upstreams: &[&Application], more: &str) -> String {
    let upstreams: Vec<String> = upstreams
        .iter()
        .map(|at| format!("\"{}\"", at.address()))
        .collect();
    yaml::pool(&format!("primary: [{}]{more}", upstreams.join(", ")))
}

/// How many of 44 requests came to the second.
async fn of_44(gateway: &Gateway, second: &Application) -> usize {
    let before = second.requests();
    let mut browser = Browser::new(gateway);
    for _ in 0..44 {
        browser.get(PAGE).await.expect(200);
    }
    second.requests() - before
}

async fn percent(gateway: &Gateway) -> serde_json::Value {
    let status = gateway.status().await;
    status
        .pointer("/pools/0/upstreams/1/percent_of_share")
        .unwrap()
        .clone()
}

#[tokio::test]
async fn an_upstream_that_is_new_gets_a_tenth_of_its_share_at_first() {
    let (one, two) = (Application::start().await, Application::start().await);
    // Long enough that nothing moves while the test runs.
    let slow = ", slow_start: 10h";
    let gateway = Gateway::start(&config(&[&one, &two], slow)).await;
    assert_eq!(
        of_44(&gateway, &two).await,
        22,
        "at the start nobody is new"
    );
    gateway.reload_with(&config(&[&one], slow)).await;
    gateway.reload_with(&config(&[&one, &two], slow)).await;
    assert_eq!(percent(&gateway).await, 10);
    let few = of_44(&gateway, &two).await;
    assert!((3..=5).contains(&few), "{few} of 44");
    let list = gateway.verb(&["pool", "list"]).await;
    let list = String::from_utf8(list.stdout).unwrap();
    assert!(list.contains("healthy, new: 10% of its share"), "{list}");
    // It outlives a reload of something else, and ends with the setting.
    let other = config(&[&one, &two], ", slow_start: 10h, connect_retries: 1");
    gateway.reload_with(&other).await;
    assert!(of_44(&gateway, &two).await < 10);
    gateway.reload_with(&config(&[&one, &two], "")).await;
    assert_eq!(of_44(&gateway, &two).await, 22);
}

#[tokio::test]
async fn an_upstream_that_was_drained_or_down_is_new_again_and_grows() {
    let (one, two) = (Application::start().await, Application::start().await);
    let check = ", slow_start: 10h, health_check: { tcp: true, interval: 1s, timeout: 900ms, \
                 healthy_after: 1, unhealthy_after: 3 }";
    let gateway = Gateway::start(&config(&[&one, &two], check)).await;
    let address = two.address();
    let at = address.to_string();
    for verb in ["drain", "undrain"] {
        let done = gateway.verb(&["pool", verb, "app", &at]).await;
        assert!(done.status.success(), "{done:?}");
    }
    assert_eq!(percent(&gateway).await, 10);
    assert!(of_44(&gateway, &two).await < 10);
    // A shorter span is over at once.
    let short = config(&[&one, &two], &check.replace("10h", "1ms"));
    gateway.reload_with(&short).await;
    assert_eq!(of_44(&gateway, &two).await, 22);
    gateway.reload_with(&config(&[&one, &two], check)).await;
    drop(two);
    gateway.wait_for_log("its health check fails").await;
    let two = Application::start_at(address).await;
    gateway.wait_for_log("its health check passes").await;
    assert_eq!(percent(&gateway).await, 10);
    assert!(of_44(&gateway, &two).await < 10);
}
