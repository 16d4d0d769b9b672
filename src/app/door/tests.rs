//! Who waits while the door settles, and for how long.

use std::net::Ipv4Addr;

use futures_util::FutureExt;
use tokio::sync::Semaphore;

use super::*;
use crate::app::rig;
use crate::model::identity::Credential;
use crate::model::identity::Refreshed;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::model::secret::Secret;
use crate::ports::clock::Clock;
use crate::ports::identity_provider::IdentityProvider;
use crate::ports::identity_provider::Verified;
use crate::ports::identity_provider::VerifyError;
use crate::system::SystemClock;

/// Refuses everybody, as often as it is let.
struct Slow {
    store: StoreName,
    turns: Arc<Semaphore>,
}

#[async_trait]
impl IdentityProvider for Slow {
    fn store(&self) -> &StoreName {
        &self.store
    }

    fn account(&self, typed: &str) -> String {
        typed.to_owned()
    }

    async fn verify(&self, _: Credential) -> Result<Verified, VerifyError> {
        self.turns.acquire().await.unwrap().forget();
        Err(VerifyError::Refused)
    }

    async fn refresh(&self, _: &UserName) -> Result<Refreshed, VerifyError> {
        Ok(Refreshed::Unsupported)
    }
}

fn door() -> (Door, Arc<Semaphore>) {
    let turns = Arc::new(Semaphore::new(0));
    let provider = Slow {
        store: StoreName::parse("staff").unwrap(),
        turns: Arc::clone(&turns),
    };
    let engine = rig::engine(&rig::store(), Arc::new(provider));
    (Door::new(engine), turns)
}

fn sign_in(user: &str) -> SignIn {
    SignIn {
        credential: Credential::Password {
            user: user.to_owned(),
            password: Secret::new(b"a password".to_vec()),
        },
        client_address: Ipv4Addr::LOCALHOST.into(),
        device: None,
        replaces: None,
    }
}

fn is_served(door: &Door, token: u8) -> bool {
    let later = SystemClock.now().after(LONG);
    let spent = door.spend_once(TokenId::from_bytes([token; 16]), later);
    spent.now_or_never() == Some(true)
}

/// The door was shut at once: everybody who was signed in waited for all passwords in the queue.
#[tokio::test]
async fn only_new_sign_ins_wait_while_those_under_way_are_served() {
    let (door, turns) = door();
    let mut first = door.sign_in(sign_in("alice"));
    assert!(first.as_mut().now_or_never().is_none());
    let mut settling = pin!(door.settle(LONG));
    assert!(settling.as_mut().now_or_never().is_none());
    let mut second = door.sign_in(sign_in("bob"));
    assert!(second.as_mut().now_or_never().is_none());
    assert!(is_served(&door, 1));
    assert!(door.is_here());

    turns.add_permits(1);
    assert!(matches!(first.await, Err(SignInError::Verify(_))));
    assert!(settling.await);
    turns.add_permits(1);
    assert!(second.as_mut().now_or_never().is_none());
    assert!(door.shut(LONG).await);
    assert!(!is_served(&door, 2));

    door.open();
    assert!(matches!(second.await, Err(SignInError::Verify(_))));
    assert!(is_served(&door, 3));
}

#[tokio::test]
async fn a_door_that_does_not_settle_in_time_is_opened_again_for_those_who_wait() {
    let (door, turns) = door();
    let mut first = door.sign_in(sign_in("alice"));
    assert!(first.as_mut().now_or_never().is_none());
    assert!(!door.settle(Duration::ZERO).await);
    let mut second = door.sign_in(sign_in("bob"));
    assert!(second.as_mut().now_or_never().is_none());
    turns.add_permits(2);
    assert!(first.await.is_err());
    assert!(second.as_mut().now_or_never().is_none());
    door.open();
    assert!(matches!(second.await, Err(SignInError::Verify(_))));
}

const LONG: Duration = Duration::from_secs(60);
