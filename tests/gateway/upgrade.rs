//! `portway upgrade`: another process follows the one that serves, and nobody notices.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::Request;
use crate::support::ports::kept_port;
use crate::support::until;
use crate::support::wait::PATIENCE;
use crate::support::yaml;
use crate::upgrade_life::Life;

/// Sessions on disk, and in memory.
pub(crate) const STORES: [&str; 2] = ["disk", "memory"];

fn with_store(config: &str, store: &str) -> String {
    format!("{config}session: {{ store: {store} }}\n")
}

pub(crate) async fn gateway(store: &str) -> (Application, String, Gateway) {
    let application = Application::start().await;
    let config = with_store(&yaml::applications(&[application.address()]), store);
    let gateway = Gateway::start(&config).await;
    (application, config, gateway)
}

pub(crate) async fn is_alice(browser: &mut Browser) {
    let there = browser.get("https://app.test/").await.expect(200);
    assert_eq!(there.told("remote-user"), "alice");
}

/// A program in the folder of a gateway.
pub(crate) fn program(gateway: &Gateway, text: &str) -> PathBuf {
    let path = gateway.folder().join("program");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o700)).unwrap();
    path
}

pub(crate) async fn has_ended(pid: u32) {
    until("a process has ended", PATIENCE, || async {
        let status = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        status
            .map_or(true, |status| status.contains(") Z "))
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn sessions_go_on_after_an_upgrade_and_those_that_ended_do_not_s_17() {
    for store in STORES {
        let (_application, _, mut gateway) = gateway(store).await;
        let mut alice = Browser::signed_in(&gateway, "alice").await;
        let mut bob = Browser::signed_in(&gateway, "bob").await;
        let copy = bob.clone();
        let out = bob.get("https://app.test/.portway/logout").await;
        bob.follow_all(out).await.expect(200);
        for round in 1..=3 {
            let (said, code) = gateway.upgrade(&[]).await;
            assert_eq!(code, 0, "{said}");
            let serves = *gateway.processes().last().unwrap();
            let status = gateway.status().await;
            assert_eq!(status["process_id"], serves, "{store}, upgrade {round}");
            assert_eq!(status["readiness"], "ready");
            is_alice(&mut alice).await;
            assert_eq!(copy.clone().get("https://app.test/").await.status, 303);
            Browser::signed_in(&gateway, "carol").await;
        }
        let exit = gateway.wait_for_exit(PATIENCE).await;
        assert!(exit.success(), "{exit}");
        for gone in gateway.processes().iter().rev().skip(1) {
            has_ended(*gone).await;
        }
        let trail = std::fs::read_to_string(gateway.folder().join("state/audit.jsonl"));
        let trail = trail.unwrap_or_default();
        assert!(trail.contains("handed_over"), "{trail}");
        assert!(!gateway.log().contains("ERROR"), "{}", gateway.log());
    }
}

#[tokio::test]
async fn guesses_stay_counted_and_one_address_sees_no_fresh_start() {
    for store in STORES {
        let application = Application::start().await;
        let config = yaml::applications(&[application.address()]);
        let throttle = "users_file: users.yaml, throttle: { first_wait: 1h, longest_wait: 1h }";
        let config = config.replace("users_file: users.yaml", throttle);
        let gateway = Gateway::start(&with_store(&config, store)).await;
        let mut browser = Browser::new(&gateway);
        let sent = browser.get("https://app.test/x").await.expect(303);
        let page = browser.follow(&sent).await.expect(200);
        for _ in 0..5 {
            assert_eq!(browser.log_in(&page, "alice", "wrong").await.status, 403);
        }
        let (said, code) = gateway.upgrade(&[]).await;
        assert_eq!(code, 0, "{said}");
        assert_eq!(browser.log_in(&page, "alice", "wrong").await.status, 429);
    }
}

#[tokio::test]
async fn whoever_is_served_notices_nothing_of_upgrades() {
    for store in STORES {
        let application = Application::start().await;
        let config = with_store(&yaml::applications(&[application.address()]), store);
        let config = format!("{config}limits: {{ drain_timeout: 60s }}\n");
        let gateway = Gateway::start(&config).await;
        let life = Life::begin(&gateway).await;
        for _ in 0..3 {
            let (said, code) = gateway.upgrade(&[]).await;
            assert_eq!(code, 0, "{said}");
            life.goes_on().await;
        }
        let told = life.end().await;
        eprintln!("3 upgrades, sessions on {store}: {told}");
        assert!(!gateway.log().contains("ERROR"), "{}", gateway.log());
    }
}

#[tokio::test]
async fn a_successor_that_refuses_fails_or_dies_leaves_the_gateway_as_it_was() {
    for store in STORES {
        let (_application, config, gateway) = gateway(store).await;
        let mut alice = Browser::signed_in(&gateway, "alice").await;
        let mut bob = Browser::signed_in(&gateway, "bob").await;
        let copy = bob.clone();
        bob.get("https://app.test/.portway/logout").await;
        gateway.edit(&config.replace("threads: 2", "threads: many"));
        let (said, code) = gateway.upgrade(&[]).await;
        assert_eq!(code, 2, "{said}");
        assert!(said.contains("`many` is not a whole number"), "{said}");
        assert!(said.contains("the gateway goes on as before"), "{said}");
        gateway.edit(&config);
        let hello = r#"{"Hello":{"protocol":9,"version":"7.0.0"}}"#;
        let other = format!("printf '\\000\\000\\000\\052%s' '{hello}' >&0\nread -r _");
        for (text, why) in [
            ("exit 3", "the successor ended with exit code 3"),
            ("kill -9 $$", "the successor was ended by signal 9"),
            (&other, "version 7.0.0 takes over by protocol 9"),
        ] {
            let program = program(&gateway, text);
            let (said, code) = gateway
                .upgrade(&["--binary", program.to_str().unwrap()])
                .await;
            assert_eq!(code, 1, "{said}");
            assert!(said.contains(why), "{said}");
        }
        let (said, code) = gateway.upgrade(&["--binary", "/nowhere"]).await;
        assert_eq!(code, 1, "{said}");
        assert!(said.contains("/nowhere cannot be started"), "{said}");
        // This one has the sessions already when it fails.
        // The last upgrade binds it: it must be nobody else's once it is let go.
        let port = kept_port();
        let taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
        let more = format!("  - {{ name: more, bind: 127.0.0.1:{port} }}\ncollector:");
        gateway.edit(&config.replace("collector:", &more));
        let (said, code) = gateway.upgrade(&[]).await;
        assert_eq!(code, 1, "{said}");
        assert!(
            said.contains("the listener more cannot listen on"),
            "{said}"
        );
        drop(taken);
        is_alice(&mut alice).await;
        assert_eq!(copy.clone().get("https://app.test/").await.status, 303);
        Browser::signed_in(&gateway, "carol").await;
        assert_eq!(gateway.status().await["process_id"], gateway.pid());
        let (said, code) = gateway.upgrade(&[]).await;
        assert_eq!(code, 0, "{said}");
        is_alice(&mut alice).await;
        assert_eq!(copy.clone().get("https://app.test/").await.status, 303);
    }
}

#[tokio::test]
async fn listeners_that_the_new_configuration_adds_or_leaves_out_come_and_go_with_the_upgrade() {
    let (_application, config, gateway) = gateway("disk").await;
    let socket = gateway.folder().join("http.sock");
    let more = format!(
        "  - {{ name: more, bind: \"unix:{}\" }}\ncollector:",
        socket.display()
    );
    let with_more = config.replace("collector:", &more);
    gateway.reload_with(&with_more).await;
    let (said, code) = gateway.upgrade(&[]).await;
    assert_eq!(code, 0, "{said}");
    has_ended(gateway.pid()).await;
    std::os::unix::net::UnixStream::connect(&socket).unwrap();
    let port = kept_port();
    let other = format!("  - {{ name: other, bind: 127.0.0.1:{port} }}\ncollector:");
    gateway.configure(&config.replace("collector:", &other));
    let (said, code) = gateway.upgrade(&[]).await;
    assert_eq!(code, 0, "{said}");
    std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    until("the socket is gone", PATIENCE, || async {
        (!socket.exists()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_state_directory_that_is_another_one_needs_a_restart() {
    let (_application, config, gateway) = gateway("disk").await;
    gateway.edit(&config.replace("store: disk", "store: memory"));
    let (said, code) = gateway.upgrade(&[]).await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("which needs a restart"), "{said}");
    Browser::signed_in(&gateway, "alice").await;
}

#[tokio::test]
async fn only_a_gateway_that_runs_starts_a_successor() {
    let (_application, _, gateway) = gateway("memory").await;
    let mut command = gateway.command(&["run", "--config", "gateway.yaml", "--take-over"]);
    command.stdin(std::process::Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = output.await.unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("use `portway upgrade`"), "{said}");
}

#[tokio::test]
async fn a_request_that_is_running_goes_on_beyond_the_upgrade_and_its_session_is_watched_over_d_13()
{
    for store in STORES {
        let application = Application::start().await;
        let config = with_store(&yaml::applications(&[application.address()]), store);
        let config = format!("{config}limits: {{ drain_timeout: 60s }}\n");
        let gateway = Gateway::start(&config).await;
        let mut alice = Browser::signed_in(&gateway, "alice").await;
        let mut bob = Browser::signed_in(&gateway, "bob").await;
        let slow = Request::get("https://app.test/slow/400");
        // Without an end of its own: what ends it is the end of the session.
        let endless = Request::get("https://app.test/ticks");
        let (mut one, mut other) = (alice.open(slow).await, bob.open(endless).await);
        one.next().await.unwrap().unwrap();
        other.next().await.unwrap().unwrap();
        let (said, code) = gateway.upgrade(&[]).await;
        assert_eq!(code, 0, "{said}");
        bob.get("https://app.test/.portway/logout").await;
        let cut = tokio::time::timeout(PATIENCE, other.rest()).await;
        assert!(
            cut.is_ok_and(|rest| rest.is_err()),
            "{store}: it runs beyond its session"
        );
        one.rest().await.unwrap();
        is_alice(&mut alice).await;
    }
}
