//! Follows the users file: takes over its changes, and ends the sessions of users who are gone or disabled,
//! also of those who went while the gateway was stopped (S-10).

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use parking_lot::Mutex;
use tokio::task::spawn_blocking;

use crate::config::sources::Stamp;
use crate::engine::EmbeddedEngine;
use crate::logbook::event::Event;
use crate::logbook::event::EventKind;
use crate::model::name::UserName;
use crate::ports::identity_provider::IdentityProvider;
use crate::provider::users_file::UsersRead;
use crate::provider::users_file::current::CurrentUsers;
use crate::provider::users_file::document::LoadUsersError;
use crate::provider::users_file::known::KnownUsers;

/// The users file, followed.
#[derive(Debug)]
pub(super) struct UsersWatch {
    users: Arc<CurrentUsers>,
    /// The users whose sessions stay, and whose standing `standing` tells of.
    acted_on: UsersRead,
    engine: Arc<EmbeddedEngine>,
    known: Arc<Mutex<KnownUsers>>,
    /// A version of the file that has a fault.
    faulty: Option<Stamp>,
    /// One that could not be read, and was complained about.
    unread: Option<Stamp>,
    /// How many looks in a row have found no file.
    missing: u32,
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

/// What a look at the file has found.
enum Looked {
    Changed(Stamp, Result<usize, LoadUsersError>),
    Missing,
    Same,
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
        Ok(Self {
            acted_on: users.now().users(),
            users,
            engine,
            known: Arc::new(Mutex::new(known)),
            faulty: None,
            unread: None,
            missing: 0,
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

    /// Takes over a change of the file, and notes who has come and gone, whoever has read it.
    async fn look(&mut self) {
        self.read_again().await;
        let users = self.users.now().users();
        if !users.is(&self.acted_on) {
            self.engine
                .note(changed(&self.acted_on.names(), &users.names()));
            self.acted_on = users;
            self.unsettle();
        }
    }

    /// Reads the file again if it is another one than the users of now are from. One with a fault in it changes
    /// nothing; one that the system does not give is looked at again, since it may forbid somebody to sign in.
    async fn read_again(&mut self) {
        let (users, faulty) = (self.users.now(), self.faulty);
        let look = move || {
            let Some(version) = users.version() else {
                return Looked::Missing;
            };
            if users.users().version() == Some(version) || faulty == Some(version) {
                return Looked::Same;
            }
            Looked::Changed(version, users.reload())
        };
        // A large file takes a while, and the streams of ended sessions are not to wait for it.
        let looked = spawn_blocking(look).await.unwrap_or_else(|error| {
            tracing::error!(%error, "the users file could not be looked at");
            Looked::Same
        });
        self.missing = match looked {
            Looked::Missing => self.missing.saturating_add(1),
            Looked::Changed(..) | Looked::Same => 0,
        };
        match looked {
            Looked::Changed(version, read) => self.judge(version, read),
            // While a file is being replaced there may be none for a moment.
            Looked::Missing if self.missing == MISSING_TOLD => {
                tracing::error!("the users file is gone; the users are as before");
            }
            Looked::Missing | Looked::Same => {}
        }
    }

    fn judge(&mut self, version: Stamp, read: Result<usize, LoadUsersError>) {
        match read {
            Ok(users) => tracing::info!(users, "users file read again"),
            Err(error @ LoadUsersError::Read { .. }) => {
                if self.unread.replace(version) != Some(version) {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "the users file cannot be read; the users are as before, and it is tried again"
                    );
                }
            }
            Err(error @ (LoadUsersError::Invalid { .. } | LoadUsersError::Syntax { .. })) => {
                self.faulty = Some(version);
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
        // A change of the file in the meantime is the next one's matter.
        let users = self.acted_on.names();
        let lost = self.known.lock().lost(&users);
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
        let known = Arc::clone(&self.known);
        let noted = spawn_blocking(move || known.lock().replace(users)).await;
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
/// Looks that find no file before it is told: whoever replaces one is done by then.
const MISSING_TOLD: u32 = 5;
/// How often the file is looked at.
const EVERY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::app::rig;
    use crate::config::Authentication;
    use crate::decision::password::PasswordRules;
    use crate::decision::throttle::ThrottleRules;
    use crate::model::identity::AuthLevel;
    use crate::model::name::StoreName;

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
        let engine = rig::engine(&rig::store(), Arc::<CurrentUsers>::clone(&users));
        UsersWatch::open(users, engine, dir.path()).unwrap()
    }

    #[tokio::test]
    async fn a_file_that_the_system_does_not_give_is_looked_at_again_and_one_with_a_fault_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("users.yaml");
        std::fs::write(&file, "users: []\n").unwrap();
        let mut watch = watch(&dir);
        let version = || Stamp::of(&file);
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
        watch.look().await;
        assert_eq!(watch.faulty, None);
        assert_eq!(watch.unread, version());
        std::fs::remove_dir(&file).unwrap();
        std::fs::write(&file, "users: [").unwrap();
        watch.look().await;
        assert_eq!(watch.faulty, version());
        std::fs::write(&file, "users:   []\n").unwrap();
        watch.standing = Standing::Settled;
        watch.look().await;
        assert_eq!(watch.acted_on.version(), version());
        assert_eq!(watch.standing, Standing::Unsettled);
    }

    #[tokio::test]
    async fn what_somebody_else_has_read_is_acted_upon_and_older_users_displace_no_newer_ones_s_10()
    {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("users.yaml");
        let write = |names: &[&str]| {
            let user = |name: &&str| format!("  - {{name: {name}, password: '{HASH}'}}\n");
            let users: String = names.iter().map(user).collect();
            std::fs::write(&file, format!("users:\n{users}")).unwrap();
        };
        write(&["alice", "mallory"]);
        let mut watch = watch(&dir);
        watch.settle().await;
        let users = watch.users.now();
        // A reload has read the file, and takes it over after the watch has read a newer one.
        write(&["alice", "bob", "mallory"]);
        let fresh = users.read_again().unwrap();
        write(&["alice"]);
        watch.look().await;
        users.take_over(fresh);
        let alice = [UserName::parse("alice").unwrap()];
        assert_eq!(users.users().names(), alice);
        watch.settle().await;
        // A change of password reads the file by itself, and somebody was taken out just before.
        write(&[]);
        users.reload().unwrap();
        watch.look().await;
        assert_eq!(watch.standing, Standing::Unsettled);
        assert_eq!(watch.known.lock().lost(&watch.acted_on.names()), alice);
        watch.settle().await;
        assert_eq!(watch.standing, Standing::Settled);
    }

    #[tokio::test]
    async fn a_file_that_is_gone_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("users.yaml");
        std::fs::write(&file, "users: []\n").unwrap();
        let mut watch = watch(&dir);
        std::fs::remove_file(&file).unwrap();
        for look in 1..=MISSING_TOLD + 1 {
            watch.look().await;
            assert_eq!(watch.missing, look);
        }
        std::fs::write(&file, "users: []\n").unwrap();
        watch.look().await;
        assert_eq!(watch.missing, 0);
    }

    const HASH: &str = "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$SkmadNg519YkqjmMhTpGswcVZmiAjeQ01ZqqlxlwOok";
}
