//! `portway sessions`: who runs the node sees its sessions, and ends them, without ever seeing an id.

use serde_json::Value;

use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::yaml;

async fn gateway() -> (Application, Gateway) {
    let application = Application::start().await;
    let gateway = Gateway::start(&yaml::applications(&[application.address()])).await;
    (application, gateway)
}

/// What a verb says on standard output; it must have been done.
async fn said(gateway: &Gateway, words: &[&str]) -> String {
    let output = gateway.verb(words).await;
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What a verb says on standard error, and how it ends.
async fn refusal(gateway: &Gateway, words: &[&str]) -> (String, i32) {
    let output = gateway.verb(words).await;
    let said = String::from_utf8(output.stderr).unwrap();
    (said, output.status.code().unwrap())
}

async fn listed(gateway: &Gateway, more: &[&str]) -> Vec<Value> {
    let words = [&["sessions", "list", "--json"], more].concat();
    let list: Value = serde_json::from_str(&said(gateway, &words).await).unwrap();
    let sessions = list.get("sessions").and_then(Value::as_array);
    sessions.unwrap().clone()
}

async fn is_signed_in(browser: &mut Browser) -> bool {
    browser.get("https://app.test/").await.status == 200
}

#[tokio::test]
async fn sessions_are_listed_and_filtered_and_no_id_is_shown() {
    let (_application, gateway) = gateway().await;
    let alice = Browser::signed_in(&gateway, "alice").await;
    let _again = Browser::signed_in(&gateway, "alice").await;
    let _bob = Browser::signed_in(&gateway, "bob").await;
    let all = listed(&gateway, &[]).await;
    assert_eq!(all.len(), 3, "{all:?}");
    let of_alice = listed(&gateway, &["--user", "alice"]).await;
    assert_eq!(of_alice.len(), 2);
    assert!(of_alice.iter().all(|line| line["user"] == "alice"));
    assert_eq!(listed(&gateway, &["--limit", "1"]).await.len(), 1);
    assert_eq!(
        listed(&gateway, &["--address", "127.0.0.0/8"]).await.len(),
        3
    );
    assert!(
        listed(&gateway, &["--address", "192.0.2.1"])
            .await
            .is_empty()
    );
    assert!(
        listed(&gateway, &["--idle-longer-than", "1h"])
            .await
            .is_empty()
    );
    assert!(listed(&gateway, &["--user", "mallory"]).await.is_empty());
    let line = of_alice.first().unwrap();
    for (name, value) in [("store", "local"), ("state", "live"), ("held_by", "local")] {
        assert_eq!(line[name], value);
    }
    assert_eq!(line["level"], 10);
    let text = said(&gateway, &["sessions", "list"]).await;
    assert!(text.starts_with("SESSION "), "{text}");
    assert_eq!(text.lines().count(), 4, "{text}");
    let hash = line["session"].as_str().unwrap();
    assert_eq!(hash.len(), 12);
    gateway.wait_for_log(&format!("session=\"{hash}\"")).await;
    let shown = said(&gateway, &["sessions", "show", hash]).await;
    for words in [
        "user         alice of local",
        "groups       staff",
        "hosts        app.test",
    ] {
        assert!(shown.contains(words), "{shown}");
    }
    let both = said(&gateway, &["sessions", "show", "--user", "alice"]).await;
    assert_eq!(both.matches("alice of local").count(), 2, "{both}");
    for cookie in ["app.test", "login.test"]
        .map(|host| alice.jar.of(host))
        .concat()
    {
        assert!(!text.contains(&cookie.value) && !shown.contains(&cookie.value));
    }
}

#[tokio::test]
async fn one_session_is_ended_by_its_hash_and_the_others_go_on() {
    let (_application, gateway) = gateway().await;
    let mut alice = Browser::signed_in(&gateway, "alice").await;
    let mut bob = Browser::signed_in(&gateway, "bob").await;
    let of_alice = listed(&gateway, &["--user", "alice"]).await;
    let hash = of_alice[0]["session"].as_str().unwrap();
    let ended = said(&gateway, &["sessions", "end", hash]).await;
    assert_eq!(ended, "1 session ended\n");
    assert!(!is_signed_in(&mut alice).await);
    assert!(is_signed_in(&mut bob).await);
    let (said, code) = refusal(&gateway, &["sessions", "end", hash]).await;
    assert_eq!(code, 1);
    assert!(
        said.contains(&format!("there is no session {hash}")),
        "{said}"
    );
    let trail = gateway.folder().join("state/audit.jsonl");
    crate::support::until("it is audited", crate::support::wait::PATIENCE, || async {
        let text = std::fs::read_to_string(&trail).unwrap();
        let mut lines = text.lines();
        let told = |line: &str| {
            line.contains("\"session_ended\"") && line.contains(hash) && line.contains("\"killed\"")
        };
        lines.any(told).then_some(())
    })
    .await;
}

#[tokio::test]
async fn all_sessions_of_a_user_are_ended_and_the_user_may_sign_in_again() {
    let (_application, gateway) = gateway().await;
    let mut first = Browser::signed_in(&gateway, "alice").await;
    let mut second = Browser::signed_in(&gateway, "alice").await;
    let mut bob = Browser::signed_in(&gateway, "bob").await;
    let ended = said(&gateway, &["sessions", "end", "--user", "alice"]).await;
    assert_eq!(ended, "2 sessions ended\n");
    assert!(!is_signed_in(&mut first).await);
    assert!(!is_signed_in(&mut second).await);
    assert!(is_signed_in(&mut bob).await);
    assert!(is_signed_in(&mut Browser::signed_in(&gateway, "alice").await).await);
}

#[tokio::test]
async fn everything_is_ended_only_when_that_is_confirmed() {
    let (_application, gateway) = gateway().await;
    let mut alice = Browser::signed_in(&gateway, "alice").await;
    let mut bob = Browser::signed_in(&gateway, "bob").await;
    let (said_no, code) = refusal(&gateway, &["sessions", "end", "--all"]).await;
    assert_eq!(code, 2);
    assert!(said_no.contains("add --yes"), "{said_no}");
    assert!(is_signed_in(&mut alice).await);
    let ended = said(&gateway, &["sessions", "end", "--all", "--yes"]).await;
    assert_eq!(ended, "2 sessions ended\n");
    assert!(!is_signed_in(&mut alice).await);
    assert!(!is_signed_in(&mut bob).await);
    assert!(listed(&gateway, &[]).await.is_empty());
}

#[tokio::test]
async fn what_names_no_session_is_refused_in_words() {
    let (_application, gateway) = gateway().await;
    for (words, code, reason) in [
        (vec!["end"], 2, "required"),
        (
            vec!["end", "5f0c9a61b2d3"],
            1,
            "there is no session 5f0c9a61b2d3",
        ),
        (vec!["end", "alice"], 2, "12 hex digits"),
        (vec!["list", "--idle-longer-than", "5"], 2, "no unit"),
        (vec!["list", "--limit", "0"], 2, "from 1 to 100000"),
        (
            vec!["list", "--address", "here"],
            2,
            "neither an address nor a network",
        ),
        (vec!["show", "--store", "local"], 2, "required"),
    ] {
        let words = [&["sessions"], words.as_slice()].concat();
        let (said, got) = refusal(&gateway, &words).await;
        assert_eq!(got, code, "{words:?}: {said}");
        assert!(said.contains(reason), "{words:?}: {said}");
    }
}
