//! Follows the users file: takes over its changes, ends the sessions of users who are gone or disabled, also of
//! those who went while the gateway was stopped, and has sessions say what the file says of their users (S-10).

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use parking_lot::Mutex;
use tokio::task::spawn_blocking;

use crate::app::users::resting::Resting;
use crate::app::users::told::changed;
use crate::config::sources::Stamp;
use crate::engine::EmbeddedEngine;
use crate::model::name::UserName;
use crate::ports::identity_provider::IdentityProvider;
use crate::ports::session_store::StoreError;
use crate::provider::users_file::ReloadUsersError;
use crate::provider::users_file::UsersRead;
use crate::provider::users_file::current::CurrentUsers;
use crate::provider::users_file::document::LoadUsersError;
use crate::provider::users_file::is_loss;
use crate::provider::users_file::known::KnownUsers;

mod rereading;
mod resting;
mod told;

/// The users file, followed.
#[derive(Debug)]
pub(super) struct UsersWatch {
    users: Arc<CurrentUsers>,
    /// The users whose sessions stay, and whose standing `standing` tells of.
    acted_on: UsersRead,
    engine: Arc<EmbeddedEngine>,
    known: Arc<Mutex<KnownUsers>>,
    /// How long a version of the file that is not gone by has stayed as it is.
    resting: Resting,
    /// A version of the file that has a fault, or has lost most of the users.
    faulty: Option<Stamp>,
    /// One that could not be read, and was complained about.
    unread: Option<Stamp>,
    /// How many looks in a row have found no file.
    missing: u32,
    standing: Standing,
    /// Users whose end is durable, while that of others is not yet.
    cut_off: BTreeSet<UserName>,
    /// Users whose sessions end because the file says so, with those that began with an earlier password.
    signed_out: BTreeSet<UserName>,
    /// Users whose sessions say something else than the file.
    stale: BTreeSet<UserName>,
    /// What was done about the sessions of an earlier run.
    earlier: Earlier,
}

/// Whether whatever the users read last lead to has been done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// But for the sessions of users of an earlier run: so many are gone that it looks like a mistake.
    Held,
    Settled,
    Unsettled,
}

/// Whether the sessions of an earlier run say what the file says of their users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Earlier {
    Reread,
    Unread,
}

/// What a look at the file has found.
enum Looked {
    Changed(Stamp, Result<usize, ReloadUsersError>),
    Missing,
    /// Another version, which may still be written.
    Resting(Resting),
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
        let acted_on = users.now().users();
        let signed_out = acted_on.signed_out_before().into_iter();
        let signed_out = signed_out
            .filter(|(user, at)| !engine.is_over_before(users.store(), user, *at))
            .map(|(user, _)| user);
        Ok(Self {
            signed_out: signed_out.collect(),
            acted_on,
            users,
            engine,
            known: Arc::new(Mutex::new(known)),
            resting: Resting::default(),
            faulty: None,
            unread: None,
            missing: 0,
            standing: Standing::Unsettled,
            cut_off: BTreeSet::new(),
            stale: BTreeSet::new(),
            earlier: Earlier::Unread,
        })
    }

    /// Goes on until the process ends.
    pub(super) async fn run(mut self) {
        let mut ticks = tokio::time::interval(EVERY);
        loop {
            ticks.tick().await;
            self.look().await;
            self.settle().await;
            self.reread().await;
        }
    }

    /// Takes over a change of the file, and notes what is other about the users, whoever has read it.
    async fn look(&mut self) {
        self.read_again().await;
        let now = self.users.now();
        let users = now.users();
        if !users.is(&self.acted_on) {
            let changes = users.changes_since(&self.acted_on);
            self.engine.note(changed(&self.acted_on, &users, &changes));
            let signed_out = changes.iter().filter(|change| change.signs_out());
            self.signed_out
                .extend(signed_out.map(|change| change.user.clone()));
            let stale = changes.iter().filter(|change| change.reaches_sessions());
            self.stale.extend(stale.map(|change| change.user.clone()));
            self.acted_on = users;
            self.unsettle();
        } else if self.standing == Standing::Held && now.is_asked_for(users.version()) {
            self.unsettle();
        }
    }

    /// Reads the file again if it is another one than the users of now are from, and nobody writes it. One with a
    /// fault in it changes nothing; one that the system does not give is looked at again, since it may forbid
    /// somebody to sign in.
    async fn read_again(&mut self) {
        let (users, faulty, resting) = (self.users.now(), self.faulty, self.resting);
        let look = move || {
            let Some(version) = users.version() else {
                return Looked::Missing;
            };
            let is_asked_for = users.is_asked_for(Some(version));
            let before = users.users().version();
            if before == Some(version) || (faulty == Some(version) && !is_asked_for) {
                return Looked::Same;
            }
            let resting = resting.after(version);
            if !is_asked_for && !resting.is_over(before) {
                return Looked::Resting(resting);
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
            Looked::Changed(..) | Looked::Resting(_) | Looked::Same => 0,
        };
        match looked {
            Looked::Changed(version, read) => self.judge(version, read),
            Looked::Resting(resting) => {
                self.resting = resting;
                if resting.is_to_be_told() {
                    self.trouble(NEVER_RESTS);
                    tracing::error!(
                        "the users file keeps changing; the users are as before until it rests, or until \
                         `portway reload`"
                    );
                }
            }
            // While a file is being replaced there may be none for a moment.
            Looked::Missing if self.missing == MISSING_TOLD => {
                self.trouble("the file is gone");
                tracing::error!("the users file is gone; the users are as before");
            }
            Looked::Missing => {}
            Looked::Same => self.rest(),
        }
    }

    /// Nothing is to be done about the file as it is.
    fn rest(&mut self) {
        self.resting = Resting::default();
        let now = self.users.now();
        if self.standing != Standing::Held && now.version() == now.users().version() {
            self.users.set_trouble(None);
        }
    }

    fn judge(&mut self, version: Stamp, read: Result<usize, ReloadUsersError>) {
        self.resting = Resting::default();
        match read {
            Ok(users) => {
                self.users.set_trouble(None);
                tracing::info!(users, "users file read again");
            }
            Err(ReloadUsersError::Load(error @ LoadUsersError::Read { .. })) => {
                if self.unread.replace(version) != Some(version) {
                    self.trouble(&error);
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "the users file cannot be read; the users are as before, and it is tried again"
                    );
                }
            }
            Err(ReloadUsersError::Load(
                error @ (LoadUsersError::Invalid { .. } | LoadUsersError::Syntax { .. }),
            )) => {
                self.faulty = Some(version);
                self.trouble(&error);
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the users file has a fault; the users are as before"
                );
            }
            Err(error @ ReloadUsersError::Loss { .. }) => {
                self.faulty = Some(version);
                self.trouble(&error);
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the users file has lost most of its users; they are as before"
                );
            }
        }
    }

    fn trouble(&self, why: &(impl ToString + ?Sized)) {
        let why = why.to_string();
        self.users
            .set_trouble(Some(format!("the users are as before: {why}")));
    }

    fn unsettle(&mut self) {
        self.cut_off.clear();
        self.standing = Standing::Unsettled;
    }

    /// Ends the sessions of users who may not sign in any more, and those that began before a new password. What
    /// fails is tried again.
    pub(super) async fn settle(&mut self) {
        for user in std::mem::take(&mut self.signed_out) {
            let ended = self.engine.end_until_now(self.users.store(), &user).await;
            if let Err(error) = ended {
                not_durable(&user, &error);
                self.signed_out.insert(user);
            }
        }
        self.settle_lost().await;
    }

    async fn settle_lost(&mut self) {
        if self.standing != Standing::Unsettled {
            return;
        }
        // A change of the file in the meantime is the next one's matter.
        let mut users = self.acted_on.names();
        let (lost, held) = self.lost(&users);
        for user in &lost {
            if self.cut_off.contains(user) {
                continue;
            }
            match self.engine.end_all(self.users.store(), user).await {
                Ok(_) => {
                    self.cut_off.insert(user.clone());
                }
                Err(error) => not_durable(user, &error),
            }
        }
        if !lost.iter().all(|user| self.cut_off.contains(user)) {
            return;
        }
        self.cut_off.clear();
        let standing = if held.is_empty() {
            Standing::Settled
        } else {
            Standing::Held
        };
        users.extend(held);
        let known = Arc::clone(&self.known);
        let noted = spawn_blocking(move || known.lock().replace(users)).await;
        match noted.unwrap_or_else(|error| Err(error.into())) {
            Ok(()) => self.standing = standing,
            Err(error) => tracing::error!(
                %error,
                "it could not be noted which users there are; it is tried again"
            ),
        }
    }

    /// The users known so far who may not sign in any more: those whose sessions end, and those whose sessions
    /// stay until somebody says that so many are to go.
    fn lost(&self, users: &[UserName]) -> (Vec<UserName>, Vec<UserName>) {
        let (lost, of) = {
            let known = self.known.lock();
            (known.lost(users), known.count())
        };
        let is_gone = |user: &UserName| !self.acted_on.has(user);
        let gone = lost.iter().filter(|user| is_gone(user)).count();
        let is_asked_for = self.users.now().is_asked_for(self.acted_on.version());
        if !is_loss(gone, of) || is_asked_for {
            return (lost, Vec::new());
        }
        let (held, lost) = lost.into_iter().partition(is_gone);
        if self.standing == Standing::Unsettled && self.cut_off.is_empty() {
            let error = ReloadUsersError::Loss { lost: gone, of };
            self.users.set_trouble(Some(format!(
                "the sessions of users who are gone go on: {error}"
            )));
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "most users of the last run are gone; their sessions go on"
            );
        }
        (lost, held)
    }
}

fn not_durable(user: &UserName, error: &StoreError) {
    tracing::error!(
        user = user.as_str(),
        error = error as &dyn std::error::Error,
        "the end of a user's sessions is not durable; it is tried again"
    );
}

/// Beside the session store, whose sessions it speaks of.
const KNOWN_USERS: &str = "users.known";
/// Looks that find no file before it is told: whoever replaces one is done by then.
const MISSING_TOLD: u32 = 5;
const NEVER_RESTS: &str = "the file keeps changing; `portway reload` takes it over as it is";
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
        look_until_it_rests(&mut watch).await;
        assert_eq!(watch.faulty, None);
        assert_eq!(watch.unread, version());
        std::fs::remove_dir(&file).unwrap();
        std::fs::write(&file, "users: [").unwrap();
        look_until_it_rests(&mut watch).await;
        assert_eq!(watch.faulty, version());
        assert!(watch.users.trouble().is_some());
        std::fs::write(&file, "users:   []\n").unwrap();
        watch.standing = Standing::Settled;
        look_until_it_rests(&mut watch).await;
        assert_eq!(watch.users.trouble(), None);
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
            let list = ["", "[]"][usize::from(names.is_empty())];
            std::fs::write(&file, format!("users: {list}\n{users}")).unwrap();
        };
        write(&["alice", "mallory"]);
        let mut watch = watch(&dir);
        watch.settle().await;
        let users = watch.users.now();
        // A reload has read the file, and takes it over after the watch has read a newer one.
        write(&["alice", "bob", "mallory"]);
        let fresh = users.read_again().unwrap();
        write(&["alice"]);
        look_until_it_rests(&mut watch).await;
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

    async fn look_until_it_rests(watch: &mut UsersWatch) {
        for _ in 0..4 {
            watch.look().await;
        }
    }

    /// A users file with so many users, the later ones of twenty in front.
    fn crowd(users: usize) -> String {
        let user = |n: usize| format!("  - {{name: user{n}, password: '{HASH}'}}\n");
        let users: String = (20 - users..20).map(user).collect();
        format!("users:\n{users}")
    }

    #[tokio::test]
    async fn a_file_that_has_lost_most_users_is_taken_over_only_when_somebody_asks_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("users.yaml");
        std::fs::write(&file, crowd(20)).unwrap();
        let mut watch = watch(&dir);
        watch.settle().await;
        std::fs::write(&file, crowd(9)).unwrap();
        look_until_it_rests(&mut watch).await;
        assert_eq!(watch.acted_on.names().len(), 20);
        let trouble = watch.users.trouble().unwrap();
        assert!(
            trouble.contains("11 of 20 users are not in it"),
            "{trouble}"
        );
        // Half of them may go, and what is there again is no trouble any more.
        std::fs::write(&file, crowd(10)).unwrap();
        look_until_it_rests(&mut watch).await;
        assert_eq!(watch.acted_on.names().len(), 10);
        assert_eq!(watch.users.trouble(), None);
        watch.settle().await;
        std::fs::write(&file, crowd(1)).unwrap();
        look_until_it_rests(&mut watch).await;
        assert_eq!(watch.acted_on.names().len(), 10);
        let users = watch.users.now();
        users.take_over(users.read_again().unwrap());
        watch.look().await;
        watch.settle().await;
        assert_eq!(watch.known.lock().count(), 1);
        assert_eq!(watch.standing, Standing::Settled);
    }

    #[tokio::test]
    async fn sessions_of_most_users_end_at_a_start_only_when_somebody_asks_for_it_s_10() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("users.yaml");
        std::fs::write(&file, crowd(20)).unwrap();
        watch(&dir).settle().await;
        std::fs::write(&file, crowd(3)).unwrap();
        let mut again = watch(&dir);
        again.look().await;
        again.settle().await;
        assert_eq!(again.standing, Standing::Held);
        assert_eq!(again.known.lock().count(), 20);
        again.look().await;
        assert!(again.users.trouble().unwrap().contains("17 of 20 users"));
        again.users.now().ask_for_these();
        again.look().await;
        again.settle().await;
        assert_eq!(again.standing, Standing::Settled);
        assert_eq!(again.known.lock().count(), 3);
        again.look().await;
        assert_eq!(again.users.trouble(), None);
    }

    const HASH: &str = "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$SkmadNg519YkqjmMhTpGswcVZmiAjeQ01ZqqlxlwOok";
}
