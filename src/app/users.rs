//! Follows the users file: takes over its changes, and ends the sessions of users who are gone or disabled,
//! also of those who went while the gateway was stopped (S-10).

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use parking_lot::Mutex;
use tokio::task::spawn_blocking;

use crate::engine::EmbeddedEngine;
use crate::logbook::event::Event;
use crate::logbook::event::EventKind;
use crate::model::name::UserName;
use crate::ports::identity_provider::IdentityProvider;
use crate::provider::users_file::FileVersion;
use crate::provider::users_file::UsersFileProvider;
use crate::provider::users_file::current::CurrentUsers;
use crate::provider::users_file::document::LoadUsersError;
use crate::provider::users_file::known::KnownUsers;

/// The users file, followed.
#[derive(Debug)]
pub(super) struct UsersWatch {
    users: Arc<CurrentUsers>,
    /// The one that was looked at last.
    looked_at: Arc<UsersFileProvider>,
    engine: Arc<EmbeddedEngine>,
    known: Arc<Mutex<KnownUsers>>,
    /// The version of the file that was read last, be it right or wrong.
    seen: Option<FileVersion>,
    /// One that could not be read, and was complained about.
    unread: Option<FileVersion>,
    standing: Standing,
    /// Users whose end is durable, while that of others is not yet.
    cut_off: BTreeSet<UserName>,
}

/// Whether whatever the users read last lead to has been done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Settled,
    Unsettled,
}

impl UsersWatch {
    /// Begins where an earlier run left off.
    pub(super) fn open(
        users: Arc<CurrentUsers>,
        engine: Arc<EmbeddedEngine>,
        state_dir: &Path,
    ) -> anyhow::Result<Self> {
        let path = state_dir.join(KNOWN_USERS);
        let known = KnownUsers::open(path.clone());
        let known = known.with_context(|| {
            let path = path.display();
            format!(
                "{path} cannot be read, so nobody can tell which users are gone since the last run"
            )
        })?;
        let looked_at = users.now();
        Ok(Self {
            seen: looked_at.version_read(),
            looked_at,
            users,
            engine,
            known: Arc::new(Mutex::new(known)),
            unread: None,
            standing: Standing::Unsettled,
            cut_off: BTreeSet::new(),
        })
    }

    /// Goes on until the process ends.
    pub(super) async fn run(mut self) {
        let mut ticks = tokio::time::interval(EVERY);
        loop {
            ticks.tick().await;
            self.look().await;
            self.settle().await;
        }
    }

    /// Takes over a change of the file. One with a fault in it changes nothing; one that the system does not
    /// give is looked at again, since it may forbid somebody to sign in.
    async fn look(&mut self) {
        let users = self.users.now();
        if !Arc::ptr_eq(&users, &self.looked_at) {
            // A reload has put it there, read and found right.
            self.seen = users.version_read();
            self.engine
                .note(changed(&self.looked_at.names(), &users.names()));
            self.looked_at = users;
            self.unsettle();
        }
        let (users, seen) = (Arc::clone(&self.looked_at), self.seen.clone());
        let look = move || {
            // While a file is being replaced there may be none for a moment.
            let version = users.version().filter(|now| seen.as_ref() != Some(now))?;
            Some((version, users.names(), users.reload()))
        };
        // A large file takes a while, and the streams of ended sessions are not to wait for it.
        let (version, before, read) = match spawn_blocking(look).await {
            Ok(Some(looked)) => looked,
            Ok(None) => return,
            Err(error) => return tracing::error!(%error, "the users file could not be looked at"),
        };
        match read {
            Ok(users) => {
                self.engine.note(changed(&before, &self.looked_at.names()));
                tracing::info!(users, "users file read again");
                self.seen = Some(version);
                self.unsettle();
            }
            Err(error @ LoadUsersError::Read { .. }) => {
                if self.unread.replace(version.clone()) != Some(version) {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "the users file cannot be read; the users are as before, and it is tried again"
                    );
                }
            }
            Err(error @ (LoadUsersError::Invalid { .. } | LoadUsersError::Syntax { .. })) => {
                self.seen = Some(version);
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the users file has a fault; the users are as before"
                );
            }
        }
    }

    fn unsettle(&mut self) {
        self.cut_off.clear();
        self.standing = Standing::Unsettled;
    }

    /// Ends the sessions of users who may not sign in any more. What fails is tried again.
    pub(super) async fn settle(&mut self) {
        if self.standing == Standing::Settled {
            return;
        }
        let lost = self.known.lock().lost(&self.looked_at);
        let mut durable = true;
        for user in &lost {
            if self.cut_off.contains(user) {
                continue;
            }
            match self.engine.end_all(self.users.store(), user).await {
                Ok(_) => {
                    self.cut_off.insert(user.clone());
                }
                Err(error) => {
                    durable = false;
                    tracing::error!(
                        user = user.as_str(),
                        error = &error as &dyn std::error::Error,
                        "the end of a user's sessions is not durable; it is tried again"
                    );
                }
            }
        }
        if !durable {
            return;
        }
        self.cut_off.clear();
        let (known, users) = (Arc::clone(&self.known), Arc::clone(&self.looked_at));
        let noted = spawn_blocking(move || known.lock().replace(&users)).await;
        match noted.unwrap_or_else(|error| Err(error.into())) {
            Ok(()) => self.standing = Standing::Settled,
            Err(error) => tracing::error!(
                %error,
                "it could not be noted which users there are; it is tried again"
            ),
        }
    }
}

/// What a change of the file came to, for the audit trail; a new password alone is neither.
fn changed(before: &[UserName], now: &[UserName]) -> Event {
    let missing = |from: &[UserName], of: &[UserName]| {
        let of: BTreeSet<&UserName> = of.iter().collect();
        let missing = from.iter().filter(|user| !of.contains(user));
        let names: Vec<&str> = missing.map(UserName::as_str).take(NAMES_MAX).collect();
        names.join(",")
    };
    Event::new(EventKind::UsersChanged)
        .with("may_sign_in", now.len().to_string())
        .with("added", missing(now, before))
        .with("removed", missing(before, now))
}

/// Beside the session store, whose sessions it speaks of.
const KNOWN_USERS: &str = "users.known";
/// Names told of one change.
const NAMES_MAX: usize = 50;
/// How often the file is looked at.
const EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::config::Authentication;
    use crate::decision::kept_posts::KeptRules;
    use crate::decision::password::PasswordRules;
    use crate::decision::throttle::ThrottleRules;
    use crate::engine::EngineParts;
    use crate::engine::EngineSettings;
    use crate::model::end::Incarnation;
    use crate::model::identity::AuthLevel;
    use crate::model::name::ClusterId;
    use crate::model::name::StoreName;
    use crate::model::time::Timestamp;
    use crate::ports::peer_channel::NoPeers;
    use crate::store::memory::MemoryStore;
    use crate::system::SystemClock;
    use crate::system::SystemEntropy;

    fn watch(dir: &TempDir) -> UsersWatch {
        let users = CurrentUsers::open(&Authentication {
            store: StoreName::parse("staff").unwrap(),
            users_file: dir.path().join("users.yaml"),
            level: AuthLevel::NONE,
            hashing_threads: 1,
            hashing_queue: 1,
            password: PasswordRules::default(),
            throttle: ThrottleRules::default(),
        });
        let users = Arc::new(users.unwrap());
        let store = Arc::new(MemoryStore::new(
            Incarnation([1; 16]),
            Timestamp::from_millis(0),
        ));
        let parts = EngineParts {
            store: Arc::<MemoryStore>::clone(&store),
            ends: store,
            peers: Arc::new(NoPeers),
            provider: Arc::<CurrentUsers>::clone(&users),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy::new()),
        };
        let settings = EngineSettings {
            cluster: ClusterId::parse("here").unwrap(),
            idle_timeout: Duration::from_secs(60),
            lifetime: Duration::from_secs(60),
            per_user_max: 1,
            kept_posts: KeptRules::default(),
            password: PasswordRules::default(),
            throttle: ThrottleRules::default(),
            federation: None,
        };
        let engine = Arc::new(EmbeddedEngine::new(parts, settings));
        UsersWatch::open(users, engine, dir.path()).unwrap()
    }

    #[tokio::test]
    async fn a_file_that_the_system_does_not_give_is_looked_at_again_and_one_with_a_fault_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("users.yaml");
        std::fs::write(&file, "users: []\n").unwrap();
        let mut watch = watch(&dir);
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        watch.look().await;
        assert_ne!(watch.seen, watch.looked_at.version());
        assert_eq!(watch.unread, watch.looked_at.version());
        std::fs::remove_dir(&file).unwrap();
        std::fs::write(&file, "users: [").unwrap();
        watch.look().await;
        assert_eq!(watch.seen, watch.looked_at.version());
        std::fs::write(&file, "users:   []\n").unwrap();
        watch.standing = Standing::Settled;
        watch.look().await;
        assert_eq!(watch.seen, watch.looked_at.version());
        assert_eq!(watch.standing, Standing::Unsettled);
    }
}
