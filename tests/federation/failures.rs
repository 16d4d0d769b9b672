//! What a hop costs the user in each kind of deployment (table 7-3): the other data centre answers, or it
//! does not.

use crate::pair::ANCHORED;
use crate::pair::APP;
use crate::pair::Arrival;
use crate::pair::BOUND;
use crate::pair::FREE;
use crate::pair::OTHER;
use crate::pair::Pair;
use crate::pair::Plan;
use crate::pair::adoptions;
use crate::pair::assert_dead;
use crate::pair::served;
use crate::pair::sign_out;
use crate::pair::visit;
use crate::support::until;

/// M-016, M-025: where a request is authorised, without the collector.
#[tokio::test]
async fn an_anchored_session_is_fetched_and_ends_where_it_was_mdc_fail_1_m_072_mdc_adopt_2() {
    let pair = Pair::start(ANCHORED).await;
    let mut alice = pair.signed_in_at_a("alice").await;
    assert_eq!(visit(&mut alice, &pair.a, OTHER).await, served("alice"));
    // Validated and synced there: the first request is answered at once, without the collector.
    alice.go_to(&pair.b);
    let first = alice.get(APP).await.expect(200);
    assert_eq!(first.told("remote-user"), "alice");
    assert_eq!(adoptions(&pair.b).await, 1, "the session came along");
    // Ended where it was: it has to be fetched back.
    assert_eq!(visit(&mut alice, &pair.a, APP).await, served("alice"));
    assert_eq!(adoptions(&pair.a).await, 1, "nothing was left behind");
    assert_eq!(visit(&mut alice, &pair.b, APP).await, served("alice"));
    assert_eq!(adoptions(&pair.b).await, 2, "nor here");
    // Its data came along: the host that was visited elsewhere is cleared, though nobody can be asked.
    pair.cut();
    sign_out(&mut alice, &pair.b).await;
    assert_eq!(alice.jar.len(), 0, "{:?}", alice.jar);
    pair.heal();
    // The user is challenged only where there is no valid session.
    let mut bob = pair.signed_in_at_a("bob").await;
    let mut copy = bob.clone();
    sign_out(&mut bob, &pair.a).await;
    assert_eq!(visit(&mut copy, &pair.b, APP).await, Arrival::Challenged);
}

#[tokio::test]
async fn a_free_session_is_fetched_and_stays_where_it_was_mdc_fail_2_m_073_mdc_adopt_3() {
    let pair = Pair::start(FREE).await;
    let mut alice = pair.signed_in_at_a("alice").await;
    assert_eq!(visit(&mut alice, &pair.a, OTHER).await, served("alice"));
    alice.go_to(&pair.b);
    let first = alice.get(APP).await.expect(200);
    assert_eq!(first.told("remote-user"), "alice");
    assert_eq!(adoptions(&pair.b).await, 1);
    // It still stands where it was, as it stands here, and nobody needs anybody.
    pair.cut();
    for gateway in [&pair.a, &pair.b, &pair.a] {
        assert_eq!(visit(&mut alice, gateway, APP).await, served("alice"));
    }
    assert_eq!(adoptions(&pair.a).await, 0, "it was never gone");
    assert_eq!(adoptions(&pair.b).await, 1, "nor here");
    sign_out(&mut alice, &pair.b).await;
    assert_eq!(alice.jar.len(), 0, "{:?}", alice.jar);
    pair.heal();
    let mut bob = pair.signed_in_at_a("bob").await;
    let mut copy = bob.clone();
    sign_out(&mut bob, &pair.a).await;
    assert_eq!(visit(&mut copy, &pair.b, APP).await, Arrival::Challenged);
}

/// M-031, X-13: without `continue_on_sync_failure` the user signs in; that nothing came along is told in the log.
#[tokio::test]
async fn with_its_data_centre_lost_a_session_is_lost_and_the_user_challenged_mdc_fail_3_m_074() {
    let mut pair = Pair::start(ANCHORED).await;
    let mut alice = pair.signed_in_at_a("alice").await;
    let copy = alice.clone();
    pair.a.kill9();
    assert_eq!(visit(&mut alice, &pair.b, APP).await, Arrival::Challenged);
    pair.b.wait_for_log("session not adopted").await;
    let log = pair.b.log();
    let told = log
        .lines()
        .find(|line| line.contains("session not adopted"))
        .unwrap();
    assert!(
        told.contains("alice") && told.contains("Unanswered"),
        "{told}"
    );
    alice.sign_in(APP, "alice").await.expect(200);
    // The new sign-in took the old one's place, there too once it is back (S-11, MDC-FAIL-5).
    pair.a.restart().await;
    pair.wait_until_acquainted().await;
    assert_dead(&copy, &pair.a).await;
    assert_dead(&copy, &pair.b).await;
    assert_eq!(visit(&mut alice, &pair.a, APP).await, served("alice"));
}

/// `continue_on_sync_failure: true` goes on, and does not insist.
#[tokio::test]
async fn with_its_data_centre_lost_a_session_goes_on_from_the_cookie_mdc_fail_4_m_075() {
    let mut pair = Pair::start(Plan {
        adoption: "anchor_session: true, continue_on_sync_failure: true",
        ..ANCHORED
    })
    .await;
    let mut alice = pair.signed_in_at_a("alice").await;
    let mut bob = pair.signed_in_at_a("bob").await;
    pair.a.kill9();
    for (browser, user) in [(&mut alice, "alice"), (&mut bob, "bob")] {
        browser.go_to(&pair.b);
        let first = browser.get(APP).await.expect(200);
        assert_eq!(first.told("remote-user"), user);
    }
    let copy = alice.clone();
    let page = sign_out(&mut alice, &pair.b).await;
    assert!(
        page.text().contains("dc-a: not confirmed yet"),
        "{}",
        page.text()
    );
    // Back again, it learns who signed out, and who holds the other session (MDC-FAIL-5, S-4, S-5).
    pair.a.restart().await;
    pair.wait_until_acquainted().await;
    assert_dead(&copy, &pair.a).await;
    let home = || {
        let mut bob = bob.clone();
        let a = &pair.a;
        async move { (visit(&mut bob, a, APP).await == served("bob")).then_some(()) }
    };
    until("the session comes home", BOUND, home).await;
    assert_eq!(adoptions(&pair.a).await, 1, "the lower rank gave way");
}

#[tokio::test]
async fn a_data_centre_that_hangs_is_as_good_as_lost_mdc_fail_3_mdc_fail_4_s_8() {
    for (adoption, expected) in [
        ("retrieve_timeout: 300ms", Arrival::Challenged),
        (
            "retrieve_timeout: 300ms, continue_on_sync_failure: true",
            served("alice"),
        ),
    ] {
        let pair = Pair::start(Plan { adoption, ..FREE }).await;
        let mut alice = pair.signed_in_at_a("alice").await;
        pair.to_a.silence();
        assert_eq!(
            visit(&mut alice, &pair.b, APP).await,
            expected,
            "{adoption}"
        );
        pair.to_a.heal();
    }
}
