//! The ops listener: whether the process lives and serves, and its metrics.

use std::time::Duration;

use http::Method;

use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::Request;
use crate::support::certificates;
use crate::support::gateway::Setup;
use crate::support::until;
use crate::support::yaml;

const SOON: Duration = Duration::from_secs(20);

async fn start() -> (Gateway, Application) {
    let application = Application::start().await;
    let config = yaml::applications(&[application.address()]);
    let gateway = Gateway::start(&format!("{config}ops: {{ bind: \"127.0.0.1:0\" }}\n")).await;
    (gateway, application)
}

/// M-050
#[tokio::test]
async fn a_gateway_tells_that_it_lives_and_serves() {
    let (gateway, _application) = start().await;
    assert_eq!(gateway.ops("/livez").await.expect(200).text(), "alive\n");
    until("it is ready", SOON, || async {
        (gateway.ops("/readyz").await.status == 200).then_some(())
    })
    .await;
    gateway.ops("/").await.expect(404);
    let post = Request::new(Method::POST, "http://ops.test/metrics");
    let refused = gateway.ask_ops(&post).await.expect(405);
    assert_eq!(refused.header("allow"), "GET, HEAD");
}

#[tokio::test]
async fn requests_and_sessions_are_counted_and_nobody_is_named() {
    let (gateway, _application) = start().await;
    let ok = "portway_requests_total{status=\"2xx\"}";
    let refused = "portway_requests_total{status=\"4xx\"}";
    assert_eq!(gateway.metric("portway_sessions").await, Some(0.0));
    let before = gateway.metric(ok).await.unwrap();
    let mut browser = Browser::new(&gateway);
    browser
        .sign_in("https://app.test/", "alice")
        .await
        .expect(200);
    browser.get("https://app.test/admin").await.expect(403);
    until("they are counted", SOON, || async {
        let counted = gateway.metric(ok).await? > before;
        let refused = gateway.metric(refused).await? >= 1.0;
        (counted && refused).then_some(())
    })
    .await;
    assert_eq!(gateway.metric("portway_sessions").await, Some(1.0));
    let page = gateway.ops("/metrics").await.expect(200);
    assert!(
        page.header("content-type")
            .starts_with("application/openmetrics-text")
    );
    let text = page.text();
    assert!(text.ends_with("# EOF\n"), "{text}");
    assert!(!text.contains("alice"), "{text}");
    assert!(!text.contains("peer"), "there is one data centre:\n{text}");
}

#[tokio::test]
async fn a_gateway_without_the_section_opens_no_ops_listener() {
    let application = Application::start().await;
    let gateway = Gateway::start(&yaml::applications(&[application.address()])).await;
    assert!(!gateway.addresses().lock().unwrap().contains_key("ops"));
}

#[tokio::test]
async fn certificates_that_end_are_told_of_in_time() {
    let application = Application::start().await;
    let day = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(10 * 24);
    let day = day.to_zoned(jiff::tz::TimeZone::UTC).date();
    let (month, of_month) = (day.month().unsigned_abs(), day.day().unsigned_abs());
    let soon = certificates::issue_until(&["soon.test"], (day.year().into(), month, of_month));
    let gone = certificates::issue_until(&["gone.test"], (2020, 1, 1));
    let setup = Setup::new().file("soon.pem", &soon.certificate);
    let setup = setup
        .file("soon.key", &soon.key)
        .file("gone.key", &gone.key);
    let setup = setup.file("gone.pem", &gone.certificate);
    let own = "{ certificate_file: cert.pem, key_file: key.pem }";
    let all = format!(
        "{own}, {{ certificate_file: soon.pem, key_file: soon.key }}, \
         {{ certificate_file: gone.pem, key_file: gone.key }}"
    );
    let config = yaml::applications(&[application.address()]).replace(own, &all);
    let gateway = setup
        .start(&format!("{config}ops: {{ bind: \"127.0.0.1:0\" }}\n"))
        .await;
    for (name, words, state) in [
        ("soon.test", "a certificate expires soon", "expires_soon"),
        ("gone.test", "a certificate has expired", "expired"),
        ("login.test", "", "good"),
    ] {
        let metric =
            format!("portway_certificate_expiry_seconds{{listener=\"https\",name=\"{name}\"}}");
        let until = gateway.metric(&metric).await.unwrap();
        let listeners = gateway.status().await["listeners"].clone();
        let listeners = listeners.as_array().unwrap();
        let shown = listeners
            .iter()
            .flat_map(|at| at["certificates"].as_array().unwrap());
        let shown = { shown }.find(|shown| shown["name"] == name).unwrap();
        assert_eq!(shown["state"], state);
        let expires: jiff::Timestamp = shown["expires"].as_str().unwrap().parse().unwrap();
        assert_eq!(expires.as_second() as f64, until);
        gateway.wait_for_log(words).await;
        let log = gateway.log();
        let told = log.lines().filter(|line| line.contains(name));
        assert_eq!(words.is_empty(), { told }.next().is_none(), "{log}");
        assert!(log.contains(words), "{log}");
    }
    let checked = gateway.command(&["check"]).output().unwrap();
    assert!(checked.status.success());
    let said = String::from_utf8(checked.stderr).unwrap();
    for warning in [
        "warning: the certificate for gone.test of the listener https expired on 2020-01-01T00:00:00Z",
        "warning: the certificate for soon.test of the listener https expires on ",
    ] {
        assert!(said.contains(warning), "{said}");
    }
}
