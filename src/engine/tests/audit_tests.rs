//! What the engine tells the audit trail.

use super::*;

fn detail<'d>(details: &'d [(&'static str, String)], name: &str) -> Option<&'d str> {
    let mut details = details.iter().filter(|(known, _)| *known == name);
    details.next().map(|(_, text)| text.as_str())
}

#[tokio::test]
async fn sign_ins_and_refusals_are_told_with_their_cause_and_no_name_that_nobody_has() {
    let world = World::new();
    let session = world.sign_in("alice").await;
    let told = world.told.of(EventKind::SignedIn);
    assert_eq!(told.len(), 1);
    assert_eq!(detail(&told[0], "user"), Some("alice"));
    let hash = session.facts.sso.short_hash();
    assert_eq!(detail(&told[0], "session"), Some(hash.as_str()));
    assert_eq!(detail(&told[0], "client"), Some("192.0.2.7"));
    let request = SignIn {
        credential: credential("hunter2 oops", "alice"),
        client_address: ADDRESS,
        device: None,
        replaces: None,
    };
    world.engine.sign_in(request).await.unwrap_err();
    let told = world.told.of(EventKind::SignInRefused);
    assert_eq!(detail(&told[0], "cause"), Some("unknown_user"));
    assert!(!format!("{told:?}").contains("hunter2"), "{told:?}");
}

#[tokio::test]
async fn every_end_is_told_with_its_cause() {
    let world = World::new();
    let first = world.sign_in("alice").await;
    world.engine.end(&first.facts, EndCause::LoggedOut).await;
    assert_eq!(world.told.of(EventKind::SignedOut).len(), 1);
    for _ in 0..=PER_USER_MAX {
        world.sign_in("bob").await;
    }
    let told = world.told.of(EventKind::SessionEnded);
    assert_eq!(detail(&told[0], "cause"), Some("evicted"));
    assert_eq!(detail(&told[0], "user"), Some("bob"));
    let (store, user) = (&first.facts.store, &first.facts.subject);
    world.engine.end_all(store, user).await.unwrap();
    let told = world.told.of(EventKind::UserCutOff);
    assert_eq!(detail(&told[0], "user"), Some("alice"));
}

/// Anybody who has the cookies of a session may come with them again and again.
#[tokio::test]
async fn the_end_of_a_session_is_told_once() {
    let world = World::new();
    let session = world.sign_in("alice").await;
    for _ in 0..5 {
        world.engine.end(&session.facts, EndCause::LoggedOut).await;
    }
    assert_eq!(world.told.of(EventKind::SignedOut).len(), 1);
    // Of one that was never heard of here as well.
    let other = SsoFacts {
        sso: SsoId::from_bytes([9; 16]),
        ..session.facts.clone()
    };
    for _ in 0..5 {
        world.engine.end(&other, EndCause::LoggedOut).await;
    }
    assert_eq!(world.told.of(EventKind::SignedOut).len(), 2);
}

#[tokio::test]
async fn a_cut_off_that_is_not_durable_yet_is_told_all_the_same() {
    let world = World::new();
    let session = world.sign_in("alice").await;
    world.store.ends_are(Ends::Failing);
    let (store, user) = (&session.facts.store, &session.facts.subject);
    world.engine.end_all(store, user).await.unwrap_err();
    let told = world.told.of(EventKind::UserCutOff);
    assert_eq!(detail(&told[0], "user"), Some("alice"));
}

#[tokio::test]
async fn nobody_is_signed_in_while_that_could_not_be_told() {
    let world = World::new();
    let standing = world.sign_in("alice").await;
    world.told.fails.store(true, Ordering::SeqCst);
    let refused = world.sign_in_replacing("bob", None).await;
    assert!(matches!(refused, Err(SignInError::Unrecorded)));
    assert!(world.serves(&standing));
    world.told.fails.store(false, Ordering::SeqCst);
    world.sign_in("bob").await;
}
