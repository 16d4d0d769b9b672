//! An end anywhere holds everywhere: sign-outs, disabled users, open streams, data centres that were away.

use std::time::Duration;

use futures_util::SinkExt;
use futures_util::StreamExt;
use tokio_tungstenite::tungstenite::Message;

use crate::pair::ANCHORED;
use crate::pair::APP;
use crate::pair::BOUND;
use crate::pair::FREE;
use crate::pair::OTHER;
use crate::pair::Pair;
use crate::pair::Plan;
use crate::pair::adoptions;
use crate::pair::assert_dead;
use crate::pair::served;
use crate::pair::sign_out;
use crate::pair::until_dead;
use crate::pair::visit;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::Request;
use crate::support::gateway::users_with;
use crate::support::until;
use crate::support::wait::CUT_WITHIN;
use crate::support::wait::PATIENCE;
use crate::support::wait::within;
use crate::support::websocket;
use crate::support::websocket::Socket;

/// How soon a stream that was left behind must end, once a logout was answered: a machine that is busy may take longer
/// than the second of D-13, which tests/gateway measures, but a stream whose session has only moved stays for three.
const TOLD_WITHIN: Duration = Duration::from_millis(2800);

#[tokio::test]
async fn the_page_after_a_sign_out_says_which_data_centres_confirmed_mdc_logout_1_mdc_logout_3() {
    let pair = Pair::start(FREE).await;
    // The other data centre has a second for it, and may be late on a busy machine.
    let mut late = Vec::new();
    for user in ["alice", "carol", "dora"] {
        let mut browser = pair.signed_in_at_a(user).await;
        for gateway in [&pair.b, &pair.a] {
            assert_eq!(visit(&mut browser, gateway, OTHER).await, served(user));
        }
        let copy = browser.clone();
        let page = sign_out(&mut browser, &pair.a).await.text();
        assert_eq!(browser.jar.len(), 0, "{:?}", browser.jar);
        if page.contains("dc-b: not confirmed yet") {
            late.push(page);
            continue;
        }
        assert!(page.contains("dc-b: confirmed"), "{page}");
        assert!(!page.contains("not confirmed"), "{page}");
        // It had confirmed: no time passes before it is true there.
        assert_dead(&copy, &pair.b).await;
        assert_dead(&copy, &pair.a).await;
        break;
    }
    assert!(late.len() < 3, "{late:?}");

    // One that is away is named, is told when it is back, and the copies die there too (MDC-FAIL-5).
    let mut bob = pair.signed_in_at_a("bob").await;
    assert_eq!(visit(&mut bob, &pair.b, APP).await, served("bob"));
    let mut copy = bob.clone();
    pair.cut();
    let page = sign_out(&mut bob, &pair.a).await;
    assert!(
        page.text().contains("dc-b: not confirmed yet"),
        "{}",
        page.text()
    );
    assert_dead(&copy, &pair.a).await;
    assert_eq!(
        visit(&mut copy, &pair.b, APP).await,
        served("bob"),
        "cut off"
    );
    pair.heal();
    until_dead(&copy, &pair.b).await;
    assert_dead(&copy, &pair.b).await;
}

#[tokio::test]
async fn an_end_outlives_a_crash_of_either_data_centre_mdc_fail_5_s_15() {
    let mut pair = Pair::start(ANCHORED).await;
    let mut alice = pair.signed_in_at_a("alice").await;
    assert_eq!(visit(&mut alice, &pair.b, APP).await, served("alice"));
    let copy = alice.clone();
    // B is away when it ends at A; A crashes before B is back.
    pair.b.kill9();
    sign_out(&mut alice, &pair.a).await;
    pair.a.kill9();
    pair.a.restart().await;
    pair.b.restart().await;
    pair.wait_until_acquainted().await;
    assert_dead(&copy, &pair.a).await;
    assert_dead(&copy, &pair.b).await;
}

async fn open_socket(browser: &Browser) -> Socket {
    let mut socket = websocket::open(browser, &format!("{APP}ws"), &[])
        .await
        .unwrap();
    socket.send(Message::text("hello")).await.unwrap();
    let echo = within("an echo", PATIENCE, socket.next()).await;
    assert_eq!(echo.unwrap().unwrap().into_text().unwrap(), "hello");
    socket
}

#[tokio::test]
async fn a_sign_out_closes_the_sessions_streams_in_the_other_data_centre_mdc_logout_1_s_17() {
    for plan in [FREE, ANCHORED] {
        let pair = Pair::start(plan).await;
        let (mut alice, mut bob) = (
            pair.signed_in_at_a("alice").await,
            pair.signed_in_at_a("bob").await,
        );
        // Opened where she signed in, and stays open when her session moves away (S-17).
        let mut left = open_socket(&alice).await;
        for (browser, user) in [(&mut alice, "alice"), (&mut bob, "bob")] {
            assert_eq!(visit(browser, &pair.b, APP).await, served(user));
        }
        let mut sockets = [open_socket(&alice).await, open_socket(&alice).await];
        let mut others = open_socket(&bob).await;
        sign_out(&mut alice, &pair.a).await;
        let left = (&mut left, TOLD_WITHIN);
        let told = sockets.iter_mut().map(|socket| (socket, CUT_WITHIN));
        for (socket, bound) in std::iter::once(left).chain(told) {
            let end = within("the WebSocket closes", bound, socket.next()).await;
            assert!(!matches!(end, Some(Ok(Message::Text(_)))), "{end:?}");
        }
        others.send(Message::text("still here")).await.unwrap();
        let echo = within("an echo", PATIENCE, others.next()).await;
        assert_eq!(echo.unwrap().unwrap().into_text().unwrap(), "still here");
    }
}

/// Without the user: as the users file has it once she is disabled there.
fn without(user: &str) -> String {
    let rest: Vec<_> = ["alice", "bob", "carol"]
        .into_iter()
        .filter(|name| *name != user)
        .map(|name| (name, "[staff]", "x@mail.test", name))
        .collect();
    users_with(&rest)
}

fn set_users(gateway: &Gateway, users: &str) {
    let (new, file) = (
        gateway.folder().join("users.new"),
        gateway.folder().join("users.yaml"),
    );
    std::fs::write(&new, users).unwrap();
    std::fs::rename(new, file).unwrap();
}

#[tokio::test]
async fn a_user_disabled_in_one_data_centre_is_cut_off_in_all_s_10_s_15_mdc_logout_2() {
    let pair = Pair::start(FREE).await;
    let mut alice = pair.signed_in_at_a("alice").await;
    let mut bob = pair.signed_in_at_a("bob").await;
    assert_eq!(visit(&mut alice, &pair.b, APP).await, served("alice"));
    let mut socket = open_socket(&alice).await;
    let cookies = alice.jar.len();
    set_users(&pair.a, &without("alice"));
    until_dead(&alice, &pair.b).await;
    let end = within("the WebSocket closes", CUT_WITHIN, socket.next()).await;
    assert!(!matches!(end, Some(Ok(Message::Text(_)))), "{end:?}");
    // Her cookies are still in her browser, and worth nothing.
    assert_eq!(alice.jar.len(), cookies);
    assert_dead(&alice, &pair.a).await;
    assert_dead(&alice, &pair.b).await;
    assert_eq!(visit(&mut bob, &pair.b, APP).await, served("bob"));
}

#[tokio::test]
async fn a_user_whom_the_adopting_data_centre_does_not_know_is_refused_and_cut_off_s_10() {
    let pair = Pair::start(FREE).await;
    let alice = pair.signed_in_at_a("alice").await;
    set_users(&pair.b, &without("alice"));
    until_dead(&alice, &pair.b).await;
    until_dead(&alice, &pair.a).await;
}

#[tokio::test]
async fn a_token_of_one_data_centre_is_spent_at_the_other_once_and_by_its_browser_only_s_24() {
    let pair = Pair::start(FREE).await;
    let mut alice = pair.signed_in_at_a("alice").await;
    let to_login = alice.get(OTHER).await.expect(303);
    let back = alice.follow(&to_login).await.expect(303);
    let token = back.location().to_string();
    assert!(token.contains("/.portway/"), "{token}");
    // Somebody else's browser has no nonce that it is bound to.
    let mut thief = Browser::new(&pair.b);
    let stolen = thief.get(&token).await;
    thief.follow_all(stolen).await.expect(200).form();
    let before = alice.clone();
    alice.go_to(&pair.b);
    let spent = alice.follow(&back).await.expect(303);
    let there = alice.follow_all(spent).await.expect(200);
    assert_eq!(there.told("remote-user"), "alice");
    // A second time it sets no cookie there: the browser is sent to sign in, which is silent here.
    let mut again = before;
    again.go_to(&pair.b);
    let refused = again.get(&token).await;
    let set = refused.set_cookies().join("\n");
    assert!(!set.contains("-authn-"), "{set}");
}

#[tokio::test]
async fn a_new_incarnation_learns_every_end_before_it_honours_an_old_cookie_s_15_s_19() {
    let mut pair = Pair::start(Plan {
        adoption: "continue_on_sync_failure: true",
        ..FREE
    })
    .await;
    let mut alice = pair.signed_in_at_a("alice").await;
    let copy = alice.clone();
    let mut bob = pair.signed_in_at_a("bob").await;
    assert_eq!(visit(&mut bob, &pair.b, APP).await, served("bob"));
    sign_out(&mut alice, &pair.a).await;
    // A loses everything, and cannot hear of anything.
    pair.cut();
    pair.a.kill9();
    std::fs::remove_dir_all(pair.a.folder().join("state")).unwrap();
    pair.a.restart().await;
    assert_dead(&copy, &pair.a).await;
    assert_dead(&bob, &pair.a).await;
    // Once it hears, those who are signed in go on, and those who signed out do not.
    pair.heal();
    pair.wait_until_acquainted().await;
    assert_dead(&copy, &pair.a).await;
    until("the other session is adopted", BOUND, || async {
        let arrival = visit(&mut bob.clone(), &pair.a, APP).await;
        (arrival == served("bob")).then_some(())
    })
    .await;
    assert_eq!(adoptions(&pair.a).await, 1);
}

#[tokio::test]
async fn a_sign_out_by_post_of_an_application_page_ends_both_sessions_mdc_logout_1_s_18() {
    let pair = Pair::start(FREE).await;
    let mut alice = pair.signed_in_at_a("alice").await;
    assert_eq!(visit(&mut alice, &pair.b, APP).await, served("alice"));
    let copy = alice.clone();
    let post = Request::post(&format!("{APP}.portway/logout"));
    // The browser goes nowhere from here: no cookie is cleared elsewhere, and all are worth nothing.
    alice.send(post).await.expect(303);
    assert_dead(&copy, &pair.a).await;
    assert_dead(&copy, &pair.b).await;
}
