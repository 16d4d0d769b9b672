//! Upstreams that whoever runs the gateway takes out: what begins there, what goes on, and what outlives what.

use std::process::Output;

use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::NameServer;
use crate::support::until;
use crate::support::wait::PATIENCE;
use crate::support::websocket;
use crate::support::yaml;

const PAGE: &str = "https://app.test/";
const NAME: &str = "app.upstream.test";

fn config(upstreams: &[&Application], more: &str) -> String {
    let upstreams: Vec<String> = upstreams
        .iter()
        .map(|at| format!("\"{}\"", at.address()))
        .collect();
    let pool = yaml::pool(&format!("primary: [{}]{more}", upstreams.join(", ")));
    format!("ops: {{ bind: \"127.0.0.1:0\" }}\n{pool}")
}

async fn ask(gateway: &Gateway, times: usize) {
    let mut browser = Browser::new(gateway);
    for _ in 0..times {
        browser.get(PAGE).await.expect(200);
    }
}

/// How many of so many requests came to each.
async fn shares(gateway: &Gateway, upstreams: [&Application; 2], times: usize) -> [usize; 2] {
    let before = upstreams.map(Application::requests);
    ask(gateway, times).await;
    let [one, two] = upstreams.map(Application::requests);
    [one - before[0], two - before[1]]
}

async fn pool(gateway: &Gateway, words: &[&str]) -> Output {
    gateway.verb(&[&["pool"], words].concat()).await
}

/// What a verb says, once it has ended with this code.
async fn said(gateway: &Gateway, words: &[&str], code: i32) -> String {
    let output = pool(gateway, words).await;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8(text).unwrap();
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

/// The state of each upstream, by its address.
async fn states(gateway: &Gateway) -> Vec<String> {
    let status = gateway.status().await;
    let upstreams = status
        .pointer("/pools/0/upstreams")
        .unwrap()
        .as_array()
        .unwrap();
    let each = upstreams.iter();
    let text = |at: &serde_json::Value, key| at.get(key).unwrap().as_str().unwrap().to_owned();
    each.map(|at| format!("{} {}", text(at, "address"), text(at, "state")))
        .collect()
}

#[tokio::test]
async fn a_drained_upstream_gets_no_request_and_finishes_those_it_has() {
    let (one, two) = (Application::start().await, Application::start().await);
    let gateway = Gateway::start(&config(&[&one, &two], "")).await;
    assert_eq!(shares(&gateway, [&one, &two], 10).await, [5, 5]);
    let (mut slow, browser) = (Browser::new(&gateway), Browser::new(&gateway));
    // Two by turns: whichever comes first, each has one of both.
    let mut sockets = Vec::new();
    for _ in 0..2 {
        let opened = websocket::open(&browser, "https://app.test/ws", &[]).await;
        sockets.push(opened.unwrap());
    }
    let before = one.requests();
    let running = slow.get("https://app.test/slow/100");
    let draining = async {
        until("the slow request runs", PATIENCE, || async {
            (one.requests() > before).then_some(())
        })
        .await;
        let address = one.address().to_string();
        let drained = said(&gateway, &["drain", "app", &address], 0).await;
        assert_eq!(drained, format!("{address} of the pool app is drained\n"));
        assert_eq!(shares(&gateway, [&one, &two], 10).await, [0, 10]);
        // The WebSocket stays as long as somebody holds it.
        let waited = said(&gateway, &["drain", "app", &address, "--wait", "1s"], 1).await;
        assert!(waited.contains("nothing changes"), "{waited}");
        assert!(waited.contains("still run"), "{waited}");
        for socket in &mut sockets {
            websocket::echo(socket, "I go on").await;
        }
        drop(sockets);
        said(&gateway, &["drain", "app", &address, "--wait", "60s"], 0).await
    };
    let (finished, waited) = tokio::join!(running, draining);
    assert_eq!(finished.expect(200).body.len(), 100 * 1024);
    assert!(
        waited.contains("no request runs there any more"),
        "{waited}"
    );
    let at = one.address();
    let labels = format!("pool=\"app\",upstream=\"{at}\",address=\"{at}\"");
    for (name, expected) in [
        (format!("portway_upstream_up{{{labels}}}"), 0.0),
        (
            format!("portway_upstream_state{{{labels},state=\"drained\"}}"),
            1.0,
        ),
        (
            format!("portway_upstream_state{{{labels},state=\"healthy\"}}"),
            0.0,
        ),
        (
            "portway_pool_healthy{pool=\"app\",tier=\"primary\"}".to_owned(),
            1.0,
        ),
    ] {
        assert_eq!(gateway.metric(&name).await, Some(expected), "{name}");
    }
}

#[tokio::test]
async fn draining_survives_reloads_and_restarts_and_is_in_the_audit_trail() {
    let (one, two) = (Application::start().await, Application::start().await);
    let both = config(&[&one, &two], "");
    let mut gateway = Gateway::start(&both).await;
    let address = one.address().to_string();
    said(&gateway, &["drain", "app", &address], 0).await;
    let drained = [
        format!("{address} drained"),
        format!("{} healthy", two.address()),
    ];
    let other = config(&[&one, &two], ", connect_retries: 1");
    gateway.reload_with(&other).await;
    assert_eq!(states(&gateway).await, drained);
    assert_eq!(shares(&gateway, [&one, &two], 6).await, [0, 6]);
    gateway.terminate();
    gateway.wait_for_exit(PATIENCE).await;
    gateway.restart().await;
    assert_eq!(states(&gateway).await, drained);
    assert_eq!(shares(&gateway, [&one, &two], 6).await, [0, 6]);
    gateway.wait_for_log("an upstream is drained").await;
    let let_in = said(&gateway, &["undrain", "app"], 0).await;
    assert_eq!(let_in, format!("{address} of the pool app is let in\n"));
    assert_eq!(shares(&gateway, [&one, &two], 6).await, [3, 3]);
    let trail = gateway.folder().join("state/audit.jsonl");
    for command in ["pool drain", "pool undrain"] {
        let told = format!("\"command\":\"{command}\"");
        until(&format!("{command} is written down"), PATIENCE, || async {
            let trail = std::fs::read_to_string(&trail).unwrap();
            let line = trail.lines().find(|line| line.contains(&told));
            line.is_some_and(|line| line.contains("by_uid"))
                .then_some(())
        })
        .await;
    }
    // What is configured no more is forgotten, so that it comes back as anything new does.
    said(&gateway, &["drain", "app", &address], 0).await;
    gateway.reload_with(&config(&[&two], "")).await;
    gateway.wait_for_log("is configured no more").await;
    gateway.reload_with(&both).await;
    assert_eq!(shares(&gateway, [&one, &two], 6).await, [3, 3]);
}

#[tokio::test]
async fn the_last_upstream_is_drained_only_by_whoever_says_so() {
    let (one, two) = (Application::start().await, Application::start().await);
    let gateway = Gateway::start(&config(&[&one, &two], "")).await;
    let [first, second] = [&one, &two].map(|at| at.address().to_string());
    said(&gateway, &["drain", "app", &first], 0).await;
    let refused = said(&gateway, &["drain", "app", &second], 1).await;
    assert!(refused.contains("no other upstream"), "{refused}");
    assert_eq!(shares(&gateway, [&one, &two], 4).await, [0, 4]);
    said(&gateway, &["drain", "app", &second, "--even-if-last"], 0).await;
    Browser::new(&gateway).get(PAGE).await.expect(503);
    let list = said(&gateway, &["list"], 0).await;
    assert_eq!(list.matches("drained").count(), 2, "{list}");
    said(&gateway, &["undrain", "app", &second], 0).await;
    assert_eq!(shares(&gateway, [&one, &two], 4).await, [0, 4]);
    for (words, expected) in [
        (["drain", "nobody", &*first], "there is no pool nobody"),
        (["drain", "app", "10.0.0.1:1"], "has no upstream 10.0.0.1:1"),
        (
            ["undrain", "app", "10.0.0.1:1"],
            "has no upstream 10.0.0.1:1",
        ),
    ] {
        let refused = said(&gateway, &words, 1).await;
        assert!(refused.contains(expected), "{refused}");
    }
}

#[tokio::test]
async fn one_address_of_a_name_is_drained_or_all_it_will_ever_have() {
    let one = Application::start().await;
    let port = one.address().port();
    let two = Application::start_at(format!("127.0.0.2:{port}").parse().unwrap()).await;
    let names = NameServer::start().await;
    names.set(NAME, &["127.0.0.1", "127.0.0.2"], 1);
    let pool = yaml::pool(&format!("primary: [\"{NAME}:{port}\"]"));
    let gateway = Gateway::start(&format!("{}{pool}", names.line())).await;
    until("the name is resolved", PATIENCE, || async {
        (states(&gateway).await.len() == 2).then_some(())
    })
    .await;
    let (name, first) = (format!("{NAME}:{port}"), format!("127.0.0.1:{port}"));
    said(&gateway, &["drain", "app", &first], 0).await;
    assert_eq!(shares(&gateway, [&one, &two], 4).await, [0, 4]);
    // It goes and comes back, and is drained still.
    names.set(NAME, &["127.0.0.2"], 1);
    gateway.wait_for_log("gone=\"127.0.0.1\"").await;
    names.set(NAME, &["127.0.0.1", "127.0.0.2"], 1);
    until("it is back", PATIENCE, || async {
        (states(&gateway).await.len() == 2).then_some(())
    })
    .await;
    assert_eq!(shares(&gateway, [&one, &two], 4).await, [0, 4]);
    said(&gateway, &["undrain", "app", &first], 0).await;
    said(&gateway, &["drain", "app", &name, "--even-if-last"], 0).await;
    names.set(NAME, &["127.0.0.1", "127.0.0.2", "127.0.0.3"], 1);
    gateway.wait_for_log("come=\"127.0.0.3\"").await;
    let expected = [1, 2, 3].map(|at| format!("127.0.0.{at}:{port} drained"));
    assert_eq!(states(&gateway).await, expected);
    let refused = said(&gateway, &["undrain", "app", &first], 1).await;
    assert!(refused.contains("is drained with all of"), "{refused}");
    said(&gateway, &["undrain", "app", &name], 0).await;
    Browser::new(&gateway).get(PAGE).await.expect(200);
}
