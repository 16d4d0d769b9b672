//! The users as they were read, and who goes by which reading: a later one is never displaced by an earlier.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use sha2::Digest;
use sha2::Sha256;

use crate::config::sources::Stamp;
use crate::model::name::UserName;
use crate::model::time::Timestamp;
use crate::provider::users_file::changes;
use crate::provider::users_file::changes::UserChange;
use crate::provider::users_file::document;
use crate::provider::users_file::document::LoadUsersError;
use crate::provider::users_file::document::User;
use crate::provider::users_file::hash::PasswordHash;

/// The readings of one users file, of which the latest counts.
#[derive(Debug)]
pub(super) struct Rosters {
    path: PathBuf,
    now: ArcSwap<Roster>,
    /// Held while the file is read and taken over, so that whoever reads later is also taken over later.
    reading: Mutex<()>,
    /// The version that somebody wants taken over whomever it leaves out.
    asked_for: Mutex<Option<Stamp>>,
}

/// Why users that were read again were not taken over.
#[derive(Debug, thiserror::Error)]
pub enum ReloadUsersError {
    /// The file is missing or wrong.
    #[error(transparent)]
    Load(#[from] LoadUsersError),
    /// More of them are gone than anybody removes at once without saying so.
    #[error(
        "{lost} of {of} users are not in it any more; `portway reload` takes it over all the same"
    )]
    Loss {
        /// How many are gone.
        lost: usize,
        /// How many there were.
        of: usize,
    },
}

/// Whether so many of so many are more than go at once, other than by mistake.
#[must_use]
pub const fn is_loss(lost: usize, of: usize) -> bool {
    of >= LOSS_FROM && lost.saturating_mul(2) > of
}

/// Below so many users, any of them may go.
const LOSS_FROM: usize = 10;

/// Users that were read and are not in use yet.
#[derive(Debug)]
pub struct FreshUsers {
    roster: Roster,
    /// Those of when the reading began.
    before: Arc<Roster>,
}

/// The users of one reading.
#[derive(Clone, Debug)]
pub struct UsersRead(Arc<Roster>);

impl Rosters {
    pub(super) fn open(path: PathBuf) -> Result<Self, LoadUsersError> {
        Ok(Self {
            now: ArcSwap::from_pointee(Roster::read(&path)?),
            path,
            reading: Mutex::new(()),
            asked_for: Mutex::new(None),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn version(&self) -> Option<Stamp> {
        Stamp::of(&self.path)
    }

    pub(super) fn now(&self) -> Arc<Roster> {
        self.now.load_full()
    }

    pub(super) fn is_asked_for(&self, version: Option<Stamp>) -> bool {
        version.is_some() && *self.asked_for.lock() == version
    }

    pub(super) fn ask_for(&self, version: Option<Stamp>) {
        *self.asked_for.lock() = version;
    }

    pub(super) fn reload(&self) -> Result<usize, ReloadUsersError> {
        let _later_ones_wait = self.reading.lock();
        let roster = Roster::read(&self.path)?;
        let users = roster.users.len();
        let (lost, of) = roster.lost_of(&self.now());
        if is_loss(lost, of) && !self.is_asked_for(roster.version) {
            return Err(ReloadUsersError::Loss { lost, of });
        }
        self.now.store(Arc::new(roster));
        Ok(users)
    }

    pub(super) fn read_again(&self) -> Result<FreshUsers, LoadUsersError> {
        let before = self.now();
        Ok(FreshUsers {
            roster: Roster::read(&self.path)?,
            before,
        })
    }

    pub(super) fn take_over(&self, fresh: FreshUsers) {
        // Where somebody who is reading comes first, these are read again.
        self.ask_for(fresh.roster.version);
        // Nobody waits for somebody who is reading: what they read is followed all the same.
        let Some(_nobody_reads) = self.reading.try_lock() else {
            return;
        };
        if Arc::ptr_eq(&self.now(), &fresh.before) {
            self.now.store(Arc::new(fresh.roster));
        }
    }
}

impl UsersRead {
    pub(super) const fn new(roster: Arc<Roster>) -> Self {
        Self(roster)
    }

    /// The version of the file that they were read from.
    #[must_use]
    pub fn version(&self) -> Option<Stamp> {
        self.0.version
    }

    /// Whether these are of one and the same reading.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The names of those who may sign in.
    #[must_use]
    pub fn names(&self) -> Vec<UserName> {
        let users = self.0.users.values();
        let users = users.filter(|user| user.may_sign_in());
        users.map(|user| user.name.clone()).collect()
    }

    /// Whether there is such a user, in any spelling.
    #[must_use]
    pub fn has(&self, user: &UserName) -> bool {
        self.0.find(user.as_str()).is_some()
    }

    /// The moments before which sessions of users who may sign in are over, as the file has them.
    #[must_use]
    pub fn signed_out_before(&self) -> Vec<(UserName, Timestamp)> {
        let users = self.0.users.values().filter(|user| user.may_sign_in());
        let moments =
            users.filter_map(|user| user.signed_out_before.map(|at| (user.name.clone(), at)));
        moments.collect()
    }

    /// What is other about users than in an earlier reading, by their names of now.
    #[must_use]
    pub fn changes_since(&self, before: &Self) -> Vec<UserChange> {
        changes::between(&before.0.users, &self.0.users)
    }
}

/// The users of one reading of the file, by folded name.
#[derive(Debug)]
pub(super) struct Roster {
    /// What the file was just before it was read: a change during the reading is seen as one.
    version: Option<Stamp>,
    pub(super) users: BTreeMap<String, User>,
    /// What an unknown name is checked against: the hashes of the file, or a stand-in where it has none.
    decoys: Vec<Arc<PasswordHash>>,
    decoy_seed: [u8; 32],
}

impl Roster {
    fn read(path: &Path) -> Result<Self, LoadUsersError> {
        let version = Stamp::of(path);
        let users = document::load(path)?;
        Ok(Self {
            version,
            ..Self::new(users)
        })
    }

    pub(super) fn new(users: Vec<User>) -> Self {
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

    /// How many of those before are not here any more, and how many those were.
    fn lost_of(&self, before: &Self) -> (usize, usize) {
        let gone = before.users.keys();
        let gone = gone.filter(|name| !self.users.contains_key(*name));
        (gone.count(), before.users.len())
    }

    pub(super) fn find(&self, name: &str) -> Option<&User> {
        self.users.get(&document::fold(name))
    }

    /// The hash an unknown name is checked against. Where a file mixes parameters, one decoy for all
    /// unknown names would tell every user with other parameters apart; so each name draws one of the
    /// file's own hashes, always the same until the file changes, by a seed that only the file's owner
    /// knows. The outcome is thrown away.
    pub(super) fn decoy(&self, name: &str) -> Arc<PasswordHash> {
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
