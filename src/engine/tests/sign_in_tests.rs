//! Signing in: what a new SSO session is, what it replaces, whom it evicts, and when there is none.

use futures_util::FutureExt;
use futures_util::future::join_all;

use super::*;

fn tombstone(session: &Session, cause: EndCause) -> End {
    End::Tombstone {
        sso: session.facts.sso,
        cause,
        expires: session.facts.expires,
    }
}

#[tokio::test]
async fn a_sign_in_begins_an_sso_session_with_the_facts_of_s_1() {
    let world = World::new();
    world.pass(Duration::from_secs(5));
    let session = world.sign_in_replacing("alice", None).await.unwrap();
    let now = world.now();
    assert_eq!(session.facts.subject, user("alice"));
    assert_eq!(session.facts.store, staff());
    assert_eq!(session.facts.first_authenticated, now);
    assert_eq!(session.facts.expires, now.after(LIFETIME));
    assert_eq!(session.facts.level, level(20));
    assert_eq!(session.facts.level_reached, now);
    assert_eq!(session.client_address, ADDRESS);
    assert_eq!(session.identity.groups.len(), 1);
    assert!(session.aliases.is_empty(), "a new chain is empty (S-11)");
    assert!(world.serves(&session));
}

#[tokio::test]
async fn every_sign_in_is_a_session_of_its_own_s_11() {
    let world = World::new();
    let first = world.sign_in("alice").await;
    let second = world.sign_in("alice").await;
    assert_ne!(first.facts.sso, second.facts.sso);
    assert_ne!(first.id, second.id);
    assert!(world.serves(&first) && world.serves(&second));
}

#[tokio::test]
async fn a_wrong_credential_begins_nothing_and_ends_nothing() {
    let world = World::new();
    let old = world.sign_in("alice").await;
    for (name, password) in [("alice", "wrong"), ("mallory", PASSWORD), ("", "")] {
        let request = SignIn {
            credential: credential(name, password),
            client_address: ADDRESS,
            device: None,
            replaces: Some(old.facts.clone()),
        };
        let refused = world.engine.sign_in(request).await;
        assert!(matches!(
            refused,
            Err(SignInError::Verify(VerifyError::Refused))
        ));
    }
    assert_eq!(world.store.count(), 1);
    assert!(world.serves(&old));
    assert!(world.log().is_empty());
}

#[tokio::test]
async fn a_new_sign_in_ends_the_sso_session_of_the_id_cookie_presented_s_11() {
    let world = World::new();
    let alice = world.sign_in("alice").await;
    let kept = world.sign_in("alice").await;
    let bob = world
        .sign_in_replacing("bob", Some(alice.facts.clone()))
        .await
        .unwrap();
    assert_eq!(world.refusal(&claim(&alice)), Some(NotLive::Ended));
    assert!(world.serves(&bob));
    assert!(world.serves(&kept), "another browser of alice is untouched");
    assert_eq!(world.log(), [tombstone(&alice, EndCause::Replaced)]);
}

#[tokio::test]
async fn a_replaced_sso_session_need_not_be_known_here_s_18() {
    let world = World::new();
    let mut unknown = world.sign_in("alice").await.facts.clone();
    unknown.sso = SsoId::from_bytes([0xAB; 16]);
    let session = world
        .sign_in_replacing("bob", Some(unknown.clone()))
        .await
        .unwrap();
    assert!(world.serves(&session));
    assert!(matches!(world.store.find(&unknown.sso), Found::Ended));
}

#[tokio::test]
async fn without_a_durable_end_of_the_old_session_no_new_one_begins_s_11() {
    let world = World::new();
    let alice = world.sign_in("alice").await;
    world.store.ends_are(Ends::Failing);
    let refused = world
        .sign_in_replacing("bob", Some(alice.facts.clone()))
        .await;
    assert!(matches!(
        refused,
        Err(SignInError::Store(StoreError::Failed { .. }))
    ));
    assert!(!world.serves(&alice), "the end holds in memory (S-15)");
    assert_eq!(world.store.count(), 0);
    assert!(
        world
            .store
            .list_by_user(&staff(), &user("bob"))
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn a_session_that_cannot_be_stored_does_not_begin() {
    let world = World::new();
    *world.store.inserts.lock() = Writes::Failing;
    let refused = world.sign_in_replacing("alice", None).await;
    assert!(matches!(refused, Err(SignInError::Store(_))));
    assert_eq!(world.store.count(), 0);
}

#[tokio::test]
async fn an_sso_session_that_ended_before_its_insert_does_not_begin_s_17() {
    let world = World::new();
    let sso = world.entropy.next_id();
    let end = End::Tombstone {
        sso,
        cause: EndCause::Killed,
        expires: BEGINNING.after(LIFETIME),
    };
    world.store.before_insert(Meanwhile::ends(end));
    let refused = world.sign_in_replacing("alice", None).await;
    assert!(matches!(refused, Err(SignInError::CutOff)));
    assert!(matches!(world.store.find(&sso), Found::Ended));
    assert_eq!(world.store.count(), 0);
}

fn cut_off_alice(before: Timestamp) -> End {
    End::UserCutOff {
        store: staff(),
        subject: user("alice"),
        authenticated_before: before,
        expires: before.after(LIFETIME),
    }
}

#[tokio::test]
async fn a_cut_off_between_the_check_and_the_insert_leaves_no_session_s_17() {
    let world = World::new();
    let cut_off = cut_off_alice(world.now().after(MILLISECOND));
    world.store.before_insert(Meanwhile::ends(cut_off));
    let refused = world.sign_in_replacing("alice", None).await;
    assert!(matches!(refused, Err(SignInError::CutOff)));
    assert_eq!(world.store.count(), 0);
}

/// The password was right when the check began; the administrator changed it and ended everything
/// before the check was done.
#[tokio::test]
async fn a_cut_off_while_the_credential_is_checked_leaves_no_session_s_17() {
    let world = World::new();
    let (clock, store) = (Arc::clone(&world.clock), Arc::clone(&world.store.inner));
    world.provider.meanwhile(move || {
        clock.set(clock.now().after(Duration::from_millis(200)));
        let cut_off = cut_off_alice(clock.now());
        store.append(cut_off).now_or_never().unwrap().unwrap();
        clock.set(clock.now().after(Duration::from_millis(200)));
    });
    let refused = world.sign_in_replacing("alice", None).await;
    assert!(matches!(refused, Err(SignInError::CutOff)));
    assert_eq!(world.store.count(), 0);
    let again = world.sign_in("alice").await;
    assert!(world.serves(&again), "a sign-in begun later is good");
}

#[tokio::test]
async fn one_session_too_many_evicts_the_oldest_with_a_tombstone_s_21() {
    let world = World::new();
    let mut watch = world.engine.watch_ended();
    let bob = world.sign_in("bob").await;
    let mut sessions = Vec::new();
    for _ in 0..=PER_USER_MAX {
        sessions.push(world.sign_in("alice").await);
    }
    let (oldest, others) = sessions.split_first().unwrap();
    assert_eq!(world.refusal(&claim(oldest)), Some(NotLive::Ended));
    assert_eq!(world.log(), [tombstone(oldest, EndCause::Evicted)]);
    assert_eq!(announced(&mut watch), [oldest.facts.sso]);
    assert!(others.iter().all(|session| world.serves(session)));
    assert!(world.serves(&bob), "another user has a count of their own");
}

#[tokio::test]
async fn the_oldest_is_judged_by_authentication_and_not_by_use_s_21() {
    let world = World::new();
    let oldest = world.sign_in("alice").await;
    for _ in 1..PER_USER_MAX {
        world.sign_in("alice").await;
    }
    world.pass(Duration::from_secs(60));
    assert_eq!(world.request(&claim(&oldest)), None);
    world.sign_in("alice").await;
    assert!(!world.serves(&oldest));
}

#[tokio::test]
async fn of_sessions_of_one_moment_the_smaller_id_goes_first_s_21() {
    let world = World::new();
    let mut sessions = Vec::new();
    for _ in 0..=PER_USER_MAX {
        let session = world.sign_in_replacing("alice", None).await.unwrap();
        sessions.push(session);
    }
    let evicted = sessions.iter().filter(|session| !world.serves(session));
    let evicted: Vec<_> = evicted.map(|session| session.facts.sso).collect();
    let before_last = sessions.iter().take(PER_USER_MAX);
    let smallest = before_last.map(|session| session.facts.sso).min().unwrap();
    assert_eq!(evicted, [smallest]);
}

#[tokio::test]
async fn without_a_durable_eviction_no_new_session_begins_s_21() {
    let world = World::new();
    for _ in 0..PER_USER_MAX {
        world.sign_in("alice").await;
    }
    world.store.ends_are(Ends::Failing);
    let refused = world.sign_in_replacing("alice", None).await;
    assert!(matches!(refused, Err(SignInError::Store(_))));
    assert_eq!(world.store.count(), PER_USER_MAX - 1);
}

#[tokio::test]
async fn sign_ins_at_the_same_moment_leave_no_more_than_allowed_s_21_r8() {
    let world = World::new();
    let first = world.sign_in("alice").await;
    world.store.crowd();
    let sign_ins = (0..10).map(|_| world.sign_in_replacing("alice", None));
    let begun: Vec<_> = join_all(sign_ins).await.into_iter().flatten().collect();
    assert_eq!(begun.len(), 10);
    let live = begun.iter().filter(|session| world.serves(session)).count();
    assert_eq!(live, PER_USER_MAX);
    assert!(!world.serves(&first), "the oldest goes first");
    let standing = world.store.list_by_user(&staff(), &user("alice")).await;
    assert_eq!(standing.len(), PER_USER_MAX);
}

#[tokio::test]
async fn when_those_too_many_cannot_be_evicted_durably_no_new_session_begins_s_21() {
    let world = World::new();
    let mut elsewhere = Vec::new();
    for n in 1..PER_USER_MAX {
        let mut session = Session::clone(&*world.sign_in("alice").await);
        session.facts.sso = SsoId::from_bytes([u8::try_from(n).unwrap(); 16]);
        elsewhere.push(session);
    }
    world.store.ends_are(Ends::Failing);
    world.store.before_insert(Meanwhile::new(|store| {
        for session in elsewhere {
            let inserted = store.insert_unless_ended(session).now_or_never();
            assert_eq!(inserted.unwrap().unwrap(), Inserted::Inserted);
        }
    }));
    let sso = world.entropy.next_id();
    let refused = world.sign_in_replacing("alice", None).await;
    assert!(matches!(refused, Err(SignInError::Store(_))));
    assert!(matches!(world.store.find(&sso), Found::Ended));
    assert!(world.store.count() <= PER_USER_MAX);
}

#[tokio::test]
async fn a_clock_that_was_set_back_does_not_evict_the_newest_sign_in_s_21() {
    let world = World::new();
    world.pass(Duration::from_secs(60));
    for _ in 0..PER_USER_MAX {
        world.sign_in("alice").await;
    }
    world.clock.set(BEGINNING);
    let newest = world.sign_in("alice").await;
    assert!(world.serves(&newest));
    assert_eq!(world.store.count(), PER_USER_MAX);
}
