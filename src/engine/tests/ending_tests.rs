//! Ending: durable before it is answered, refused in memory whatever the disk does, told to everyone
//! who watches, and never undone.

use std::pin::pin;

use futures_util::FutureExt;

use super::*;

const CAUSES: [EndCause; 5] = [
    EndCause::Disabled,
    EndCause::Evicted,
    EndCause::Killed,
    EndCause::LoggedOut,
    EndCause::Replaced,
];

#[tokio::test]
async fn an_ended_session_is_refused_and_leaves_a_tombstone_until_its_expiry_s_14() {
    for cause in CAUSES {
        let world = World::new();
        let session = world.sign_in("alice").await;
        let ended = world.engine.end(&session.facts, cause).await;
        assert!(ended.durable.is_ok());
        assert_eq!(world.refusal(&claim(&session)), Some(NotLive::Ended));
        let tombstone = End::Tombstone {
            sso: session.facts.sso,
            cause,
            expires: session.facts.expires,
        };
        assert_eq!(world.log(), [tombstone]);
    }
}

#[tokio::test]
async fn an_end_is_refused_at_once_and_answered_when_it_is_durable_s_14_s_15() {
    let world = World::new();
    let session = world.sign_in("alice").await;
    world.store.ends_are(Ends::Slow);
    let mut watch = world.engine.watch_ended();
    let mut ending = pin!(world.end(&session));
    assert!(ending.as_mut().now_or_never().is_none(), "not durable yet");
    assert_eq!(world.refusal(&claim(&session)), Some(NotLive::Ended));
    assert_eq!(
        announced(&mut watch),
        [session.facts.sso],
        "its streams do not wait for the disk"
    );
    world.store.slow_ends.add_permits(1);
    assert!(ending.now_or_never().unwrap().durable.is_ok());
}

#[tokio::test]
async fn an_end_that_cannot_be_written_holds_in_memory_and_says_so_s_15() {
    let world = World::new();
    let session = world.sign_in("alice").await;
    let mut watch = world.engine.watch_ended();
    world.store.ends_are(Ends::Failing);
    let ended = world.end(&session).await;
    assert!(matches!(ended.durable, Err(StoreError::Failed { .. })));
    assert_eq!(world.refusal(&claim(&session)), Some(NotLive::Ended));
    assert_eq!(announced(&mut watch), [session.facts.sso]);
}

#[tokio::test]
async fn an_end_in_a_closed_store_holds_in_memory_too_s_15() {
    let world = World::new();
    let session = world.sign_in("alice").await;
    world.store.close().await.unwrap();
    let ended = world.end(&session).await;
    assert!(matches!(ended.durable, Err(StoreError::Closed)));
    assert_eq!(world.refusal(&claim(&session)), Some(NotLive::Ended));
}

#[tokio::test]
async fn the_end_of_an_unknown_session_leaves_a_tombstone_s_18() {
    let world = World::new();
    let known = world.sign_in("alice").await;
    let mut facts = known.facts.clone();
    facts.sso = SsoId::from_bytes([0xDD; 16]);
    let ended = world.engine.end(&facts, EndCause::LoggedOut).await;
    assert!(ended.durable.is_ok());
    assert!(ended.visited.is_empty());
    assert!(matches!(world.store.find(&facts.sso), Found::Ended));
    let mut late = Session::clone(&known);
    late.facts = facts;
    let inserted = world.store.insert_unless_ended(late.clone()).await;
    assert_eq!(inserted.unwrap(), Inserted::Ended, "S-17");
    assert_eq!(world.refusal(&claim(&late)), Some(NotLive::Ended));
    assert!(world.serves(&known));
}

#[tokio::test]
async fn an_end_answers_the_hosts_that_were_visited() {
    let world = World::new();
    let session = world.sign_in("alice").await;
    for name in ["one.test", "two.test"] {
        world.visit(&claim(&session), name).await;
    }
    let ended = world.end(&session).await;
    assert_eq!(ended.visited, [host("one.test"), host("two.test")]);
    let again = world.end(&session).await;
    assert!(again.durable.is_ok());
    assert_eq!(world.log().len(), 1, "a tombstone keeps its place");
}

#[tokio::test]
async fn nothing_brings_an_ended_session_back_r1() {
    let world = World::new();
    let session = world.sign_in("alice").await;
    world.end(&session).await;
    world.engine.touch(&session.facts.sso, world.now());
    world.visit(&claim(&session), "app.test").await;
    let inserted = world.store.insert_unless_ended(Session::clone(&session));
    assert_eq!(inserted.await.unwrap(), Inserted::Ended);
    for moment in [BEGINNING, session.facts.expires, BEGINNING] {
        world.clock.set(moment);
        world.engine.sweep().await.unwrap();
        world.engine.trim_ends().await.unwrap();
        assert_eq!(world.refusal(&claim(&session)), Some(NotLive::Ended));
    }
}

#[tokio::test]
async fn a_tombstone_is_kept_beyond_the_expiry_for_as_long_as_clocks_may_differ_s_15() {
    let world = World::new();
    let session = world.sign_in("alice").await;
    world.end(&session).await;
    let kept_until = session.facts.expires.after(Duration::from_secs(240));
    world.clock.set(kept_until);
    assert_eq!(world.engine.trim_ends().await.unwrap(), 0);
    assert_eq!(world.refusal(&claim(&session)), Some(NotLive::Ended));
    world.pass(MILLISECOND);
    assert_eq!(world.engine.trim_ends().await.unwrap(), 1);
    assert!(world.refusal(&claim(&session)).is_some());
}

#[tokio::test]
async fn watchers_are_told_of_every_end_whatever_its_reason() {
    let world = World::new();
    let mut watch = world.engine.watch_ended();
    let mut second = world.engine.watch_ended();

    let logged_out = world.sign_in("alice").await;
    world.end(&logged_out).await;
    assert_eq!(announced(&mut watch), [logged_out.facts.sso]);

    let replaced = world.sign_in("alice").await;
    let facts = Some(replaced.facts.clone());
    let evicted = world.sign_in_replacing("bob", facts).await.unwrap();
    assert_eq!(announced(&mut watch), [replaced.facts.sso]);

    for _ in 0..PER_USER_MAX {
        world.sign_in("bob").await;
    }
    assert_eq!(announced(&mut watch), [evicted.facts.sso]);

    let cut_off = world.sign_in("carol").await;
    world.pass(MILLISECOND);
    world
        .engine
        .end_all(&staff(), &user("carol"))
        .await
        .unwrap();
    assert_eq!(announced(&mut watch), [cut_off.facts.sso]);

    world.pass(IDLE);
    world.engine.sweep().await.unwrap();
    assert_eq!(announced(&mut watch).len(), PER_USER_MAX, "bob's, idle");
    assert_eq!(announced(&mut second).len(), 4 + PER_USER_MAX);
}

#[tokio::test]
async fn all_sessions_of_a_user_end_at_once_and_nobody_elses() {
    let world = World::new();
    let first = world.sign_in("alice").await;
    let second = world.sign_in("alice").await;
    let bob = world.sign_in("bob").await;
    let partners = StoreName::parse("partners").unwrap();
    let elsewhere = world.engine.end_all(&partners, &user("alice")).await;
    assert_eq!(elsewhere.unwrap(), 0, "a namesake in another store");
    assert!(world.serves(&first));
    let ended = world.engine.end_all(&staff(), &user("alice")).await;
    assert_eq!(ended.unwrap(), 2);
    assert!(!world.serves(&first) && !world.serves(&second));
    assert!(world.serves(&bob));
    let later = world.sign_in("alice").await;
    assert!(world.serves(&later), "a later sign-in is not concerned");
}

#[tokio::test]
async fn a_session_of_the_very_moment_of_a_cut_off_is_over_too_s_17() {
    let world = World::new();
    let session = world.sign_in("alice").await;
    let ended = world.engine.end_all(&staff(), &user("alice")).await;
    assert_eq!(ended.unwrap(), 1);
    assert!(!world.serves(&session));
    let same_moment = world.sign_in_replacing("alice", None).await;
    assert!(
        same_moment.is_err(),
        "it cannot be told from an earlier one"
    );
}

#[tokio::test]
async fn a_record_from_before_a_cut_off_is_not_inserted_after_it_s_17() {
    let world = World::new();
    let before = world.sign_in("alice").await;
    world.pass(MILLISECOND);
    world
        .engine
        .end_all(&staff(), &user("alice"))
        .await
        .unwrap();
    let mut late = Session::clone(&before);
    late.facts.sso = SsoId::from_bytes([0xBB; 16]);
    let inserted = world.store.insert_unless_ended(late).await;
    assert_eq!(inserted.unwrap(), Inserted::Ended);
}

#[tokio::test]
async fn a_cut_off_that_cannot_be_written_holds_in_memory_and_says_so_s_15() {
    let world = World::new();
    let session = world.sign_in("alice").await;
    let mut watch = world.engine.watch_ended();
    world.pass(MILLISECOND);
    world.store.ends_are(Ends::Failing);
    let ended = world.engine.end_all(&staff(), &user("alice")).await;
    assert!(ended.is_err());
    assert!(!world.serves(&session));
    assert_eq!(announced(&mut watch), [session.facts.sso]);
}

#[tokio::test]
async fn a_cut_off_outlives_every_session_that_may_be_anywhere_s_15() {
    let world = World::new();
    world.sign_in("alice").await;
    world.pass(MILLISECOND);
    let last = world.now().after(End::KEPT_MAX);
    world
        .engine
        .end_all(&staff(), &user("alice"))
        .await
        .unwrap();
    world.clock.set(last.after(Duration::from_secs(240)));
    assert_eq!(world.engine.trim_ends().await.unwrap(), 0);
    world.pass(2 * MILLISECOND);
    assert_eq!(world.engine.trim_ends().await.unwrap(), 1);
}
