//! The configuration is read again while the gateway runs: by command, by signal, by a change of files.
//! Nobody notices but those who asked for it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;

use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::Protocol;
use crate::support::Recorder;
use crate::support::Request;
use crate::support::Url;
use crate::support::client;
use crate::support::client::Connection;
use crate::support::until;
use crate::support::wait::PATIENCE;
use crate::support::wait::within;
use crate::support::yaml;

/// One open pool of one upstream.
fn before(upstream: SocketAddr) -> String {
    yaml::pool(&format!("primary: [\"{upstream}\"]"))
}

async fn status_of(gateway: &Gateway, path: &str) -> u16 {
    let mut browser = Browser::new(gateway);
    browser.get(&format!("https://app.test{path}")).await.status
}

/// Reads one answer without a body off a kept connection.
async fn exchange(connection: &mut Connection, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: app.test\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    connection.flush().await.unwrap();
    let mut seen = Vec::new();
    let mut piece = [0; 4096];
    while !seen.ends_with(b"ok") && !seen.ends_with(b"</html>\n") {
        let read = within("an answer", PATIENCE, connection.read(&mut piece));
        let bytes = read.await.unwrap();
        assert!(bytes > 0, "closed: {}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(piece.get(..bytes).unwrap());
    }
    String::from_utf8(seen).unwrap()
}

/// Asks again and again by one connection, until told to stop; every answer must be good.
async fn ask_on(https: SocketAddr, n: usize, stop: Arc<AtomicBool>, done: Arc<AtomicUsize>) {
    let url = Url::parse("https://app.test/");
    let mut kept = client::connect(&url, https, Protocol::H1).await.unwrap();
    while !stop.load(Ordering::Relaxed) {
        let answer = exchange(&mut kept, &format!("/{n}")).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        done.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_reload_takes_effect_on_a_connection_that_stays_open_d_16() {
    let (first, second) = (Recorder::start().await, Recorder::start().await);
    let gateway = Gateway::start(&before(first.address())).await;
    let url = Url::parse("https://app.test/");
    let https = gateway.address("https");
    let mut kept = client::connect(&url, https, Protocol::H1).await.unwrap();
    assert!(exchange(&mut kept, "/one").await.contains("200 OK"));
    gateway.reload_with(&before(second.address())).await;
    assert!(exchange(&mut kept, "/two").await.contains("200 OK"));
    let told = |recorder: &Recorder| String::from_utf8(recorder.bytes()).unwrap();
    assert!(told(&first).contains("/one") && !told(&first).contains("/two"));
    assert!(told(&second).contains("/two"));
}

#[tokio::test]
async fn a_fault_changes_nothing_and_is_said_with_its_place() {
    let recorder = Recorder::start().await;
    let good = before(recorder.address());
    let gateway = Gateway::start(&good).await;
    gateway.edit(&good.replace("threads: 2", "threads: many\ncolour: red"));
    let (said, code) = gateway.reload().await;
    assert_eq!(code, 2, "{said}");
    for words in [
        "gateway.yaml:1:10  threads",
        "`many` is not a whole number",
        "unknown key `colour`",
        "2 faults; the configuration before goes on",
    ] {
        assert!(said.contains(words), "{said}");
    }
    assert_eq!(status_of(&gateway, "/").await, 200);
    let status = gateway.status().await;
    let config = &status["configuration"];
    assert_eq!(config["generation"], 1);
    assert_eq!(config["last_reload"]["result"], "refused");
    assert_eq!(config["last_reload"]["trigger"], "command");
    assert_eq!(config["last_reload"]["faults"][0]["line"], 1);
    assert_eq!(config["last_reload"]["faults"][1]["line"], 2);
    gateway
        .wait_for_log("gateway.yaml:2:1  colour: unknown key `colour`")
        .await;
    gateway
        .wait_for_log("configuration not reloaded; the one before goes on")
        .await;
}

#[tokio::test]
async fn what_needs_a_restart_is_named_and_the_rest_is_applied() {
    let (first, second) = (Recorder::start().await, Recorder::start().await);
    let gateway = Gateway::start(&before(first.address())).await;
    let new = before(second.address()).replace("threads: 2", "threads: 3\nstate_dir: other");
    gateway.edit(&new);
    let (said, code) = gateway.reload().await;
    assert_eq!(code, 0, "{said}");
    for words in [
        "is in effect",
        "needs a restart: state_dir",
        "needs a restart: threads",
    ] {
        assert!(said.contains(words), "{said}");
    }
    assert_eq!(status_of(&gateway, "/").await, 200);
    assert!(!second.bytes().is_empty());
    let status = gateway.status().await;
    let named = serde_json::json!(["key_ring_file", "logs.audit", "state_dir", "threads"]);
    assert_eq!(status["configuration"]["needs_restart"], named);
    // What is configured again as it runs needs nothing.
    gateway.reload_with(&before(second.address())).await;
    let status = gateway.status().await;
    assert_eq!(
        status["configuration"]["needs_restart"],
        serde_json::json!([])
    );
}

#[tokio::test]
async fn a_hang_up_has_it_read_again() {
    let recorder = Recorder::start().await;
    let gateway = Gateway::start(&before(recorder.address())).await;
    gateway.hang_up();
    gateway
        .wait_for_log("configuration reloaded trigger=\"signal\" generation=2")
        .await;
    assert_eq!(status_of(&gateway, "/").await, 200);
}

#[tokio::test]
async fn a_change_of_the_file_is_noticed_whether_it_is_renamed_or_written_in_place() {
    let (first, second) = (Recorder::start().await, Recorder::start().await);
    let gateway = Gateway::start(&before(first.address())).await;
    gateway.edit(&before(second.address()));
    gateway
        .wait_for_log("configuration reloaded trigger=\"files\" generation=2")
        .await;
    assert_eq!(status_of(&gateway, "/renamed").await, 200);
    assert!(
        String::from_utf8(second.bytes())
            .unwrap()
            .contains("/renamed")
    );
    gateway.configure(&before(first.address()));
    gateway
        .wait_for_log("configuration reloaded trigger=\"files\" generation=3")
        .await;
    assert_eq!(status_of(&gateway, "/written").await, 200);
    assert!(
        String::from_utf8(first.bytes())
            .unwrap()
            .contains("/written")
    );
}

#[tokio::test]
async fn reloads_at_the_same_time_all_get_an_answer_that_began_after_they_asked() {
    let (first, second) = (Recorder::start().await, Recorder::start().await);
    let gateway = Gateway::start(&before(first.address())).await;
    gateway.edit(&before(second.address()));
    let asked = futures_util::future::join_all((0..4).map(|_| gateway.reload())).await;
    for (said, code) in asked {
        assert_eq!(code, 0, "{said}");
        assert!(said.contains("is in effect"), "{said}");
    }
    assert_eq!(status_of(&gateway, "/").await, 200);
    assert!(first.bytes().is_empty());
}

#[tokio::test]
async fn a_sign_in_survives_a_reload() {
    let application = Application::start().await;
    let config = yaml::applications(&[application.address()]);
    let gateway = Gateway::start(&config).await;
    let mut browser = Browser::signed_in(&gateway, "alice").await;
    gateway
        .reload_with(&config.replace("path: /plain,", "path: /plainly,"))
        .await;
    let there = browser.get("https://app.test/").await.expect(200);
    assert_eq!(there.told("remote-user"), "alice");
    let gone = browser.get("https://app.test/plain").await.expect(200);
    assert_eq!(gone.told("remote-user"), "alice", "another route serves it");
}

#[tokio::test]
async fn requests_in_flight_and_new_ones_fail_at_no_reload_d_16() {
    let recorder = Recorder::start().await;
    let config = before(recorder.address());
    let gateway = Arc::new(Gateway::start(&config).await);
    let stop = Arc::new(AtomicBool::new(false));
    let done = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..4)
        .map(|n| {
            let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
            tokio::spawn(ask_on(gateway.address("https"), n, stop, done))
        })
        .collect();
    for round in 0..10 {
        let changed = config.replace("host: app.test", "hosts: [app.test, other.test]");
        let served = done.load(Ordering::Relaxed);
        let config = if round % 2 == 0 { &changed } else { &config };
        gateway.reload_with(config).await;
        until("requests go on", PATIENCE, || async {
            (done.load(Ordering::Relaxed) > served).then_some(())
        })
        .await;
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    let status = gateway.status().await;
    // Where a command comes late, the watch over the file has read it as well.
    let generation = status["configuration"]["generation"].as_u64().unwrap();
    assert!((11..=21).contains(&generation), "{status}");
    until("the earlier ones are let go of", PATIENCE, || async {
        let status = gateway.status().await;
        (status["configuration"]["earlier_in_use"] == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn without_a_gateway_verbs_say_so_and_end_with_4() {
    let recorder = Recorder::start().await;
    let mut gateway = Gateway::start(&before(recorder.address())).await;
    gateway.kill9();
    for verb in ["reload", "status"] {
        let output = gateway.verb(&[verb]).await;
        assert_eq!(output.status.code(), Some(4));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("no gateway is running"), "{said}");
    }
    // The socket that the crash left behind is no hindrance.
    gateway.restart().await;
    until("it is ready", PATIENCE, || async {
        (gateway.status().await["readiness"] == "ready").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_faulty_file_still_leads_to_the_node_that_runs() {
    let recorder = Recorder::start().await;
    let gateway = Gateway::start(&before(recorder.address())).await;
    gateway.edit("threads: none\nlisteners: 7\n");
    let mut command = gateway.command(&["status", "--config", "gateway.yaml"]);
    let run = move || command.output().unwrap();
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("generation 1, since"), "{said}");
}

#[tokio::test]
async fn a_request_keeps_what_it_began_with() {
    let application = Application::start().await;
    let config = before(application.address());
    let gateway = Gateway::start(&config).await;
    let browser = Browser::new(&gateway);
    let mut live = browser
        .open(Request::get("https://app.test/slow/400"))
        .await;
    live.next().await.unwrap().unwrap();
    gateway
        .reload_with(&config.replace("host: app.test", "host: other.test"))
        .await;
    until("one is in use", PATIENCE, || async {
        let status = gateway.status().await;
        (status["configuration"]["earlier_in_use"] == 1).then_some(())
    })
    .await;
    within("the rest", PATIENCE, live.rest()).await.unwrap();
    until("it is given up", PATIENCE, || async {
        let status = gateway.status().await;
        (status["configuration"]["earlier_in_use"] == 0).then_some(())
    })
    .await;
}
