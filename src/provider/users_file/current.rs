//! The users file of now: a reload may put another in its place while sign-ins are under way.
//!
//! A sign-in that is being checked finishes with what it began with. What becomes of the sessions of users
//! who are not in the new one is for whoever follows it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use parking_lot::Mutex;

use crate::config::Authentication;
use crate::model::identity::Credential;
use crate::model::identity::Refreshed;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::model::secret::Secret;
use crate::ports::identity_provider::Account;
use crate::ports::identity_provider::ChangeError;
use crate::ports::identity_provider::IdentityProvider;
use crate::ports::identity_provider::Verified;
use crate::ports::identity_provider::VerifyError;
use crate::provider::users_file::OpenUsersError;
use crate::provider::users_file::UsersFileProvider;

/// The users file of now.
#[derive(Debug)]
pub struct CurrentUsers {
    /// The same for all that follow one another: sessions are of this store.
    store: StoreName,
    now: ArcSwap<UsersFileProvider>,
    trouble: Mutex<Option<String>>,
}

impl CurrentUsers {
    /// Begins with this one.
    ///
    /// # Errors
    /// When it cannot be used.
    pub fn open(settings: &Authentication) -> Result<Self, OpenUsersError> {
        Ok(Self {
            store: settings.store.clone(),
            now: ArcSwap::from_pointee(UsersFileProvider::open(settings)?),
            trouble: Mutex::new(None),
        })
    }

    /// The one of now.
    #[must_use]
    pub fn now(&self) -> Arc<UsersFileProvider> {
        self.now.load_full()
    }

    /// Puts another in its place, of the same store.
    pub fn replace(&self, users: Arc<UsersFileProvider>) {
        self.now.store(users);
    }

    /// Why the file as it is now is not gone by, for those who run the node; none while it is.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// Says so; whoever follows the file knows.
    pub fn set_trouble(&self, trouble: Option<String>) {
        *self.trouble.lock() = trouble;
    }
}

#[async_trait]
impl IdentityProvider for CurrentUsers {
    fn store(&self) -> &StoreName {
        &self.store
    }

    fn account(&self, typed: &str) -> String {
        self.now().account(typed)
    }

    async fn verify(&self, credential: Credential) -> Result<Verified, VerifyError> {
        self.now().verify(credential).await
    }

    fn account_of(&self, typed: &str) -> Option<Account> {
        self.now().account_of(typed)
    }

    async fn refresh(&self, subject: &UserName) -> Result<Refreshed, VerifyError> {
        self.now().refresh(subject).await
    }

    async fn change_password(
        &self,
        subject: &UserName,
        old: Secret,
        new: Secret,
    ) -> Result<(), ChangeError> {
        self.now().change_password(subject, old, new).await
    }
}
