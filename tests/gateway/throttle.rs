//! Guessing: over spellings, ways in and connections there is one counter for an account, and its user gets
//! in all the same where they have been before.

use std::time::Duration;

use crate::support::Answer;
use crate::support::Application;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::Request;
use crate::support::gateway::password;
use crate::support::until;
use crate::support::yaml;

/// Guesses that need not wait.
const FREE: usize = 5;

async fn start(throttle: &str) -> (Gateway, Application) {
    let application = Application::start().await;
    let head = yaml::HEAD.replace(
        "users_file: users.yaml",
        &format!("users_file: users.yaml, throttle: {{ {throttle} }}"),
    );
    let sites = yaml::sites(&[application.address()]);
    let ops = "ops: { bind: \"127.0.0.1:0\" }\ntrusted_proxies: [127.0.0.1]\n";
    let gateway = Gateway::start(&format!("{head}{sites}{ops}")).await;
    (gateway, application)
}

async fn login_page(browser: &mut Browser) -> Answer {
    let sent = browser.get("https://app.test/x").await.expect(303);
    browser.follow(&sent).await.expect(200)
}

/// Posts a login form as if from an address.
async fn guess(browser: &mut Browser, page: &Answer, from: &str, user: &str, with: &str) -> Answer {
    let form = page.form().with("username", user).with("password", with);
    let action = page.url.join(&page.form().action);
    let request = Request::post(&action.to_string())
        .header("origin", &page.url.origin())
        .header("x-forwarded-for", from)
        .form(&form.fields);
    browser.send(request).await
}

#[tokio::test]
async fn guesses_over_spellings_and_addresses_are_stopped_by_one_counter() {
    let (gateway, _application) = start("first_wait: 1h, longest_wait: 1h").await;
    let mut browser = Browser::new(&gateway);
    let page = login_page(&mut browser).await;
    let spellings = ["alice", "Alice", "ALICE", " alice", "alice\t", "aLiCe "];
    let mut statuses = Vec::new();
    for guessed in 0..3 * FREE {
        let from = format!("198.51.100.{guessed}");
        let user = spellings[guessed % spellings.len()];
        statuses.push(
            guess(&mut browser, &page, &from, user, "wrong")
                .await
                .status,
        );
    }
    assert_eq!(statuses[..FREE], [403; FREE]);
    assert_eq!(statuses[FREE..], [429; 2 * FREE]);
    // Nor does the right password say that it is: it is not looked at.
    let refused = guess(
        &mut browser,
        &page,
        "198.51.100.99",
        "alice",
        &password("alice"),
    )
    .await;
    assert_eq!(refused.status, 429);
    let seconds: u64 = refused.header("retry-after").parse().unwrap();
    assert!((3500..=3600).contains(&seconds), "{seconds}");
    assert!(
        refused.text().contains("too many attempts"),
        "{}",
        refused.text()
    );
    let mut bob = Browser::new(&gateway);
    bob.sign_in("https://app.test/", "bob").await.expect(200);
    let counted = "portway_sign_ins_total{outcome=\"throttled_account\"}";
    assert_eq!(gateway.metric(counted).await, Some(11.0));
}

#[tokio::test]
async fn an_account_that_does_not_exist_waits_like_one_that_does() {
    let (gateway, _application) = start("first_wait: 1h, longest_wait: 1h").await;
    let mut seen = Vec::new();
    for user in ["alice", "nobody", "ed"] {
        let mut browser = Browser::new(&gateway);
        let page = login_page(&mut browser).await;
        let mut answers = Vec::new();
        for _ in 0..FREE + 2 {
            let answer = guess(&mut browser, &page, "198.51.100.1", user, "wrong").await;
            let headers = answer.status == 429;
            let wait = headers.then(|| minutes_to_wait(&answer));
            answers.push((answer.status, wait, answer.text().len()));
        }
        seen.push(answers);
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0], seen[2]);
    assert_eq!(seen[0][FREE].0, 429);
}

#[tokio::test]
async fn guesses_that_are_not_looked_at_have_no_line_for_each() {
    let (gateway, _application) = start("first_wait: 1h, longest_wait: 1h").await;
    let mut browser = Browser::new(&gateway);
    let page = login_page(&mut browser).await;
    for _ in 0..60 {
        guess(&mut browser, &page, "198.51.100.1", "alice", "wrong").await;
    }
    gateway.terminate();
    // What was written before is read by then.
    gateway.wait_for_log("SIGTERM: draining").await;
    let told = gateway.log().matches("sign-in refused").count();
    assert!((2..20).contains(&told), "{told}");
}

/// Some seconds may pass between two guesses.
fn minutes_to_wait(answer: &Answer) -> u64 {
    let seconds: u64 = answer.header("retry-after").parse().unwrap();
    seconds.div_ceil(60)
}

#[tokio::test]
async fn guesses_side_by_side_are_no_more_than_one_after_the_other() {
    let (gateway, _application) = start("first_wait: 1h, longest_wait: 1h").await;
    let mut browser = Browser::new(&gateway);
    let page = login_page(&mut browser).await;
    let guesses = (0..40).map(|n| {
        let (mut browser, page) = (browser.clone(), page.clone());
        let from = format!("198.51.100.{n}");
        async move {
            guess(&mut browser, &page, &from, "alice", "wrong")
                .await
                .status
        }
    });
    let statuses = futures_util::future::join_all(guesses).await;
    let looked_at = statuses.iter().filter(|status| **status == 403).count();
    let waited = statuses.iter().filter(|status| **status == 429).count();
    assert_eq!((looked_at, waited), (FREE, 40 - FREE), "{statuses:?}");
}

#[tokio::test]
async fn a_browser_that_has_been_there_gets_in_while_strangers_wait() {
    let (gateway, _application) = start("first_wait: 1h, longest_wait: 1h").await;
    let mut known = Browser::signed_in(&gateway, "alice").await;
    known.get("https://app.test/.portway/logout").await;
    let mut stranger = Browser::new(&gateway);
    let page = login_page(&mut stranger).await;
    for _ in 0..2 * FREE {
        guess(&mut stranger, &page, "198.51.100.1", "alice", "wrong").await;
    }
    stranger
        .log_in(&page, "alice", &password("alice"))
        .await
        .expect(429);
    let there = known
        .sign_in("https://other.test/", "alice")
        .await
        .expect(200);
    assert_eq!(there.told("remote-user"), "alice");
    // What let it in is no one else's: not for another account, nor altered.
    let device = known.jar.find("login.test", "-device-").unwrap().clone();
    stranger.jar.put("login.test", &device.name, &device.value);
    for _ in 0..2 * FREE {
        guess(&mut stranger, &page, "198.51.100.1", "bob", "wrong").await;
    }
    guess(
        &mut stranger,
        &page,
        "198.51.100.1",
        "bob",
        &password("bob"),
    )
    .await
    .expect(429);
    let mut altered = device.value.clone();
    let other = if altered.get(30..31) == Some("A") {
        "B"
    } else {
        "A"
    };
    altered.replace_range(30..31, other);
    stranger.jar.put("login.test", &device.name, &altered);
    stranger
        .log_in(&page, "alice", &password("alice"))
        .await
        .expect(429);
}

#[tokio::test]
async fn one_address_tries_only_so_many_accounts() {
    let (gateway, _application) = start("per_address: 7, first_wait: 1h, longest_wait: 1h").await;
    let mut browser = Browser::new(&gateway);
    let page = login_page(&mut browser).await;
    let mut statuses = Vec::new();
    for n in 0..9 {
        let from = format!("2001:db8:1:2:{n}::1");
        let user = format!("user-{n}");
        statuses.push(
            guess(&mut browser, &page, &from, &user, "wrong")
                .await
                .status,
        );
    }
    assert_eq!(statuses, [403, 403, 403, 403, 403, 403, 403, 429, 429]);
    let next_door = "2001:db8:1:3::1";
    guess(&mut browser, &page, next_door, "alice", &password("alice"))
        .await
        .expect(303);
}

#[tokio::test]
async fn when_the_wait_is_over_the_right_password_gets_in() {
    let (gateway, _application) = start("per_account: 1, first_wait: 250ms").await;
    let mut browser = Browser::new(&gateway);
    let page = login_page(&mut browser).await;
    guess(&mut browser, &page, "198.51.100.1", "alice", "wrong")
        .await
        .expect(403);
    until("alice gets in", Duration::from_secs(20), || {
        let (mut browser, page) = (browser.clone(), page.clone());
        async move {
            let right = password("alice");
            let answer = guess(&mut browser, &page, "198.51.100.2", "alice", &right).await;
            (answer.status == 303).then_some(())
        }
    })
    .await;
}
