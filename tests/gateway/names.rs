//! Upstreams that are given by name: addresses that come and go, and name servers that fail.

use std::time::Duration;

use tokio::time::Instant;

use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::NameServer;
use crate::support::until;
use crate::support::wait::PATIENCE;
use crate::support::wait::assert_took;
use crate::support::yaml;

const NAME: &str = "app.upstream.test";
const PAGE: &str = "https://app.test/";

/// Two applications on one port of two addresses, 127.0.0.1 and 127.0.0.2.
async fn pair() -> (Application, Application) {
    let one = Application::start().await;
    let other = format!("127.0.0.2:{}", one.address().port());
    (one, Application::start_at(other.parse().unwrap()).await)
}

/// A gateway before a pool of [`NAME`], with more settings of the pool.
fn config(names: &NameServer, application: &Application, more: &str) -> String {
    let port = application.address().port();
    let pool = yaml::pool(&format!("primary: [\"{NAME}:{port}\"]{more}"));
    format!("{}ops: {{ bind: \"127.0.0.1:0\" }}\n{pool}", names.line())
}

async fn serves(gateway: &Gateway) {
    until("the name is served", PATIENCE, || async {
        let answer = Browser::new(gateway).get(PAGE).await;
        (answer.status == 200).then_some(())
    })
    .await;
}

async fn ask(gateway: &Gateway, times: usize) {
    let mut browser = Browser::new(gateway);
    for _ in 0..times {
        browser.get(PAGE).await.expect(200);
    }
}

/// What `check` says on standard output and standard error; it finds no fault.
async fn checked(gateway: &Gateway, words: &[&str]) -> (String, String) {
    let mut command = gateway.command(words);
    let run = move || command.output().unwrap();
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let doubted = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}{doubted}");
    (said, doubted)
}

/// Whatever names lead to, the configuration is as right as it is.
#[tokio::test]
async fn check_says_where_names_lead_and_doubts_those_that_lead_elsewhere_w_32() {
    let names = NameServer::start().await;
    names.set("app.test", &["127.0.0.1"], 60);
    names.set("both.test", &["192.0.2.7", "127.0.0.2"], 60);
    names.set("away.test", &["192.0.2.7", "192.0.2.8"], 60);
    names.set("login.test", &["192.0.2.9"], 60);
    let hosts = "app.test, both.test, away.test, gone.test, here.localhost, '*.all.test'";
    let pool = yaml::pool("primary: [\"127.0.0.1:9\"]");
    let pool = pool.replace("host: app.test", &format!("hosts: [{hosts}]"));
    let gateway = Gateway::start(&format!("{}{pool}", names.line())).await;
    let (said, doubted) = checked(&gateway, &["check"]).await;
    assert!(!said.contains("leads"), "{said}");
    assert!(!doubted.contains("leads"), "{doubted}");
    assert_eq!(names.asked("app.test"), 0);

    let (said, doubted) = checked(&gateway, &["check", "--resolve"]).await;
    let told: Vec<&str> = said.lines().filter(|line| line.contains("leads")).collect();
    assert_eq!(told.len(), 6, "{said}");
    for (line, expected) in told.iter().zip([
        "names          app.test leads to 127.0.0.1 (this machine)",
        "               away.test leads to 192.0.2.7, 192.0.2.8",
        "               both.test leads to 127.0.0.2 (this machine), 192.0.2.7",
        "               gone.test leads nowhere",
        "               here.localhost leads to 127.0.0.1 (this machine)",
        "               login.test leads to 192.0.2.9",
    ]) {
        assert!(line.starts_with(expected), "{line}: {expected}");
    }
    let doubts = doubted.lines().filter(|line| line.contains(" leads "));
    let doubts: Vec<&str> = doubts.collect();
    assert_eq!(
        doubts,
        [
            "warning: the name away.test leads to 192.0.2.7, 192.0.2.8, which is not this machine; it has to be a \
             balancer in front of it",
            "warning: the name gone.test leads nowhere: the name server knows no such name",
            "warning: the name login.test leads to 192.0.2.9, which is not this machine; it has to be a balancer \
             in front of it",
        ]
    );
    names.set_silent(true);
    let (said, _) = checked(&gateway, &["check", "--resolve"]).await;
    assert!(said.contains("app.test leads nowhere"), "{said}");
}

/// M-054
#[tokio::test]
async fn a_name_that_moves_is_followed_within_its_time_to_live_and_running_requests_finish() {
    let (one, other) = pair().await;
    let names = NameServer::start().await;
    names.set(NAME, &["127.0.0.1"], 1);
    let gateway = Gateway::start(&config(&names, &one, "")).await;
    ask(&gateway, 5).await;
    assert_eq!((one.requests(), other.requests()), (5, 0));
    let mut slow = Browser::new(&gateway);
    let running = slow.get("https://app.test/slow/200");
    let moves = async {
        until("the slow request runs", PATIENCE, || async {
            (one.requests() == 6).then_some(())
        })
        .await;
        let moved = Instant::now();
        names.set(NAME, &["127.0.0.2"], 1);
        gateway.wait_for_log("a name has other addresses").await;
        until("the other one is asked", PATIENCE, || async {
            ask(&gateway, 1).await;
            (other.requests() > 0).then_some(())
        })
        .await;
        moved
    };
    let (finished, moved) = tokio::join!(running, moves);
    assert_eq!(finished.expect(200).body.len(), 200 * 1024);
    assert_took(moved, ..PATIENCE);
    // Kept connections to the address from before are not used either.
    let before = one.requests();
    ask(&gateway, 20).await;
    assert_eq!(one.requests(), before);
}

/// Waits until a figure is this.
async fn until_metric(gateway: &Gateway, name: &str, value: f64) {
    until(name, PATIENCE, || async {
        (gateway.metric(name).await == Some(value)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn each_address_of_a_name_is_used_and_one_that_is_down_costs_no_request() {
    let (one, other) = pair().await;
    let names = NameServer::start().await;
    names.set(NAME, &["127.0.0.2", "127.0.0.1"], 1);
    let gateway = Gateway::start(&config(&names, &one, ", fail_timeout: 1m")).await;
    ask(&gateway, 10).await;
    assert_eq!((one.requests(), other.requests()), (5, 5));
    let port = one.address().port();
    drop(one);
    ask(&gateway, 20).await;
    assert_eq!(other.requests(), 25);
    let up = |address: &str| {
        format!(
            "portway_upstream_up{{pool=\"app\",upstream=\"{NAME}:{port}\",address=\"{address}:{port}\"}}"
        )
    };
    until_metric(&gateway, &up("127.0.0.1"), 0.0).await;
    until_metric(&gateway, &up("127.0.0.2"), 1.0).await;
    // What is known of an address that stays outlives a change of the others.
    names.set(NAME, &["127.0.0.1", "127.0.0.2", "127.0.0.3"], 1);
    gateway.wait_for_log("come=\"127.0.0.3\"").await;
    let status = gateway.status().await;
    let members = status["pools"][0]["upstreams"].as_array().unwrap();
    let states: Vec<String> = members
        .iter()
        .map(|at| format!("{} {} {}", at["address"], at["name"], at["state"]).replace('"', ""))
        .collect();
    let expected = [(1, "suspected"), (2, "healthy"), (3, "healthy")]
        .map(|(at, state)| format!("127.0.0.{at}:{port} {NAME}:{port} {state}"));
    assert_eq!(states, expected);
}

#[tokio::test]
async fn each_address_of_a_name_is_checked() {
    let (one, other) = pair().await;
    let names = NameServer::start().await;
    names.set(NAME, &["127.0.0.1"], 1);
    let check = ", health_check: { tcp: true, interval: 1s, timeout: 900ms, healthy_after: 1, \
                 unhealthy_after: 3 }";
    let gateway = Gateway::start(&config(&names, &one, check)).await;
    serves(&gateway).await;
    let address = other.address();
    drop(other);
    names.set(NAME, &["127.0.0.1", "127.0.0.2"], 1);
    gateway
        .wait_for_log("pool member down: its health check fails")
        .await;
    assert!(gateway.log().contains(&format!("address=\"{address}\"")));
    let other = Application::start_at(address).await;
    gateway
        .wait_for_log("pool member up: its health check passes")
        .await;
    ask(&gateway, 4).await;
    assert_eq!(other.requests(), 2);
}

#[tokio::test]
async fn addresses_stay_while_no_name_server_answers_or_the_name_is_gone() {
    let application = Application::start().await;
    let names = NameServer::start().await;
    names.set(NAME, &["127.0.0.1"], 1);
    let gateway = Gateway::start(&config(&names, &application, "")).await;
    ask(&gateway, 3).await;
    let port = application.address().port();
    let resolved = format!("portway_upstream_resolved{{pool=\"app\",upstream=\"{NAME}:{port}\"}}");
    until_metric(&gateway, &resolved, 1.0).await;
    names.remove(NAME);
    gateway.wait_for_log("a name was not resolved").await;
    names.asked_again(NAME).await;
    ask(&gateway, 3).await;
    until_metric(&gateway, &resolved, 0.0).await;
    let status = gateway.status().await;
    let failing = &status["pools"][0]["names"][0]["failing"];
    assert_eq!(failing["why"], "the name server knows no such name");
    names.set_silent(true);
    until("the status says so", PATIENCE, || async {
        let status = gateway.status().await;
        let failing = &status["pools"][0]["names"][0]["failing"];
        (failing["why"] == "no name server answers").then_some(())
    })
    .await;
    ask(&gateway, 3).await;
    names.set_silent(false);
    names.set(NAME, &["127.0.0.1"], 1);
    gateway.wait_for_log("a name is resolved again").await;
    let log = gateway.log();
    assert_eq!(log.matches("a name was not resolved").count(), 1, "{log}");
    until_metric(&gateway, &resolved, 1.0).await;
    ask(&gateway, 3).await;
}

#[tokio::test]
async fn a_gateway_starts_without_the_name_and_serves_when_there_is_one() {
    let application = Application::start().await;
    let names = NameServer::start().await;
    let gateway = Gateway::start(&config(&names, &application, "")).await;
    Browser::new(&gateway).get(PAGE).await.expect(503);
    let addresses = format!(
        "portway_upstream_addresses{{pool=\"app\",upstream=\"{NAME}:{}\"}}",
        application.address().port()
    );
    until_metric(&gateway, &addresses, 0.0).await;
    names.set(NAME, &["127.0.0.1"], 1);
    serves(&gateway).await;
    until_metric(&gateway, &addresses, 1.0).await;
}

#[tokio::test]
async fn times_to_live_are_kept_within_bounds() {
    let application = Application::start().await;
    let names = NameServer::start().await;
    names.set(NAME, &["127.0.0.1"], 0);
    let gateway = Gateway::start(&config(&names, &application, "")).await;
    serves(&gateway).await;
    let began = Instant::now();
    let before = names.asked(NAME);
    until("it is asked again", PATIENCE, || async {
        (names.asked(NAME) >= before + 4).then_some(())
    })
    .await;
    assert_took(began, Duration::from_secs(3)..);
    // A lifetime of a day holds no longer than the bound.
    names.set(NAME, &["127.0.0.1"], 86_400);
    let bounded = config(&names, &application, "").replace("dns: { ", "dns: { ttl_max: 1s, ");
    gateway.reload_with(&bounded).await;
    names.asked_again(NAME).await;
    names.asked_again(NAME).await;
}

#[tokio::test]
async fn a_reload_follows_new_names_leaves_others_and_asks_other_servers() {
    let (one, other) = pair().await;
    let (names, others) = (NameServer::start().await, NameServer::start().await);
    names.set(NAME, &["127.0.0.1"], 1);
    let gateway = Gateway::start(&config(&names, &one, "")).await;
    ask(&gateway, 2).await;
    others.set("other.upstream.test", &["127.0.0.2"], 1);
    let new = config(&others, &one, "").replace(NAME, "other.upstream.test");
    gateway.reload_with(&new).await;
    // The very first request after it finds the name resolved.
    ask(&gateway, 2).await;
    assert_eq!((one.requests(), other.requests()), (2, 2));
    let asked = names.asked(NAME);
    others.asked_again("other.upstream.test").await;
    assert_eq!(names.asked(NAME), asked);
    assert_eq!(others.asked(NAME), 0);
}
