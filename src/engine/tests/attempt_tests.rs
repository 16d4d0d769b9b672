//! Guessing at the engine's door, and changing one's own password there.

use futures_util::FutureExt;

use super::*;
use crate::ports::session_engine::ChangePassword;
use crate::ports::session_engine::ChangePasswordError;
use crate::ports::session_engine::Others;

const NEW: &str = "a new one of several words";

fn guess(world: &World, user: &str, password: &str) -> Result<Arc<Session>, SignInError> {
    let request = SignIn {
        credential: credential(user, password),
        client_address: ADDRESS,
        device: None,
        replaces: None,
    };
    world.engine.sign_in(request).now_or_never().unwrap()
}

fn change(old: &str, new: &str, others: Others) -> ChangePassword {
    let secret = |text: &str| Secret::new(text.as_bytes().to_vec());
    ChangePassword {
        user: "alice".to_owned(),
        old: secret(old),
        new: secret(new),
        client_address: ADDRESS,
        device: None,
        replaces: None,
        others,
    }
}

#[tokio::test]
async fn what_has_to_wait_never_reaches_the_provider() {
    let world = World::new();
    for user in ["alice", " ALICE", "Alice "].iter().cycle().take(100) {
        assert!(matches!(
            guess(&world, user, "wrong"),
            Err(SignInError::Verify(VerifyError::Refused))
        ));
    }
    let asked = world.provider.asked();
    for password in ["wrong", PASSWORD] {
        let waits = guess(&world, "alice", password);
        assert!(
            matches!(waits, Err(SignInError::Throttled { .. })),
            "{waits:?}"
        );
        let changed = world
            .engine
            .change_password(change(password, NEW, Others::Keep));
        assert!(matches!(
            changed.await,
            Err(ChangePasswordError::SignIn(SignInError::Throttled { .. }))
        ));
    }
    assert_eq!(world.provider.asked(), asked);
    let waited = world.sign_ins().into_iter();
    let waited = waited.filter(|(outcome, _)| outcome.starts_with("throttled"));
    assert_eq!(waited.map(|(_, count)| count).sum::<u64>(), 4);
    assert!(
        guess(&world, "bob", PASSWORD).is_err(),
        "the address waits too"
    );
}

#[tokio::test]
async fn an_attempt_that_could_not_be_judged_does_not_count() {
    let world = World::new();
    for _ in 0..200 {
        world.provider.fail_with(VerifyError::Busy);
        assert!(matches!(
            guess(&world, "alice", "wrong"),
            Err(SignInError::Verify(VerifyError::Busy))
        ));
    }
    guess(&world, "alice", PASSWORD).unwrap();
}

#[tokio::test]
async fn an_attempt_that_is_given_up_counts() {
    let world = World::new();
    world.provider.hangs.store(true, Ordering::SeqCst);
    let given_up = (0..200).find(|_| {
        let attempt = world.engine.sign_in(SignIn {
            credential: credential("alice", "wrong"),
            client_address: ADDRESS,
            device: None,
            replaces: None,
        });
        attempt.now_or_never().is_some()
    });
    assert!(given_up.is_some(), "200 hashes were asked for");
    world.provider.hangs.store(false, Ordering::SeqCst);
    assert!(matches!(
        guess(&world, "alice", PASSWORD),
        Err(SignInError::Throttled { .. })
    ));
}

#[tokio::test]
async fn a_changed_password_ends_the_other_sessions_or_keeps_them() {
    let world = World::new();
    let old = world.sign_in("alice").await;
    let bob = world.sign_in("bob").await;
    world.pass(MILLISECOND);
    let kept = world
        .engine
        .change_password(change(PASSWORD, NEW, Others::Keep));
    let kept = kept.await.unwrap();
    assert!(world.serves(&old) && world.serves(&kept));
    let only = world
        .engine
        .change_password(change(PASSWORD, NEW, Others::End));
    let only = only.await.unwrap();
    assert!(!world.serves(&old) && !world.serves(&kept));
    assert!(world.serves(&only) && world.serves(&bob));
    assert_eq!(world.provider.changes(), 2);
}

#[tokio::test]
async fn a_new_password_that_is_not_taken_is_neither_tried_nor_counted() {
    let world = World::new();
    for _ in 0..200 {
        for new in ["short", PASSWORD, "alicealicealice"] {
            let refused = world
                .engine
                .change_password(change(PASSWORD, new, Others::End));
            assert!(matches!(refused.await, Err(ChangePasswordError::Weak(_))));
        }
    }
    assert_eq!((world.provider.asked(), world.provider.changes()), (0, 0));
}

#[tokio::test]
async fn a_password_that_is_changed_is_never_said_to_be_as_before() {
    for others in [Others::End, Others::Keep] {
        let world = World::new();
        match others {
            Others::End => world.store.ends_are(Ends::Failing),
            Others::Keep => *world.store.inserts.lock() = Writes::Failing,
        }
        let changed = world.engine.change_password(change(PASSWORD, NEW, others));
        let changed = changed.await;
        assert!(
            matches!(
                changed,
                Err(ChangePasswordError::Unfinished(SignInError::Store(_)))
            ),
            "{changed:?}"
        );
        assert_eq!(world.provider.changes(), 1);
    }
}
