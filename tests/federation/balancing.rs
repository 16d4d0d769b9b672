//! Why a request comes to another data centre than the one before (M-009, M-040), and what each data centre can
//! do alone.

use crate::pair::ANCHORED;
use crate::pair::APP;
use crate::pair::FREE;
use crate::pair::Gito;
use crate::pair::OTHER;
use crate::pair::Pair;
use crate::pair::Plan;
use crate::pair::THERE;
use crate::pair::adoptions;
use crate::pair::assert_dead;
use crate::pair::served;
use crate::pair::sign_out;
use crate::pair::until_dead;
use crate::pair::visit;
use crate::support::Answer;
use crate::support::Browser;
use crate::support::gateway::password;

/// A balancer without any affinity: whatever a browser asks goes to the data centre that did not have its
/// last request, redirects and forms included.
struct RoundRobin<'p> {
    pair: &'p Pair,
    asked: usize,
}

impl RoundRobin<'_> {
    fn turn(&mut self, browser: &mut Browser) {
        let gateways = [&self.pair.a, &self.pair.b];
        browser.go_to(gateways[self.asked % gateways.len()]);
        self.asked += 1;
    }

    async fn open(&mut self, browser: &mut Browser, url: &str) -> Answer {
        self.turn(browser);
        let first = browser.get(url).await;
        self.follow(browser, first).await
    }

    async fn follow(&mut self, browser: &mut Browser, first: Answer) -> Answer {
        let mut answer = first;
        for _ in 0..REDIRECTS_MAX {
            if !answer.redirects() {
                return answer.expect(200);
            }
            self.turn(browser);
            answer = browser.follow(&answer).await;
        }
        panic!("too many redirects, at {}", answer.url);
    }
}

/// M-042, and M-009 (b): load is spread anew with every request.
#[tokio::test]
async fn where_every_request_comes_to_another_data_centre_everything_is_right_m_009_m_042_s_9() {
    let without_gito = Plan {
        gito: Gito::Without,
        ..FREE
    };
    for plan in [FREE, ANCHORED, without_gito] {
        let pair = Pair::start(plan).await;
        let mut balancer = RoundRobin {
            pair: &pair,
            asked: 0,
        };
        let mut alice = Browser::new(&pair.a);
        let page = balancer.open(&mut alice, APP).await;
        balancer.turn(&mut alice);
        let posted = alice.log_in(&page, "alice", &password("alice")).await;
        let there = balancer.follow(&mut alice, posted.expect(303)).await;
        assert_eq!(there.told("remote-user"), "alice", "{plan:?}");
        for url in [APP, OTHER, OTHER, APP].into_iter().cycle().take(24) {
            let there = balancer.open(&mut alice, url).await;
            assert_eq!(there.told("remote-user"), "alice", "{plan:?} {url}");
        }
        let copy = alice.clone();
        let out = format!("{APP}.portway/logout");
        let page = balancer.open(&mut alice, &out).await.text();
        assert!(page.contains("signed out"), "{page}");
        assert_eq!(alice.jar.len(), 0, "{:?}", alice.jar);
        assert_dead(&copy, &pair.a).await;
        assert_dead(&copy, &pair.b).await;
    }
}

/// M-009: (a) its data centre is down, (b) it has too much to do, (c) the application is nowhere else (M-046).
/// What a gate does by its lists of engines, (d), is in `topologies`.
#[tokio::test]
async fn for_whatever_reason_a_user_comes_nobody_signs_in_again_m_004_m_007_m_009_m_030_m_040() {
    let mut pair = Pair::start(Plan {
        adoption: "continue_on_sync_failure: true",
        ..FREE
    })
    .await;
    let mut alice = pair.signed_in_at_a("alice").await;
    let mut bob = pair.signed_in_at_a("bob").await;
    let mut carol = pair.signed_in_at_a("carol").await;
    // (b) A has too much to do: she is sent to B, which makes a session without a question to her.
    alice.go_to(&pair.b);
    let first = alice.get(APP).await.expect(200);
    assert_eq!(first.told("remote-user"), "alice");
    assert_eq!(adoptions(&pair.b).await, 1);
    assert_eq!(visit(&mut bob, &pair.a, APP).await, served("bob"), "stays");
    // (c) The application is at B only, and A does not pretend otherwise.
    carol.go_to(&pair.a);
    carol.get(THERE).await.expect(421);
    assert_eq!(visit(&mut carol, &pair.b, THERE).await, served("carol"));
    assert_eq!(visit(&mut carol, &pair.a, APP).await, served("carol"));
    assert_eq!(adoptions(&pair.b).await, 2);
    // (a) A is down.
    pair.a.kill9();
    assert_eq!(visit(&mut bob, &pair.b, APP).await, served("bob"));
    assert_eq!(adoptions(&pair.b).await, 3);
}

/// M-001, M-003: nothing of a session is anywhere before somebody comes there with it, and what a data centre
/// has it keeps without the others.
#[tokio::test]
async fn each_data_centre_keeps_what_it_has_and_needs_nobody_for_it_m_001_m_003() {
    let mut pair = Pair::start(FREE).await;
    let mut alice = pair.signed_in_at_a("alice").await;
    let mut bob = pair.signed_in_at_a("bob").await;
    assert_eq!(visit(&mut alice, &pair.b, APP).await, served("alice"));
    let sessions = "portway_sessions";
    assert_eq!(pair.a.metric(sessions).await, Some(2.0));
    assert_eq!(pair.b.metric(sessions).await, Some(1.0), "on demand only");
    // The other one is gone: who was signed in goes on, is signed in still after a crash, and signs out.
    pair.b.kill9();
    pair.a.kill9();
    pair.a.restart().await;
    for (browser, user) in [(&mut alice, "alice"), (&mut bob, "bob")] {
        for url in [APP, OTHER] {
            assert_eq!(visit(browser, &pair.a, url).await, served(user));
        }
    }
    let mut carol = pair.signed_in_at_a("carol").await;
    assert_eq!(visit(&mut carol, &pair.a, OTHER).await, served("carol"));
    let copy = bob.clone();
    sign_out(&mut bob, &pair.a).await;
    assert_dead(&copy, &pair.a).await;
}

#[tokio::test]
async fn each_data_centre_counts_the_sessions_of_a_user_by_itself_m_056_x_16_mdc_time_3() {
    let pair = Pair::start(Plan {
        session: "per_user_max: 2",
        ..FREE
    })
    .await;
    let mut browsers = Vec::new();
    for gateway in [&pair.a, &pair.a, &pair.b, &pair.b] {
        let mut browser = Browser::new(gateway);
        browser.sign_in(APP, "alice").await.expect(200);
        browsers.push((browser, gateway));
    }
    // Four in all, and no more than two in either.
    for (browser, gateway) in &mut browsers {
        assert_eq!(visit(browser, gateway, OTHER).await, served("alice"));
    }
    // A third in one ends the oldest there, and none in the other.
    pair.signed_in_at_a("alice").await;
    let (oldest, _) = browsers.remove(0);
    until_dead(&oldest, &pair.a).await;
    assert_dead(&oldest, &pair.b).await;
    for (browser, gateway) in &mut browsers {
        assert_eq!(visit(browser, gateway, OTHER).await, served("alice"));
    }
}

/// What an application is told of whoever asks, and nothing of the request itself.
fn told_of_the_user(answer: &Answer) -> Vec<String> {
    let text = answer.text();
    let lines = text.lines().filter(|line| line.starts_with("remote-"));
    let mut lines: Vec<_> = lines.map(str::to_owned).collect();
    lines.sort();
    lines
}

/// M-068, M-070, as far as applications see it; that nothing else gets lost is shown where messages are
/// written and read.
#[tokio::test]
async fn an_application_is_told_the_same_of_a_user_in_both_data_centres_m_002_m_068_m_070() {
    for plan in [FREE, ANCHORED] {
        let pair = Pair::start(Plan {
            levels: (2, 2),
            ..plan
        })
        .await;
        let mut carol = pair.signed_in_at_a("carol").await;
        let high = format!("{APP}high");
        let here = carol.get(&high).await.expect(200);
        let told = told_of_the_user(&here);
        assert!(told.len() >= 3, "{}", here.text());
        carol.go_to(&pair.b);
        // At once: the level came along.
        let there = carol.get(&high).await.expect(200);
        assert_eq!(told_of_the_user(&there), told);
        assert_eq!(adoptions(&pair.b).await, 1);
        carol.go_to(&pair.a);
        let home = carol.get(&high).await.expect(200);
        assert_eq!(told_of_the_user(&home), told);
    }
}

/// As many as browsers follow.
const REDIRECTS_MAX: usize = 20;
