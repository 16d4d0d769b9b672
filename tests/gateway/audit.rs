//! The audit trail: what is written down of users, that nobody can change it unseen, and how an operator finds
//! what a user's reference is about.

use std::path::PathBuf;
use std::process::Output;
use std::process::Stdio;
use std::time::Duration;

use sha2::Digest;
use sha2::Sha256;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;

use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::Protocol;
use crate::support::Request;
use crate::support::Url;
use crate::support::client;
use crate::support::until;
use crate::support::wait::within;
use crate::support::websocket;
use crate::support::yaml;

const SOON: Duration = Duration::from_secs(20);

async fn start(more: &str) -> (Gateway, Application) {
    let application = Application::start().await;
    let config = yaml::applications(&[application.address()]);
    let gateway = Gateway::start(&format!("{config}{more}")).await;
    (gateway, application)
}

fn trail(gateway: &Gateway) -> PathBuf {
    gateway.folder().join("state/audit.jsonl")
}

/// The lines of a trail, once one of them has these words.
async fn lines(gateway: &Gateway, words: &str) -> Vec<serde_json::Value> {
    let path = trail(gateway);
    until(&format!("the trail says {words:?}"), SOON, || async {
        let text = std::fs::read_to_string(&path).ok()?;
        // The last may be on its way to the file.
        let (whole, _) = text.rsplit_once('\n')?;
        let read = |line| serde_json::from_str(line).unwrap();
        whole
            .contains(words)
            .then(|| whole.lines().map(read).collect())
    })
    .await
}

/// The last line of a kind.
async fn last(gateway: &Gateway, event: &str) -> serde_json::Value {
    let lines = lines(gateway, &format!("\"event\":\"{event}\"")).await;
    let found = lines.into_iter().rev().find(|line| line["event"] == event);
    found.unwrap()
}

fn portway(gateway: &Gateway, arguments: &[&str]) -> Output {
    let words = [&["audit"], arguments].concat();
    gateway.command(&words).output().unwrap()
}

fn said(output: &Output) -> String {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn what_users_do_is_written_down_and_a_reference_leads_to_it_d_23() {
    let (gateway, _application) = start("").await;
    let mut browser = Browser::new(&gateway);
    let page = browser.get("https://app.test/").await;
    let page = browser.follow_all(page).await;
    browser.log_in(&page, "alice", "wrong s3cret").await;
    let refused = last(&gateway, "sign_in_refused").await;
    assert_eq!(refused["cause"], "wrong_password");
    assert_eq!(refused["user"], "alice");
    assert_eq!(refused["client"], "127.0.0.1");
    browser.log_in(&page, "s3cret typed as a name", "x").await;
    lines(&gateway, "unknown_user").await;
    browser
        .sign_in("https://app.test/", "alice")
        .await
        .expect(200);
    let signed_in = last(&gateway, "signed_in").await;
    assert_eq!(signed_in["user"], "alice");
    let denied = browser
        .get("https://app.test/admin?code=s3cret")
        .await
        .expect(403);
    let reference = denied.header("x-request-id").to_owned();
    let told = last(&gateway, "denied").await;
    assert_eq!(told["request_id"], reference.as_str());
    assert_eq!(told["session"], signed_in["session"]);
    assert_eq!(told["path"], "/admin");
    let found = portway(&gateway, &["find", &reference]);
    assert!(found.status.success(), "{}", said(&found));
    let found = said(&found);
    assert!(
        found.contains(" denied ") && found.contains("user=\"alice\""),
        "{found}"
    );
    let nothing = portway(&gateway, &["find", "0123456789abcdef"]);
    assert_eq!(nothing.status.code(), Some(1));
    browser.get("https://app.test/.portway/logout").await;
    let signed_out = last(&gateway, "signed_out").await;
    assert_eq!(signed_out["session"], signed_in["session"]);
    let text = std::fs::read_to_string(trail(&gateway)).unwrap();
    for secret in ["s3cret", "portway-authn"] {
        assert!(!text.contains(secret), "{secret} in\n{text}");
    }
}

#[tokio::test]
async fn who_asks_a_running_gateway_for_something_is_written_down_and_which_configuration_is_served()
 {
    let (gateway, _application) = start("").await;
    Browser::signed_in(&gateway, "alice").await;
    let sudo = |words: &[&str]| {
        let mut command = gateway.command(words);
        command.env("SUDO_USER", "mallory").output().unwrap()
    };
    let uid = rustix::process::getuid().as_raw().to_string();
    for (words, event, detail) in [
        (
            &["sessions", "end", "--user", "alice"][..],
            "user_cut_off",
            ("user", "alice"),
        ),
        (
            &["keys", "rotate"],
            "keys_changed",
            ("command", "keys rotate"),
        ),
        (&["keys", "retire"], "", ("command", "keys retire")),
        (&["reload"], "configuration_loaded", ("command", "reload")),
    ] {
        assert!(sudo(words).status.success(), "{words:?}");
        let command = words.iter().take(2).copied().collect::<Vec<_>>().join(" ");
        let all = lines(&gateway, &format!("\"command\":\"{command}\"")).await;
        let given = all.iter().find(|line| line["command"] == command.as_str());
        let given = given.unwrap();
        assert_eq!(given["event"], "command_given");
        assert_eq!(given["by_uid"], uid.as_str());
        assert_eq!(given["by_sudo_user"], "mallory");
        assert_eq!(given[detail.0], detail.1);
        if !event.is_empty() {
            follows(&gateway, event, seq(given)).await;
        }
    }
    let shown = gateway.command(&["config", "show"]).output().unwrap();
    let digest = Sha256::digest(&shown.stdout);
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let all = lines(&gateway, "configuration_loaded").await;
    let loaded = all
        .iter()
        .filter(|line| line["event"] == "configuration_loaded");
    let digests: Vec<_> = loaded
        .map(|line| line["sha256"].as_str().unwrap())
        .collect();
    assert_eq!(digests, [&*digest, &*digest]);
}

fn seq(line: &serde_json::Value) -> Option<u64> {
    line.get("seq")?.as_u64()
}

async fn follows(gateway: &Gateway, event: &str, command: Option<u64>) {
    until(&format!("{event} follows its command"), SOON, || async {
        let done = last(gateway, event).await;
        (seq(&done) > command).then_some(())
    })
    .await;
}

#[tokio::test]
async fn ending_the_sessions_of_nobody_says_that_there_is_no_such_user() {
    let (gateway, _application) = start("").await;
    let end = |user| {
        gateway
            .command(&["sessions", "end", "--user", user])
            .output()
    };
    let typo = end("allice").unwrap();
    assert!(typo.status.success(), "{typo:?}");
    assert!(
        said(&typo).contains("the users file has no such user"),
        "{typo:?}"
    );
    let alice = end("alice").unwrap();
    assert!(!said(&alice).contains("no such user"), "{alice:?}");
}

#[tokio::test]
async fn a_trail_that_somebody_changed_is_found_over_restarts_and_rotations() {
    let (mut gateway, _application) = start("").await;
    Browser::signed_in(&gateway, "alice").await;
    lines(&gateway, "signed_in").await;
    let older = trail(&gateway).with_extension("1");
    std::fs::rename(trail(&gateway), &older).unwrap();
    Browser::signed_in(&gateway, "bob").await;
    lines(&gateway, "bob").await;
    gateway.terminate();
    gateway.wait_for_exit(SOON).await;
    gateway.restart().await;
    lines(&gateway, "\"event\":\"stopped\"").await;
    let both = ["verify", "state/audit.jsonl", "state/audit.1"];
    let whole = portway(&gateway, &both);
    assert!(whole.status.success(), "{}", said(&whole));
    assert!(
        said(&whole).contains("none was changed"),
        "{}",
        said(&whole)
    );
    assert!(said(&whole).contains("sealed with a key of the ring"));
    let alone = portway(&gateway, &["verify"]);
    assert!(
        said(&alone).contains("are not in these files"),
        "{}",
        said(&alone)
    );
    let text = std::fs::read_to_string(&older).unwrap();
    std::fs::write(&older, text.replace("alice", "mallory")).unwrap();
    let edited = portway(&gateway, &both);
    assert_eq!(edited.status.code(), Some(1));
    assert!(
        said(&edited).contains("was changed after it was written"),
        "{}",
        said(&edited)
    );
    let mut lines: Vec<&str> = text.lines().collect();
    lines.remove(1);
    std::fs::write(&older, lines.join("\n") + "\n").unwrap();
    let removed = portway(&gateway, &both);
    assert!(
        said(&removed).contains("are missing before this one"),
        "{}",
        said(&removed)
    );
    std::fs::write(&older, &text).unwrap();
    let current = std::fs::read_to_string(trail(&gateway)).unwrap();
    let kept: Vec<&str> = current.lines().take(1).collect();
    std::fs::write(trail(&gateway), format!("{}\n", kept[0])).unwrap();
    let cut = portway(&gateway, &both);
    assert!(
        said(&cut).contains("were cut off its end"),
        "{}",
        said(&cut)
    );
}

#[tokio::test]
async fn garbage_for_cookies_is_counted_and_cannot_fill_the_disk_mdc_cookie_6() {
    let (gateway, _application) = start("ops: { bind: \"127.0.0.1:0\" }\n").await;
    let mut browser = Browser::new(&gateway);
    for _ in 0..50 {
        let request = Request::get("https://app.test/public/x")
            .header("cookie", &["__Host-portway-authn-main=junk"; 4].join("; "));
        browser.send(request).await.expect(200);
    }
    let told = last(&gateway, "cookie_not_opened").await;
    assert_eq!(
        (&told["cookie"], &told["host"]),
        (&"authn".into(), &"app.test".into())
    );
    let written = lines(&gateway, "cookie_not_opened").await;
    let of_kind = written
        .iter()
        .filter(|line| line["event"] == "cookie_not_opened");
    assert!(of_kind.count() < 150);
    let counted = "portway_audit_events_total{event=\"cookie_not_opened\"}";
    assert_eq!(gateway.metric(counted).await, Some(200.0));
}

#[tokio::test]
async fn the_id_of_a_request_is_a_trusted_proxys_to_give_and_nobody_elses() {
    for (trust, kept) in [("", false), ("trusted_proxies: [127.0.0.1]\n", true)] {
        let (gateway, _application) = start(trust).await;
        let mut browser = Browser::new(&gateway);
        for (id, is_good) in [("proxy-made:1234", true), ("not good", false)] {
            let request = Request::get("https://app.test/public/x").header("x-request-id", id);
            let answer = browser.send(request).await.expect(200);
            assert_eq!(answer.header("x-request-id") == id, kept && is_good);
            assert_eq!(answer.told("x-request-id"), answer.header("x-request-id"));
        }
    }
}

#[tokio::test]
async fn a_balancer_asks_the_public_listener_and_learns_no_more_than_it_needs() {
    let application = Application::start().await;
    let config = yaml::applications(&[application.address()]);
    let config = config.replace(
        "{ name: http, bind: 127.0.0.1:0 }",
        "{ name: http, bind: 127.0.0.1:0, ready_path: /are-you-ready }",
    );
    let gateway = Gateway::start(&config).await;
    let mut browser = Browser::new(&gateway);
    let ready = browser.get("http://balancer.test/are-you-ready").await;
    assert_eq!(ready.expect(200).text(), "ready\n");
    let elsewhere = browser.get("https://app.test/are-you-ready").await;
    assert_ne!(elsewhere.text(), "ready\n");
    let post = Request::post("http://balancer.test/are-you-ready");
    assert_eq!(browser.send(post).await.status, 421);
    browser
        .get("http://balancer.test/are-you-ready/x")
        .await
        .expect(421);
}

#[tokio::test]
async fn a_gateway_without_a_place_for_its_trail_neither_starts_nor_takes_over_such_a_configuration()
 {
    let (gateway, _application) = start("").await;
    let config = gateway.folder().join("gateway.yaml");
    let good = std::fs::read_to_string(&config).unwrap();
    let nowhere = "logs: { audit: { file: gone/audit.jsonl } }\n";
    gateway.edit(&format!("{good}{nowhere}"));
    let (refused, code) = gateway.reload().await;
    let why = "gone/audit.jsonl cannot be written: the folder ";
    assert!(refused.contains(why) && code != 0, "{refused}");
    gateway.edit(&good);
    // A state directory of its own, which nothing makes before the start.
    let other = format!("{good}state_dir: other\n{nowhere}");
    std::fs::write(gateway.folder().join("other.yaml"), other).unwrap();
    let checked = gateway
        .command(&["check", "--config", "other.yaml"])
        .output();
    let checked = checked.unwrap();
    assert_eq!(checked.status.code(), Some(2));
    assert!(said(&checked).contains(why), "{checked:?}");
    assert!(!gateway.folder().join("other").exists(), "it makes nothing");
    let mut started = gateway.command(&["run", "--config", "other.yaml"]);
    let mut started = started.stderr(Stdio::piped()).spawn().unwrap();
    let ask = || std::future::ready(started.try_wait().unwrap());
    let ended = until("it does not start", SOON, ask).await;
    let said = std::io::read_to_string(started.stderr.take().unwrap()).unwrap();
    assert_eq!(ended.code(), Some(1), "{said}");
    assert!(said.contains("the audit trail cannot be written"), "{said}");
}

#[tokio::test]
async fn a_denial_names_its_policy_and_the_rules_that_could_not_be_told_d_23() {
    let (gateway, _application) = start("").await;
    let config = std::fs::read_to_string(gateway.folder().join("gateway.yaml")).unwrap();
    let doubled = "  admins:
    - allow: { group: auditors }
    - allow: { query: { name: t, is: a } }
    - allow: { when: \"user.attributes.desk == 'north'\" }
    - allow: { group: [admins] }\n";
    let config = config.replace("  admins: [{ allow: { group: [admins] } }]\n", doubled);
    gateway.reload_with(&config).await;
    let mut browser = Browser::new(&gateway);
    let sign_in = browser.sign_in("https://app.test/", "alice").await;
    sign_in.expect(200);
    let denied = browser.get("https://app.test/admin?t=a&t=b").await;
    denied.expect(403);
    let told = last(&gateway, "denied").await;
    assert_eq!(told["policy"], "admins");
    assert_eq!(told["reason"], "no rule allows it");
    assert_eq!(told["unknown_rules"], "2,3");
    let ask = [
        "explain",
        "GET",
        "https://app.test/admin?t=a&t=b",
        "--user",
        "alice",
    ];
    let explained = gateway.command(&ask).output().unwrap();
    assert_eq!(explained.status.code(), Some(1));
    let said = said(&explained);
    for line in [
        "user           alice (staff), level 10",
        "route          /admin (protected, policy admins)",
        "rule 3         allow: unknown, counts as false: user.attributes.desk is absent",
        "decision       denied: no rule allows it",
    ] {
        assert!(said.lines().any(|told| told == line), "{said}");
    }
    let carol = [&ask[..4], &["carol"]].concat();
    let explained = gateway.command(&carol).output().unwrap();
    assert!(explained.status.success(), "{explained:?}");
}

#[tokio::test]
async fn who_is_denied_by_address_or_origin_is_written_down_and_not_called_signed_in_d_23() {
    let (gateway, application) = start_with_closed().await;
    let mut nobody = Browser::new(&gateway);
    let page = nobody.get("https://app.test/closed/x?s3cret=1").await;
    let page = page.expect(403);
    let text = page.text();
    let said_so = "This page is not open to where your request comes from.";
    assert!(
        text.contains(said_so) && !text.contains("You are signed in"),
        "{text}"
    );
    let reference = page.header("x-request-id");
    let told = last(&gateway, "barred").await;
    assert_eq!(told["reason"], "the route does not let this address in");
    assert_eq!(told["request_id"], reference);
    assert_eq!(told["client"], "127.0.0.1");
    assert_eq!(told["path"], "/closed/x");
    assert_eq!(told["route"], "/closed");
    let found = portway(&gateway, &["find", reference]);
    assert!(found.status.success(), "{}", said(&found));
    let evil = [("origin", "https://evil.test")];
    let refused = websocket::open(&nobody, "https://app.test/plain/ws", &evil).await;
    assert_eq!(refused.unwrap_err().status(), 403);
    let words = "a page of another origin opens a WebSocket";
    let told = lines(&gateway, words).await;
    let told = told.iter().find(|line| line["reason"] == words).unwrap();
    assert_eq!(told["event"], "barred");
    assert_eq!(told["route"], "/plain");
    assert_eq!(application.requests(), 0);
}

#[tokio::test]
async fn strangers_keep_no_denial_of_a_user_out_of_the_trail_d_23() {
    let (gateway, _application) = start_with_closed().await;
    let mut alice = Browser::signed_in(&gateway, "alice").await;
    let url = Url::parse("https://app.test/closed");
    let stranger = client::connect(&url, alice.address(&url), Protocol::H1);
    let mut stranger = stranger.await.unwrap();
    for _ in 0..1500 {
        let head = b"HEAD /closed HTTP/1.1\r\nHost: app.test\r\n\r\n";
        stranger.write_all(head).await.unwrap();
        let answer = within("an answer", SOON, head_of(&mut stranger)).await;
        assert!(answer.starts_with(b"HTTP/1.1 403 "));
    }
    for _ in 0..5 {
        let denied = alice.get("https://app.test/admin").await.expect(403);
        let reference = denied.header("x-request-id");
        let lines = lines(&gateway, reference).await;
        let told = lines.iter().find(|line| line["request_id"] == reference);
        let told = told.unwrap();
        assert_eq!(
            (&told["event"], &told["user"]),
            (&"denied".into(), &"alice".into())
        );
        assert!(told["suppressed"].is_null(), "{told}");
    }
    let written = lines(&gateway, "\"barred\"").await;
    let barred = written.iter().filter(|line| line["event"] == "barred");
    assert!(barred.count() < 400);
}

/// With a route that lets no address in.
async fn start_with_closed() -> (Gateway, Application) {
    let (gateway, application) = start("").await;
    let config = std::fs::read_to_string(gateway.folder().join("gateway.yaml")).unwrap();
    let open = "      - { path: /plain, access: excluded, pool: app }\n";
    let closed =
        "      - { path: /closed, access: excluded, addresses: [{ deny: all }], pool: app }\n";
    let config = config.replace(open, &format!("{closed}{open}"));
    gateway.reload_with(&config).await;
    (gateway, application)
}

/// The head of the answer to a request that gets no body.
async fn head_of(connection: &mut client::Connection) -> Vec<u8> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let read = connection.read_buf(&mut head).await.unwrap();
        assert!(read > 0, "the connection was closed");
    }
    head
}
