//! A data centre that accepts and never answers: those who are served here do not wait for it, and those whose
//! session is elsewhere wait for as many attempts as were configured (R12, MDC-TOPO-3).
//!
//! How long anything took is not asserted; what waits for what, and how often was asked, is.

use std::pin::pin;

use crate::pair::APP;
use crate::pair::BOUND;
use crate::pair::FREE;
use crate::pair::Pair;
use crate::pair::Plan;
use crate::pair::adoptions;
use crate::pair::served;
use crate::pair::visit;
use crate::support::Browser;
use crate::support::Gateway;
use crate::support::until;

/// Requests of a user whose session is here, beside one that waits.
const REQUESTS: usize = 300;

#[tokio::test]
async fn local_users_are_served_while_another_waits_for_a_silent_data_centre_r12() {
    let pair = Pair::start(Plan {
        // Longer than the requests take, on any machine.
        adoption: "retrieve_timeout: 1m, retrieve_retries: 0",
        ..FREE
    })
    .await;
    let mut local = Browser::new(&pair.b);
    local.sign_in(APP, "bob").await.expect(200);
    let mut foreign = pair.signed_in_at_a("alice").await;
    foreign.go_to(&pair.b);
    pair.to_a.silence();
    let mut waiting = pin!(foreign.get(APP));
    let all_served = async {
        for _ in 0..REQUESTS {
            let answer = local.get(APP).await.expect(200);
            assert_eq!(answer.told("remote-user"), "bob");
        }
    };
    tokio::select! {
        answer = &mut waiting => panic!("it did not wait: {}", answer.status),
        () = all_served => {}
    }
    assert_eq!(adoptions(&pair.b).await, 0, "nothing was heard from there");
    // It is the question from before that is answered then.
    pair.to_a.heal();
    let answer = waiting.await.expect(200);
    assert_eq!(answer.told("remote-user"), "alice");
    assert_eq!(adoptions(&pair.b).await, 1);
}

/// M-064: there are as many attempts as were configured, then none for a while, and then it is asked again.
#[tokio::test]
async fn a_silent_data_centre_is_asked_as_often_as_was_configured_and_then_left_alone_r12() {
    let pair = Pair::start(Plan {
        // What is adopted says of how many questions; a session is, whether they are answered or not.
        adoption: "retrieve_timeout: 1s, retrieve_retries: 1, continue_on_sync_failure: true",
        ..FREE
    })
    .await;
    // Sessions of the other data centre.
    let mut foreign = Vec::new();
    for user in ["alice", "carol", "dora"] {
        foreign.push((user, pair.signed_in_at_a(user).await));
    }
    pair.to_a.silence();
    for (user, browser) in &mut foreign {
        assert_eq!(visit(browser, &pair.b, APP).await, served(user));
    }
    let attempts = until("all have come here", BOUND, || async {
        let attempts = attempts(&pair.b);
        (attempts.len() == foreign.len()).then_some(attempts)
    })
    .await;
    assert_eq!(attempts.first(), Some(&2), "{attempts:?}");
    assert!(attempts.iter().all(|attempts| *attempts <= 2));
    pair.b.wait_for_log("is not asked for a while").await;
    pair.to_a.heal();
    pair.b.wait_for_log("the peer answers again").await;
}

/// How many questions each adoption took that a gateway tells of.
fn attempts(gateway: &Gateway) -> Vec<u32> {
    let log = gateway.log();
    let told = log.lines().filter(|line| line.contains("session adopted"));
    let words = told.flat_map(|line| line.split_whitespace());
    let counts = words.filter_map(|word| word.strip_prefix("questions="));
    counts.map(|count| count.parse().unwrap()).collect()
}
