//! The provider as a whole: who gets in, what each refusal costs, what a full queue answers.

use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;

use argon2::password_hash::CustomizedPasswordHasher;
use argon2::password_hash::phc;
use parking_lot::Mutex;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::decision::password::PasswordRules;
use crate::decision::throttle::ThrottleRules;
use crate::provider::users_file::replace::FileLock;
use crate::provider::users_file::roster::Roster;

/// A cheap hash of `sesame`.
pub(super) const HASH: &str = "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$SkmadNg519YkqjmMhTpGswcVZmiAjeQ01ZqqlxlwOok";

#[test]
fn the_fixed_hash_of_these_tests_is_one_of_sesame() {
    assert_eq!(HASH, cheap_hash("sesame", 64));
}

#[tokio::test]
async fn the_right_password_gives_the_identity_as_the_file_spells_it() {
    let (provider, _folder) = provider(&sample());
    let verified = provider.verify(typed("  ALICE ", b"sesame")).await.unwrap();
    assert_eq!(verified.level, AuthLevel::new(2).unwrap());
    assert_eq!(verified.identity.subject.as_str(), "Alice");
    assert_eq!(verified.identity.store.as_str(), "local");
    assert_eq!(verified.identity.name.as_deref(), Some("Alice Ng"));
    assert_eq!(
        verified.identity.email.as_deref(),
        Some("alice@example.test")
    );
    let groups: Vec<_> = verified
        .identity
        .groups
        .iter()
        .map(|group| group.as_str())
        .collect();
    assert_eq!(groups, ["staff", "ops"]);
}

#[tokio::test]
async fn whatever_is_refused_is_refused_alike_and_costs_one_hash() {
    let checks = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&checks);
    let (provider, _folder) = provider_with(&sample(), 1, 8, move |hash, password| {
        counter.fetch_add(1, Ordering::SeqCst);
        hash.verify(password)
    });
    let long = vec![b'a'; hash::PASSWORD_BYTES_MAX + 1];
    let attempts: [(&str, &[u8]); 9] = [
        ("alice", b"wrong"),
        ("alice", b""),
        ("alice", &long),
        ("nobody", b"sesame"),
        ("nobody", b""),
        ("nobody", &long),
        ("dora", b"sesame"),
        ("", b"sesame"),
        ("a\0b", b"sesame"),
    ];
    for (done, (user, password)) in attempts.into_iter().enumerate() {
        let refused = provider.verify(typed(user, password)).await;
        assert!(
            matches!(refused, Err(VerifyError::Refused)),
            "{user:?}: {refused:?}"
        );
        assert_eq!(checks.load(Ordering::SeqCst), done + 1, "{user:?}");
    }
    provider.verify(typed("alice", b"sesame")).await.unwrap();
    assert_eq!(checks.load(Ordering::SeqCst), attempts.len() + 1);
}

#[tokio::test]
async fn an_empty_file_refuses_at_the_cost_of_a_new_hash() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&seen);
    let (provider, _folder) = provider_with("users: []\n", 1, 8, move |hash, _| {
        record.lock().push(format!("{hash:?}"));
        Ok(Outcome::Match)
    });
    let refused = provider.verify(typed("alice", b"sesame")).await;
    assert!(matches!(refused, Err(VerifyError::Refused)), "{refused:?}");
    assert_eq!(*seen.lock(), [format!("{:?}", PasswordHash::stand_in())]);
}

#[tokio::test]
async fn a_full_queue_answers_busy_at_once_and_empties_again() {
    let (entered, has_entered) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let released = Mutex::new(released);
    let (provider, _folder) = provider_with(&sample(), 1, 1, move |hash, password| {
        entered.send(()).unwrap();
        released.lock().recv().unwrap();
        hash.verify(password)
    });
    let provider = Arc::new(provider);
    let attempt = || {
        let provider = Arc::clone(&provider);
        tokio::spawn(async move { provider.verify(typed("alice", b"sesame")).await })
    };
    let hashing = attempt();
    let _entrance = tokio::task::spawn_blocking(move || {
        has_entered.recv().unwrap();
        has_entered
    })
    .await
    .unwrap();
    let waiting = attempt();
    tokio::task::yield_now().await;
    let refused = provider.verify(typed("alice", b"sesame")).await;
    assert!(matches!(refused, Err(VerifyError::Busy)), "{refused:?}");
    release.send(()).unwrap();
    release.send(()).unwrap();
    hashing.await.unwrap().unwrap();
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_hash_that_cannot_be_computed_is_not_a_refusal() {
    let (provider, _folder) =
        provider_with(&sample(), 1, 1, |_, _| Err(argon2::Error::OutOfMemory));
    for user in ["alice", "nobody"] {
        let failed = provider.verify(typed(user, b"sesame")).await;
        assert!(
            matches!(failed, Err(VerifyError::Unavailable(..))),
            "{failed:?}"
        );
    }
}

#[tokio::test]
async fn a_sign_in_waits_for_no_password_that_is_being_written() {
    let (provider, folder) = provider_with(&sample(), 1, 8, PasswordHash::verify);
    let provider = Arc::new(provider);
    let lock = FileLock::acquire(&folder.path().join("users.yaml")).unwrap();
    let changing = Arc::clone(&provider);
    let changing = tokio::spawn(async move {
        let subject = UserName::parse("Alice").unwrap();
        let secret = |text: &[u8]| Secret::new(text.to_vec());
        changing
            .change_password(&subject, secret(b"sesame"), secret(b"open barley"))
            .await
    });
    // The one thread that hashes has both hashes of the change behind it after a few of these.
    for _ in 0..4 {
        let signed_in = provider.verify(typed("alice", b"sesame"));
        let signed_in = tokio::time::timeout(Duration::from_secs(30), signed_in).await;
        signed_in.expect("the lock of the file").unwrap();
    }
    assert!(!changing.is_finished());
    drop(lock);
    changing.await.unwrap().unwrap();
    let refused = provider.verify(typed("alice", b"sesame")).await;
    assert!(matches!(refused, Err(VerifyError::Refused)), "{refused:?}");
    let new = typed("alice", b"open barley");
    provider.verify(new).await.unwrap();
}

#[tokio::test]
async fn a_reload_takes_the_new_users_and_a_broken_file_changes_nothing() {
    let (provider, folder) = provider(&sample());
    let opened = provider.users().version();
    assert_eq!(opened, provider.version());
    let path = folder.path().join("users.yaml");
    std::fs::write(&path, "users: {").unwrap();
    provider.reload().unwrap_err();
    provider.verify(typed("alice", b"sesame")).await.unwrap();
    std::fs::write(
        &path,
        format!("users:\n  - {{name: eve, password: '{HASH}'}}\n"),
    )
    .unwrap();
    assert_eq!(provider.users().version(), opened, "it was not read");
    assert_eq!(provider.reload().unwrap(), 1);
    assert_eq!(provider.users().version(), provider.version());
    let refused = provider.verify(typed("alice", b"sesame")).await;
    assert!(matches!(refused, Err(VerifyError::Refused)), "{refused:?}");
    provider.verify(typed("eve", b"sesame")).await.unwrap();
}

#[test]
fn whoever_is_gone_or_disabled_since_an_earlier_run_is_lost_until_that_is_acted_on_s_10() {
    let (provider, folder) = provider(&format!(
        "users:\n  - {{name: Alice, password: '{HASH}'}}\n  - {{name: bob, password: '{HASH}'}}\n  \
         - {{name: carol, password: '{HASH}', disabled: true}}\n"
    ));
    let path = folder.path().join("users.known");
    let names = || provider.users().names();
    let open = || known::KnownUsers::open(path.clone()).unwrap();
    let mut first = open();
    assert!(first.lost(&names()).is_empty());
    first.replace(names()).unwrap();
    // The gateway stops; one user is disabled, one is spelt differently, one comes back.
    let changed = format!(
        "users:\n  - {{name: aLICE, password: '{HASH}'}}\n  \
         - {{name: bob, password: '{HASH}', disabled: true}}\n  - {{name: carol, password: '{HASH}'}}\n"
    );
    std::fs::write(folder.path().join("users.yaml"), changed).unwrap();
    provider.reload().unwrap();
    for _ in 0..2 {
        let lost = ["Alice", "bob"].map(|user| UserName::parse(user).unwrap());
        assert_eq!(open().lost(&names()), lost);
    }
    open().replace(names()).unwrap();
    assert!(open().lost(&names()).is_empty());
    std::fs::write(folder.path().join("users.yaml"), "users: []\n").unwrap();
    provider.reload().unwrap();
    let lost = open().lost(&names());
    assert_eq!(lost.len(), 2, "{lost:?}");
    std::fs::write(&path, [0xff, b'\n']).unwrap();
    known::KnownUsers::open(path.clone()).unwrap_err();
}

#[test]
fn a_file_that_mixes_parameters_lets_unknown_names_cost_either_and_each_always_the_same() {
    let text = format!(
        "users:\n  - {{name: a, password: '{HASH}'}}\n  - {{name: b, password: '{}'}}\n",
        cheap_hash("sesame", 128)
    );
    let roster = Roster::new(document::parse(&text, Path::new("users.yaml")).unwrap());
    let cost = |name: &str| format!("{:?}", roster.decoy(name));
    let costs: std::collections::BTreeSet<_> = (0..64).map(|n| cost(&format!("user{n}"))).collect();
    assert_eq!(costs.len(), 2, "{costs:?}");
    assert_eq!(cost("nobody"), cost(" NOBODY"));
}

proptest! {
    #[test]
    fn no_name_outside_the_file_is_ever_found(name in "\\PC{0,20}") {
        let roster = Roster::new(document::parse(&sample(), Path::new("users.yaml")).unwrap());
        let known = ["alice", "dora"].contains(&document::fold(&name).as_str());
        prop_assert_eq!(roster.find(&name).is_some(), known);
    }
}

fn sample() -> String {
    format!(
        "users:\n  - name: Alice\n    display_name: Alice Ng\n    email: alice@example.test\n    \
         groups: [staff, ops]\n    password: {HASH}\n  - {{name: dora, password: '{HASH}', disabled: true}}\n"
    )
}

fn cheap_hash(password: &str, memory_kib: u32) -> String {
    let params = argon2::Params::new(memory_kib, 1, 1, None).unwrap();
    let hash: phc::PasswordHash = argon2::Argon2::default()
        .hash_password_with_params(password.as_bytes(), b"saltsaltsaltsalt", params)
        .unwrap();
    hash.to_string()
}

fn provider(text: &str) -> (UsersFileProvider, TempDir) {
    provider_with(text, 2, 8, PasswordHash::verify)
}

fn provider_with(
    text: &str,
    hashing_threads: usize,
    hashing_queue: usize,
    check: impl Fn(&PasswordHash, &[u8]) -> Result<Outcome, argon2::Error> + Send + Sync + 'static,
) -> (UsersFileProvider, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let users_file = folder.path().join("users.yaml");
    std::fs::write(&users_file, text).unwrap();
    let settings = Authentication {
        store: StoreName::parse("local").unwrap(),
        users_file,
        level: AuthLevel::new(2).unwrap(),
        hashing_threads,
        hashing_queue,
        password: PasswordRules::default(),
        throttle: ThrottleRules::default(),
    };
    (
        UsersFileProvider::open_with(&settings, Box::new(check)).unwrap(),
        folder,
    )
}

fn typed(user: &str, password: &[u8]) -> Credential {
    Credential::Password {
        user: user.to_owned(),
        password: Secret::new(password.to_vec()),
    }
}
