//! What a change of the users file does to those who are signed in, and that a file which nobody meant signs nobody
//! out.

use std::io::Write;
use std::process::Output;
use std::process::Stdio;

use crate::support::Browser;
use crate::support::Gateway;
use crate::support::Recorder;
use crate::support::gateway::users_with;
use crate::support::until;
use crate::support::wait::PATIENCE;
use crate::support::yaml;

async fn status(browser: &mut Browser, path: &str) -> u16 {
    browser.get(&format!("https://app.test{path}")).await.status
}

/// Waits until the route for admins answers so.
async fn until_admin_is(expected: u16, browser: &Browser) {
    until("the change has come", PATIENCE, || {
        let mut browser = browser.clone();
        async move { (status(&mut browser, "/admin").await == expected).then_some(()) }
    })
    .await;
}

async fn started() -> (Recorder, Gateway) {
    let recorder = Recorder::start().await;
    let gateway = Gateway::start(&yaml::applications(&[recorder.address()])).await;
    (recorder, gateway)
}

/// A users file with alice and so many others.
fn crowd(others: usize) -> String {
    let names: Vec<String> = (0..others).map(|n| format!("user{n}")).collect();
    let alice = ("alice", "[staff]", "alice@mail.test", "Alice");
    let others = names.iter().map(|name| (&**name, "[]", "x@mail.test", "X"));
    let all: Vec<_> = others.chain([alice]).collect();
    users_with(&all)
}

#[tokio::test]
async fn a_users_file_that_was_emptied_signs_nobody_out_s_10() {
    let (_application, gateway) = started().await;
    let mut alice = Browser::signed_in(&gateway, "alice").await;
    let path = gateway.folder().join("users.yaml");
    let good = std::fs::read_to_string(&path).unwrap();
    for (text, nth) in [("", 1), ("users:\n", 2)] {
        std::fs::write(&path, text).unwrap();
        until("the fault is told", PATIENCE, || async {
            let log = gateway.log();
            let told = log.matches("the users file has a fault").count();
            (told == nth).then_some(())
        })
        .await;
        let trouble = gateway.status().await["users"]["trouble"].to_string();
        assert!(trouble.contains("there is no list `users`"), "{trouble}");
        assert_eq!(status(&mut alice, "/").await, 200, "{text:?}");
    }
    std::fs::write(&path, good).unwrap();
    until("nothing is wrong any more", PATIENCE, || async {
        gateway.status().await["users"]["trouble"]
            .is_null()
            .then_some(())
    })
    .await;
    assert_eq!(status(&mut alice, "/").await, 200);
}

#[tokio::test]
async fn a_users_file_that_has_lost_most_users_signs_them_out_only_by_a_reload_that_is_asked_for() {
    let (_application, gateway) = started().await;
    gateway.replace("users.yaml", &crowd(19));
    gateway.wait_for_log("users file read again").await;
    let mut alice = Browser::signed_in(&gateway, "alice").await;
    let path = gateway.folder().join("users.yaml");
    let whole = crowd(19);
    // The copy broke off in the middle, between two users.
    let half: Vec<_> = whole.split_inclusive('\n').take(6).collect();
    std::fs::write(&path, half.concat()).unwrap();
    gateway
        .wait_for_log("the users file has lost most of its users; they are as before")
        .await;
    assert_eq!(status(&mut alice, "/").await, 200);
    let screen = gateway.verb(&["status"]).await;
    let screen = String::from_utf8(screen.stdout).unwrap();
    let told = "15 of 20 users are not in it any more; `portway reload` takes it over all the same";
    assert!(screen.contains(told), "{screen}");
    let (said, code) = gateway.reload().await;
    assert_eq!(code, 0, "{said}");
    until("alice is signed out", PATIENCE, || {
        let mut alice = alice.clone();
        async move { (status(&mut alice, "/").await == 303).then_some(()) }
    })
    .await;
    assert!(gateway.status().await["users"]["trouble"].is_null());
}

#[tokio::test]
async fn a_change_of_groups_reaches_whoever_is_signed_in_s_10() {
    let (recorder, mut gateway) = started().await;
    let mut alice = Browser::signed_in(&gateway, "alice").await;
    assert_eq!(status(&mut alice, "/admin").await, 403);
    let file = |groups: &str| users_with(&[("alice", groups, "ally@mail.test", "Ally")]);
    gateway.replace("users.yaml", &file("[staff, admins]"));
    until_admin_is(200, &alice).await;
    recorder.clear();
    assert_eq!(status(&mut alice, "/").await, 200);
    let seen = recorder.text().to_ascii_lowercase();
    assert!(seen.contains("remote-groups: staff,admins\r\n"), "{seen}");
    assert!(seen.contains("remote-email: ally@mail.test\r\n"), "{seen}");
    assert!(seen.contains("remote-name: ally\r\n"), "{seen}");
    gateway.replace("users.yaml", &file("[staff]"));
    until_admin_is(403, &alice).await;
    let trail = gateway.folder().join("state/audit.jsonl");
    for told in [
        "alice groups+admins display_name email",
        "alice groups-admins",
    ] {
        until(&format!("the trail has {told}"), PATIENCE, || async {
            let text = std::fs::read_to_string(&trail).unwrap();
            text.contains(told).then_some(())
        })
        .await;
    }
    // What changes while the gateway is stopped counts, too.
    gateway.kill9();
    gateway.replace("users.yaml", &file("[admins]"));
    gateway.restart().await;
    alice.go_to(&gateway);
    until_admin_is(200, &alice).await;
}

/// Gives a user a new password, as an administrator would.
fn reset(gateway: &Gateway, user: &str, password: &str, more: &[&str]) -> Output {
    let words = [&["users", "passwd", user, "--password-stdin"], more].concat();
    let mut command = gateway.command(&words);
    command.stdin(Stdio::piped());
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(password.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output
}

async fn signed_in_by(gateway: &Gateway, user: &str, password: &str) -> Browser {
    let mut browser = Browser::new(gateway);
    let asked = browser.get("https://app.test/").await;
    let page = browser.follow_all(asked).await.expect(200);
    let answer = browser.log_in(&page, user, password).await;
    browser.follow_all(answer).await.expect(200);
    assert_eq!(status(&mut browser, "/").await, 200);
    browser
}

#[tokio::test]
async fn a_password_that_an_administrator_resets_ends_what_began_before_it() {
    let (_application, mut gateway) = started().await;
    let alice = Browser::signed_in(&gateway, "alice").await;
    let mut bob = Browser::signed_in(&gateway, "bob").await;
    let kept = reset(&gateway, "bob", "short", &["--keep-sessions"]);
    let warned = String::from_utf8(kept.stderr).unwrap();
    assert!(warned.contains("fewer than 15 characters"), "{warned}");
    let ended = reset(&gateway, "alice", "another long password", &[]);
    assert_eq!(
        String::from_utf8(ended.stdout).unwrap(),
        "changed the password of alice; sessions that began before end\n"
    );
    until("alice is signed out", PATIENCE, || {
        let mut alice = alice.clone();
        async move { (status(&mut alice, "/").await == 303).then_some(()) }
    })
    .await;
    assert_eq!(status(&mut bob, "/").await, 200);
    let mut alice = signed_in_by(&gateway, "alice", "another long password").await;
    // While the gateway is stopped it counts, too, and once only.
    gateway.kill9();
    reset(&gateway, "alice", "yet another long password", &[]);
    gateway.restart().await;
    alice.go_to(&gateway);
    assert_eq!(status(&mut alice, "/").await, 303);
    let mut alice = signed_in_by(&gateway, "alice", "yet another long password").await;
    gateway.kill9();
    gateway.restart().await;
    alice.go_to(&gateway);
    assert_eq!(status(&mut alice, "/").await, 200);
}
