//! The users file as an identity provider: names, groups and argon2id hashes in one YAML document.
//!
//! Whatever a sign-in is refused for, it costs exactly one hash, so that neither answer nor time tells
//! who has an account. How often somebody may try is the engine's to say; the bounded pool keeps the cost
//! of guessing from becoming the cost of everything else.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use sha2::Digest;
use sha2::Sha256;

use crate::config::Authentication;
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
use crate::provider::users_file::document::PasswordAge;
use crate::provider::users_file::document::User;
use crate::provider::users_file::edit::EditUsersError;
use crate::provider::users_file::edit::NewPassword;
use crate::provider::users_file::hash::Outcome;
use crate::provider::users_file::hash::PasswordHash;
use crate::provider::users_file::pool::Check;
use crate::provider::users_file::pool::HashingError;
use crate::provider::users_file::pool::HashingPool;

mod attributes;
pub mod current;
pub mod document;
pub mod edit;
pub mod hash;
pub mod htpasswd;
pub mod known;
pub mod pool;
pub(crate) mod replace;

/// Why the users file cannot serve as a provider.
#[derive(Debug, thiserror::Error)]
pub enum OpenUsersError {
    /// A thread for hashing could not be started.
    #[error("a thread for password hashing could not be started")]
    Hashing(#[source] std::io::Error),
    /// The file is not right.
    #[error(transparent)]
    Load(#[from] LoadUsersError),
}

/// A version of the users file, as the file system tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileVersion {
    modified: SystemTime,
    bytes: u64,
    inode: u64,
}

impl FileVersion {
    fn of(path: &Path) -> Option<Self> {
        let file = std::fs::metadata(path).ok()?;
        Some(Self {
            modified: file.modified().ok()?,
            bytes: file.len(),
            inode: file.ino(),
        })
    }
}

/// Users that were read and are not in use yet.
#[derive(Debug)]
pub struct FreshUsers(Roster);

/// Verifies passwords against a users file.
#[derive(Debug)]
pub struct UsersFileProvider {
    store: StoreName,
    level: AuthLevel,
    path: PathBuf,
    roster: ArcSwap<Roster>,
    pool: HashingPool,
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
        let roster = self.roster.load();
        let weak = roster.users.values().filter(|user| user.password.is_weak());
        let users = weak.count();
        if users > 0 {
            tracing::warn!(
                users,
                "password hashes of the users file are guessed at quickly; `portway users list` names them"
            );
        }
    }

    fn open_with(settings: &Authentication, check: Box<Check>) -> Result<Self, OpenUsersError> {
        let roster = Roster::read(&settings.users_file)?;
        let pool = HashingPool::start(settings.hashing_threads, settings.hashing_queue, check)
            .map_err(OpenUsersError::Hashing)?;
        Ok(Self {
            store: settings.store.clone(),
            level: settings.level,
            path: settings.users_file.clone(),
            roster: ArcSwap::from_pointee(roster),
            pool,
        })
    }

    /// Which version of the file is in its place; none while there is no file.
    #[must_use]
    pub fn version(&self) -> Option<FileVersion> {
        FileVersion::of(&self.path)
    }

    /// The version that was read last.
    #[must_use]
    pub fn version_read(&self) -> Option<FileVersion> {
        self.roster.load().version.clone()
    }

    /// Reads the file again, and answers how many users it has; sign-ins that are being checked finish
    /// with what they began with.
    ///
    /// # Errors
    /// When the file is missing or wrong. The users read before stay.
    pub fn reload(&self) -> Result<usize, LoadUsersError> {
        Ok(self.take_over(self.read_again()?))
    }

    /// Reads the file again, and changes nothing yet.
    ///
    /// # Errors
    /// When the file is missing or wrong.
    pub fn read_again(&self) -> Result<FreshUsers, LoadUsersError> {
        Roster::read(&self.path).map(FreshUsers)
    }

    /// Goes by users that were read again, and answers how many there are.
    pub fn take_over(&self, fresh: FreshUsers) -> usize {
        let users = fresh.0.users.len();
        self.roster.store(Arc::new(fresh.0));
        users
    }

    /// The names of those who may sign in.
    #[must_use]
    pub fn names(&self) -> Vec<UserName> {
        let roster = self.roster.load();
        let users = roster.users.values();
        let users = users.filter(|user| user.may_sign_in());
        users.map(|user| user.name.clone()).collect()
    }

    /// Whether a user, by whatever spelling, may sign in.
    #[must_use]
    pub fn may_sign_in(&self, user: &UserName) -> bool {
        let roster = self.roster.load();
        roster.find(user.as_str()).is_some_and(User::may_sign_in)
    }

    async fn verify_password(&self, name: &str, password: Secret) -> Result<Verified, VerifyError> {
        let roster = self.roster.load_full();
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

    /// Writes a new password into the file, if the old one is that of the file. It is written on a thread that
    /// hashes: the lock of the file may be waited for.
    async fn write_password(&self, user: &User, new: Secret) -> Result<(), ChangeError> {
        let (path, name) = (self.path.clone(), user.name.clone());
        let known = Arc::clone(&user.password);
        let write = move || -> Result<(), ChangeError> {
            let hash = hash::hash_password(new.expose());
            let hash = hash.map_err(|error| ChangeError::Failed(Box::new(error)))?;
            let new = NewPassword {
                hash: &hash,
                age: PasswordAge::Lasting,
            };
            match edit::change_password(&path, name.as_str(), &known, &new) {
                Ok(_) => Ok(()),
                Err(EditUsersError::Changed(_) | EditUsersError::Unknown(_)) => {
                    Err(ChangeError::Changed)
                }
                Err(EditUsersError::Foreign) => Err(ChangeError::Unsupported),
                Err(
                    error @ (EditUsersError::Exists(_)
                    | EditUsersError::Load(_)
                    | EditUsersError::Write(_)),
                ) => Err(ChangeError::Failed(Box::new(error))),
            }
        };
        match self.pool.run(write).await {
            Ok(written) => written,
            Err(HashingError::Busy) => Err(ChangeError::Busy),
            Err(error @ (HashingError::Failed(_) | HashingError::Stopped)) => {
                Err(ChangeError::Failed(Box::new(error)))
            }
        }
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
        let roster = self.roster.load();
        let known = roster.find(typed);
        known.map_or_else(|| document::fold(typed), |user| user.name.to_string())
    }

    async fn verify(&self, credential: Credential) -> Result<Verified, VerifyError> {
        match credential {
            Credential::Password { user, password } => self.verify_password(&user, password).await,
        }
    }

    async fn change_password(
        &self,
        subject: &UserName,
        old: Secret,
        new: Secret,
    ) -> Result<(), ChangeError> {
        let roster = self.roster.load_full();
        let user = roster.find(subject.as_str());
        let user = user.filter(|user| user.may_sign_in());
        let user = user.ok_or(ChangeError::Changed)?;
        // Between the sign-in and now an administrator may have given the user another password.
        match self.pool.verify(Arc::clone(&user.password), old).await {
            Ok(Outcome::Match) => {}
            Ok(Outcome::Mismatch) => return Err(ChangeError::Changed),
            Err(HashingError::Busy) => return Err(ChangeError::Busy),
            Err(error) => return Err(ChangeError::Failed(Box::new(error))),
        }
        self.write_password(user, new).await?;
        // The file is followed anyway; so the new password is good at once.
        if let Err(error) = self.reload() {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the users file could not be read after a change"
            );
        }
        Ok(())
    }

    fn account_of(&self, typed: &str) -> Option<Account> {
        let roster = self.roster.load();
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
        let roster = self.roster.load();
        let user = roster.find(subject.as_str());
        Ok(match user.filter(|user| user.may_sign_in()) {
            Some(user) => Refreshed::Known(self.identity(user)),
            None => Refreshed::Gone,
        })
    }
}

/// The users of one reading of the file, by folded name.
#[derive(Debug)]
struct Roster {
    /// What the file was just before it was read: a change during the reading is seen as one.
    version: Option<FileVersion>,
    users: BTreeMap<String, User>,
    /// What an unknown name is checked against: the hashes of the file, or a stand-in where it has none.
    decoys: Vec<Arc<PasswordHash>>,
    decoy_seed: [u8; 32],
}

impl Roster {
    fn read(path: &Path) -> Result<Self, LoadUsersError> {
        let version = FileVersion::of(path);
        let users = document::load(path)?;
        Ok(Self {
            version,
            ..Self::new(users)
        })
    }

    fn new(users: Vec<User>) -> Self {
        let mut decoys: Vec<_> = users
            .iter()
            .map(|user| Arc::clone(&user.password))
            .collect();
        if decoys.is_empty() {
            decoys.push(Arc::new(PasswordHash::stand_in()));
        }
        let mut seed = Sha256::new();
        for decoy in &decoys {
            seed.update(decoy.digest_input());
        }
        let users = users
            .into_iter()
            .map(|user| (document::fold(user.name.as_str()), user))
            .collect();
        Self {
            version: None,
            users,
            decoys,
            decoy_seed: seed.finalize().into(),
        }
    }

    fn find(&self, name: &str) -> Option<&User> {
        self.users.get(&document::fold(name))
    }

    /// The hash an unknown name is checked against. Where a file mixes parameters, one decoy for all
    /// unknown names would tell every user with other parameters apart; so each name draws one of the
    /// file's own hashes, always the same until the file changes, by a seed that only the file's owner
    /// knows. The outcome is thrown away.
    fn decoy(&self, name: &str) -> Arc<PasswordHash> {
        let digest = Sha256::new()
            .chain_update(self.decoy_seed)
            .chain_update(document::fold(name))
            .finalize();
        let draw = digest
            .iter()
            .take(8)
            .fold(0u64, |sum, byte| (sum << 8) | u64::from(*byte));
        let count = self.decoys.len().max(1) as u64;
        let index = usize::try_from(draw % count).unwrap_or(0);
        self.decoys
            .get(index)
            .map_or_else(|| Arc::new(PasswordHash::stand_in()), Arc::clone)
    }
}

#[cfg(test)]
mod tests;
