//! Judging claims: fixed facts, mismatches, idle time, lifetime, visits, one-step tokens.

use futures_util::FutureExt;
use futures_util::future::join_all;

use super::*;
use crate::engine::spent::SPENT_MAX;
use crate::model::id::AdoptionId;
use crate::model::id::TokenId;
use crate::model::session::Generation;
use crate::model::session::Release;
use crate::model::session::SessionState;

#[tokio::test]
async fn nothing_that_happens_to_a_session_changes_its_facts_s_1_r6() {
    let world = World::new();
    let session = world.sign_in("alice").await;
    for hour in 0..23 {
        world.pass(Duration::from_secs(20 * 60));
        assert_eq!(world.request(&claim(&session)), None);
        let visited = host(&format!("app-{hour}.test"));
        assert!(matches!(
            world.engine.visit(&claim(&session), &visited).await,
            Lookup::Live(found) if found.facts == session.facts && found.id == session.id
        ));
        world.engine.sweep().await.unwrap();
    }
    let record = world.record(&session).unwrap();
    assert_eq!(record.facts, session.facts);
    assert_eq!(record.identity, session.identity);
}

#[tokio::test]
async fn activity_does_not_move_the_end_of_the_lifetime_r6() {
    let world = World::new();
    let session = world.sign_in("alice").await;
    while world.now() < session.facts.expires.before(IDLE) {
        world.pass(IDLE / 2);
        assert_eq!(world.request(&claim(&session)), None);
    }
    world.clock.set(session.facts.expires.before(MILLISECOND));
    world.engine.touch(&session.facts.sso, world.now());
    assert!(world.serves(&session));
    world.clock.set(session.facts.expires);
    assert_eq!(world.refusal(&claim(&session)), Some(NotLive::Expired));
}

#[tokio::test]
async fn a_claim_lives_no_longer_than_the_earlier_of_the_two_expiries_s_3() {
    let world = World::new();
    let session = world.sign_in("alice").await;
    let mut shorter = claim(&session);
    shorter.facts.expires = world.now().after(Duration::from_secs(60));
    let mut longer = claim(&session);
    longer.facts.expires = session.facts.expires.after(LIFETIME);
    world.pass(Duration::from_millis(59_999));
    assert_eq!(world.request(&shorter), None);
    world.pass(MILLISECOND);
    assert_eq!(world.request(&shorter), Some(NotLive::Expired));
    assert_eq!(world.request(&longer), None);
    world.clock.set(session.facts.expires);
    assert_eq!(world.refusal(&longer), Some(NotLive::Expired));
}

#[tokio::test]
async fn a_record_of_another_subject_or_store_is_a_mismatch_s_3() {
    let world = World::new();
    let session = world.sign_in("alice").await;
    let mut other_user = claim(&session);
    other_user.facts.subject = user("bob");
    let mut other_store = claim(&session);
    other_store.facts.store = StoreName::parse("partners").unwrap();
    let mut other_case = claim(&session);
    other_case.facts.subject = user("Alice");
    for claim in [other_user, other_store, other_case] {
        assert_eq!(world.refusal(&claim), Some(NotLive::Mismatched));
        let resolved = world.engine.resolve(&claim, world.now()).await;
        assert!(matches!(resolved, Lookup::NotLive(NotLive::Mismatched)));
        let visited = world.visit(&claim, "app.test").await;
        assert!(matches!(visited, Lookup::NotLive(NotLive::Mismatched)));
    }
    assert!(world.record(&session).unwrap().visited.is_empty());
    assert!(world.serves(&session));
}

#[tokio::test]
async fn a_claim_without_a_record_is_refused_and_never_unknown_s_19() {
    let world = World::new();
    let session = world.sign_in("alice").await;
    let mut stranger = claim(&session);
    stranger.facts.sso = SsoId::from_bytes([0xEE; 16]);
    assert_eq!(world.refusal(&stranger), Some(NotLive::Missing));
    let resolved = world.engine.resolve(&stranger, world.now()).await;
    assert!(matches!(resolved, Lookup::NotLive(NotLive::Missing)));
}

/// What a pending copy waits for.
fn release() -> Release {
    Release {
        adoption: AdoptionId::from_bytes([0xAD; 16]),
        from: ClusterId::parse("south").unwrap(),
        generation: Generation(0),
        version: 0,
    }
}

#[tokio::test]
async fn only_a_live_record_serves_s_2_s_6() {
    let world = World::new();
    let pattern = world.sign_in("alice").await;
    let moved = SessionState::Moved {
        to: ClusterId::parse("south").unwrap(),
        generation: Generation(1),
        adoption: None,
    };
    let states = [
        (SessionState::Live, None),
        (SessionState::Pending(release()), Some(NotLive::Missing)),
        (moved, Some(NotLive::Missing)),
        (SessionState::Ended, Some(NotLive::Ended)),
    ];
    for (n, (state, refusal)) in (0x50..).zip(states) {
        let mut session = Session::clone(&pattern);
        session.facts.sso = SsoId::from_bytes([n; 16]);
        session.state = state;
        let inserted = world.store.insert_unless_ended(session.clone()).await;
        assert_eq!(inserted.unwrap(), Inserted::Inserted);
        assert_eq!(world.refusal(&claim(&session)), refusal, "{session:?}");
    }
}

#[tokio::test]
async fn idle_time_is_judged_to_the_millisecond_when_a_request_comes_s_20_r5() {
    let world = World::new();
    let session = world.sign_in("alice").await;
    world.pass(IDLE.checked_sub(MILLISECOND).unwrap());
    assert_eq!(world.request(&claim(&session)), None);
    world.pass(IDLE.checked_sub(MILLISECOND).unwrap());
    assert!(world.serves(&session), "the last request counted");
    world.pass(MILLISECOND);
    assert_eq!(world.refusal(&claim(&session)), Some(NotLive::Idle));
}

#[tokio::test]
async fn a_host_may_ask_for_more_than_holds_everywhere_and_never_for_less_d_19() {
    let world = World::new();
    let session = world.sign_in("alice").await;
    let at_host = |idle_timeout, lifetime| {
        let mut claim = claim(&session);
        claim.presented.limits = HostLimits {
            idle_timeout,
            lifetime,
        };
        claim
    };
    let strict = at_host(Some(IDLE / 3), None);
    let brief = at_host(None, Some(2 * IDLE / 3));
    let lax = at_host(Some(2 * IDLE), Some(1000 * IDLE));
    world.pass((IDLE / 3).checked_sub(MILLISECOND).unwrap());
    for claim in [&strict, &brief, &lax] {
        assert_eq!(world.refusal(claim), None);
    }
    world.pass(MILLISECOND);
    assert_eq!(world.refusal(&strict), Some(NotLive::IdleHere));
    assert_eq!(world.request(&claim(&session)), None);
    assert_eq!(
        world.refusal(&strict),
        None,
        "an access is one for all hosts"
    );
    world.pass(IDLE / 3);
    assert_eq!(world.refusal(&brief), Some(NotLive::ExpiredHere));
    assert!(world.serves(&session), "it goes on elsewhere");
    world.pass(2 * IDLE / 3);
    assert_eq!(world.refusal(&lax), Some(NotLive::Idle));
}

#[tokio::test]
async fn a_question_and_a_refused_request_are_no_access_s_20_r5() {
    let world = World::new();
    let session = world.sign_in("alice").await;
    let mut mismatched = claim(&session);
    mismatched.facts.subject = user("bob");
    for _ in 0..29 {
        world.pass(Duration::from_secs(60));
        assert!(
            world.serves(&session),
            "a question, not a permitted request"
        );
        assert!(world.request(&mismatched).is_some());
        let visit = world.visit(&mismatched, "app.test").await;
        assert!(matches!(visit, Lookup::NotLive(_)));
    }
    world.pass(Duration::from_secs(60));
    assert_eq!(world.refusal(&claim(&session)), Some(NotLive::Idle));
}

#[tokio::test]
async fn an_access_of_a_clock_set_back_does_not_shorten_the_idle_time_s_20() {
    let world = World::new();
    let session = world.sign_in("alice").await;
    world.pass(Duration::from_secs(600));
    let latest = world.now();
    assert_eq!(world.request(&claim(&session)), None);
    world.clock.set(BEGINNING);
    assert_eq!(world.request(&claim(&session)), None);
    world.clock.set(latest.after(IDLE).before(MILLISECOND));
    assert!(world.serves(&session));
}

#[tokio::test]
async fn the_sweeper_drops_idle_and_expired_sessions_without_a_tombstone_s_20() {
    let world = World::new();
    let mut watch = world.engine.watch_ended();
    let expired = world.sign_in("alice").await;
    world.clock.set(expired.facts.expires.before(IDLE));
    let idle = world.sign_in("bob").await;
    world.engine.touch(&expired.facts.sso, world.now());
    world.pass(Duration::from_secs(60));
    let live = world.sign_in("carol").await;
    world.clock.set(idle.last_access.after(IDLE));
    assert_eq!(world.engine.sweep().await.unwrap(), Swept::Done);
    assert!(world.engine.is_standing(&live.facts.sso));
    for (gone, why) in [(&expired, NotLive::Expired), (&idle, NotLive::Missing)] {
        assert!(!world.engine.is_standing(&gone.facts.sso), "{why:?}");
        assert_eq!(world.refusal(&claim(gone)), Some(why));
    }
    assert!(world.log().is_empty(), "neither is an end (S-14)");
    let announced = announced(&mut watch);
    assert_eq!(announced.len(), 2);
    assert!(announced.contains(&idle.facts.sso));
    assert!(announced.contains(&expired.facts.sso));
}

#[tokio::test]
async fn a_sweep_is_bounded_and_says_when_there_is_more_to_do() {
    let world = World::new();
    let pattern = world.sign_in("alice").await;
    for n in 0_u16..1500 {
        let mut session = Session::clone(&pattern);
        let mut id = [0xCC; 16];
        id[..2].copy_from_slice(&n.to_be_bytes());
        session.facts.sso = SsoId::from_bytes(id);
        world.store.insert_unless_ended(session).await.unwrap();
    }
    world.pass(IDLE);
    assert_eq!(world.engine.sweep().await.unwrap(), Swept::More);
    let left = world.store.count();
    assert!((1..1501).contains(&left), "{left} are left");
    assert_eq!(world.engine.sweep().await.unwrap(), Swept::Done);
    assert_eq!(world.store.count(), 0);
}

#[tokio::test]
async fn a_visit_is_noted_once_and_in_order() {
    let world = World::new();
    let session = world.sign_in("alice").await;
    for name in ["b.test", "a.test", "b.test"] {
        let visit = world.visit(&claim(&session), name).await;
        assert!(matches!(visit, Lookup::Live(found) if found.visited.contains(&host(name))));
    }
    let record = world.record(&session).unwrap();
    assert_eq!(record.visited, [host("b.test"), host("a.test")]);
}

#[tokio::test]
async fn a_session_remembers_at_most_64_visited_hosts_and_serves_further_ones() {
    let world = World::new();
    let session = world.sign_in("alice").await;
    for n in 0..70 {
        let visited = host(&format!("app-{n}.test"));
        let visit = world.engine.visit(&claim(&session), &visited).await;
        assert!(matches!(visit, Lookup::Live(_)), "{n}");
    }
    let record = world.record(&session).unwrap();
    assert_eq!(record.visited.len(), 64);
    assert_eq!(record.visited.len(), Session::VISITED_MAX);
    assert_eq!(record.visited.first(), Some(&host("app-0.test")));
}

#[tokio::test]
async fn of_visits_at_the_same_moment_none_is_lost() {
    let world = World::new();
    let session = world.sign_in("alice").await;
    let claim = claim(&session);
    world.store.crowd();
    let hosts: Vec<_> = (0..12).map(|n| host(&format!("app-{n}.test"))).collect();
    let visits = hosts.iter().map(|host| world.engine.visit(&claim, host));
    let visits = join_all(visits).await;
    assert!(visits.iter().all(|visit| matches!(visit, Lookup::Live(_))));
    let visited = world.record(&session).unwrap().visited.clone();
    assert_eq!(visited.len(), hosts.len());
    assert!(hosts.iter().all(|host| visited.contains(host)));
}

#[tokio::test]
async fn a_visit_that_finds_no_quiet_moment_is_refused_and_never_lost_unseen() {
    let world = World::new();
    let session = world.sign_in("alice").await;
    let claim = claim(&session);
    world.store.crowd();
    let hosts: Vec<_> = (0..60).map(|n| host(&format!("app-{n}.test"))).collect();
    let visits = hosts.iter().map(|host| world.engine.visit(&claim, host));
    let visits = join_all(visits).await;
    let visited = world.record(&session).unwrap().visited.clone();
    for (visit, host) in visits.iter().zip(&hosts) {
        match visit {
            Lookup::Live(_) => assert!(visited.contains(host), "{host}"),
            Lookup::NotLive(why) => assert_eq!(*why, NotLive::Unanswered),
            Lookup::Unknown => panic!("{host}"),
        }
    }
}

#[tokio::test]
async fn a_session_that_ends_while_a_visit_is_noted_does_not_come_back_s_17() {
    let world = World::new();
    let session = world.sign_in("alice").await;
    let facts = session.facts.clone();
    let end = End::Tombstone {
        sso: facts.sso,
        cause: EndCause::LoggedOut,
        expires: facts.expires,
    };
    world.store.before_replace(Meanwhile::ends(end));
    let visit = world.visit(&claim(&session), "app.test").await;
    assert!(matches!(visit, Lookup::NotLive(NotLive::Ended)));
    assert!(world.record(&session).is_none());
}

#[tokio::test]
async fn a_session_that_was_swept_while_a_visit_is_noted_does_not_come_back() {
    let world = World::new();
    let session = world.sign_in("alice").await;
    let sso = session.facts.sso;
    world.store.before_replace(Meanwhile::new(move |store| {
        store.remove(&sso).now_or_never().unwrap().unwrap();
    }));
    let visit = world.visit(&claim(&session), "app.test").await;
    assert!(matches!(visit, Lookup::NotLive(NotLive::Missing)));
    assert!(world.record(&session).is_none());
}

/// Its cookie will not be cleared at sign-out; the session that it names is over then all the same.
#[tokio::test]
async fn a_visit_that_cannot_be_noted_keeps_nobody_out() {
    let world = World::new();
    let session = world.sign_in("alice").await;
    world.store.close().await.unwrap();
    let visit = world.visit(&claim(&session), "app.test").await;
    assert!(matches!(visit, Lookup::Live(_)));
}

#[tokio::test]
async fn a_session_stands_while_its_record_is_live_s_17() {
    let world = World::new();
    let session = world.sign_in("alice").await;
    assert!(world.engine.is_standing(&session.facts.sso));
    let mut pending = Session::clone(&session);
    pending.facts.sso = SsoId::from_bytes([0x51; 16]);
    pending.state = SessionState::Pending(release());
    let inserted = world.store.insert_unless_ended(pending.clone()).await;
    assert_eq!(inserted.unwrap(), Inserted::Inserted);
    assert!(!world.engine.is_standing(&pending.facts.sso));
    world.end(&session).await;
    assert!(!world.engine.is_standing(&session.facts.sso));
}

fn token(n: usize) -> TokenId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    TokenId::from_bytes(bytes)
}

#[test]
fn a_one_step_token_is_spent_once_s_24() {
    let world = World::new();
    let expires = world.now().after(Duration::from_secs(60));
    assert!(world.engine.spend(token(1), expires));
    assert!(!world.engine.spend(token(1), expires));
    assert!(world.engine.spend(token(2), expires));
}

#[tokio::test]
async fn a_spent_token_is_remembered_until_it_expires_s_24() {
    let world = World::new();
    let expires = world.now().after(Duration::from_secs(60));
    assert!(world.engine.spend(token(1), expires));
    world.clock.set(expires.before(MILLISECOND));
    world.engine.sweep().await.unwrap();
    assert!(!world.engine.spend(token(1), expires));
    world.clock.set(expires);
    world.engine.sweep().await.unwrap();
    assert!(
        world.engine.spend(token(1), expires),
        "forgotten, and refused by its expiry from here on"
    );
}

#[tokio::test]
async fn a_full_table_of_spent_tokens_accepts_none_until_some_expire_s_24() {
    let world = World::new();
    let expires = world.now().after(Duration::from_secs(60));
    for n in 0..SPENT_MAX {
        assert!(world.engine.spend(token(n), expires));
    }
    assert!(!world.engine.spend(token(SPENT_MAX), expires));
    assert!(!world.engine.spend(token(0), expires), "spent stays spent");
    world.clock.set(expires);
    world.engine.sweep().await.unwrap();
    let later = expires.after(Duration::from_secs(60));
    assert!(world.engine.spend(token(SPENT_MAX), later));
}
