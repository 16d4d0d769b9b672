//! The users file as an identity provider: names, groups and argon2id hashes in one YAML document.
//!
//! Whatever a sign-in is refused for, it costs exactly one hash, so that neither answer nor time tells
//! who has an account. How often somebody may try is the engine's to say; the bounded pool keeps the cost
//! of guessing from becoming the cost of everything else.

use std::sync::Arc;

use async_trait::async_trait;

use crate::config::Authentication;
use crate::config::sources::Stamp;
use crate::decision::identity_headers::groups_fit;
use crate::model::identity::AuthLevel;
use crate::model::identity::Credential;
use crate::model::identity::Identity;
use crate::model::identity::Refreshed;
use crate::model::name::StoreName;
use crate::model::name::UserName;
use crate::model::secret::Secret;
use crate::ports::identity_provider::Account;
use crate::ports::identity_provider::AccountState;
use crate::ports::identity_provider::ChangeError;
use crate::ports::identity_provider::IdentityProvider;
use crate::ports::identity_provider::Verified;
use crate::ports::identity_provider::VerifyError;
use crate::provider::users_file::document::LoadUsersError;
use crate::provider::users_file::document::User;
use crate::provider::users_file::edit::PasswordChange;
use crate::provider::users_file::hash::Outcome;
use crate::provider::users_file::hash::PasswordHash;
use crate::provider::users_file::pool::Check;
use crate::provider::users_file::pool::HashingError;
use crate::provider::users_file::pool::HashingPool;
use crate::provider::users_file::roster::Rosters;
use crate::provider::users_file::writer::ChangeWriter;

mod attributes;
pub mod changes;
pub mod current;
pub mod document;
pub mod edit;
mod faults;
pub mod hash;
pub mod htpasswd;
pub mod known;
pub mod pool;
pub(crate) mod replace;
mod roster;
mod writer;

pub use crate::provider::users_file::roster::FreshUsers;
pub use crate::provider::users_file::roster::ReloadUsersError;
pub use crate::provider::users_file::roster::UsersRead;
pub use crate::provider::users_file::roster::is_loss;

/// Why the users file cannot serve as a provider.
#[derive(Debug, thiserror::Error)]
pub enum OpenUsersError {
    /// A thread for hashing could not be started.
    #[error("a thread for password hashing could not be started")]
    Hashing(#[source] std::io::Error),
    /// The file is not right.
    #[error(transparent)]
    Load(#[from] LoadUsersError),
    /// The thread that writes the file could not be started.
    #[error("the thread that writes the users file could not be started")]
    Writing(#[source] std::io::Error),
}

/// Verifies passwords against a users file.
#[derive(Debug)]
pub struct UsersFileProvider {
    store: StoreName,
    level: AuthLevel,
    rosters: Arc<Rosters>,
    pool: HashingPool,
    writer: ChangeWriter,
}

impl UsersFileProvider {
    /// Reads the users file and starts the threads that hash.
    ///
    /// # Errors
    /// When the file is missing or wrong, or no thread can be started.
    pub fn open(settings: &Authentication) -> Result<Self, OpenUsersError> {
        let opened = Self::open_with(settings, Box::new(PasswordHash::verify))?;
        opened.warn_of_weak_hashes();
        Ok(opened)
    }

    fn warn_of_weak_hashes(&self) {
        let roster = self.rosters.now();
        let weak = roster.users.values().filter(|user| user.password.is_weak());
        let users = weak.count();
        if users > 0 {
            tracing::warn!(
                users,
                "password hashes of the users file are guessed at quickly; `portway users list` names them"
            );
        }
    }

    /// What the configuration sends of groups is for others to know: they tell of this at a start.
    fn warn_of_crowded(&self) {
        let roster = self.rosters.now();
        let crowded = roster
            .users
            .values()
            .filter(|user| !groups_fit(&user.groups));
        let users = crowded.count();
        if users > 0 {
            tracing::warn!(
                users,
                "groups of users do not fit into a header; their requests are refused where all of them are sent; \
                 `portway check` names them"
            );
        }
    }

    fn open_with(settings: &Authentication, check: Box<Check>) -> Result<Self, OpenUsersError> {
        let rosters = Arc::new(Rosters::open(settings.users_file.clone())?);
        let pool = HashingPool::start(settings.hashing_threads, settings.hashing_queue, check)
            .map_err(OpenUsersError::Hashing)?;
        let written = Arc::clone(&rosters);
        let write = move |changes: &[PasswordChange]| {
            let outcomes = edit::change_passwords(written.path(), changes);
            if outcomes.is_ok() {
                read_after_change(&written);
            }
            outcomes
        };
        let writer = ChangeWriter::start(Box::new(write)).map_err(OpenUsersError::Writing)?;
        Ok(Self {
            store: settings.store.clone(),
            level: settings.level,
            rosters,
            pool,
            writer,
        })
    }

    /// Which version of the file is in its place; none while there is no file.
    #[must_use]
    pub fn version(&self) -> Option<Stamp> {
        self.rosters.version()
    }

    /// The users of now.
    #[must_use]
    pub fn users(&self) -> UsersRead {
        UsersRead::new(self.rosters.now())
    }

    /// Reads the file again, and answers how many users it has; sign-ins that are being checked finish
    /// with what they began with.
    ///
    /// # Errors
    /// When the file is missing or wrong, or has lost most of its users without anybody having asked for it.
    /// The users read before stay.
    pub fn reload(&self) -> Result<usize, ReloadUsersError> {
        let users = self.rosters.reload()?;
        self.warn_of_crowded();
        Ok(users)
    }

    /// Whether somebody wants this version taken over whomever it leaves out.
    #[must_use]
    pub fn is_asked_for(&self, version: Option<Stamp>) -> bool {
        self.rosters.is_asked_for(version)
    }

    /// Wants the users of now gone by whomever they leave out.
    pub fn ask_for_these(&self) {
        self.rosters.ask_for(self.users().version());
    }

    /// Reads the file again, and changes nothing yet.
    ///
    /// # Errors
    /// When the file is missing or wrong.
    pub fn read_again(&self) -> Result<FreshUsers, LoadUsersError> {
        self.rosters.read_again()
    }

    /// Goes by users that were read again because somebody asked for it, whomever they leave out, unless others were read meanwhile: those are newer.
    pub fn take_over(&self, fresh: FreshUsers) {
        self.rosters.take_over(fresh);
    }

    async fn verify_password(&self, name: &str, password: Secret) -> Result<Verified, VerifyError> {
        let roster = self.rosters.now();
        let subject = roster.find(name);
        let hash = subject.map_or_else(|| roster.decoy(name), |user| Arc::clone(&user.password));
        let acceptable = hash::check_length(password.expose()).is_ok();
        let outcome = self
            .pool
            .verify(hash, password)
            .await
            .map_err(|error| match error {
                HashingError::Busy => VerifyError::Busy,
                HashingError::Failed(_) | HashingError::Stopped => {
                    VerifyError::Unavailable(self.store.clone(), Box::new(error))
                }
            })?;
        match (subject, outcome) {
            (Some(user), Outcome::Match) if acceptable && user.may_sign_in() => Ok(Verified {
                identity: self.identity(user),
                level: self.level,
                age: user.age,
            }),
            (_, Outcome::Match | Outcome::Mismatch) => Err(VerifyError::Refused),
        }
    }

    /// Has a new password written in place of the one of the file, if that is still the same, and goes by it at
    /// once.
    async fn write_password(&self, user: &User, new: Secret) -> Result<(), ChangeError> {
        let hash = move || hash::hash_password(new.expose());
        let hash = self.pool.run(hash).await.map_err(not_changed)?;
        let change = PasswordChange {
            user: user.name.clone(),
            known: Arc::clone(&user.password),
            hash: hash.map_err(|error| ChangeError::Failed(Box::new(error)))?,
        };
        self.writer.change(change).await
    }

    fn identity(&self, user: &User) -> Identity {
        Identity {
            store: self.store.clone(),
            subject: user.name.clone(),
            name: user.display_name.clone(),
            email: user.email.clone(),
            groups: user.groups.clone(),
            attributes: user.attributes.clone(),
        }
    }
}

#[async_trait]
impl IdentityProvider for UsersFileProvider {
    fn store(&self) -> &StoreName {
        &self.store
    }

    fn account(&self, typed: &str) -> String {
        let roster = self.rosters.now();
        let known = roster.find(typed);
        known.map_or_else(|| document::fold(typed), |user| user.name.to_string())
    }

    async fn verify(&self, credential: Credential) -> Result<Verified, VerifyError> {
        match credential {
            Credential::Password { user, password } => self.verify_password(&user, password).await,
            Credential::Vouched(_) => Err(VerifyError::Refused),
        }
    }

    async fn change_password(
        &self,
        subject: &UserName,
        old: Secret,
        new: Secret,
    ) -> Result<(), ChangeError> {
        let roster = self.rosters.now();
        let user = roster.find(subject.as_str());
        let user = user.filter(|user| user.may_sign_in());
        let user = user.ok_or(ChangeError::Changed)?;
        // Between the sign-in and now an administrator may have given the user another password.
        match self.pool.verify(Arc::clone(&user.password), old).await {
            Ok(Outcome::Match) => {}
            Ok(Outcome::Mismatch) => return Err(ChangeError::Changed),
            Err(error) => return Err(not_changed(error)),
        }
        self.write_password(user, new).await
    }

    fn account_of(&self, typed: &str) -> Option<Account> {
        let roster = self.rosters.now();
        let user = roster.find(typed)?;
        let state = if user.may_sign_in() {
            AccountState::Enabled
        } else {
            AccountState::Disabled
        };
        Some(Account {
            user: user.name.clone(),
            state,
        })
    }

    async fn refresh(&self, subject: &UserName) -> Result<Refreshed, VerifyError> {
        let roster = self.rosters.now();
        let user = roster.find(subject.as_str());
        Ok(match user.filter(|user| user.may_sign_in()) {
            Some(user) => Refreshed::Known(self.identity(user)),
            None => Refreshed::Gone,
        })
    }
}

fn not_changed(error: HashingError) -> ChangeError {
    match error {
        HashingError::Busy => ChangeError::Busy,
        HashingError::Failed(_) | HashingError::Stopped => ChangeError::Failed(Box::new(error)),
    }
}

/// The file is followed anyway; so the new password is good at once.
fn read_after_change(rosters: &Rosters) {
    if let Err(error) = rosters.reload() {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "the users file could not be read after a change"
        );
    }
}

#[cfg(test)]
mod tests;
