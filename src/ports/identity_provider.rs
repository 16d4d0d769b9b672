//! The port to identity providers: who checks a credential.

use async_trait::async_trait;

use crate::model::identity::AuthLevel;
use crate::model::identity::Credential;
use crate::model::identity::Identity;
use crate::model::identity::Refreshed;
use crate::model::identity::Vouched;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::model::secret::Secret;

/// What a provider vouches for after a credential was right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Who it is.
    pub identity: Identity,
    /// How surely.
    pub level: AuthLevel,
    /// How long the password lasts.
    pub age: PasswordAge,
}

impl From<Verified> for Vouched {
    fn from(verified: Verified) -> Self {
        Self {
            identity: verified.identity,
            level: verified.level,
            session: None,
        }
    }
}

/// How long a password lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordAge {
    /// Until it is changed.
    Lasting,
    /// It opens nothing but the page on which it is changed.
    MustChange,
}

/// Why a credential was not accepted. The client sees the same answer for each.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// More attempts are waiting than the provider accepts; the user may try again shortly.
    #[error("too many attempts are waiting to be checked")]
    Busy,
    /// The credential is wrong, or no such user exists: the two are told apart by nobody.
    #[error("the credential was not accepted")]
    Refused,
    /// The provider could not be asked.
    #[error("the identity provider {0} gave no answer")]
    Unavailable(
        StoreName,
        #[source] Box<dyn std::error::Error + Send + Sync>,
    ),
}

/// Why a password was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// More is waiting than the provider accepts; the user may try again shortly.
    #[error("too much is waiting")]
    Busy,
    /// The old password is not the one in force, or not any more.
    #[error("the password has been changed meanwhile")]
    Changed,
    /// The store could not be changed.
    #[error("the identity store could not be changed")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Passwords of this store are changed elsewhere.
    #[error("passwords of this store cannot be changed here")]
    Unsupported,
}

/// An account of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its user.
    pub user: UserName,
    /// Whether it may be used.
    pub state: AccountState,
}

/// Whether an account may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountState {
    /// The operator has disabled it.
    Disabled,
    /// It may.
    Enabled,
}

/// Verifies credentials. A provider that accepts a wrong one gives an account away; one that answers
/// faster for an unknown user tells who has an account.
#[async_trait]
pub trait IdentityProvider: Send + Sync + 'static {
    /// The name of the store behind this provider, the same in every data centre (MDC-ADOPT-8).
    fn store(&self) -> &StoreName;

    /// The name by which the store knows the account of a name as typed; for an account that does not exist,
    /// one that every spelling of the name gives. Attempts are counted by it: a provider that gives two
    /// spellings of one account two names lets it be guessed at twice.
    fn account(&self, typed: &str) -> String;

    /// Checks a credential, taking as long for an unknown user as for a wrong password.
    ///
    /// # Errors
    /// See [`VerifyError`]; nothing in it may reach the client.
    async fn verify(&self, credential: Credential) -> Result<Verified, VerifyError>;

    /// The account behind a name as typed, for the audit trail alone; none where there is none, or where that
    /// cannot be said. Nothing of it may reach the client.
    fn account_of(&self, _typed: &str) -> Option<Account> {
        None
    }

    /// Reads a user's attributes again, without a credential (S-10).
    ///
    /// # Errors
    /// When the store could not be asked; what is known stays as it is.
    async fn refresh(&self, subject: &UserName) -> Result<Refreshed, VerifyError>;

    /// Gives a user a new password in place of the one that was right a moment ago. Where several nodes share
    /// a store, one of two changes at the same time is refused.
    ///
    /// # Errors
    /// See [`ChangeError`]; the old password stands then.
    async fn change_password(
        &self,
        subject: &UserName,
        old: Secret,
        new: Secret,
    ) -> Result<(), ChangeError> {
        drop((subject, old, new));
        Err(ChangeError::Unsupported)
    }
}
