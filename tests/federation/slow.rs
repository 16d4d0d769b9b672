//! A data centre that accepts and never answers costs those who are served here nothing, and those whose
//! session is elsewhere no more than was configured (R12, MDC-TOPO-3).

use std::time::Duration;

use tokio::time::Instant;

use crate::pair::APP;
use crate::pair::BOUND;
use crate::pair::FREE;
use crate::pair::Pair;
use crate::pair::Plan;
use crate::pair::served;
use crate::pair::visit;
use crate::support::Browser;
use crate::support::until;

const REQUESTS: usize = 300;
/// How long each attempt may take, which is longer than what a busy machine holds a request up.
const ATTEMPT: Duration = Duration::from_secs(2);
/// Two attempts.
const COST_MAX: Duration = Duration::from_secs(4);
/// What a busy machine may take besides.
const BUSY: Duration = Duration::from_secs(3);

/// How long each of some requests with a session of the gateway itself took, in order of length.
async fn latencies(browser: &mut Browser) -> Vec<Duration> {
    let mut took = Vec::new();
    for _ in 0..REQUESTS {
        let began = Instant::now();
        browser.get(APP).await.expect(200);
        took.push(began.elapsed());
    }
    took.sort();
    took
}

/// What all took but the slowest four, which a busy machine may have held up.
fn usual(sorted: &[Duration]) -> Duration {
    sorted[sorted.len() - 5]
}

/// What each request took on the way from an application to the login page.
async fn challenged(browser: &mut Browser) -> [Duration; 2] {
    let began = Instant::now();
    let to_login = browser.get(APP).await.expect(303);
    let first = began.elapsed();
    browser.follow(&to_login).await.expect(200).form();
    [first, began.elapsed() - first]
}

/// M-064: each attempt has the time that was configured, and there are as many as were.
#[tokio::test]
async fn a_silent_data_centre_costs_local_users_nothing_and_others_no_more_than_configured_r12() {
    let pair = Pair::start(Plan {
        adoption: "retrieve_timeout: 2s, retrieve_retries: 1",
        ..FREE
    })
    .await;
    let mut local = Browser::new(&pair.b);
    local.sign_in(APP, "bob").await.expect(200);
    let before = latencies(&mut local).await;
    // Sessions of the other data centre, each for one question.
    let mut foreign = Vec::new();
    for user in ["alice", "carol", "dora", "alice", "carol", "dora"] {
        foreign.push(pair.signed_in_at_a(user).await);
    }
    pair.to_a.silence();
    let mut costs = Vec::new();
    let asking = async {
        for browser in &mut foreign {
            browser.go_to(&pair.b);
            costs.extend(challenged(browser).await);
        }
    };
    let ((), during) = tokio::join!(asking, latencies(&mut local));
    eprintln!(
        "local requests but for four: {:?} before, {:?} beside a silent data centre; foreign ones took {costs:?}",
        usual(&before),
        usual(&during),
    );
    // Nobody here has waited for an answer from there: not one as long as an attempt takes, and but for four none for
    // much longer than before.
    let slowest = during[during.len() - 1];
    assert!(slowest < ATTEMPT, "{slowest:?}");
    let most = (usual(&before) * 10).max(ATTEMPT / 2);
    assert!(
        usual(&during) < most,
        "{:?} {:?}",
        usual(&before),
        usual(&during)
    );
    for cost in &costs {
        assert!(*cost < COST_MAX + BUSY, "{costs:?}");
    }
    // It is given up on for a while, and then nothing is waited for at all.
    pair.b.wait_for_log("is not asked for a while").await;
    // Heard again, it is asked again.
    pair.to_a.heal();
    until("the data centre is asked again", BOUND, || async {
        let arrival = visit(&mut foreign[0].clone(), &pair.b, APP).await;
        (arrival == served("alice")).then_some(())
    })
    .await;
}
