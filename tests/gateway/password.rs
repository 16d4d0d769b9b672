//! Changing one's own password: with the old one, under the same counter as the sign-in, with the other
//! sessions ended or kept; and those who have to before they get anywhere.

use crate::support::Answer;
use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::gateway::Setup;
use crate::support::gateway::password;
use crate::support::yaml;

const NEW: &str = "a new one of several words";
const PAGE: &str = "https://login.test/.portway/password";

async fn start_with(setup: Setup, throttle: &str) -> (Gateway, Application) {
    let application = Application::start().await;
    let head = yaml::HEAD.replace(
        "users_file: users.yaml",
        &format!("users_file: users.yaml, throttle: {{ {throttle} }}"),
    );
    let config = format!("{head}{}", yaml::sites(&[application.address()]));
    (setup.start(&config).await, application)
}

async fn start() -> (Gateway, Application) {
    start_with(Setup::new(), "").await
}

/// Fills the form for a new password in, and posts it.
async fn change(
    browser: &mut Browser,
    page: &Answer,
    (user, old, new): (&str, &str, &str),
    others: &str,
) -> Answer {
    let form = page
        .form()
        .with("username", user)
        .with("password", old)
        .with("new", new)
        .with("again", new)
        .with("others", others);
    browser.submit(page, &form).await
}

#[tokio::test]
async fn a_user_changes_the_password_and_is_signed_in_with_the_new_one_only() {
    let (gateway, _application) = start().await;
    let mut browser = Browser::signed_in(&gateway, "alice").await;
    let mut elsewhere = Browser::signed_in(&gateway, "alice").await;
    let mut bob = Browser::signed_in(&gateway, "bob").await;
    let welcome = browser.get("https://login.test/").await.expect(200);
    assert!(
        welcome.text().contains("href=\"/.portway/password\""),
        "{}",
        welcome.text()
    );
    let page = browser.get(PAGE).await.expect(200);
    assert_eq!(page.form().value("username"), "alice");
    let changed = change(
        &mut browser,
        &page,
        ("alice", &password("alice"), NEW),
        "end",
    )
    .await;
    let changed = changed.expect(200);
    assert!(
        changed.text().contains("has been changed"),
        "{}",
        changed.text()
    );
    // This browser goes on, the other one does not, and nobody else notices.
    let there = browser.get("https://other.test/").await;
    assert_eq!(browser.follow_all(there).await.told("remote-user"), "alice");
    elsewhere.get("https://app.test/").await.expect(303);
    bob.get("https://app.test/").await.expect(200);
    let file = std::fs::read_to_string(gateway.folder().join("users.yaml")).unwrap();
    assert!(!file.contains(NEW), "{file}");
    let mut fresh = Browser::new(&gateway);
    let page = fresh.get("https://login.test/").await.expect(200);
    fresh
        .log_in(&page, "alice", &password("alice"))
        .await
        .expect(403);
    fresh.log_in(&page, "alice", NEW).await.expect(303);
}

#[tokio::test]
async fn other_sessions_go_on_where_the_user_wants_that() {
    let (gateway, _application) = start().await;
    let mut browser = Browser::signed_in(&gateway, "alice").await;
    let mut elsewhere = Browser::signed_in(&gateway, "alice").await;
    let page = browser.get(PAGE).await.expect(200);
    let words = ("alice", password("alice"));
    change(&mut browser, &page, (words.0, &words.1, NEW), "keep")
        .await
        .expect(200);
    elsewhere.get("https://app.test/").await.expect(200);
}

#[tokio::test]
async fn guesses_at_the_old_password_fall_under_the_counter_of_the_sign_in() {
    let (gateway, _application) =
        start_with(Setup::new(), "first_wait: 1h, longest_wait: 1h").await;
    let mut browser = Browser::new(&gateway);
    let page = browser.get(PAGE).await.expect(200);
    let login = browser.get("https://login.test/").await.expect(200);
    for user in ["alice", "ALICE", " alice"] {
        let refused = change(&mut browser, &page, (user, "wrong", NEW), "keep").await;
        assert_eq!(refused.status, 403);
        assert!(
            refused.text().contains("is not right"),
            "{}",
            refused.text()
        );
    }
    for user in ["aLice", "alice "] {
        browser.log_in(&login, user, "wrong").await.expect(403);
    }
    let right = password("alice");
    browser.log_in(&login, "alice", &right).await.expect(429);
    let waits = change(&mut browser, &page, ("alice", &right, NEW), "keep")
        .await
        .expect(429);
    assert_eq!(waits.header("retry-after"), "3600");
    let stranger = change(&mut browser, &page, ("nobody", "wrong", NEW), "keep").await;
    assert_eq!(stranger.status, 403);
}

#[tokio::test]
async fn a_new_password_that_anybody_would_try_is_not_taken_and_costs_no_attempt() {
    let (gateway, _application) = start().await;
    let mut browser = Browser::signed_in(&gateway, "alice").await;
    let page = browser.get(PAGE).await.expect(200);
    let right = password("alice");
    for _ in 0..3 {
        for new in ["short", "alicealicealice", "aaaaaaaaaaaaaaaaaaaa"] {
            let refused = change(&mut browser, &page, ("alice", &right, new), "keep").await;
            refused.expect(422);
        }
    }
    let form = page
        .form()
        .with("username", "alice")
        .with("password", &right);
    let form = form
        .with("new", NEW)
        .with("again", "another one of several words");
    let differ = browser.submit(&page, &form).await.expect(422);
    assert!(differ.text().contains("not the same"), "{}", differ.text());
    change(&mut browser, &page, ("alice", &right, NEW), "keep")
        .await
        .expect(200);
}

#[tokio::test]
async fn a_form_of_another_page_or_browser_changes_nothing() {
    let (gateway, _application) = start().await;
    let mut browser = Browser::signed_in(&gateway, "alice").await;
    let page = browser.get(PAGE).await.expect(200);
    let right = password("alice");
    let mut other = Browser::new(&gateway);
    change(&mut other, &page, ("alice", &right, NEW), "end")
        .await
        .expect(403);
    // The sealed form of the login page is not that of this one.
    let mut anonymous = Browser::new(&gateway);
    let login = anonymous.get("https://login.test/").await.expect(200);
    let theirs = login.form().value("form").to_owned();
    let page = anonymous.get(PAGE).await.expect(200);
    let mut form = page.form().with("form", &theirs).with("username", "alice");
    form = form
        .with("password", &right)
        .with("new", NEW)
        .with("again", NEW);
    anonymous.submit(&page, &form).await.expect(403);
    browser.get("https://app.test/").await.expect(200);
}

#[tokio::test]
async fn who_must_change_the_password_reaches_no_application_before() {
    let setup = Setup::new();
    let path = setup.path("users.yaml");
    let users = std::fs::read_to_string(&path).unwrap();
    let name = users.lines().find(|line| line.contains("alice")).unwrap();
    let users = if name.contains('{') {
        users.replacen(name, &name.replacen('}', ", must_change: true }", 1), 1)
    } else {
        users.replacen(name, &format!("{name}\n    must_change: true"), 1)
    };
    let (gateway, _application) = start_with(setup.file("users.yaml", &users), "").await;
    let mut browser = Browser::new(&gateway);
    let sent = browser.get("https://app.test/deep?x=1").await.expect(303);
    let page = browser.follow(&sent).await.expect(200);
    let right = password("alice");
    let page = browser.log_in(&page, "alice", &right).await.expect(200);
    assert!(page.text().contains("has to be changed"), "{}", page.text());
    assert!(browser.jar.find("login.test", "-id-").is_none());
    browser.get("https://app.test/deep?x=1").await.expect(303);
    let back = change(&mut browser, &page, ("alice", &right, NEW), "end")
        .await
        .expect(303);
    let there = browser.follow_all(back).await.expect(200);
    assert_eq!(there.told("uri"), "/deep?x=1");
    let file = std::fs::read_to_string(gateway.folder().join("users.yaml")).unwrap();
    assert!(!file.contains("must_change: true"), "{file}");
}
