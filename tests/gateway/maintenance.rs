//! Maintenance: a page in place of a virtual host, and nothing else changes.

use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::Request;
use crate::support::browser::fetch;
use crate::support::yaml;

fn config(application: &Application, maintenance: &str) -> String {
    let sites = yaml::sites(&[application.address()]).replace(
        "- host: app.test\n",
        &format!("- host: app.test\n    maintenance: {maintenance}\n"),
    );
    let head = yaml::HEAD.replace(
        "{ name: http, bind: 127.0.0.1:0 }",
        "{ name: http, bind: 127.0.0.1:0, ready_path: /.well-known/ready }",
    );
    format!("{head}{sites}trusted_proxies: [127.0.0.1]\nops: {{ bind: \"127.0.0.1:0\" }}\n")
}

const ON: &str =
    "{ retry_after: 30m, except: [198.51.100.0/24], message: \"Back at <18:00>, we hope.\" }";

#[tokio::test]
async fn a_reload_closes_a_virtual_host_and_opens_it_again_and_signs_nobody_out() {
    let application = Application::start().await;
    let gateway = Gateway::start(&config(&application, "off")).await;
    let mut alice = Browser::signed_in(&gateway, "alice").await;
    gateway.reload_with(&config(&application, ON)).await;
    let page = alice.get("https://app.test/").await.expect(503);
    assert_eq!(page.header("retry-after"), "1800");
    assert_eq!(page.header("cache-control"), "no-store");
    assert!(page.set_cookies().is_empty());
    for words in [
        "Down for maintenance",
        "Please try again in 30 minutes.",
        "Back at &lt;18:00&gt;, we hope.",
        page.header("x-request-id"),
    ] {
        assert!(page.text().contains(words), "{words}: {}", page.text());
    }
    for path in ["/public", "/plain", "/nowhere"] {
        let url = format!("https://app.test{path}");
        alice.get(&url).await.expect(503);
    }
    let there = alice.get("https://other.test/").await;
    let there = alice.follow_all(there).await.expect(200);
    assert_eq!(there.told("remote-user"), "alice", "another host goes on");
    gateway.reload_with(&config(&application, "off")).await;
    let back = alice.get("https://app.test/").await.expect(200);
    assert_eq!(back.told("remote-user"), "alice");
    let counted = "portway_requests_in_maintenance_total";
    assert_eq!(gateway.metric(counted).await, Some(4.0));
}

#[tokio::test]
async fn programs_are_told_in_json_and_excepted_addresses_are_served() {
    let application = Application::start().await;
    let gateway = Gateway::start(&config(&application, ON)).await;
    let mut browser = Browser::new(&gateway);
    let post = Request::post("https://app.test/plain").body("x");
    let refused = browser.send(post).await.expect(503);
    let said: serde_json::Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!(said["error"], "Down for maintenance");
    assert_eq!(said["notice"], "Back at <18:00>, we hope.");
    assert_eq!(said["status"], 503);
    assert_eq!(application.requests(), 0);
    let from = |address| fetch("https://app.test/plain").header("x-forwarded-for", address);
    browser.send(from("203.0.113.7")).await.expect(503);
    browser.send(from("198.51.100.7")).await.expect(200);
}

#[tokio::test]
async fn the_page_speaks_the_language_of_its_reader() {
    let application = Application::start().await;
    let gateway = Gateway::start(&config(&application, "{}")).await;
    for (language, words) in [
        ("en", "Please try again in 5 minutes."),
        ("de", "Wartungsarbeiten"),
        ("fr", "En maintenance"),
        ("ar", "قيد الصيانة"),
    ] {
        let request = Request::get("https://app.test/")
            .header("accept", "text/html")
            .header("accept-language", language);
        let page = Browser::new(&gateway).send(request).await.expect(503);
        assert!(page.text().contains(words), "{language}: {}", page.text());
    }
}

#[tokio::test]
async fn balancers_and_signing_out_are_not_held_up() {
    let application = Application::start().await;
    let gateway = Gateway::start(&config(&application, "off")).await;
    let mut alice = Browser::signed_in(&gateway, "alice").await;
    gateway.reload_with(&config(&application, ON)).await;
    let ready = Request::get("http://app.test/.well-known/ready");
    alice.send(ready).await.expect(200);
    let away = alice.get("https://app.test/.portway/logout").await;
    alice.follow_all(away).await.expect(200);
    gateway.reload_with(&config(&application, "off")).await;
    let page = alice.get("https://app.test/").await;
    let page = alice.follow_all(page).await.expect(200);
    assert_eq!(page.url.path(), "/.portway/sign-in");
}
