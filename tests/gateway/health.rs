//! Members of a pool that come and go: active and passive checks, and pools with nobody there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use crate::support::Browser;
use crate::support::Gateway;
use crate::support::Nginx;
use crate::support::Recorder;
use crate::support::ports::kept_port;
use crate::support::recorder::OK;
use crate::support::recorder::Reply;
use crate::support::until;
use crate::support::wait::PATIENCE;
use crate::support::yaml;

const CHECK: &str = "health_check: { http: { path: /healthz }, interval: 1s, timeout: 900ms, \
                     healthy_after: 1, unhealthy_after: 3 }";

/// Who answers so many requests, by name; fails at any answer but 200.
async fn who_answers(gateway: &Gateway, requests: usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let mut browser = Browser::new(gateway);
    for _ in 0..requests {
        let answer = browser.get("https://app.test/").await.expect(200);
        *counts.entry(answer.told("upstream")).or_insert(0) += 1;
    }
    counts
}

#[tokio::test]
async fn an_active_check_takes_a_member_out_and_brings_it_back_w_34() {
    let (Some(mut one), Some(two)) = (Nginx::start("one").await, Nginx::start("two").await) else {
        return;
    };
    let settings = format!(
        "primary: [\"{}\", \"{}\"], {CHECK}",
        one.address(),
        two.address()
    );
    let gateway = Gateway::start(&yaml::pool(&settings)).await;
    assert_eq!(who_answers(&gateway, 10).await.len(), 2);
    one.kill();
    gateway.wait_for_log("pool member down").await;
    assert!(
        gateway
            .log()
            .contains(&format!("upstream=\"{}\"", one.address())),
        "{}",
        gateway.log()
    );
    assert_eq!(
        who_answers(&gateway, 10).await,
        BTreeMap::from([("two".to_owned(), 10)])
    );
    one.start_again().await;
    gateway.wait_for_log("pool member up").await;
    assert_eq!(who_answers(&gateway, 10).await.len(), 2);
}

#[tokio::test]
async fn an_active_check_reads_the_status() {
    let Some(two) = Nginx::start("two").await else {
        return;
    };
    let well = Arc::new(AtomicBool::new(true));
    let is_well = Arc::clone(&well);
    let one = Recorder::scripted(move |request, _, _| {
        let asks = request.starts_with(b"GET /healthz ");
        if asks && !is_well.load(Ordering::SeqCst) {
            Reply::Send(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n".to_vec())
        } else if asks {
            Reply::Send(OK.to_vec())
        } else {
            let answer = "HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\nupstream: one\n";
            Reply::Send(answer.as_bytes().to_vec())
        }
    })
    .await;
    let settings = format!(
        "primary: [\"{}\", \"{}\"], {CHECK}",
        one.address(),
        two.address()
    );
    let gateway = Gateway::start(&yaml::pool(&settings)).await;
    one.wait_for("GET /healthz ").await;
    assert_eq!(who_answers(&gateway, 6).await.len(), 2);
    well.store(false, Ordering::SeqCst);
    gateway.wait_for_log("pool member down").await;
    assert_eq!(
        who_answers(&gateway, 6).await,
        BTreeMap::from([("two".to_owned(), 6)])
    );
    well.store(true, Ordering::SeqCst);
    gateway.wait_for_log("pool member up").await;
    assert_eq!(who_answers(&gateway, 6).await.len(), 2);
}

#[tokio::test]
async fn a_gateway_starts_with_nobody_there_answers_503_and_recovers_w_33() {
    for check in ["", CHECK] {
        let Some(mut one) = Nginx::start("one").await else {
            return;
        };
        one.kill();
        let nobody = kept_port();
        let settings = format!(
            "primary: [\"{}\", \"127.0.0.1:{nobody}\"], {check}",
            one.address()
        );
        let settings = settings.trim_end_matches(", ");
        let gateway = Gateway::start(&yaml::pool(settings)).await;
        let mut browser = Browser::new(&gateway);
        for _ in 0..5 {
            let answer = browser.get("https://app.test/").await.expect(503);
            let seconds: u64 = answer.header("retry-after").parse().unwrap();
            assert!((1..=60).contains(&seconds), "{seconds}");
            assert!(answer.text().contains("not available"), "{}", answer.text());
        }
        one.start_again().await;
        until("the pool serves", PATIENCE, || async {
            let answer = Browser::new(&gateway).get("https://app.test/").await;
            (answer.status == 200).then_some(())
        })
        .await;
        who_answers(&gateway, 5).await;
    }
}

#[tokio::test]
async fn a_member_that_fails_is_left_alone_for_a_while_and_then_tried_again_w_07() {
    let (Some(mut one), Some(two)) = (Nginx::start("one").await, Nginx::start("two").await) else {
        return;
    };
    let one_at = one.address();
    let settings = |fail_timeout: &str| {
        yaml::pool(&format!(
            "primary: [\"{one_at}\", \"{}\"], max_fails: 1, fail_timeout: {fail_timeout}",
            two.address()
        ))
    };
    // Long enough that it is left alone until the last look.
    let gateway = Gateway::start(&settings("1h")).await;
    one.kill();
    // Nobody notices: the requests that meet it go on to the other.
    assert_eq!(
        who_answers(&gateway, 20).await,
        BTreeMap::from([("two".to_owned(), 20)])
    );
    gateway.wait_for_log("pool member down").await;
    assert_eq!(
        gateway.log().matches("pool member down").count(),
        1,
        "{}",
        gateway.log()
    );
    let gateway = Gateway::start(&settings("1s")).await;
    who_answers(&gateway, 4).await;
    gateway.wait_for_log("pool member down").await;
    one.start_again().await;
    until("the member is tried again", PATIENCE, || async {
        who_answers(&gateway, 4)
            .await
            .contains_key("one")
            .then_some(())
    })
    .await;
}

/// Whoever runs the gateway learns why nobody gets through to an upstream, without asking for it.
#[tokio::test]
async fn the_log_says_why_an_upstream_cannot_be_connected_to() {
    let upstream = Gateway::start(&yaml::pool("primary: [\"127.0.0.1:1\"]")).await;
    let (https, http) = (upstream.address("https"), upstream.address("http"));
    for (settings, why) in [
        ("primary: [\"127.0.0.1:1\"]".to_owned(), "refused"),
        (
            format!("primary: [\"{https}\"], scheme: https, tls: {{ server_name: app.test }}"),
            "UnknownIssuer",
        ),
        (
            format!(
                "primary: [\"{https}\"], scheme: https, \
                 tls: {{ server_name: elsewhere.test, ca_file: ca.pem }}"
            ),
            "AccessDenied",
        ),
        (
            format!("primary: [\"{http}\"], scheme: https, tls: {{ verify: false }}"),
            "InvalidContentType",
        ),
    ] {
        let gateway = Gateway::start(&yaml::pool(&settings)).await;
        let mut browser = Browser::new(&gateway);
        browser.get("https://app.test/").await.expect(503);
        gateway
            .wait_for_log("pool member down: requests fail there")
            .await;
        let log = gateway.log();
        let mut lines = log.lines();
        let line = lines
            .find(|line| line.contains("pool member down"))
            .unwrap();
        assert!(line.contains(why), "{why}: {line}");
    }
}
