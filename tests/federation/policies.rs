//! The table of policies (A.6), as far as it shows outside. The rows where the other data centre answers
//! and data travel are those of table 7-3, in `failures`; idleness is in `idle`.

use crate::pair::ANCHORED;
use crate::pair::APP;
use crate::pair::Arrival;
use crate::pair::FREE;
use crate::pair::LOGIN;
use crate::pair::OTHER;
use crate::pair::Pair;
use crate::pair::Plan;
use crate::pair::Reading;
use crate::pair::adoptions;
use crate::pair::assert_dead;
use crate::pair::served;
use crate::pair::sign_out;
use crate::pair::until_dead;
use crate::pair::visit;
use crate::support::Browser;

/// Rows 1 and 2. The session left behind ends with the new sign-in (S-11).
#[tokio::test]
async fn with_reauthentication_every_hop_is_challenged_mdc_adopt_4_m_062() {
    for adoption in [
        "reauthenticate: true",
        "reauthenticate: true, anchor_session: true",
    ] {
        let pair = Pair::start(Plan { adoption, ..FREE }).await;
        let mut alice = pair.signed_in_at_a("alice").await;
        let old = alice.clone();
        assert_eq!(visit(&mut alice, &pair.b, APP).await, Arrival::Challenged);
        // Being asked costs nothing: who goes back is still signed in.
        assert_eq!(visit(&mut alice, &pair.a, APP).await, served("alice"));
        alice.go_to(&pair.b);
        alice.sign_in(APP, "alice").await.expect(200);
        assert_eq!(visit(&mut alice, &pair.b, OTHER).await, served("alice"));
        until_dead(&old, &pair.a).await;
        assert_dead(&old, &pair.b).await;
        assert_eq!(adoptions(&pair.b).await, 0, "{adoption}");
    }
}

/// Row 3, and row 13: an end that is known here counts, whatever is not asked.
#[tokio::test]
async fn without_retrieval_a_session_is_made_from_the_cookie_and_nobody_asked_mdc_adopt_1_x_20() {
    let pair = Pair::start(Plan {
        adoption: "retrieve_data: false",
        ..FREE
    })
    .await;
    let mut alice = pair.signed_in_at_a("alice").await;
    let mut bob = pair.signed_in_at_a("bob").await;
    let copy = bob.clone();
    sign_out(&mut bob, &pair.a).await;
    pair.cut();
    assert_eq!(visit(&mut alice, &pair.b, APP).await, served("alice"));
    // What the process has written may still be on its way.
    pair.b.wait_for_log("session adopted").await;
    let log = pair.b.log();
    let told = log.lines().find(|line| line.contains("session adopted"));
    assert!(told.unwrap().contains("questions=0"), "{log}");
    // The remote session stands, and both go on.
    assert_eq!(visit(&mut alice, &pair.a, APP).await, served("alice"));
    assert_dead(&copy, &pair.b).await;
    assert_eq!(adoptions(&pair.b).await, 1);
}

/// Row 4, and row 5: what cannot be told is not ended, and then it depends.
#[tokio::test]
async fn anchored_without_retrieval_the_session_moves_and_its_data_do_not_m_060_m_061() {
    let anchored = "anchor_session: true, retrieve_data: false";
    for (more, when_lost) in [
        ("", Arrival::Challenged),
        (", continue_on_sync_failure: true", served("alice")),
    ] {
        let adoption = format!("{anchored}{more}");
        let plan = Plan {
            adoption: &adoption,
            ..FREE
        };
        let pair = Pair::start(plan).await;
        let mut alice = pair.signed_in_at_a("alice").await;
        assert_eq!(visit(&mut alice, &pair.b, APP).await, served("alice"));
        assert_eq!(visit(&mut alice, &pair.a, APP).await, served("alice"));
        assert_eq!(adoptions(&pair.a).await, 1, "nothing was left behind");
        pair.cut();
        assert_eq!(visit(&mut alice, &pair.b, APP).await, when_lost, "{more}");
    }
}

/// Row 8: the end is known there only, and the answer is final, whatever would be done about silence.
#[tokio::test]
async fn a_session_that_ended_there_is_not_revived_here_mdc_adopt_2_s_7_s_8() {
    let pair = Pair::start(Plan {
        adoption: "continue_on_sync_failure: true",
        // After the first reading nothing is read again, so only the question itself can tell.
        reading: Reading::Once,
        ..FREE
    })
    .await;
    let mut alice = pair.signed_in_at_a("alice").await;
    let mut bob = pair.signed_in_at_a("bob").await;
    let copy = alice.clone();
    pair.to_b.cut();
    let page = sign_out(&mut alice, &pair.a).await;
    assert!(
        page.text().contains("dc-b: not confirmed yet"),
        "{}",
        page.text()
    );
    assert_dead(&copy, &pair.b).await;
    assert_eq!(visit(&mut bob, &pair.b, APP).await, served("bob"));
    // Now it is known here too, and nobody has to be asked (row 13).
    pair.cut();
    assert_dead(&copy, &pair.b).await;
}

/// Rows 10 and 11, at the collector and at an application: nobody is let in unless a valid session is found or
/// the operator chose to go on without (M-069, X-02).
#[tokio::test]
async fn silence_is_a_challenge_or_goes_on_from_the_cookie_m_065_m_071_s_8() {
    for (adoption, expected) in [
        ("", Arrival::Challenged),
        ("continue_on_sync_failure: true", served("alice")),
    ] {
        for url in [APP, OTHER] {
            let pair = Pair::start(Plan { adoption, ..FREE }).await;
            let mut alice = pair.signed_in_at_a("alice").await;
            pair.cut();
            let arrival = visit(&mut alice, &pair.b, url).await;
            assert_eq!(arrival, expected, "{adoption} {url}");
        }
    }
}

/// Row 12.
#[tokio::test]
async fn a_session_of_too_low_a_level_is_adopted_and_then_stepped_up_s_12() {
    let pair = Pair::start(Plan {
        levels: (1, 2),
        ..FREE
    })
    .await;
    let mut alice = pair.signed_in_at_a("alice").await;
    let high = format!("{APP}high");
    assert_eq!(visit(&mut alice, &pair.b, APP).await, served("alice"));
    assert_eq!(adoptions(&pair.b).await, 1);
    assert_eq!(visit(&mut alice, &pair.b, &high).await, Arrival::Challenged);
    alice.sign_in(&high, "alice").await.expect(200);
    assert_eq!(visit(&mut alice, &pair.b, &high).await, served("alice"));
    assert_eq!(visit(&mut alice, &pair.a, APP).await, served("alice"));
}

/// Row 14: nothing is asked anywhere about a cookie that does not open.
#[tokio::test]
async fn a_cookie_that_does_not_open_is_no_cookie_at_the_other_data_centre_mdc_cookie_6() {
    let pair = Pair::start(ANCHORED).await;
    let alice = pair.signed_in_at_a("alice").await;
    let authn = alice.jar.find("app.apps.test", "authn").unwrap().clone();
    let id = alice.jar.find("login.apps.test", "-id-").unwrap().clone();
    let mut broken = id.value.clone();
    let last = broken.pop().unwrap();
    broken.push(if last == 'A' { 'B' } else { 'A' });
    for (host, name, value) in [
        // Of another host.
        ("other.apps.test", &authn.name, &authn.value),
        // Tampered with, cut short, of another purpose.
        ("login.apps.test", &id.name, &broken),
        (
            "login.apps.test",
            &id.name,
            &id.value.chars().take(40).collect(),
        ),
        ("login.apps.test", &id.name, &authn.value),
        ("app.apps.test", &authn.name, &id.value),
    ] {
        let mut thief = Browser::new(&pair.b);
        thief.jar.put(host, name, value);
        let url = format!("https://{host}/");
        let url = if url == LOGIN { APP } else { &url };
        assert_eq!(visit(&mut thief, &pair.b, url).await, Arrival::Challenged);
    }
    assert_eq!(adoptions(&pair.b).await, 0);
    // The good ones still are.
    let mut alice = alice;
    assert_eq!(visit(&mut alice, &pair.b, APP).await, served("alice"));
}
