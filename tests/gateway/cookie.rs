//! `portway cookie inspect`: what a cookie is, and why it does not open, without a secret or an id.

use std::io::Write;
use std::process::Stdio;

use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::yaml;

/// What is said of a text, and the exit code.
fn inspect(gateway: &Gateway, text: &str) -> (String, i32) {
    let mut child = gateway
        .command(&["cookie", "inspect"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(text.as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (
        String::from_utf8(said).unwrap(),
        output.status.code().unwrap(),
    )
}

#[tokio::test]
async fn a_cookie_is_told_by_kind_key_host_user_and_hash_and_no_more() {
    let application = Application::start().await;
    let gateway = Gateway::start(&yaml::applications(&[application.address()])).await;
    let browser = Browser::signed_in(&gateway, "alice").await;
    let authn = browser.jar.find("app.test", "-authn-").unwrap().clone();
    let id = browser.jar.find("login.test", "-id-").unwrap().clone();
    let hash = {
        let output = gateway.verb(&["sessions", "list", "--json"]).await;
        let list: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        list["sessions"][0]["session"].as_str().unwrap().to_owned()
    };
    for (cookie, kind, host) in [
        (&authn, "authn cookie", "app.test"),
        (&id, "ID cookie", "login.test"),
    ] {
        let named = format!("{}={}", cookie.name, cookie.value);
        let header = format!("Cookie: other=1; {named}; more=x=y\n");
        for text in [named.as_str(), cookie.value.as_str(), header.as_str()] {
            let (said, code) = inspect(&gateway, text);
            assert_eq!(code, 0, "{said}");
            let expected = [
                &format!("kind         {kind}"),
                &format!("host         {host}"),
                "user         alice of local",
                &format!("session      {hash}"),
                "data centre  local",
                "it opens, and has not expired",
            ];
            let absent = expected.iter().find(|words| !said.contains(**words));
            assert_eq!(absent, None, "{said}");
            assert!(!said.contains(&cookie.value), "{said}");
        }
    }
    // One of each is told apart in a header of both.
    let both = format!("{}={}; {}={}", authn.name, authn.value, id.name, id.value);
    let (said, code) = inspect(&gateway, &both);
    assert_eq!((code, said.matches("kind ").count()), (0, 2), "{said}");
    // Several lines are one header, as HTTP/2 has it.
    let (authn, id) = both.split_once("; ").unwrap();
    for lines in [
        format!("Cookie: {authn}\nCookie: other=1; {id}\n"),
        format!("cookie: {authn}\r\ncookie: {id}\r\n"),
        format!("{authn}\n{id}\n"),
    ] {
        let (said, code) = inspect(&gateway, &lines);
        assert_eq!((code, said.matches("kind ").count()), (0, 2), "{said}");
    }
}

#[tokio::test]
async fn what_a_cookie_is_bound_to_is_told_by_its_kind_d_19() {
    let application = Application::start().await;
    let sites = yaml::applications(&[application.address()]);
    for (bind_to, told) in [
        (
            "[user_agent, address]",
            Some("bound to     address, user_agent\n"),
        ),
        ("[user_agent]", Some("bound to     user_agent\n")),
        ("[]", None),
    ] {
        let session = format!("session: {{ bind_to: {bind_to} }}\n");
        let gateway = Gateway::start(&format!("{session}{sites}")).await;
        let browser = Browser::signed_in(&gateway, "alice").await;
        for (host, kind) in [("app.test", "-authn-"), ("login.test", "-id-")] {
            let cookie = browser.jar.find(host, kind).unwrap();
            let (said, code) = inspect(&gateway, &cookie.value);
            assert_eq!(code, 0, "{said}");
            assert!(said.contains(told.unwrap_or_default()), "{said}");
            assert_eq!(said.contains("bound"), told.is_some(), "{said}");
        }
    }
}

#[tokio::test]
async fn why_a_cookie_does_not_open_is_said_to_the_operator() {
    let application = Application::start().await;
    let config = yaml::applications(&[application.address()]);
    let gateway = Gateway::start(&config).await;
    let other = Gateway::start(&config).await;
    let browser = Browser::signed_in(&other, "alice").await;
    let foreign = browser.jar.find("app.test", "-authn-").unwrap().clone();
    let own = Browser::signed_in(&gateway, "alice").await;
    let own = own.jar.find("app.test", "-authn-").unwrap().clone();
    // Behind its key and before its end.
    let middle = own.value.len() / 2;
    let other_one = |c: char| if c == 'A' { 'B' } else { 'A' };
    let changed = own.value.char_indices();
    let changed = changed.map(|(at, c)| if at == middle { other_one(c) } else { c });
    let changed: String = changed.collect();
    let id = own.name.replace("-authn-", "-id-");
    for (text, reason) in [
        (foreign.value.clone(), "its key is not in this ring"),
        (format!("{id}={}", own.value), "made for another host"),
        (changed, "it does not open: changed on the way"),
        ("short".to_owned(), "it is no sealed cookie"),
        ("a=b; c=d".to_owned(), "no cookie of this deployment"),
        (String::new(), "no cookie of this deployment"),
    ] {
        let (said, code) = inspect(&gateway, &text);
        assert_eq!(code, 1, "{said}");
        assert!(said.contains(reason), "{reason}: {said}");
    }
}
